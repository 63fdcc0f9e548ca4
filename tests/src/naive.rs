//! `Naive`: the check once more, as somebody would write it who has read the RFCs and knows none of our
//! code: one token, one pass, everything looked up in what `serde_json` made of it.
//!
//! From RFC 7515 (compact form), RFC 7517 (the keys, by exact `kid`), RFC 7519 and RFC 9068 (claims),
//! RFC 8705 and RFC 9449 (`cnf`) and what the contract adds: one spelling of the header, one audience, whole
//! seconds, no leeway, a life within the cap, a proof good for a minute and once. Nothing here is called by what it
//! is compared with; the one thing that they share is ring, for the curves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

/// What a check comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It may be believed.
    Active,
    /// It must not.
    Inactive,
    /// Nobody can say.
    Unknown,
}

/// Longest life of any token, in seconds: the contract's number, written down a second time.
const LIFE_SECONDS_MAX: i64 = 900;
/// Longest token that is looked at, in bytes.
const BYTES_MAX: usize = 8192;
/// Longest proof, in bytes.
const PROOF_BYTES_MAX: usize = 4096;
/// How old a proof may be, and how far ahead, in seconds.
const PROOF_AGE: std::ops::RangeInclusive<i64> = -10..=60;
/// What only the holder of a key may know of it (RFC 7518).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// What was shown beside a token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown<'a> {
    /// SHA-256 of the certificate of the connection.
    pub certificate: Option<[u8; 32]>,
    /// A proof of a key, with the method and the URI that it has to be for.
    pub proof: Option<(&'a str, &'a str, &'a str)>,
}

/// A backend with the issuer's published keys and a list of what died.
#[derive(Clone, Debug)]
pub struct Naive {
    /// `iss`, character by character.
    pub issuer: String,
    /// `aud`, character by character.
    pub audience: String,
    /// The issuer's `jwks.json`.
    pub jwks: Value,
    /// `jti`s that were revoked, or whose task is over.
    pub dead: BTreeSet<String>,
    /// Whether the issuer was heard within the staleness bound.
    pub heard: bool,
    /// Key and `jti` of each proof that was believed; clones have it in common.
    pub proofs: Arc<Mutex<BTreeSet<(String, String)>>>,
    /// What this copy gets wrong on purpose; none but where a test has to notice.
    pub defect: Option<Defect>,
}

/// Mistakes that people make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// The header's `alg` is believed, and `none` is one.
    NoneBelieved,
    /// A header with anything in it passes, as long as `alg` and `kid` are right.
    HeaderLoose,
    /// No signature is checked.
    SignatureUnchecked,
    /// The first key of the set is as good as any.
    AnyKey,
    /// The time of expiry is still within.
    ExpiryInclusive,
    /// No cap on the life.
    LifeUncapped,
    /// `aud` may be a list that has ours.
    AudienceList,
    /// `iss` is not compared.
    IssuerUnchecked,
    /// `cnf` is not compared.
    UnboundBelieved,
    /// Whose key a proof is by is not compared.
    ProofOfAnybody,
    /// A proof's signature is not checked.
    ProofUnchecked,
    /// A proof that tells a private key is one.
    ProofKeyPrivate,
    /// Any JWS is a proof.
    ProofOfAnyType,
    /// A proof by an algorithm that is not offered is one.
    ProofOfAnyAlgorithm,
    /// `htm` is not compared.
    ProofMethodIgnored,
    /// `htu` is not compared.
    ProofTargetIgnored,
    /// `ath` is not compared.
    ProofTokenIgnored,
    /// `iat` is not compared.
    ProofTimeIgnored,
    /// A proof is good for as often as it is shown.
    ProofReplayed,
    /// A proof beside a token that is not bound to a key does no harm.
    ProofUnneeded,
    /// What is around a token is cut off.
    Trimmed,
    /// Whether the issuer is heard does not matter.
    DeafBelieved,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::NoneBelieved,
        Self::HeaderLoose,
        Self::SignatureUnchecked,
        Self::AnyKey,
        Self::ExpiryInclusive,
        Self::LifeUncapped,
        Self::AudienceList,
        Self::IssuerUnchecked,
        Self::UnboundBelieved,
        Self::ProofOfAnybody,
        Self::ProofUnchecked,
        Self::ProofKeyPrivate,
        Self::ProofOfAnyType,
        Self::ProofOfAnyAlgorithm,
        Self::ProofMethodIgnored,
        Self::ProofTargetIgnored,
        Self::ProofTokenIgnored,
        Self::ProofTimeIgnored,
        Self::ProofReplayed,
        Self::ProofUnneeded,
        Self::Trimmed,
        Self::DeafBelieved,
    ];
}

impl Naive {
    /// What is to be said of a token that came with this, at `now` in seconds since 1970.
    pub fn check(&self, token: &str, shown: Shown<'_>, now: i64) -> Verdict {
        if !self.heard && !self.has(Defect::DeafBelieved) {
            return Verdict::Unknown;
        }
        match self.believes(token, shown, now) {
            Some(()) => Verdict::Active,
            None => Verdict::Inactive,
        }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn believes(&self, token: &str, shown: Shown<'_>, now: i64) -> Option<()> {
        let token = if self.has(Defect::Trimmed) { token.trim() } else { token };
        (token.len() <= BYTES_MAX).then_some(())?;
        let parts: Vec<&str> = token.split('.').collect();
        let [head, body, signature] = parts[..] else { return None };
        let header = URL_SAFE_NO_PAD.decode(head).ok()?;
        self.signed(&header, head, body, signature)?;
        let payload = URL_SAFE_NO_PAD.decode(body).ok()?;
        let cnf = self.claims(&payload, now)?;
        self.proved(cnf.as_ref(), shown, token, now)
    }

    /// The key is the one named, and the header is the one text that this key's tokens have.
    fn signed(&self, header: &[u8], head: &str, body: &str, signature: &str) -> Option<()> {
        let said: Value = serde_json::from_slice(header).ok()?;
        if self.has(Defect::NoneBelieved) && said["alg"].as_str()?.eq_ignore_ascii_case("none") {
            return Some(());
        }
        let kid = said["kid"].as_str()?;
        let keys = self.jwks["keys"].as_array()?;
        let key = match self.has(Defect::AnyKey) {
            true => keys.iter().find(|key| key["alg"] == said["alg"])?,
            false => keys.iter().find(|key| key["kid"] == kid)?,
        };
        let (kid, alg) = (key["kid"].as_str()?, key["alg"].as_str()?);
        let only = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"at+jwt"}}"#);
        let loose = (self.has(Defect::HeaderLoose) || self.has(Defect::AnyKey)) && said["alg"] == alg;
        (header == only.as_bytes() || loose).then_some(())?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok();
        let (algorithm, point): (&dyn VerificationAlgorithm, _) = match alg {
            "ES256" => (&ECDSA_P256_SHA256_FIXED, [vec![4], coordinate("x")?, coordinate("y")?].concat()),
            "EdDSA" => (&ED25519, coordinate("x")?),
            _ => return None,
        };
        let holds =
            UnparsedPublicKey::new(algorithm, point).verify(format!("{head}.{body}").as_bytes(), &signature);
        (holds.is_ok() || self.has(Defect::SignatureUnchecked)).then_some(())
    }

    /// `cnf`, where there is one, of claims that are good by themselves.
    fn claims(&self, payload: &[u8], now: i64) -> Option<Option<Value>> {
        let claims: Value = serde_json::from_slice(payload).ok()?;
        // A member that stands twice, a space, an escape: all make the text longer than what was read.
        (serde_json::to_string(&claims).ok()?.len() == payload.len()).then_some(())?;
        let known = [
            "jti",
            "iss",
            "aud",
            "sub",
            "client_id",
            "iat",
            "nbf",
            "exp",
            "scope",
            "authorization_details",
            "cnf",
            "act",
            "locum",
        ];
        claims.as_object()?.keys().all(|name| known.contains(&name.as_str())).then_some(())?;
        for name in ["jti", "sub", "client_id", "scope", "locum"] {
            claims[name].as_str()?;
        }
        let issuer = claims["iss"] == self.issuer.as_str() || self.has(Defect::IssuerUnchecked);
        let listed = claims["aud"].as_array().is_some_and(|all| all.contains(&self.audience.as_str().into()));
        let audience = claims["aud"] == self.audience.as_str() || (listed && self.has(Defect::AudienceList));
        let time = |name: &str| claims[name].as_i64();
        let (issued, begins, ends) = (time("iat")?, time("nbf")?, time("exp")?);
        let over = if self.has(Defect::ExpiryInclusive) { now > ends } else { now >= ends };
        let plausible = issued >= 0 && begins <= issued && issued < ends;
        let short = self.has(Defect::LifeUncapped) || ends.checked_sub(issued)? <= LIFE_SECONDS_MAX;
        let alive = begins <= now && !over && plausible && short;
        let dead = self.dead.contains(claims["jti"].as_str()?);
        (issuer && audience && alive && !dead).then(|| claims.get("cnf").cloned())
    }

    /// What the token is bound to was shown, and nothing that it is not bound to.
    fn proved(&self, cnf: Option<&Value>, shown: Shown<'_>, token: &str, now: i64) -> Option<()> {
        let unneeded = shown.proof.is_some() && !self.has(Defect::ProofUnneeded);
        let Some(bound) = cnf else { return (!unneeded).then_some(()) };
        if self.has(Defect::UnboundBelieved) {
            return Some(());
        }
        let bound = bound.as_object().filter(|bound| bound.len() == 1)?;
        if let Some(thumbprint) = bound.get("x5t#S256") {
            let matches = *thumbprint == URL_SAFE_NO_PAD.encode(shown.certificate?);
            return (matches && !unneeded).then_some(());
        }
        let (jkt, jti) = self.proof(shown.proof?, token, now)?;
        (*bound.get("jkt")? == *jkt || self.has(Defect::ProofOfAnybody)).then_some(())?;
        let mut before = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        (before.insert((jkt, jti)) || self.has(Defect::ProofReplayed)).then_some(())
    }

    /// RFC 9449 section 4.3, check by check: the thumbprint of the key that a good proof proves, and its `jti`.
    fn proof(&self, shown: (&str, &str, &str), token: &str, now: i64) -> Option<(String, String)> {
        let (proof, method, uri) = shown;
        (proof.len() <= PROOF_BYTES_MAX).then_some(())?;
        let parts: Vec<&str> = proof.split('.').collect();
        let [head, body, signature] = parts[..] else { return None };
        let header = Once::read(&URL_SAFE_NO_PAD.decode(head).ok()?)?.0;
        let names: Vec<&str> = header.keys().map(String::as_str).collect();
        let jwk = (names == ["alg", "jwk", "typ"]).then(|| &header["jwk"])?;
        (header["typ"] == "dpop+jwt" || self.has(Defect::ProofOfAnyType)).then_some(())?;
        let private = PRIVATE.iter().any(|name| jwk.get(name).is_some());
        (!private || self.has(Defect::ProofKeyPrivate)).then_some(())?;
        let alg = header["alg"].as_str()?;
        (jwk.get("alg").is_none_or(|only| only == alg)).then_some(())?;
        let pss = alg == "PS256" && self.has(Defect::ProofOfAnyAlgorithm);
        let (mut algorithm, point, canonical) = proof_key(if pss { "RS256" } else { alg }, jwk)?;
        if pss {
            algorithm = &RSA_PSS_2048_8192_SHA256;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let signed = format!("{head}.{body}");
        let holds = UnparsedPublicKey::new(algorithm, point).verify(signed.as_bytes(), &signature);
        (holds.is_ok() || self.has(Defect::ProofUnchecked)).then_some(())?;
        let claims = Once::read(&URL_SAFE_NO_PAD.decode(body).ok()?)?.0;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (jti, htm, htu) = (text("jti")?, text("htm")?, text("htu")?);
        let age = now.checked_sub(claims.get("iat")?.as_i64().filter(|at| *at >= 0)?)?;
        let ath = text("ath").is_some_and(|ath| ath == hash(token));
        let right = (htm == method || self.has(Defect::ProofMethodIgnored))
            && (place(htu)? == place(uri)? || self.has(Defect::ProofTargetIgnored))
            && (ath || self.has(Defect::ProofTokenIgnored))
            && (PROOF_AGE.contains(&age) || self.has(Defect::ProofTimeIgnored));
        (right && jti.len() <= 256).then(|| (hash(&canonical), jti.to_owned()))
    }
}

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

/// How a key of a proof verifies, and its members as RFC 7638 hashes them.
fn proof_key(alg: &str, jwk: &Value) -> Option<(&'static dyn VerificationAlgorithm, Vec<u8>, String)> {
    let text = |name: &str| jwk.get(name)?.as_str();
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let (kty, crv) = (text("kty")?, text("crv").unwrap_or_default());
    let on_curve = |algorithm, size| -> Option<(&'static dyn VerificationAlgorithm, Vec<u8>, String)> {
        let (x, y) = (bytes("x")?, bytes("y")?);
        let names = format!(r#"{{"crv":"{crv}","kty":"EC","x":"{}","y":"{}"}}"#, text("x")?, text("y")?);
        (x.len() == size && y.len() == size).then(|| (algorithm, [vec![4], x, y].concat(), names))
    };
    match (alg, kty, crv) {
        ("ES256", "EC", "P-256") => on_curve(&ECDSA_P256_SHA256_FIXED, 32),
        ("ES384", "EC", "P-384") => on_curve(&ECDSA_P384_SHA384_FIXED, 48),
        ("EdDSA", "OKP", "Ed25519") => {
            let names = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text("x")?);
            Some((&ED25519, bytes("x")?, names))
        }
        ("RS256", "RSA", _) => {
            let (n, e) = (bytes("n")?, bytes("e")?);
            let names = format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text("e")?, text("n")?);
            // RFC 7518 section 6.3.1.1: no zeros before. From 2,048 to 4,096 bits.
            ((256..=512).contains(&n.len()) && n[0] != 0).then_some(())?;
            let key = der(0x30, &[der_integer(&n), der_integer(&e)].concat());
            Some((&RSA_PKCS1_2048_8192_SHA256, key, names))
        }
        _ => None,
    }
}

/// A value of DER under its tag (X.690 section 8.1).
fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = (value.len() as u16).to_be_bytes();
    let head = if value.len() < 128 { vec![tag, length[1]] } else { vec![tag, 0x82, length[0], length[1]] };
    [head, value.to_vec()].concat()
}

/// A number that is not negative.
fn der_integer(bytes: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if bytes.first().is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
    der(0x02, &[sign, bytes].concat())
}

/// Where a URI goes: scheme, host with its port, path. The query does not matter (RFC 9449 section 4.3, check 9).
fn place(uri: &str) -> Option<(String, String, String)> {
    let (scheme, rest) = uri.split_once("://")?;
    let rest = rest.split(['?', '#']).next()?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (scheme, mut host) = (scheme.to_lowercase(), host.to_lowercase());
    if let ("https", Some(bare)) | ("http", Some(bare)) =
        (&*scheme, host.strip_suffix(if scheme == "https" { ":443" } else { ":80" }))
    {
        host = bare.to_owned();
    }
    let clean = uri.chars().all(|c| c.is_ascii_graphic()) && !host.is_empty() && !host.contains('@');
    (clean && matches!(&*scheme, "https" | "http")).then(|| (scheme, host, path.to_owned()))
}

/// An object in which no member stands twice.
struct Once(BTreeMap<String, Value>);

impl Once {
    fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Once;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Once, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member stands twice"));
                    }
                }
                Ok(Once(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
