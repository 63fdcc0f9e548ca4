//! Pages of a listing.

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What names the next page; empty on the last one.
    pub next: String,
}

/// The size as the contract has it; one beyond its range is the broker's to refuse.
pub(crate) fn page_size(size: u32) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}
