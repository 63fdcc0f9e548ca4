//! SPIFFE IDs, trust domains and the patterns that registrations and selectors use.
//!
//! Follows SPIFFE-ID section 2: scheme `spiffe`, a trust domain, a path of non-empty segments,
//! nothing else (no port, user, query, fragment, percent code, `.` or `..`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits::{SPIFFE_ID_BYTES_MAX, TRUST_DOMAIN_BYTES_MAX};

const SCHEME: &str = "spiffe://";

/// The name of a trust domain: 1 to 255 of `a-z 0-9 . - _`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Box<str>);

/// A workload's SPIFFE ID: `spiffe://<trust domain>/<path>`, with at least one path segment. Copies are shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    text: Arc<str>,
    path_at: usize,
}

/// A SPIFFE ID in which a whole path segment may be `*`: exactly one segment, any text.
///
/// A last segment `**` stands for one segment or more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffePattern(Box<str>);

/// Why a text is not a SPIFFE ID, trust domain or pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSpiffe {
    /// It does not begin with `spiffe://`.
    #[error("does not begin with `spiffe://`")]
    Scheme,
    /// The trust domain is empty, too long or has other characters.
    #[error("the trust domain must be 1 to 255 of `a-z 0-9 . - _`")]
    TrustDomain,
    /// No path, an empty segment, `.` or `..`, or characters beyond `A-Z a-z 0-9 . - _`.
    #[error("the path must have segments of `A-Z a-z 0-9 . - _`, none of them empty, `.` or `..`")]
    Path,
    /// Too long.
    #[error("longer than {SPIFFE_ID_BYTES_MAX} bytes")]
    TooLong,
}

// === impl TrustDomain ===

impl TrustDomain {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = NotSpiffe;

    fn from_str(text: &str) -> Result<Self, NotSpiffe> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        let fits = (1..=TRUST_DOMAIN_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain);
        if fits { Ok(Self(text.into())) } else { Err(NotSpiffe::TrustDomain) }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl SpiffeId ===

impl SpiffeId {
    /// The whole ID.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain's name.
    pub fn trust_domain(&self) -> &str {
        &self.text[SCHEME.len()..self.path_at]
    }

    /// The path, beginning with `/`.
    pub fn path(&self) -> &str {
        &self.text[self.path_at..]
    }
}

impl FromStr for SpiffeId {
    type Err = NotSpiffe;

    fn from_str(text: &str) -> Result<Self, NotSpiffe> {
        let path_at = split(text, is_plain_segment)?;
        Ok(Self { text: text.into(), path_at })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl SpiffePattern ===

impl SpiffePattern {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `id` is one of those meant.
    pub fn matches(&self, id: &SpiffeId) -> bool {
        self.overlaps_text(id.as_str())
    }

    /// Whether some SPIFFE ID is meant by both patterns.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.overlaps_text(&other.0)
    }

    /// The trust domain's name.
    pub fn trust_domain(&self) -> &str {
        let rest = &self.0[SCHEME.len()..];
        rest.split('/').next().unwrap_or(rest)
    }

    fn overlaps_text(&self, other: &str) -> bool {
        let (mut ours, mut theirs) = (self.0.split('/'), other.split('/'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some("**"), Some(_)) | (Some(_), Some("**")) => return true,
                (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
                _ => return false,
            }
        }
    }
}

impl FromStr for SpiffePattern {
    type Err = NotSpiffe;

    fn from_str(text: &str) -> Result<Self, NotSpiffe> {
        let body = text.strip_suffix("/**").map_or(text, |head| head);
        let domain_only = body.strip_prefix(SCHEME).is_some_and(|rest| !rest.contains('/'));
        if domain_only && body != text {
            body[SCHEME.len()..].parse::<TrustDomain>()?;
        } else {
            split(body, |s| s == "*" || is_plain_segment(s))?;
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for SpiffePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === parsing ===

/// Checks a whole ID and returns where its path begins.
fn split(text: &str, segment_fits: impl Fn(&str) -> bool) -> Result<usize, NotSpiffe> {
    if text.len() > SPIFFE_ID_BYTES_MAX {
        return Err(NotSpiffe::TooLong);
    }
    let rest = text.strip_prefix(SCHEME).ok_or(NotSpiffe::Scheme)?;
    let (domain, path) = rest.split_once('/').ok_or(NotSpiffe::Path)?;
    domain.parse::<TrustDomain>()?;
    if path.split('/').all(segment_fits) { Ok(SCHEME.len() + domain.len()) } else { Err(NotSpiffe::Path) }
}

fn is_plain_segment(segment: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_a_trust_domain_and_a_path() {
        let id: SpiffeId = "spiffe://acme.test/agents/Refunder-1".parse().expect("a good id");
        assert_eq!((id.trust_domain(), id.path()), ("acme.test", "/agents/Refunder-1"));
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for bad in [
            "",
            "http://a/b",
            "spiffe://",
            "spiffe://td",
            "spiffe://td/",
            "spiffe://td//a",
            "spiffe://td/a/",
            "spiffe://td/./a",
            "spiffe://td/../a",
            "spiffe://TD/a",
            "spiffe://td:1/a",
            "spiffe://u@td/a",
            "spiffe://td/a?b",
            "spiffe://td/a#b",
            "spiffe://td/%41",
            "spiffe://td/*",
            "spiffe:///a",
            "SPIFFE://td/a",
            "spiffe://td/a\n",
            "spiffe://td/é",
        ] {
            assert!(bad.parse::<SpiffeId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_pattern_means_whole_segments() {
        let meant = |pattern: &str, id: &str| {
            let pattern: SpiffePattern = pattern.parse().expect("a good pattern");
            pattern.matches(&id.parse().expect("a good id"))
        };
        assert!(meant("spiffe://td/a/*", "spiffe://td/a/b"));
        assert!(!meant("spiffe://td/a/*", "spiffe://td/a"));
        assert!(!meant("spiffe://td/a/*", "spiffe://td/a/b/c"));
        assert!(meant("spiffe://td/a/**", "spiffe://td/a/b/c"));
        assert!(!meant("spiffe://td/a/**", "spiffe://td/a"));
        assert!(meant("spiffe://td/**", "spiffe://td/a"));
        assert!(!meant("spiffe://td/**", "spiffe://other/a"));
        assert!("spiffe://td/a*".parse::<SpiffePattern>().is_err());
        assert!("spiffe://*/a".parse::<SpiffePattern>().is_err());
        assert!("spiffe://td/**/a".parse::<SpiffePattern>().is_err());
    }

    #[test]
    fn overlap_is_symmetric() {
        let of = |a: &str, b: &str| {
            let (a, b): (SpiffePattern, SpiffePattern) = (a.parse().expect("good"), b.parse().expect("good"));
            assert_eq!(a.overlaps(&b), b.overlaps(&a));
            a.overlaps(&b)
        };
        assert!(of("spiffe://td/*/b", "spiffe://td/a/*"));
        assert!(of("spiffe://td/**", "spiffe://td/a/*"));
        assert!(!of("spiffe://td/a/b", "spiffe://td/a/c"));
        assert!(!of("spiffe://td/a/**", "spiffe://td/b/**"));
    }
}
