//! [`TraceContext`]: what a caller says about the trace that its request belongs to.
//!
//! W3C Trace Context level 1, section 3.2. `tracestate` is not read: it is free text of the caller, and nothing
//! that a caller writes freely leaves by this door.

use std::fmt;

/// The id of a trace; never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// The id of a span; never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// The caller's span, as `traceparent` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The caller's span in it.
    pub parent: SpanId,
    /// Whether the caller records its own part.
    pub sampled: bool,
}

/// Characters of a `traceparent` of version 00.
const LENGTH: usize = 55;
/// The version that means nothing.
const NO_VERSION: u8 = 0xff;
/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;

impl TraceId {
    /// From bytes; none when they are all zero.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl SpanId {
    /// From bytes; none when they are all zero.
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl TraceContext {
    /// Reads `traceparent`; none for anything that the standard does not let through. A request with a malformed
    /// one is as good as one without.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let head = bytes.get(..LENGTH)?;
        let [version] = lower_hex::<1>(&head[..2])?;
        // Later versions may say more after another dash; this one may not.
        let whole = match version {
            0 => bytes.len() == LENGTH,
            NO_VERSION => false,
            _ => bytes.get(LENGTH).is_none_or(|next| *next == b'-'),
        };
        if !whole || head[2] != b'-' || head[35] != b'-' || head[52] != b'-' {
            return None;
        }
        let [flags] = lower_hex::<1>(&head[53..])?;
        Some(Self {
            trace: TraceId::new(lower_hex(&head[3..35])?)?,
            parent: SpanId::new(lower_hex(&head[36..52])?)?,
            sampled: flags & SAMPLED != 0,
        })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.parent, u8::from(self.sampled))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes out of twice as many lower-case digits.
fn lower_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_standards_example_is_read() {
        let context = TraceContext::parse(EXAMPLE).expect("the standard's own");
        assert_eq!(context.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((context.parent.to_string().as_str(), context.sampled), ("00f067aa0ba902b7", true));
        assert_eq!(
            TraceContext::parse(&EXAMPLE.replace("-01", "-00")).map(|context| context.sampled),
            Some(false)
        );
        // Other flags say nothing yet; other versions may say more.
        for (flags, sampled) in [("03", true), ("fe", false), ("ff", true)] {
            let text = format!("{}{flags}", &EXAMPLE[..53]);
            assert_eq!(TraceContext::parse(&text).map(|context| context.sampled), Some(sampled), "{text}");
        }
        for later in [EXAMPLE.replacen("00", "01", 1), format!("cc{}-more-of-it", &EXAMPLE[2..])] {
            assert_eq!(TraceContext::parse(&later), Some(context), "{later}");
        }
    }

    #[test]
    fn what_is_malformed_is_as_good_as_none() {
        let zero_trace = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let zero_span = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
        for bad in [
            "".to_owned(),
            "00".to_owned(),
            zero_trace.to_owned(),
            zero_span.to_owned(),
            EXAMPLE.replacen("00", "ff", 1),
            EXAMPLE.to_uppercase(),
            format!("{EXAMPLE}-"),
            format!("{EXAMPLE}-more"),
            format!(" {EXAMPLE}"),
            format!("{EXAMPLE} "),
            format!("cc{}x", &EXAMPLE[2..]),
            EXAMPLE.replace('-', "_"),
            EXAMPLE.replacen('4', "g", 1),
            EXAMPLE.replace("4736", "47é"),
            "0".repeat(100_000),
        ] {
            assert_eq!(TraceContext::parse(&bad), None, "{bad}");
        }
        for cut in 0..EXAMPLE.len() {
            assert_eq!(TraceContext::parse(&EXAMPLE[..cut]), None, "{cut}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace in any::<[u8; 16]>(), parent in any::<[u8; 8]>(), sampled in any::<bool>()) {
            prop_assume!(trace != [0; 16] && parent != [0; 8]);
            let (trace, parent) = (TraceId::new(trace).expect("not zero"), SpanId::new(parent).expect("not zero"));
            let context = TraceContext { trace, parent, sampled };
            prop_assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
        }

        #[test]
        fn no_text_does_harm(text in ".{0,80}") {
            let _ = TraceContext::parse(&text);
        }
    }
}
