//! [`Presented`]: what came with a token.

use locum_model::Confirmation;

/// What the presenter proved to the backend on this very request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presented {
    /// SHA-256 of the DER of the client certificate of the connection (RFC 8705).
    pub certificate: Option<[u8; 32]>,
}

impl Presented {
    /// Whether this proves the key that a token is bound to.
    pub(crate) fn proves(&self, bound: Confirmation) -> bool {
        match bound {
            Confirmation::Certificate(thumbprint) => self.certificate == Some(thumbprint),
            Confirmation::Key(_) => false,
        }
    }
}
