//! An orderly stop waits for what is asked, and for nobody who only holds a stream open.

use std::pin::Pin;

use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use locum_api::broker::v1 as wire;
use locum_api::status::reason_of;
use locum_model::Reason;
use locum_tests::follower::hello;
use locum_tests::wait::within;
use locum_tests::work::{Held, begin, grant, issue};
use locum_tests::{Daemon, Party, Site};
use prost::bytes::{BufMut as _, Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tower::{Service as _, ServiceExt as _};

use crate::LOCUMD;

const CHECKS: &str = "/locum.broker.v1.CheckService/IntrospectTokens";
const HOLD: &str = "/locum.broker.v1.TaskService/HoldTask";
const LIST: &str = "/locum.broker.v1.TaskService/ListTasks";
const FEED: &str = "/locum.broker.v1.FeedService/WatchRevocations";
const HEALTH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// A request that goes on, and how it ends.
struct Open {
    what: String,
    /// As long as this is here, its caller may say more.
    more: Option<mpsc::Sender<Result<Frame<Bytes>, Status>>>,
    answered: Pin<Box<dyn Future<Output = Status> + Send>>,
}

impl Open {
    /// Sends the head and these bytes, and waits for a first answer where there is one to come.
    async fn new(party: &Party, path: &str, bytes: &[u8], now: Now) -> Self {
        let (more, frames) = mpsc::channel(4);
        if !bytes.is_empty() {
            more.send(Ok(Frame::data(Bytes::copy_from_slice(bytes)))).await.expect("room");
        }
        let body = tonic::body::Body::new(StreamBody::new(ReceiverStream::new(frames)));
        let request = http::Request::builder().method("POST").uri(path);
        let request = request.header("content-type", "application/grpc").header("te", "trailers");
        let mut wire = party.wire();
        let asked = wire.ready().await.expect("connected").call(request.body(body).expect("a request"));
        let what = format!("{path} after {} bytes", bytes.len());
        let (said, mut first) = mpsc::channel(1);
        let answered = tokio::spawn(async move {
            let response = asked.await.expect("a response");
            if let Some(status) = Status::from_header_map(response.headers()) {
                return status;
            }
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                let _ = said.try_send(());
                if let Ok(trailers) = frame.expect("a frame").into_trailers() {
                    return Status::from_header_map(&trailers).expect("a status");
                }
            }
            unreachable!("a stream ends with trailers")
        });
        let more = (now != Now::AllSaid).then_some(more);
        if now != Now::Silent {
            within(&what, first.recv()).await.expect("it says something");
        }
        let answered = Box::pin(async move { answered.await.expect("it ends") });
        Self { what, more, answered }
    }

    /// How it ended, although its caller has not.
    async fn end(self) -> Status {
        let status = within(&self.what, self.answered).await;
        drop(self.more);
        status
    }
}

/// Where a request stands when the server is told to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Now {
    /// The server waits for more.
    Silent,
    /// It has said something, and would say more to more.
    Answered,
    /// It has said something, and there is nothing to ask any more.
    AllSaid,
}

fn message(message: &impl prost::Message) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(u32::try_from(message.encoded_len()).expect("short"));
    message.encode(&mut body).expect("room");
    body.freeze()
}

fn held(task: &Held) -> wire::HoldTaskRequest {
    wire::HoldTaskRequest { task_id: task.task_id.clone(), holder_secret: task.secret.clone() }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_streams_that_are_held_open() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let token = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    let question = wire::IntrospectTokenRequest { token, connector: "orders".to_owned(), presented: None };
    let batch = message(&wire::IntrospectTokensRequest { tokens: vec![question] });
    // `list_services` of `*`.
    let services = Bytes::from_static(b"\0\0\0\0\x03\x3a\x01*");
    let anybody = daemon.party(None);
    let nothing = Bytes::new();
    let mut open_ones = Vec::new();
    for (party, path, bytes, now, code) in [
        (&orders, CHECKS, &nothing, Now::Silent, Code::Unavailable),
        (&orders, CHECKS, &batch, Now::Answered, Code::Unavailable),
        (&orders, CHECKS, &batch.slice(..9), Now::Silent, Code::Unavailable),
        (&refunder, HOLD, &nothing, Now::Silent, Code::Unavailable),
        (&refunder, HOLD, &message(&held(&task)), Now::Answered, Code::Ok),
        (&refunder, LIST, &nothing, Now::Silent, Code::Unavailable),
        (&orders, FEED, &nothing, Now::Silent, Code::Unavailable),
        (&orders, FEED, &message(&hello("orders")), Now::Answered, Code::Ok),
        (&anybody, HEALTH, &nothing, Now::Silent, Code::Unavailable),
        (&anybody, HEALTH, &Bytes::from_static(&[0; 5]), Now::AllSaid, Code::Ok),
        (&anybody, REFLECTION[0], &nothing, Now::Silent, Code::Ok),
        (&anybody, REFLECTION[0], &services, Now::Answered, Code::Ok),
        (&anybody, REFLECTION[1], &services, Now::Answered, Code::Ok),
    ] {
        open_ones.push((Open::new(party, path, bytes, now).await, code));
    }
    // What came before the stop on each connection is taken up before it.
    for party in [&orders, &refunder, &anybody] {
        let _ = party.identities().who_am_i(wire::WhoAmIRequest {}).await;
    }
    daemon.terminate().await;
    assert!(!daemon.log().contains("did not stop in time"));
    for (open, code) in open_ones {
        let what = open.what.clone();
        let status = open.end().await;
        assert_eq!(status.code(), code, "{what}: {status:?}");
        if code == Code::Unavailable {
            assert_eq!(reason_of(&status), Some(Reason::Draining), "{what}: {status:?}");
        }
    }
}
