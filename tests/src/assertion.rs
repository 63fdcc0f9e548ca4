//! Issuers of bearer assertions: JWT-SVIDs of a trust domain, OpenID assertions of a platform.

use locum_jose::{SigningKey, base64url};
use locum_model::registry::Algorithm;
use serde_json::{Value, json};

/// One issuer with one key.
pub struct Asserter {
    key: SigningKey,
    key_use: &'static str,
}

impl Asserter {
    /// A new issuer of JWT-SVIDs.
    ///
    /// # Panics
    ///
    /// When the system gives no randomness.
    pub fn svids() -> Self {
        Self::of("jwt-svid")
    }

    /// A new OpenID issuer.
    ///
    /// # Panics
    ///
    /// When the system gives no randomness.
    pub fn openid() -> Self {
        Self::of("sig")
    }

    fn of(key_use: &'static str) -> Self {
        let pkcs8 = SigningKey::generate(Algorithm::Es256).expect("randomness");
        Self { key: SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).expect("a key just made"), key_use }
    }

    /// Its key set (RFC 7517).
    pub fn jwks(&self) -> String {
        let mut jwk: Value = serde_json::from_str(&self.key.public().to_jwk()).expect("a JWK");
        jwk["kid"] = json!("one");
        jwk["use"] = json!(self.key_use);
        json!({ "keys": [jwk] }).to_string()
    }

    /// `claims` signed.
    ///
    /// # Panics
    ///
    /// When the system gives no randomness.
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": "one", "typ": "JWT"}).to_string();
        let head = base64url::encode(header.as_bytes());
        let body = base64url::encode(claims.to_string().as_bytes());
        let signature = self.key.sign(format!("{head}.{body}").as_bytes()).expect("randomness");
        format!("{head}.{body}.{}", base64url::encode(&signature))
    }
}
