//! The bounds that only this crate needs, with their units.

use std::time::Duration;

/// How far an issuer's clock may run ahead of ours: for `nbf`, `iat` and the longest life of an
/// assertion. Its end (`exp`) gets none.
pub(crate) const ISSUER_LEEWAY: Duration = Duration::from_secs(5);
/// Characters of a foreign text that a refusal shows.
pub(crate) const SHOWN_CHARS_MAX: usize = 96;
/// Longest detail of a refusal, in bytes.
pub(crate) const DETAIL_BYTES_MAX: usize = 512;
