//! [`caller`]: the certificate of the connection and the bearer of the request, joined.
//!
//! The only place of the product where a `Caller` is made.

use locum_model::{Caller, Reason, Timestamp};

use crate::assertion;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::trust::Trust;

/// Who is behind one request.
///
/// `peer` is the connection's (see [`peer`](crate::peer())); `bearer` is the bare compact assertion,
/// without `Bearer `. What both say must be the same workload. The caller's key is the certificate's
/// alone; its proof ends when the first of the two does.
///
/// # Errors
///
/// `IDENTITY_MISSING` without either, `IDENTITY_MISMATCH` when they name different workloads (a login
/// names none), `IDENTITY_EXPIRED`, `IDENTITY_AUDIENCE_MISMATCH`, `IDENTITY_UNTRUSTED_ISSUER` when the
/// CA or issuer is not trusted (any more), and `IDENTITY_INVALID` for all else.
pub fn caller(
    trust: &Trust,
    peer: Option<&Peer>,
    bearer: Option<&str>,
    now: Timestamp,
) -> Result<Caller, Refusal> {
    if let Some(peer) = peer {
        peer.still_holds(trust, now)?;
    }
    let asserted = bearer.map(|bearer| assertion::verify(trust, bearer, now)).transpose()?;
    match (peer, asserted) {
        (None, None) => {
            Err(Refusal::new(Reason::IdentityMissing, "neither a client certificate nor a bearer"))
        }
        (Some(peer), None) => {
            let (id, key) = (peer.spiffe_id().clone(), peer.confirmation());
            Ok(Caller::assertion(Some(id), None, Some(key), peer.expires_at()))
        }
        (None, Some(said)) => Ok(Caller::assertion(said.spiffe_id, said.login, None, said.expires_at)),
        (Some(peer), Some(said)) => {
            if said.spiffe_id.as_ref() != Some(peer.spiffe_id()) {
                let detail = "the client's certificate and its bearer do not name the same workload";
                return Err(Refusal::new(Reason::IdentityMismatch, detail));
            }
            let end = peer.expires_at().min(said.expires_at);
            Ok(Caller::assertion(said.spiffe_id, said.login, Some(peer.confirmation()), end))
        }
    }
}

#[cfg(test)]
mod tests;
