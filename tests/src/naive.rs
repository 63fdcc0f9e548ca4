//! [`Naive`]: the check once more, as somebody would write it who has read the RFCs and knows none of our
//! code: one token, one pass, everything looked up in what `serde_json` made of it.
//!
//! From RFC 7515 (compact form), RFC 7517 (the keys, by exact `kid`), RFC 7519 and RFC 9068 (claims),
//! RFC 8705 (`cnf`) and what the contract adds: one spelling of the header, one audience, whole seconds,
//! no leeway, a life within the cap. Nothing here is called by what it is compared with; the one thing
//! that they share is ring, for the two curves.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
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
    /// What is around a token is cut off.
    Trimmed,
    /// Whether the issuer is heard does not matter.
    DeafBelieved,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NoneBelieved,
        Self::HeaderLoose,
        Self::SignatureUnchecked,
        Self::AnyKey,
        Self::ExpiryInclusive,
        Self::LifeUncapped,
        Self::AudienceList,
        Self::IssuerUnchecked,
        Self::UnboundBelieved,
        Self::Trimmed,
        Self::DeafBelieved,
    ];
}

impl Naive {
    /// What is to be said of a token that came with this certificate (SHA-256 of its DER), at `now` in
    /// seconds since 1970.
    pub fn check(&self, token: &str, certificate: Option<[u8; 32]>, now: i64) -> Verdict {
        if !self.heard && !self.has(Defect::DeafBelieved) {
            return Verdict::Unknown;
        }
        match self.believes(token, certificate, now) {
            Some(()) => Verdict::Active,
            None => Verdict::Inactive,
        }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn believes(&self, token: &str, certificate: Option<[u8; 32]>, now: i64) -> Option<()> {
        let token = if self.has(Defect::Trimmed) { token.trim() } else { token };
        (token.len() <= BYTES_MAX).then_some(())?;
        let parts: Vec<&str> = token.split('.').collect();
        let [head, body, signature] = parts[..] else { return None };
        let header = URL_SAFE_NO_PAD.decode(head).ok()?;
        self.signed(&header, head, body, signature)?;
        let payload = URL_SAFE_NO_PAD.decode(body).ok()?;
        self.claims(&payload, certificate, now)
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

    fn claims(&self, payload: &[u8], certificate: Option<[u8; 32]>, now: i64) -> Option<()> {
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
        (issuer && audience && alive && !dead && self.proved(claims.get("cnf"), certificate)).then_some(())
    }

    fn proved(&self, cnf: Option<&Value>, certificate: Option<[u8; 32]>) -> bool {
        let Some(bound) = cnf else { return true };
        let Some(bound) = bound.as_object() else { return false };
        let shown = certificate.map(|certificate| URL_SAFE_NO_PAD.encode(certificate));
        let matches = bound.len() == 1
            && shown.is_some_and(|shown| bound.get("x5t#S256").is_some_and(|bound| *bound == shown));
        matches || self.has(Defect::UnboundBelieved)
    }
}
