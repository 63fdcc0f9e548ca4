//! [`Token`]: a token as the broker issued it. Wiped when dropped, not shown in `Debug`.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use locum_model::{Entropy, EntropyFailed, Scope, Timestamp, TokenId};
use locum_verifier::dpop::ProofKey;
use zeroize::Zeroizing;

use crate::clock::moment;
use crate::entropy::SystemEntropy;
use crate::error::Error;

/// A token to present to one connector. Cheap to clone.
#[derive(Clone)]
pub struct Token(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) text: Zeroizing<String>,
    pub(crate) header: HeaderValue,
    pub(crate) jti: TokenId,
    pub(crate) expire_time: Timestamp,
    pub(crate) scope: Scope,
    pub(crate) audience: String,
    /// The key that it is bound to.
    pub(crate) key: Option<Arc<ProofKey>>,
}

impl Token {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The token itself. A secret: it goes into the `Authorization` header and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0.text
    }

    /// `Bearer <token>`, or `DPoP <token>` when it is bound to a key and goes with a [`Token::proof`]. Marked
    /// sensitive so that HTTP libraries do not log it.
    pub fn header(&self) -> HeaderValue {
        self.0.header.clone()
    }

    /// Its id: safe to log.
    pub fn jti(&self) -> TokenId {
        self.0.jti
    }

    /// Until when, exclusive, by the broker's clock.
    pub fn expire_time(&self) -> Timestamp {
        self.0.expire_time
    }

    /// What it allows.
    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }

    /// The connector's audience.
    pub fn audience(&self) -> &str {
        &self.0.audience
    }

    /// The `DPoP` header for one request with this token (RFC 9449): its method and its whole URI, of which
    /// the query does not count. New for every request, also for one that is repeated. None for a token that
    /// is not bound to a key.
    ///
    /// # Errors
    ///
    /// [`Error::Entropy`] when the system gives no randomness.
    pub fn proof(&self, method: &str, uri: &str) -> Result<Option<HeaderValue>, Error> {
        let Some(key) = &self.0.key else { return Ok(None) };
        let proof = proof(key, (method, uri), Some(&self.0.text), &SystemEntropy::new())?;
        let mut header = HeaderValue::try_from(proof).or(Err(Error::Unexpected("a proof is no header")))?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A proof for one request, by this machine's clock.
pub(crate) fn proof(
    key: &ProofKey,
    target: (&str, &str),
    token: Option<&str>,
    entropy: &dyn Entropy,
) -> Result<String, Error> {
    let mut id = [0; 16];
    entropy.fill(&mut id)?;
    key.prove(target, token, id, moment().wall).or(Err(Error::Entropy(EntropyFailed)))
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("jti", &self.0.jti)
            .field("expire_time", &self.0.expire_time)
            .finish_non_exhaustive()
    }
}
