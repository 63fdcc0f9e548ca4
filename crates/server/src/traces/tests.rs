//! Spans: which are made, what bounds them, and that a collector holds nobody up.

use locum_model::Timestamp;
use tokio::net::TcpListener;

use super::*;
use crate::clock::WallClock;
use crate::entropy::OsEntropy;
use crate::tasks::Tasks;

const METHOD: &str = "/locum.broker.v1.TokenService/IssueToken";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct Desk {
    traces: Arc<Traces>,
    exporter: Exporter,
    metrics: Arc<Metrics>,
}

impl Desk {
    fn new(collector: &str, one_in: u64) -> Self {
        let settings = config::Traces { collector: collector.to_owned(), ca_file: None, one_in };
        let metrics = Arc::new(Metrics::new(Timestamp::from_seconds(1_800_000_000)));
        let around: (Arc<dyn Clock>, Arc<dyn Entropy>) = (Arc::new(WallClock), Arc::new(OsEntropy::new()));
        let (traces, exporter) = Traces::new(&settings, around, &metrics).expect("no file to read");
        Self { traces, exporter, metrics }
    }

    fn counted(&self, result: &str) -> u64 {
        let name = format!("locum_spans_total{{result=\"{result}\"}} ");
        let text = self.metrics.render();
        text.lines()
            .find_map(|line| line.strip_prefix(&name))
            .map_or(0, |count| count.parse().expect("a count"))
    }

    fn spans(&mut self) -> Vec<Span> {
        std::iter::from_fn(|| self.exporter.next_waiting()).collect()
    }
}

fn headers(traceparents: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in traceparents {
        headers.append(TRACEPARENT, value.parse().expect("a header value"));
    }
    headers
}

#[test]
fn a_caller_decides_about_its_own_trace_and_of_the_rest_it_is_one_in_so_many() {
    let mut desk = Desk::new("http://127.0.0.1:1", 10);
    let parent = TraceContext::parse(PARENT).expect("well formed");
    for _ in 0..5 {
        desk.traces.open(&headers(&[PARENT]), METHOD).expect("as it says").answered(Code::Ok);
    }
    let unsampled = PARENT.replace("-01", "-00");
    assert!((0..50).all(|_| desk.traces.open(&headers(&[&unsampled]), METHOD).is_none()));
    let spans = desk.spans();
    assert_eq!(spans.len(), 5);
    assert!(spans.iter().all(|span| span.trace == parent.trace && span.parent == Some(parent.parent)));
    // Malformed, twice or none at all: a trace of our own, now and then.
    for bad in [&[][..], &["nonsense"], &[PARENT, PARENT]] {
        let opened = (0..50).filter_map(|_| desk.traces.open(&headers(bad), METHOD)).count();
        assert_eq!(opened, 5, "{bad:?}");
    }
    let mut own = desk.spans();
    assert!(own.iter().all(|span| span.parent.is_none() && span.trace != parent.trace));
    own.sort_by_key(|span| *span.trace.bytes());
    own.dedup_by_key(|span| span.trace);
    assert_eq!(own.len(), 15, "no id twice");
}

#[test]
fn a_span_says_how_its_request_ended() {
    let mut desk = Desk::new("http://127.0.0.1:1", 1);
    for (code, failed) in [(Code::Ok, false), (Code::PermissionDenied, false), (Code::Internal, true)] {
        desk.traces.open(&headers(&[]), METHOD).expect("each").answered(code);
        let [span] = &desk.spans()[..] else { panic!("one") };
        assert_eq!((span.name, span.failed), (&METHOD[1..], failed));
        assert!(span.end_nanos >= span.start_nanos && span.start_nanos > 1_700_000_000_000_000_000);
        for (name, value) in [
            ("rpc.system", "grpc".into()),
            ("rpc.service", "locum.broker.v1.TokenService".into()),
            ("rpc.method", "IssueToken".into()),
            ("rpc.grpc.status_code", Value::Number(i64::from(code as i32))),
        ] {
            assert!(span.attributes.contains(&(name, value)), "{name}: {:?}", span.attributes);
        }
    }
    drop(desk.traces.open(&headers(&[]), METHOD));
    let [cancelled] = &desk.spans()[..] else { panic!("one") };
    assert!(
        cancelled.attributes.contains(&("rpc.grpc.status_code", Value::Number(1))),
        "nobody waited for it"
    );
}

#[test]
fn notes_end_with_the_answer_and_are_bounded() {
    let mut desk = Desk::new("http://127.0.0.1:1", 1);
    let open = desk.traces.open(&headers(&[]), METHOD).expect("each");
    let notes = open.notes();
    for _ in 0..10_000 {
        notes.put("locum.jti", || "x");
    }
    open.answered(Code::Ok);
    notes.put("locum.task_id", || "late");
    assert!(notes.take().is_empty());
    let attributes = &desk.spans()[0].attributes;
    assert_eq!(attributes.iter().filter(|(name, _)| *name == "locum.jti").count(), NOTES_MAX);
    assert!(!attributes.iter().any(|(name, _)| *name == "locum.task_id"));
    Notes::default().put("locum.jti", || -> &str { panic!("made for nobody") });
}

#[test]
fn what_finds_no_place_in_the_queue_is_counted_and_holds_nobody_up() {
    let mut desk = Desk::new("http://127.0.0.1:1", 1);
    for _ in 0..SPANS_WAITING_MAX + 123 {
        desk.traces.open(&headers(&[]), METHOD).expect("each").answered(Code::Ok);
    }
    assert_eq!((desk.counted("queue_full"), desk.spans().len()), (123, SPANS_WAITING_MAX));
}

/// However a collector behaves, the server ends within its own bound, and every span is accounted for.
#[tokio::test]
async fn a_collector_that_hangs_or_is_gone_holds_up_no_end() {
    let hangs = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("an address"));
    let collectors = [address(&hangs), address(&gone)];
    drop(gone);
    for collector in collectors {
        let Desk { traces, exporter, metrics } = Desk::new(&collector, 1);
        let mut tasks = Tasks::new();
        tasks.start("traces", exporter.run(tasks.stopping()));
        for _ in 0..1_000 {
            traces.open(&headers(&[]), METHOD).expect("each").answered(Code::Ok);
        }
        // `traces` lives on, as it does while requests are still being answered.
        let ended = tasks.run(tokio::task::yield_now(), Duration::from_secs(10)).await;
        assert_eq!(ended, Ok(()), "{collector}");
        traces.open(&headers(&[]), METHOD).expect("each").answered(Code::Ok);
        let text = metrics.render();
        let sum = |result: &str| {
            let name = format!("locum_spans_total{{result=\"{result}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
        };
        assert_eq!(
            (sum("given_up").as_deref(), sum("exported")),
            (Some("1000"), Some("0".to_owned())),
            "{collector}"
        );
        assert_eq!(sum("queue_full").as_deref(), Some("1"), "after the end there is no queue");
    }
}
