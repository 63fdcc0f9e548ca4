//! [`TraceParent`]: of which trace the calls to the broker are a part.
//!
//! The application has its own tracing, and this crate none: a function says, at each call, what the
//! current span is called (W3C Trace Context, `traceparent`). The broker's span is then its child, and
//! is recorded where that one is.

use std::fmt;
use std::sync::Arc;

use tonic::metadata::{Ascii, MetadataValue};

/// The header, as the standard names it.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// Version 00 has 55 characters; later ones may say a little more.
const BYTES_MAX: usize = 128;

/// Says the `traceparent` of the current span, or that there is none. Asked at each call.
#[derive(Clone)]
pub struct TraceParent(Arc<dyn Fn() -> Option<String> + Send + Sync>);

impl TraceParent {
    /// Asks `current` at each call, on the task that makes it.
    pub fn new(current: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(current))
    }

    /// The header's value now. What is no header is not sent: a call never fails for its trace.
    pub(crate) fn header(&self) -> Option<MetadataValue<Ascii>> {
        let text = (self.0)()?;
        let fits = (1..=BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| text.parse().ok()).flatten()
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceParent").finish_non_exhaustive()
    }
}

/// The same function, not one that says the same.
impl PartialEq for TraceParent {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for TraceParent {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_header_is_not_sent() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let header = |text: Option<&str>| {
            let text = text.map(str::to_owned);
            TraceParent::new(move || text.clone()).header()
        };
        assert_eq!(header(Some(good)).expect("a header"), good);
        for bad in [None, Some(""), Some("a b"), Some("a\r\nx: y"), Some("é"), Some(&*"0".repeat(129))] {
            assert_eq!(header(bad), None, "{bad:?}");
        }
    }
}
