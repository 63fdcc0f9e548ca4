//! Traces: a call of the SDK is a part of the application's trace, as a collector hears it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body_util::BodyExt;
use locum_sdk::Client;
use locum_tests::backend::options;
use locum_tests::{Daemon, Site, eventually};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Server;
use tower::Service;

use crate::LOCUMD;

const TRACE: [u8; 16] = *b"\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36";
const PARENT: [u8; 8] = *b"\x00\xf0\x67\xaa\x0b\xa9\x02\xb7";

/// Keeps every byte that it is told.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<u8>>>);

impl NamedService for Collector {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<Request<Body>> for Collector {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let heard = Arc::clone(&self.0);
        Box::pin(async move {
            let body = request.into_body().collect().await.expect("a whole message").to_bytes();
            heard.lock().expect("whole").extend_from_slice(&body);
            let head =
                Response::builder().header("content-type", "application/grpc").header("grpc-status", "0");
            Ok(head.body(Body::empty()).expect("a response"))
        })
    }
}

fn holds(heard: &[u8], what: &[u8]) -> bool {
    heard.windows(what.len()).any(|window| window == what)
}

#[tokio::test]
async fn a_call_is_a_part_of_the_applications_trace() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("bound").port();
    let collector = Collector::default();
    let heard = || collector.0.lock().expect("whole").clone();
    tokio::spawn(
        Server::builder()
            .add_service(collector.clone())
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let site = Site::new();
    let section = format!("[telemetry]\notlp = \"http://127.0.0.1:{port}\"\ntrace_one_in = 1\n");
    site.edit("locumd.toml", "[telemetry]\n", &section);
    let daemon = Daemon::start(LOCUMD, site).await;
    let addr = format!("https://localhost:{}", daemon.addresses().grpc.port());
    let options = options(&daemon, "agents/refunder", &addr);

    // What an application without a current span says, and one whose tracing is broken.
    for nothing in [None, Some("no header\r\n".to_owned())] {
        let client =
            Client::connect(&options.clone().trace_parent(move || nothing.clone())).expect("good options");
        client.who_am_i().await.expect("answered");
    }
    eventually("a trace of the server's own", || async { holds(&heard(), b"WhoAmI").then_some(()) }).await;
    assert!(!holds(&heard(), &TRACE));

    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let current = format!("00-{}-{}-01", hex(&TRACE), hex(&PARENT));
    let client = Client::connect(&options.trace_parent(move || Some(current.clone()))).expect("good options");
    let task = client.task("refund-order").scope("orders:read", ["order/1"]).start().await.expect("allowed");
    task.end(locum_sdk::Outcome::Completed).await.expect("ended");
    eventually("the application's trace", || async {
        let heard = heard();
        let whole = holds(&heard, &TRACE) && holds(&heard, &PARENT) && holds(&heard, b"EndTask");
        whole.then_some(())
    })
    .await;
}
