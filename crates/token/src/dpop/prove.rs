//! [`ProofKey`]: the other side, the key of whoever presents tokens.

use std::fmt;

use locum_jose::sign::SigningFailed;
use locum_jose::{SigningKey, base64url, json};
use locum_model::registry::Algorithm;
use locum_model::{KeyId, Timestamp};

use super::TYPE;
use crate::sha256;

/// A key that tokens can be bound to. It lives in this process and nowhere else.
pub struct ProofKey(SigningKey);

impl ProofKey {
    /// A new key, ES256.
    ///
    /// # Errors
    ///
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, SigningFailed> {
        let pkcs8 = SigningKey::generate(Algorithm::Es256)?;
        Ok(Self(SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8)?))
    }

    /// What tokens are bound to: `cnf.jkt`.
    pub fn thumbprint(&self) -> KeyId {
        self.0.public().thumbprint()
    }

    /// A proof for one request: its method, its URI without query, and the token that goes with it.
    /// `id` is random: no two proofs have the same.
    ///
    /// # Errors
    ///
    /// When the system gives no randomness.
    pub fn prove(
        &self,
        (method, uri): (&str, &str),
        token: Option<&str>,
        id: [u8; 16],
        now: Timestamp,
    ) -> Result<String, SigningFailed> {
        let public = self.0.public();
        let header =
            format!(r#"{{"typ":"{TYPE}","alg":"{}","jwk":{}}}"#, public.algorithm(), public.to_jwk());
        let mut claims = format!(r#"{{"jti":"{}","htm":"#, base64url::encode(id));
        json::write_text(method, &mut claims);
        claims.push_str(r#","htu":"#);
        json::write_text(uri.split(['?', '#']).next().unwrap_or_default(), &mut claims);
        claims.push_str(&format!(r#","iat":{}"#, now.floor_to_second().as_seconds()));
        if let Some(token) = token {
            claims.push_str(&format!(r#","ath":"{}""#, base64url::encode(sha256(token))));
        }
        claims.push('}');
        let input = format!("{}.{}", base64url::encode(header), base64url::encode(claims));
        let signature = self.0.sign(input.as_bytes())?;
        Ok(format!("{input}.{}", base64url::encode(signature)))
    }
}

/// Shows the thumbprint alone.
impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProofKey").field(&self.thumbprint()).finish()
    }
}
