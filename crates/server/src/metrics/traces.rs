//! What becomes of spans.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::added;

/// How a span ended that was to be told to a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanEnd {
    /// The collector took it.
    Exported,
    /// More were waiting than may wait.
    QueueFull,
    /// The collector did not want it.
    Refused,
    /// The collector could not be told in time.
    GivenUp,
}

/// The figures of traces.
#[derive(Debug)]
pub(super) struct Traces(Family<Ended, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    result: &'static str,
}

impl Traces {
    pub(super) fn new(r: &mut Registry) -> Self {
        let help = "Spans for the collector of traces, by what became of them";
        let family: Family<Ended, Counter> = added(r, "locum_spans", help, Family::default());
        // From zero on: what was never counted has no rate.
        for end in [SpanEnd::Exported, SpanEnd::QueueFull, SpanEnd::Refused, SpanEnd::GivenUp] {
            family.get_or_create(&Ended { result: end.as_str() }).inc_by(0);
        }
        Self(family)
    }

    pub(super) fn count(&self, end: SpanEnd, spans: u64) {
        self.0.get_or_create(&Ended { result: end.as_str() }).inc_by(spans);
    }
}

impl SpanEnd {
    fn as_str(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::QueueFull => "queue_full",
            Self::Refused => "refused",
            Self::GivenUp => "given_up",
        }
    }
}
