//! Counts by name.

use locum_api::admin::v1 as wire;

use crate::untrusted::bounded;

/// A name and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCount {
    /// The name.
    pub name: String,
    /// How many.
    pub count: u64,
}

pub(crate) fn counts(counts: Vec<wire::NamedCount>) -> Vec<NamedCount> {
    counts.into_iter().map(|c| NamedCount { name: bounded(&c.name), count: c.count }).collect()
}
