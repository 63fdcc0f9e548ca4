//! [`Span`]: one request that was served.

use std::borrow::Cow;

use crate::context::{SpanId, TraceId};

/// One served request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace: TraceId,
    /// Its own id.
    pub id: SpanId,
    /// The caller's span, where the caller named one.
    pub parent: Option<SpanId>,
    /// What was asked for; a name from a closed list.
    pub name: &'static str,
    /// Unix time of its begin, nanoseconds.
    pub start_nanos: u64,
    /// Unix time of its end, nanoseconds.
    pub end_nanos: u64,
    /// What is known about it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether the fault was ours: a request that was rightly refused is none.
    pub failed: bool,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A whole number.
    Number(i64),
}

/// Who tells the spans: the same for all of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `service.name`.
    pub service: &'static str,
    /// `service.version`.
    pub version: &'static str,
    /// `service.instance.id`: which of them.
    pub instance: String,
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}
