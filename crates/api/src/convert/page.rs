//! Sizes of pages.

use locum_model::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};

use crate::violation::Malformed;

/// How many entries a page may have: as asked, 1 to 1000; 100 when 0.
///
/// # Errors
///
/// [`Malformed`] for any other size: refused, never quietly narrowed.
pub fn size_from_wire(page_size: i32, field: &str) -> Result<usize, Malformed> {
    match usize::try_from(page_size) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size @ 1..=PAGE_SIZE_MAX) => Ok(size),
        _ => Err(Malformed::of(field, format_args!("must be 1 to {PAGE_SIZE_MAX}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_bounds() {
        for (asked, got) in [(0, Some(100)), (1, Some(1)), (1000, Some(1000)), (1001, None), (-1, None)] {
            assert_eq!(size_from_wire(asked, "page_size").ok(), got, "{asked}");
        }
        assert!(size_from_wire(i32::MIN, "page_size").is_err());
    }
}
