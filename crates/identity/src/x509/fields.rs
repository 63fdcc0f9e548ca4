//! Reading the fields of a certificate that webpki does not judge.
//!
//! Always: an extension that stands twice or does not parse refuses the certificate.

use locum_model::Timestamp;
use locum_model::limits::CERTIFICATE_BYTES_MAX;
use rustls_pki_types::UnixTime;
use std::time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{BasicConstraints, GeneralName, KeyUsage, ParsedExtension};
use x509_parser::oid_registry::{OID_X509_EXT_BASIC_CONSTRAINTS, Oid};
use x509_parser::prelude::FromDer;

/// Why a certificate cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Longer than any certificate needs to be.
    #[error("the certificate is longer than {CERTIFICATE_BYTES_MAX} bytes")]
    TooLong,
    /// Not DER, not X.509, or followed by other bytes.
    #[error("the certificate is not well-formed X.509")]
    Malformed,
    /// An extension stands twice or does not parse.
    #[error("an extension of the certificate stands twice or is malformed")]
    Extension,
}

/// The fields of one certificate.
pub(crate) struct Fields<'a>(X509Certificate<'a>);

/// Until when the certificate `der` holds; its last second is no more part of it.
///
/// # Errors
///
/// [`Unreadable`].
pub fn holds_until(der: &[u8]) -> Result<Timestamp, Unreadable> {
    Ok(Fields::of(der)?.not_after())
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Parses `der`.
    pub(crate) fn of(der: &'a [u8]) -> Result<Self, Unreadable> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(Unreadable::TooLong);
        }
        match X509Certificate::from_der(der) {
            Ok(([], certificate)) => Ok(Self(certificate)),
            Ok(_) | Err(_) => Err(Unreadable::Malformed),
        }
    }

    /// Whether it says that it is a CA.
    pub(crate) fn is_ca(&self) -> Result<bool, Unreadable> {
        Ok(self.basic_constraints()?.is_some_and(|constraints| constraints.ca))
    }

    /// Its key usage, where it has one.
    pub(crate) fn key_usage(&self) -> Result<Option<&KeyUsage>, Unreadable> {
        let found = self.0.key_usage().or(Err(Unreadable::Extension))?;
        Ok(found.map(|extension| extension.value))
    }

    /// Its alternative names.
    pub(crate) fn names(&self) -> Result<&[GeneralName<'a>], Unreadable> {
        let found = self.0.subject_alternative_name().or(Err(Unreadable::Extension))?;
        Ok(found.map_or(&[], |extension| extension.value.general_names.as_slice()))
    }

    /// The names that it allows or forbids below itself.
    pub(crate) fn constrained_names(&self) -> Result<Vec<&GeneralName<'_>>, Unreadable> {
        let found = self.0.name_constraints().or(Err(Unreadable::Extension))?;
        let Some(extension) = found else { return Ok(Vec::new()) };
        let trees = [&extension.value.permitted_subtrees, &extension.value.excluded_subtrees];
        Ok(trees.into_iter().flatten().flatten().map(|tree| &tree.base).collect())
    }

    /// From when it holds.
    pub(crate) fn not_before(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.validity().not_before.timestamp())
    }

    /// Until when it holds. X.509 includes this second, Locum does not.
    pub(crate) fn not_after(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.validity().not_after.timestamp())
    }

    fn basic_constraints(&self) -> Result<Option<&BasicConstraints>, Unreadable> {
        match self.only(&OID_X509_EXT_BASIC_CONSTRAINTS)? {
            None => Ok(None),
            Some(ParsedExtension::BasicConstraints(constraints)) => Ok(Some(constraints)),
            Some(_) => Err(Unreadable::Extension),
        }
    }

    fn only(&self, oid: &Oid<'_>) -> Result<Option<&ParsedExtension<'a>>, Unreadable> {
        let found = self.0.get_extension_unique(oid).or(Err(Unreadable::Extension))?;
        Ok(found.map(|extension| extension.parsed_extension()))
    }
}

/// `now` as webpki takes it. Before the epoch is the epoch: no certificate is that old.
pub(crate) fn unix_time(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_seconds()).unwrap_or(0)))
}

/// `now` as webpki gives it.
pub(crate) fn timestamp(now: UnixTime) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}
