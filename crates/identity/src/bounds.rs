//! The bounds that only this crate needs, with their units.

use std::time::Duration;

/// Certificates of a peer's chain, the leaf included. Counted before any of them is parsed, so
/// that a maze of cross-signed intermediates costs nothing.
pub(crate) const CHAIN_CERTIFICATES_MAX: usize = 6;
/// Longest certificate that is parsed, in bytes of DER.
pub(crate) const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Longest trust bundle, in bytes of PEM.
pub(crate) const BUNDLE_BYTES_MAX: usize = 1024 * 1024;
/// Certificates of one trust bundle.
pub(crate) const BUNDLE_CERTIFICATES_MAX: usize = 64;
/// Trust domains, and issuers, of one configuration.
pub(crate) const TRUSTED_MAX: usize = 256;
/// Longest issuer URL or subject, in bytes.
pub(crate) const CLAIM_BYTES_MAX: usize = 1024;
/// Audiences of one assertion.
pub(crate) const ASSERTION_AUDIENCES_MAX: usize = 16;
/// How far an issuer's clock may run ahead of ours: for `nbf`, `iat` and the longest life of an
/// assertion. Its end (`exp`) gets none.
pub(crate) const ISSUER_LEEWAY: Duration = Duration::from_secs(5);
/// Names in one claim path of a subject template.
pub(crate) const CLAIM_PATH_NAMES_MAX: usize = 8;
/// Characters of a foreign text that a refusal shows.
pub(crate) const SHOWN_CHARS_MAX: usize = 96;
/// Longest detail of a refusal, in bytes.
pub(crate) const DETAIL_BYTES_MAX: usize = 512;
