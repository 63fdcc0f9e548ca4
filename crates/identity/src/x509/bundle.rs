//! Trust bundles: the CA certificates of one trust domain, each judged when it is configured.
//!
//! Follows X509-SVID section 4 and RFC 5280 section 6.1.1 (d). webpki does not look at an anchor's
//! own time; here an anchor counts only inside its validity, so that a CA's end is an end.

use locum_jose::digest::sha256_of_parts;
use locum_model::limits::{BUNDLE_BYTES_MAX, BUNDLE_CERTIFICATES_MAX};
use locum_model::{Timestamp, TrustDomain};
use rustls_pki_types::pem::{self, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, TrustAnchor};
use x509_parser::extensions::GeneralName;

use super::fields::{Fields, Unreadable};
use crate::refusal::Shown;

/// The CAs of one trust domain.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    anchors: Vec<Anchor>,
}

/// One CA.
#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    trust: TrustAnchor<'static>,
    /// Kept because every request of a connection asks for it.
    digest: [u8; 32],
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Why a trust bundle is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleProblem {
    /// Too many bytes.
    #[error("longer than {BUNDLE_BYTES_MAX} bytes")]
    TooLong,
    /// Too many certificates.
    #[error("holds more than {BUNDLE_CERTIFICATES_MAX} certificates")]
    TooMany,
    /// Not PEM.
    #[error("is not well-formed PEM")]
    NotPem,
    /// A private key, a request or a revocation list stands among the certificates.
    #[error("holds something other than certificates")]
    Foreign,
    /// No certificate at all.
    #[error("holds no certificate")]
    Empty,
    /// A certificate that cannot be read.
    #[error("certificate {index}: {problem}")]
    Unreadable {
        /// Its place in the bundle, from 1.
        index: usize,
        /// What is wrong with it.
        problem: Unreadable,
    },
    /// A certificate that is no CA's.
    #[error("certificate {index} is not a CA's: it needs `CA:TRUE` and, with a key usage, `keyCertSign`")]
    NotCa {
        /// Its place in the bundle, from 1.
        index: usize,
    },
    /// A CA that constrains URI names; path validation would refuse every SVID below it.
    #[error(
        "certificate {index} has URI name constraints, which path validation does not support: every SVID \
         below this CA would be refused; use a CA without them"
    )]
    UriConstraints {
        /// Its place in the bundle, from 1.
        index: usize,
    },
    /// A CA of another trust domain.
    #[error("certificate {index} says {name}, another trust domain")]
    OtherDomain {
        /// Its place in the bundle, from 1.
        index: usize,
        /// The name that it carries.
        name: String,
    },
    /// Every CA is past its end or not valid yet.
    #[error("holds no CA that is valid now")]
    NoneValid,
}

// === impl Bundle ===

impl Bundle {
    /// Reads and judges a bundle.
    pub(crate) fn of(domain: &TrustDomain, pem: &[u8], now: Timestamp) -> Result<Self, BundleProblem> {
        let certificates = certificates(pem)?;
        let read = |(index, der): (usize, &CertificateDer<'_>)| Anchor::of(domain, index + 1, der);
        let anchors = certificates.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        if !anchors.iter().any(|anchor| anchor.holds(now)) {
            return Err(BundleProblem::NoneValid);
        }
        Ok(Self { anchors })
    }

    /// The CAs that hold at `now`, as webpki takes them.
    pub(crate) fn trusted_at(&self, now: Timestamp) -> Vec<TrustAnchor<'_>> {
        self.anchors.iter().filter(|anchor| anchor.holds(now)).map(|anchor| anchor.trust.clone()).collect()
    }

    /// Until when the CA with this name and key holds; none when there is no such CA.
    pub(crate) fn end_of(&self, trust: &TrustAnchor<'_>) -> Option<Timestamp> {
        let same = |anchor: &&Anchor| {
            anchor.trust.subject == trust.subject
                && anchor.trust.subject_public_key_info == trust.subject_public_key_info
        };
        self.anchors.iter().filter(same).map(|anchor| anchor.not_after).max()
    }

    /// Whether one of the CAs holds at `now` and has this digest (see [`digest`]).
    pub(crate) fn holds(&self, anchor: &[u8; 32], now: Timestamp) -> bool {
        self.anchors.iter().any(|a| a.holds(now) && a.digest == *anchor)
    }

    /// Whether both trust the same key.
    pub(crate) fn shares_key(&self, other: &Self) -> bool {
        let key = |anchor: &Anchor| anchor.trust.subject_public_key_info.clone();
        self.anchors.iter().any(|ours| other.anchors.iter().any(|theirs| key(ours) == key(theirs)))
    }
}

/// SHA-256 over a CA's name and key: what stays the same when a CA certificate is renewed.
pub(crate) fn digest(trust: &TrustAnchor<'_>) -> [u8; 32] {
    let name = trust.subject.as_ref();
    sha256_of_parts(&[&name.len().to_be_bytes(), name, trust.subject_public_key_info.as_ref()])
}

/// The certificates of a PEM text that holds nothing else.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BundleProblem> {
    if pem.len() > BUNDLE_BYTES_MAX {
        return Err(BundleProblem::TooLong);
    }
    let mut found = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        match section {
            Ok((SectionKind::Certificate, der)) => found.push(CertificateDer::from(der)),
            Ok(_) => return Err(BundleProblem::Foreign),
            Err(pem::Error::NoItemsFound) => return Err(BundleProblem::Empty),
            Err(_) => return Err(BundleProblem::NotPem),
        }
        if found.len() > BUNDLE_CERTIFICATES_MAX {
            return Err(BundleProblem::TooMany);
        }
    }
    if found.is_empty() { Err(BundleProblem::Empty) } else { Ok(found) }
}

// === impl Anchor ===

impl Anchor {
    fn of(domain: &TrustDomain, index: usize, der: &CertificateDer<'_>) -> Result<Self, BundleProblem> {
        let unreadable = |problem| BundleProblem::Unreadable { index, problem };
        let fields = Fields::of(der).map_err(unreadable)?;
        let signs = fields.key_usage().map_err(unreadable)?.is_none_or(|usage| usage.key_cert_sign());
        if !fields.is_ca().map_err(unreadable)? || !signs {
            return Err(BundleProblem::NotCa { index });
        }
        let constrained = fields.constrained_names().map_err(unreadable)?;
        // A name that does not parse might have been meant as a URI.
        if constrained.iter().any(|n| matches!(n, GeneralName::URI(_) | GeneralName::Invalid(..))) {
            return Err(BundleProblem::UriConstraints { index });
        }
        for name in fields.names().map_err(unreadable)? {
            of_domain(domain, name).map_err(|name| BundleProblem::OtherDomain { index, name })?;
        }
        let malformed = |_| unreadable(Unreadable::Malformed);
        let trust = webpki::anchor_from_trusted_cert(der).map_err(malformed)?.to_owned();
        let (not_before, not_after) = (fields.not_before(), fields.not_after());
        Ok(Self { digest: digest(&trust), trust, not_before, not_after })
    }

    fn holds(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }
}

/// A CA may carry the trust domain's SPIFFE ID (X509-SVID section 4.1), but no other domain's.
fn of_domain(domain: &TrustDomain, name: &GeneralName<'_>) -> Result<(), String> {
    let GeneralName::URI(uri) = name else { return Ok(()) };
    let Some(rest) = uri.strip_prefix("spiffe://") else { return Ok(()) };
    let named = rest.split('/').next().unwrap_or(rest);
    if named == domain.as_str() { Ok(()) } else { Err(Shown(uri).to_string()) }
}

#[cfg(test)]
mod tests;
