//! What happened in a run, as lines and as a hash: two runs of one seed give the same.
//!
//! Signatures and key ids are not in it: making a key or an ECDSA signature draws on the system's
//! own randomness. What was signed is.

use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Lines kept for the reader of a failure; the hash is over all of them.
const LINES_KEPT: usize = 60;

/// The story of a run.
pub(crate) struct Trace {
    lines: std::collections::VecDeque<String>,
    // Unlike the hashers of `RandomState`, one made by `new` has fixed keys.
    hash: DefaultHasher,
    count: u64,
    aloud: Aloud,
}

/// Whether every line is told as it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aloud {
    Yes,
    No,
}

impl Trace {
    pub(crate) fn new(aloud: Aloud) -> Self {
        Self { lines: Default::default(), hash: DefaultHasher::new(), count: 0, aloud }
    }

    pub(crate) fn say(&mut self, line: impl Display) {
        let line = format!("{:>5}  {line}", self.count);
        self.count += 1;
        line.hash(&mut self.hash);
        if self.aloud == Aloud::Yes {
            eprintln!("{line}");
        }
        if self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.finish()
    }

    pub(crate) fn tail(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}
