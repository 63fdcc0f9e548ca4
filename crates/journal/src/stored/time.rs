//! Spans of time.

use std::time::Duration;

use super::{DecodeError, Stored, form};

impl Stored for Duration {
    type Form = form::Span;

    fn to_form(&self) -> form::Span {
        form::Span { seconds: self.as_secs(), nanos: self.subsec_nanos() }
    }

    fn from_form(form: form::Span) -> Result<Self, DecodeError> {
        if form.nanos >= 1_000_000_000 {
            return Err(DecodeError::Invalid("span.nanos"));
        }
        Ok(Self::new(form.seconds, form.nanos))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::check_round_trip;
    use super::*;

    proptest! {
        #[test]
        fn survives(span in any::<Duration>()) {
            check_round_trip(&span);
        }
    }

    #[test]
    fn a_second_has_a_billion_nanoseconds() {
        for (nanos, good) in [(0, true), (999_999_999, true), (1_000_000_000, false), (u32::MAX, false)] {
            let span = Duration::from_form(form::Span { seconds: u64::MAX, nanos });
            assert_eq!(span.is_ok(), good, "{nanos}");
        }
    }
}
