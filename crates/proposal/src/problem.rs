//! [`Problem`]: what is wrong in something an operator wrote, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// Longest piece of an operator's text that is shown back, in characters.
const SHOWN_MAX: usize = 120;

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file, and its line where it is known (counted from 1).
    File(PathBuf, Option<usize>),
    /// An environment variable.
    Variable(String),
    /// A flag of this key.
    Flag(String),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The key, `server.tls.cert_file` or `operator[1].role`; empty when it is the whole file.
    pub key: String,
    /// What.
    pub message: String,
}

/// Everything that is wrong, in order of place.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<Problem>);

// === impl Problem ===

impl Problem {
    /// A problem at a key of a file.
    pub fn in_file(path: &Path, line: Option<usize>, key: &str, message: impl Into<String>) -> Self {
        Self { place: Place::File(path.to_owned(), line), key: key.to_owned(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(path, Some(line)) => write!(f, "{}:{line}: ", path.display())?,
            Place::File(path, None) => write!(f, "{}: ", path.display())?,
            Place::Variable(name) => write!(f, "{}: ", shown(name))?,
            Place::Flag(key) => write!(f, "flag for {}: ", shown(key))?,
        }
        if !self.key.is_empty() {
            write!(f, "`{}`: ", shown(&self.key))?;
        }
        f.write_str(&self.message)
    }
}

// === impl Problems ===

impl Problems {
    /// All of `found`, ordered.
    pub fn of(mut found: Vec<Problem>) -> Self {
        found.sort();
        found.dedup();
        Self(found)
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One by one.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.0.iter()
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::of(self.0.into_iter().chain(other.0).collect())
    }
}

impl From<Problem> for Problems {
    fn from(one: Problem) -> Self {
        Self(vec![one])
    }
}

/// One problem a line.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// An operator's text as it may be shown: escaped and bounded.
pub fn shown(text: &str) -> String {
    let mut head: String = text.chars().take(SHOWN_MAX).collect();
    if head.len() < text.len() {
        head.push('…');
    }
    head.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

/// The line of a byte offset, counted from 1.
pub fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}
