//! [`Token`]: a token as the broker issued it. Wiped when dropped, not shown in `Debug`.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use locum_model::{Scope, Timestamp, TokenId};
use zeroize::Zeroizing;

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
}

impl Token {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The token itself. A secret: it goes into the `Authorization` header and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0.text
    }

    /// `Bearer <token>`, marked sensitive so that HTTP libraries do not log it.
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

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("jti", &self.0.jti)
            .field("expire_time", &self.0.expire_time)
            .finish_non_exhaustive()
    }
}
