//! The messages of `opentelemetry.proto.*.v1`, with the fields that are used. Numbers and types are those of the
//! published files; what is left out is optional there.

use std::borrow::Cow;

use prost::{Message, Oneof};

use crate::span::{self, Source};

/// `SPAN_KIND_SERVER`.
const SERVER: i32 = 2;
/// `STATUS_CODE_ERROR`; a span without it leaves the status unset.
const ERROR: i32 = 2;
/// A trace that is recorded (W3C), and: whether the parent is remote is known; it is.
const SAMPLED: u32 = 0x1;
const PARENT_KNOWN: u32 = 0x100;
const PARENT_REMOTE: u32 = 0x200;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExportTraceServiceRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExportTraceServiceResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) partial_success: Option<ExportTracePartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExportTracePartialSuccess {
    #[prost(int64, tag = "1")]
    pub(crate) rejected_spans: i64,
    #[prost(string, tag = "2")]
    pub(crate) error_message: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub(crate) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(crate) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    pub(crate) scope: Option<InstrumentationScope>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct InstrumentationScope {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(crate) name: String,
    #[prost(int32, tag = "6")]
    pub(crate) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(crate) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    pub(crate) end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    pub(crate) attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    pub(crate) status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    pub(crate) flags: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "3")]
    pub(crate) code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 3")]
    pub(crate) value: Option<Any>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Any {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Number(i64),
}

/// A batch as one request.
pub(crate) fn request(source: &Source, spans: Vec<span::Span>) -> ExportTraceServiceRequest {
    let attributes = vec![
        key_value("service.name", source.service.into()),
        key_value("service.version", source.version.into()),
        key_value("service.instance.id", source.instance.clone().into()),
    ];
    let scope = InstrumentationScope { name: source.service.to_owned(), version: source.version.to_owned() };
    let spans = spans.into_iter().map(of_span).collect();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
        }],
    }
}

fn of_span(span: span::Span) -> Span {
    let remote = if span.parent.is_some() { PARENT_KNOWN | PARENT_REMOTE } else { PARENT_KNOWN };
    Span {
        trace_id: span.trace.bytes().to_vec(),
        span_id: span.id.bytes().to_vec(),
        parent_span_id: span.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        name: span.name.to_owned(),
        kind: SERVER,
        start_time_unix_nano: span.start_nanos,
        end_time_unix_nano: span.end_nanos,
        attributes: span.attributes.into_iter().map(|(key, value)| key_value(key, value)).collect(),
        status: span.failed.then_some(Status { code: ERROR }),
        flags: SAMPLED | remote,
    }
}

fn key_value(key: &'static str, value: span::Value) -> KeyValue {
    let value = match value {
        span::Value::Text(text) => Any::Text(Cow::into_owned(text)),
        span::Value::Number(number) => Any::Number(number),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::TraceContext;

    /// The bytes that the published `.proto` files give for this span: numbers and types are no opinion of ours.
    #[test]
    fn the_bytes_are_those_of_the_published_format() {
        let context = TraceContext::parse("00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01");
        let context = context.expect("well formed");
        let span = of_span(span::Span {
            trace: context.trace,
            id: context.parent,
            parent: None,
            name: "n",
            start_nanos: 1,
            end_nanos: 2,
            attributes: vec![("a", "b".into()), ("c", 3.into())],
            failed: true,
        });
        let expected: &[&[u8]] = &[
            &[0x0a, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
            &[0x12, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18],
            &[0x2a, 1, b'n', 0x30, 2],
            &[0x39, 1, 0, 0, 0, 0, 0, 0, 0, 0x41, 2, 0, 0, 0, 0, 0, 0, 0],
            &[0x4a, 8, 0x0a, 1, b'a', 0x12, 3, 0x0a, 1, b'b'],
            &[0x4a, 7, 0x0a, 1, b'c', 0x12, 2, 0x18, 3],
            &[0x7a, 2, 0x18, 2],
            &[0x85, 0x01, 1, 1, 0, 0],
        ];
        assert_eq!(span.encode_to_vec(), expected.concat());
    }
}
