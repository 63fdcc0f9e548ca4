//! [`JwkSet`]: the keys that an issuer published, found by their exact `kid` (RFC 7517 section 5).
//!
//! Bounded before it is parsed. Keys of other kinds, uses and algorithms are passed over, as the
//! RFC asks; a set that leaks a private key, or uses one `kid` twice, is refused whole. Nobody
//! tries all keys: a key without a `kid` is not there.

use locum_model::limits::{JWK_SET_BYTES_MAX, JWK_SET_KEYS_MAX, KID_BYTES_MAX};
use std::collections::BTreeMap;

use crate::base64url::kid_text;
use crate::json::{self, Value};
use crate::key::{NotAKey, PublicKey};

/// Public keys by `kid`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JwkSet(BTreeMap<String, PublicKey>);

/// Why a text is not a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKeySet {
    /// Too many bytes.
    #[error("a key set has at most {JWK_SET_BYTES_MAX} bytes")]
    TooLong,
    /// Not a JSON object whose `keys` is an array of objects.
    #[error("a key set is one JSON object with `keys`, an array of objects, and no repeated members")]
    Malformed,
    /// Too many keys.
    #[error("a key set has at most {JWK_SET_KEYS_MAX} keys")]
    TooManyKeys,
    /// A private or symmetric key stands in it: it is in everybody's hands.
    #[error("a key set with private or symmetric keys is refused")]
    Private,
    /// Two keys of the same `kid`.
    #[error("a key set names each `kid` once")]
    RepeatedKid,
}

// === impl JwkSet ===

impl JwkSet {
    /// The keys of a set that can verify something.
    ///
    /// # Errors
    ///
    /// [`NotAKeySet`]; nothing of a refused set is used.
    pub fn parse(text: &[u8]) -> Result<Self, NotAKeySet> {
        if text.len() > JWK_SET_BYTES_MAX {
            return Err(NotAKeySet::TooLong);
        }
        let set = json::parse_object(text).or(Err(NotAKeySet::Malformed))?;
        let jwks = set.get("keys").and_then(Value::as_list).ok_or(NotAKeySet::Malformed)?;
        if jwks.len() > JWK_SET_KEYS_MAX {
            return Err(NotAKeySet::TooManyKeys);
        }
        let mut keys = BTreeMap::new();
        for jwk in jwks {
            let jwk = jwk.as_object().ok_or(NotAKeySet::Malformed)?;
            let key = match PublicKey::from_jwk_object(jwk) {
                Ok(key) => key,
                Err(NotAKey::Private) => return Err(NotAKeySet::Private),
                Err(_) => continue,
            };
            let Some(kid) = jwk.text("kid").filter(|kid| (1..=KID_BYTES_MAX).contains(&kid.len())) else {
                continue;
            };
            if keys.insert(kid.to_owned(), key).is_some() {
                return Err(NotAKeySet::RepeatedKid);
            }
        }
        Ok(Self(keys))
    }

    /// The key of exactly this `kid`.
    pub fn key(&self, kid: &str) -> Option<&PublicKey> {
        self.0.get(kid)
    }

    /// The keys with their `kid`s, ordered.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = (&str, &PublicKey)> {
        self.0.iter().map(|(kid, key)| (kid.as_str(), key))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The set of these keys as JSON: each with its thumbprint as `kid`, `use` and `alg`.
pub fn write<'a>(keys: impl IntoIterator<Item = &'a PublicKey>) -> String {
    let mut text = String::from(r#"{"keys":["#);
    for (at, key) in keys.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        let jwk = key.to_jwk();
        text.push_str(jwk.strip_suffix('}').expect("a JWK ends with a brace"));
        let (kid, alg) = (kid_text(&key.thumbprint()), key.algorithm());
        text.push_str(&format!(r#","kid":"{kid}","use":"sig","alg":"{alg}"}}"#));
    }
    text.push_str("]}");
    text
}

#[cfg(test)]
mod tests {
    use locum_model::registry::Algorithm;

    use super::*;

    const POINT: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

    fn set(keys: &[String]) -> String {
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }

    #[test]
    fn a_written_set_is_read_back() {
        let mut point = [4; 65];
        point[1] = 9;
        let keys = [
            PublicKey::from_bytes(Algorithm::Es256, &point).expect("65 bytes"),
            PublicKey::from_bytes(Algorithm::Ed25519, &[7; 32]).expect("32 bytes"),
        ];
        let text = write(&keys);
        let read = JwkSet::parse(text.as_bytes()).expect("our own set");
        assert_eq!(read.len(), 2);
        for key in &keys {
            assert_eq!(read.key(&kid_text(&key.thumbprint())), Some(key));
        }
        assert!(text.ends_with(r#""use":"sig","alg":"EdDSA"}]}"#), "{text}");
        assert_eq!(write([]), r#"{"keys":[]}"#);
    }

    #[test]
    fn keys_that_are_not_for_us_are_passed_over() {
        let others = [
            format!(r#"{{{POINT}}}"#),
            format!(r#"{{{POINT},"kid":""}}"#),
            format!(r#"{{{POINT},"kid":7}}"#),
            format!(r#"{{{POINT},"kid":"{}"}}"#, "k".repeat(KID_BYTES_MAX + 1)),
            format!(r#"{{{POINT},"kid":"enc","use":"enc"}}"#),
            format!(r#"{{{POINT},"kid":"x509","use":"x509-svid"}}"#),
            format!(r#"{{{POINT},"kid":"es384","alg":"ES384"}}"#),
            r#"{"kty":"EC","crv":"secp256k1","kid":"k"}"#.to_owned(),
            r#"{"kty":"new","kid":"n"}"#.to_owned(),
            r#"{"kid":"none"}"#.to_owned(),
            format!(r#"{{{POINT},"kid":"good","use":"sig","alg":"ES256"}}"#),
            format!(r#"{{{POINT},"kid":"svid","use":"jwt-svid"}}"#),
        ];
        let read = JwkSet::parse(set(&others).as_bytes()).expect("a set");
        assert_eq!(read.keys().map(|(kid, _)| kid).collect::<Vec<_>>(), ["good", "svid"]);
    }

    #[test]
    fn a_bad_set_is_refused_whole() {
        let good = format!(r#"{{{POINT},"kid":"a"}}"#);
        for (text, expected) in [
            ("".to_owned(), NotAKeySet::Malformed),
            ("[]".to_owned(), NotAKeySet::Malformed),
            ("{}".to_owned(), NotAKeySet::Malformed),
            (r#"{"keys":{}}"#.to_owned(), NotAKeySet::Malformed),
            (r#"{"keys":[1]}"#.to_owned(), NotAKeySet::Malformed),
            (r#"{"keys":[],"keys":[]}"#.to_owned(), NotAKeySet::Malformed),
            (set(&[good.clone(), good.clone()]), NotAKeySet::RepeatedKid),
            (set(&[good.clone(), format!(r#"{{{POINT},"kid":"b","d":"AA"}}"#)]), NotAKeySet::Private),
            (set(&[good.clone(), r#"{"kty":"oct","k":"AA","kid":"b"}"#.to_owned()]), NotAKeySet::Private),
            (set(&vec![r#"{"kty":"new"}"#.to_owned(); JWK_SET_KEYS_MAX + 1]), NotAKeySet::TooManyKeys),
            (format!("{}{}", set(&[good]), " ".repeat(JWK_SET_BYTES_MAX)), NotAKeySet::TooLong),
        ] {
            assert_eq!(JwkSet::parse(text.as_bytes()), Err(expected), "{}", &text[..text.len().min(80)]);
        }
        let many = vec![r#"{"kty":"new"}"#.to_owned(); JWK_SET_KEYS_MAX];
        assert_eq!(JwkSet::parse(set(&many).as_bytes()), Ok(JwkSet::default()));
    }
}
