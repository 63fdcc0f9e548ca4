//! Spans as a collector takes them: OTLP 1.x over gRPC, and the W3C trace context that callers send.
//!
//! Only what Locum says is here: one kind of span (a request that was served), texts and whole numbers as
//! attributes, no events, no links. Nothing is kept, tried again or timed here, and no connection is made: a
//! [`Channel`](tonic::transport::Channel) is passed in.
//!
//! Follows the OpenTelemetry protocol specification 1.x (`opentelemetry/proto/collector/trace/v1`) and W3C
//! Trace Context level 1.

mod collector;
mod context;
mod span;
mod wire;

pub use collector::{Collector, Delivered};
pub use context::{SpanId, TraceContext, TraceId};
pub use span::{Source, Span, Value};
