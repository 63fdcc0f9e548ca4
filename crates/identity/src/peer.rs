//! [`Peer`]: the certificate of a connection, read once.

use locum_jose::digest::sha256;
use locum_model::issue_record::Confirmation;
use locum_model::{Reason, SpiffeId, Timestamp};
use rustls_pki_types::CertificateDer;

use crate::refusal::Refusal;
use crate::trust::Trust;
use crate::x509::chain;

/// Who is at the other end of a connection, by its certificate.
///
/// Good for the connection's life as far as [`caller`](crate::caller) agrees: it looks at the time
/// and at the CA again on every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    spiffe_id: SpiffeId,
    confirmation: Confirmation,
    expires_at: Timestamp,
    anchor: [u8; 32],
}

/// Reads the certificates that rustls took from the client, leaf first.
///
/// The handshake proved that the client holds the leaf's key; this judges the chain again, with
/// the trust of this moment. Costs one path validation: call it once per connection.
///
/// # Errors
///
/// `IDENTITY_MISSING` for an empty chain, `IDENTITY_UNTRUSTED_ISSUER` without a path to a CA of the
/// leaf's trust domain, `IDENTITY_EXPIRED` outside its time, `IDENTITY_INVALID` for all else.
pub fn peer(trust: &Trust, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<Peer, Refusal> {
    let missing = || Refusal::new(Reason::IdentityMissing, "the client showed no certificate");
    let (leaf, intermediates) = chain.split_first().ok_or_else(missing)?;
    let proved = chain::verify(trust, leaf, intermediates, now)?;
    Ok(Peer {
        spiffe_id: proved.spiffe_id,
        confirmation: Confirmation::Certificate(sha256(leaf)),
        expires_at: proved.expires_at,
        anchor: proved.anchor,
    })
}

// === impl Peer ===

impl Peer {
    /// The SPIFFE ID that the certificate carries.
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }

    /// SHA-256 of the certificate (`x5t#S256`, RFC 8705 section 3.1).
    pub fn confirmation(&self) -> Confirmation {
        self.confirmation
    }

    /// Until when, exclusive: the first end on the path.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Whether the CA that it rests on is still trusted at `now`, and its time is not over.
    pub(crate) fn still_holds(&self, trust: &Trust, now: Timestamp) -> Result<(), Refusal> {
        if now >= self.expires_at {
            return Err(Refusal::new(Reason::IdentityExpired, "the client's certificate is past its end"));
        }
        let bundle = trust.bundle(self.spiffe_id.trust_domain());
        if bundle.is_some_and(|bundle| bundle.holds(&self.anchor, now)) {
            return Ok(());
        }
        let detail = format_args!("the CA behind `{}` is not trusted any more", self.spiffe_id).to_string();
        Err(Refusal::new(Reason::IdentityUntrustedIssuer, detail))
    }
}
