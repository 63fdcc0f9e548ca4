//! One chain, one verdict: the leaf's rules, then a path to a CA of the leaf's own trust domain.
//!
//! Always: the store is chosen by the trust domain that the leaf names, so that no CA speaks for
//! another domain. webpki builds and judges the path (RFC 5280 section 6) within its own budget of
//! signatures and calls; what it leaves out (key usage of intermediates) is judged here.

use locum_model::limits::CHAIN_CERTIFICATES_MAX;
use locum_model::{Reason, SpiffeId, Timestamp};
use rustls::CertificateError;
use rustls::crypto::ring::default_provider;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use std::sync::{Arc, LazyLock};
use webpki::{EndEntityCert, VerifiedPath};

use super::bundle::{self, Bundle};
use super::fields::{Fields, Unreadable, unix_time};
use super::svid::{self, NotSvid};
use crate::refusal::{Refusal, Shown};
use crate::trust::Trust;

/// What a chain proves, together with the handshake's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proved {
    /// Who.
    pub(crate) spiffe_id: SpiffeId,
    /// Until the first certificate of the path ends.
    pub(crate) expires_at: Timestamp,
    /// Digest of the CA that it rests on.
    pub(crate) anchor: [u8; 32],
}

/// Why a chain is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChainProblem {
    #[error("the chain has more than {CHAIN_CERTIFICATES_MAX} certificates")]
    TooLong,
    #[error(transparent)]
    NotSvid(#[from] NotSvid),
    #[error("trust domain {0} is not configured")]
    UnknownDomain(String),
    #[error("an intermediate's key usage lacks keyCertSign, or it cannot be read")]
    Intermediate,
    #[error("webpki and we read different names")]
    NamesDiffer,
    #[error("no path to a CA of trust domain {domain}: {error}")]
    Path { domain: String, error: webpki::Error },
}

/// Signature algorithms of certificates: those that rustls' ring provider knows.
static ALGORITHMS: LazyLock<&'static [&'static dyn SignatureVerificationAlgorithm]> =
    LazyLock::new(|| default_provider().signature_verification_algorithms.all);

/// Verifies the chain of a client at `now`.
pub(crate) fn verify(
    trust: &Trust,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<Proved, ChainProblem> {
    if intermediates.len() >= CHAIN_CERTIFICATES_MAX {
        return Err(ChainProblem::TooLong);
    }
    let leaf = svid::leaf(end_entity)?;
    let domain = leaf.spiffe_id.trust_domain();
    let unknown = || ChainProblem::UnknownDomain(Shown(domain).to_string());
    let bundle = trust.bundle(domain).ok_or_else(unknown)?;
    let refused = |error| ChainProblem::Path { domain: Shown(domain).to_string(), error };
    let certificate = EndEntityCert::try_from(end_entity).map_err(refused)?;
    // Two parsers, one answer: what webpki sees must be the name that we judged.
    if !certificate.valid_uri_names().eq([leaf.spiffe_id.as_str()]) {
        return Err(ChainProblem::NamesDiffer);
    }
    let anchors = bundle.trusted_at(now);
    let usage = webpki::KeyUsage::client_auth();
    let time = unix_time(now);
    let path = certificate
        .verify_for_usage(*ALGORITHMS, &anchors, intermediates, time, usage, None, None)
        .map_err(refused)?;
    let expires_at = end_of(bundle, &path)?.min(leaf.not_after);
    let anchor = bundle::digest(path.anchor());
    Ok(Proved { spiffe_id: leaf.spiffe_id, expires_at, anchor })
}

/// The earliest end above the leaf, after holding each intermediate to X509-SVID section 4.3.
fn end_of(bundle: &Bundle, path: &VerifiedPath<'_>) -> Result<Timestamp, ChainProblem> {
    let mut end = bundle.end_of(path.anchor()).ok_or(ChainProblem::Intermediate)?;
    let unreadable = |_: Unreadable| ChainProblem::Intermediate;
    for certificate in path.intermediate_certificates() {
        let der = certificate.der();
        let fields = Fields::of(&der).map_err(unreadable)?;
        if !fields.key_usage().map_err(unreadable)?.is_none_or(|usage| usage.key_cert_sign()) {
            return Err(ChainProblem::Intermediate);
        }
        end = end.min(fields.not_after());
    }
    Ok(end)
}

// === impl ChainProblem ===

impl ChainProblem {
    fn reason(&self) -> Reason {
        use webpki::Error;
        match self {
            Self::UnknownDomain(_) => Reason::IdentityUntrustedIssuer,
            Self::Path { error, .. } => match error {
                Error::UnknownIssuer => Reason::IdentityUntrustedIssuer,
                Error::CertExpired { .. } | Error::CertNotValidYet { .. } => Reason::IdentityExpired,
                _ => Reason::IdentityInvalid,
            },
            Self::TooLong | Self::NotSvid(_) | Self::Intermediate | Self::NamesDiffer => {
                Reason::IdentityInvalid
            }
        }
    }
}

impl From<ChainProblem> for Refusal {
    fn from(problem: ChainProblem) -> Self {
        Self::new(problem.reason(), &problem)
    }
}

/// Picks the TLS alert; what has no alert of its own is `certificate_unknown` with the cause kept.
impl From<ChainProblem> for rustls::Error {
    fn from(problem: ChainProblem) -> Self {
        use webpki::Error;
        let error = match &problem {
            ChainProblem::UnknownDomain(_) => CertificateError::UnknownIssuer,
            ChainProblem::NotSvid(NotSvid::Unreadable(_)) => CertificateError::BadEncoding,
            ChainProblem::Path { error, .. } => match error {
                Error::UnknownIssuer => CertificateError::UnknownIssuer,
                Error::CertExpired { .. } => CertificateError::Expired,
                Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
                Error::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
                Error::InvalidSignatureForPublicKey => CertificateError::BadSignature,
                _ => CertificateError::Other(rustls::OtherError(Arc::new(problem))),
            },
            _ => CertificateError::Other(rustls::OtherError(Arc::new(problem))),
        };
        Self::InvalidCertificate(error)
    }
}

#[cfg(test)]
mod tests;
