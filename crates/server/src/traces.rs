//! Traces: one span for each request that was served, told to an OTLP collector where one is configured.
//!
//! What always holds: no request waits for a span. A span that is done is put into a queue of fixed length or, when
//! that is full, counted and dropped; `Exporter` takes it from there. A span says who called, what was asked and
//! how it ended, from closed lists and proved identities: no token, assertion or holder secret, no justification, no
//! subject, nothing that a caller writes freely but the two ids of its `traceparent`.
//!
//! A caller's `traceparent` (W3C Trace Context level 1) makes the span a part of the caller's trace and decides
//! whether it is recorded; of the rest, one in so many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use locum_model::limits::SPANS_WAITING_MAX;
use locum_model::{Clock, Entropy};
use locum_otlp::{Source, Span, SpanId, TraceContext, TraceId, Value};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tonic::Code;

use crate::clock::wall_nanos;
use crate::config::{self, Problems};
use crate::metrics::{Metrics, SpanEnd};

pub(crate) use exporter::{Exporter, endpoint};

mod exporter;
#[cfg(test)]
mod tests;

/// The header by which a caller names its own span.
const TRACEPARENT: &str = "traceparent";

/// Makes spans. Shared by all requests.
pub struct Traces {
    queue: mpsc::Sender<Span>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    metrics: Arc<Metrics>,
    one_in: u64,
    without_parent: AtomicU64,
}

/// A request that is recorded and not yet answered. One that is dropped was cancelled.
pub(crate) struct Open {
    traces: Arc<Traces>,
    trace: TraceId,
    id: SpanId,
    parent: Option<SpanId>,
    method: &'static str,
    start_nanos: u64,
    started: Duration,
    notes: Notes,
    code: Code,
}

/// What is found out about a request on its way, where it is recorded. Clones share.
///
/// What comes after the answer, or after [`NOTES_MAX`] others, is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Option<Arc<Mutex<Option<Vec<Note>>>>>);

/// Notes on one request; more would be a stream's, which has no end.
const NOTES_MAX: usize = 16;

type Note = (&'static str, Value);

// === impl Traces ===

impl Traces {
    /// What makes spans for the collector of `settings`, and the loop that tells it.
    ///
    /// # Errors
    ///
    /// [`Problems`] with the collector's CA file.
    pub(crate) fn new(
        settings: &config::Traces,
        (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
        metrics: &Arc<Metrics>,
    ) -> Result<(Arc<Self>, Exporter), Problems> {
        let (queue, waiting) = mpsc::channel(SPANS_WAITING_MAX);
        let mut instance = [0; 16];
        // Which of several servers tells: worth a number of its own, and not worth a refusal to start.
        let instance = entropy.fill(&mut instance).ok().and_then(|()| TraceId::new(instance));
        let source = Source {
            service: "locumd",
            version: env!("CARGO_PKG_VERSION"),
            instance: instance.map(|id| id.to_string()).unwrap_or_default(),
        };
        let exporter = Exporter::new(endpoint(settings)?, source, waiting, Arc::clone(metrics));
        let metrics = Arc::clone(metrics);
        let without_parent = AtomicU64::new(0);
        let one_in = settings.one_in;
        Ok((Arc::new(Self { queue, clock, entropy, metrics, one_in, without_parent }), exporter))
    }

    /// Begins to record a request; none when it is not to be recorded. `method` is its path as the contract has it.
    pub(crate) fn open(self: &Arc<Self>, headers: &HeaderMap, method: &'static str) -> Option<Open> {
        let caller = caller(headers);
        let wanted = caller.map_or_else(|| self.one_of_many(), |caller| caller.sampled);
        if !wanted {
            return None;
        }
        let mut bytes = [0; 24];
        self.entropy.fill(&mut bytes).ok()?;
        let (trace, id) = bytes.split_first_chunk::<16>()?;
        Some(Open {
            trace: caller.map(|caller| caller.trace).or_else(|| TraceId::new(*trace))?,
            id: SpanId::new(*id.first_chunk()?)?,
            parent: caller.map(|caller| caller.parent),
            method,
            start_nanos: wall_nanos(),
            started: self.clock.elapsed(),
            notes: Notes(Some(Arc::new(Mutex::new(Some(Vec::new()))))),
            code: Code::Cancelled,
            traces: Arc::clone(self),
        })
    }

    fn one_of_many(&self) -> bool {
        self.without_parent.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.one_in)
    }

    fn done(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.metrics.spans(SpanEnd::QueueFull, 1);
        }
    }
}

// === impl Open ===

impl Open {
    /// Where the way of this request may note what it finds out.
    pub(crate) fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// The request was answered with `code`.
    pub(crate) fn answered(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let took = self.traces.clock.elapsed().saturating_sub(self.started);
        let name = &self.method[1..];
        let (service, method) = name.split_once('/').unwrap_or((name, name));
        let mut attributes = self.notes.take();
        attributes.extend([
            ("rpc.system", "grpc".into()),
            ("rpc.service", service.into()),
            ("rpc.method", method.into()),
            ("rpc.grpc.status_code", i64::from(i32::from(self.code)).into()),
        ]);
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.traces.done(Span {
            trace: self.trace,
            id: self.id,
            parent: self.parent,
            name,
            start_nanos: self.start_nanos,
            end_nanos: self.start_nanos.saturating_add(took),
            attributes,
            failed: is_our_fault(self.code),
        });
    }
}

// === impl Notes ===

impl Notes {
    /// Notes one thing; a later note of the same name stands beside it. Costs nothing where nothing is recorded.
    pub(crate) fn put<V: Into<Value>>(&self, name: &'static str, value: impl FnOnce() -> V) {
        let Some(notes) = &self.0 else { return };
        if let Some(open) = notes.lock().as_mut().filter(|open| open.len() < NOTES_MAX) {
            open.push((name, value().into()));
        }
    }

    /// All of them; later ones are dropped.
    fn take(&self) -> Vec<Note> {
        self.0.as_ref().and_then(|notes| notes.lock().take()).unwrap_or_default()
    }
}

// === free functions ===

/// The caller's own span. Two of them are as good as none.
fn caller(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (first, second) = (values.next()?, values.next());
    second.is_none().then(|| first.to_str().ok().and_then(TraceContext::parse))?
}

/// Which codes are an error of a server (OpenTelemetry's conventions for gRPC): a rightful refusal is none.
fn is_our_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
