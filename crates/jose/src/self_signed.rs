//! [`verify`]: a compact JWS that brings the public key it is signed with, in its header (`jwk`,
//! RFC 7515 section 4.1.3), as proofs of possession do.
//!
//! That it holds says one thing: whoever made it has the private half of the key that stands in it. So it
//! identifies nobody, and nothing else may be read by this: in every other token a `jwk` is refused.
//!
//! From cheap to dear, as in [`crate::compact`]: length, alphabet, three parts, a strict header of
//! exactly `alg`, `jwk` and `typ`, a public key of that one algorithm, the signature, a strict payload.

use crate::algorithm::SignatureAlgorithm;
use crate::base64url;
use crate::compact::split;
use crate::json::{self, Object, Value};
use crate::key::{NotAKey, PublicKey};

/// Everything that the header has; `jwk` is an object, the others are texts.
const MEMBERS: [&str; 3] = ["alg", "jwk", "typ"];

/// Why a text is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSelfSigned {
    /// Too long, another alphabet, not three parts, or not canonical base64url.
    #[error("it is not a compact JWS")]
    Form,
    /// Not a strict JSON object of `alg`, `jwk` and `typ` alone.
    #[error("its header is not exactly `alg`, `jwk` and `typ`")]
    Header,
    /// `typ` is another.
    #[error("its `typ` is not the one expected")]
    Type,
    /// `alg` is not one of those accepted, or not the key's.
    #[error("its `alg` is not accepted, or not its key's")]
    Algorithm,
    /// `jwk` is no public key that can verify.
    #[error("its `jwk` is not a public key: {0}")]
    Key(#[from] NotAKey),
    /// The signature does not hold under the key.
    #[error("its signature does not hold")]
    Signature,
    /// The payload is not a strict JSON object.
    #[error("its claims are not a strict JSON object")]
    Payload,
}

/// The key that signed a text of this `typ`, which brings it, and the claims. At most so many bytes.
///
/// # Errors
///
/// [`NotSelfSigned`]; which one depends on the first step that refuses.
pub fn verify(text: &str, typ: &str, bytes_max: usize) -> Result<(PublicKey, Object), NotSelfSigned> {
    let (header_end, payload_end) = split(text, bytes_max).or(Err(NotSelfSigned::Form))?;
    let decode = |part: &str| base64url::decode(part).or(Err(NotSelfSigned::Form));
    let header = json::parse_object(&decode(&text[..header_end])?).or(Err(NotSelfSigned::Header))?;
    let key = key_of(&header, typ)?;
    let payload = decode(&text[header_end + 1..payload_end])?;
    let signature = decode(&text[payload_end + 1..])?;
    key.verify(&text.as_bytes()[..payload_end], &signature).or(Err(NotSelfSigned::Signature))?;
    let claims = json::parse_object(&payload).or(Err(NotSelfSigned::Payload))?;
    Ok((key, claims))
}

fn key_of(header: &Object, typ: &str) -> Result<PublicKey, NotSelfSigned> {
    let exactly = header.members().len() == MEMBERS.len();
    if !exactly || MEMBERS.iter().any(|name| header.get(name).is_none()) {
        return Err(NotSelfSigned::Header);
    }
    if header.text("typ") != Some(typ) {
        return Err(NotSelfSigned::Type);
    }
    let algorithm: Option<SignatureAlgorithm> = header.text("alg").and_then(|alg| alg.parse().ok());
    let algorithm = algorithm.ok_or(NotSelfSigned::Algorithm)?;
    let jwk = header.get("jwk").and_then(Value::as_object).ok_or(NotSelfSigned::Header)?;
    let key = PublicKey::from_jwk_object(jwk)?;
    if key.algorithm() == algorithm { Ok(key) } else { Err(NotSelfSigned::Algorithm) }
}

#[cfg(test)]
mod tests {
    use locum_model::registry::Algorithm;

    use super::*;
    use crate::sign::SigningKey;

    fn fresh(algorithm: Algorithm) -> SigningKey {
        let pkcs8 = SigningKey::generate(algorithm).expect("randomness");
        SigningKey::from_pkcs8(algorithm, &pkcs8).expect("just made")
    }

    fn signed(key: &SigningKey, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
        format!("{input}.{}", base64url::encode(key.sign(input.as_bytes()).expect("randomness")))
    }

    #[test]
    fn the_key_in_it_is_the_key_that_signed() {
        for algorithm in [Algorithm::Es256, Algorithm::Ed25519] {
            let key = fresh(algorithm);
            let (alg, jwk) = (key.public().algorithm(), key.public().to_jwk());
            let text = signed(&key, &format!(r#"{{"typ":"t","alg":"{alg}","jwk":{jwk}}}"#), r#"{"a":1}"#);
            let (by, claims) = verify(&text, "t", 4096).expect("good");
            assert_eq!((&by, claims.integer("a")), (key.public(), Some(1)));
            assert_eq!(verify(&text, "u", 4096).expect_err("typ"), NotSelfSigned::Type);
            let short = verify(&text, "t", text.len() - 1).expect_err("too long");
            assert_eq!(short, NotSelfSigned::Form);
        }
    }

    #[test]
    fn nothing_but_that_is_taken() {
        let (key, other) = (fresh(Algorithm::Es256), fresh(Algorithm::Es256));
        let (jwk, theirs) = (key.public().to_jwk(), other.public().to_jwk());
        let edwards = fresh(Algorithm::Ed25519).public().to_jwk();
        let with = |member: &str| format!("{},{member}}}", &jwk[..jwk.len() - 1]);
        for (header, expected) in [
            (format!(r#"{{"alg":"ES256","jwk":{theirs},"typ":"t"}}"#), NotSelfSigned::Signature),
            (format!(r#"{{"alg":"none","jwk":{jwk},"typ":"t"}}"#), NotSelfSigned::Algorithm),
            (format!(r#"{{"alg":"HS256","jwk":{jwk},"typ":"t"}}"#), NotSelfSigned::Algorithm),
            (format!(r#"{{"alg":"ES384","jwk":{jwk},"typ":"t"}}"#), NotSelfSigned::Algorithm),
            (format!(r#"{{"alg":"ES256","jwk":{edwards},"typ":"t"}}"#), NotSelfSigned::Algorithm),
            (format!(r#"{{"alg":"ES256","jwk":{jwk}}}"#), NotSelfSigned::Header),
            (format!(r#"{{"alg":"ES256","jwk":{jwk},"typ":1}}"#), NotSelfSigned::Type),
            (format!(r#"{{"alg":"ES256","jwk":{jwk},"typ":"t","crit":["x"]}}"#), NotSelfSigned::Header),
            (format!(r#"{{"alg":"ES256","jwk":{jwk},"typ":"t","kid":"x"}}"#), NotSelfSigned::Header),
            (format!(r#"{{"alg":"ES256","jwk":[{jwk}],"typ":"t"}}"#), NotSelfSigned::Header),
            (r#"{"alg":"ES256","jwk":"x","typ":"t"}"#.to_owned(), NotSelfSigned::Header),
            (r#"{"alg":"ES256","jku":"https://evil.test","typ":"t"}"#.to_owned(), NotSelfSigned::Header),
            (format!(r#"{{"alg":"ES256","alg":"ES256","jwk":{jwk},"typ":"t"}}"#), NotSelfSigned::Header),
            (
                format!(r#"{{"alg":"ES256","jwk":{},"typ":"t"}}"#, with(r#""d":"AA""#)),
                NotAKey::Private.into(),
            ),
            (
                format!(r#"{{"alg":"ES256","jwk":{},"typ":"t"}}"#, with(r#""k":"AA""#)),
                NotAKey::Private.into(),
            ),
            (r#"{"alg":"ES256","jwk":{"kty":"oct","k":"AA"},"typ":"t"}"#.to_owned(), NotAKey::Private.into()),
            (
                format!(r#"{{"alg":"ES256","jwk":{},"typ":"t"}}"#, with(r#""use":"enc""#)),
                NotAKey::Unsupported("use").into(),
            ),
        ] {
            let text = signed(&key, &header, "{}");
            assert_eq!(verify(&text, "t", 4096).expect_err(&header), expected, "{header}");
        }
        let header = format!(r#"{{"alg":"ES256","jwk":{jwk},"typ":"t"}}"#);
        for payload in ["", "[]", "1", r#"{"a":1,"a":1}"#, "{} "] {
            let text = signed(&key, &header, payload);
            let expected = if payload.is_empty() { NotSelfSigned::Form } else { NotSelfSigned::Payload };
            let said = verify(&text, "t", 4096).map(|(_, claims)| claims);
            // White space after an object is JSON all the same.
            let expected = if payload == "{} " { Ok(Object::default()) } else { Err(expected) };
            assert_eq!(said, expected, "{payload:?}");
        }
        for text in ["", "..", "a.b", "a.b.c.d", " a.b.c", "a.b.c\n"] {
            assert_eq!(verify(text, "t", 4096).expect_err(text), NotSelfSigned::Form, "{text:?}");
        }
    }
}
