//! The edge of gRPC: what is too large, compressed or malformed never reaches a use case.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use locum_api::broker::v1 as wire;
use locum_model::Reason;
use locum_tests::refused::{fields, reason};
use locum_tests::wait::within;
use locum_tests::work::{begin, grant, introspect, issue, seconds, secret, start};
use locum_tests::{Daemon, Party};
use prost::Message as _;
use prost::bytes::{BufMut as _, Bytes, BytesMut};
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};
use tower::{Service as _, ServiceExt as _};

use crate::LOCUMD;

const LIST_TASKS: &str = "/locum.broker.v1.TaskService/ListTasks";
const INTROSPECT: &str = "/locum.broker.v1.CheckService/IntrospectToken";
const ISSUE: &str = "/locum.broker.v1.TokenService/IssueToken";
const REVOKE: &str = "/locum.broker.v1.TokenService/RevokeToken";

/// Sends these bytes as a body and reads the status, wherever it stands.
async fn send(party: &Party, headers: &[(&str, &str)], body: Bytes) -> Status {
    let body = tonic::body::Body::new(Full::new(body).map_err(|never| match never {}));
    send_to(party, LIST_TASKS, headers, body).await.0
}

/// Sends a body and reads the status, wherever it stands, and the bytes before it.
async fn send_to(
    party: &Party,
    path: &str,
    headers: &[(&str, &str)],
    body: tonic::body::Body,
) -> (Status, Bytes) {
    let mut request = http::Request::builder().method("POST").uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut wire = party.wire();
    let wire = wire.ready().await.expect("connected");
    let response = within("an answer", wire.call(request.body(body).expect("a request"))).await;
    let response = match response {
        Ok(response) => response,
        Err(status) => return (Status::from_error(status.into()), Bytes::new()),
    };
    if let Some(status) = Status::from_header_map(response.headers()) {
        return (status, Bytes::new());
    }
    let (parts, body) = response.into_parts();
    match within("a body", body.collect()).await {
        Ok(whole) => {
            let status = whole.trailers().and_then(Status::from_header_map);
            let status = status.unwrap_or_else(|| Status::unknown(format!("HTTP {}", parts.status)));
            (status, whole.to_bytes())
        }
        Err(status) => (status, Bytes::new()),
    }
}

/// A body whose frames come one after the other, with time between them.
fn in_pieces(frames: Vec<Frame<Bytes>>) -> tonic::body::Body {
    let frames = tokio_stream::iter(frames).then(async |frame| {
        tokio::time::sleep(Duration::from_millis(2)).await;
        Ok::<_, Status>(frame)
    });
    tonic::body::Body::new(StreamBody::new(frames))
}

fn framed(flag: u8, length: u32, message: &[u8]) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u8(flag);
    body.put_u32(length);
    body.put_slice(message);
    body.freeze()
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const TRAILERS: (&str, &str) = ("te", "trailers");

#[tokio::test]
async fn bodies_that_are_no_message_are_refused() {
    let daemon = Daemon::shared(LOCUMD);
    let party = daemon.at("agents/refunder");
    let plain: &[(&str, &str)] = &[GRPC, TRAILERS];
    let gzip: &[(&str, &str)] = &[GRPC, TRAILERS, ("grpc-encoding", "gzip")];
    for (what, headers, body, expected) in [
        ("a good one", plain, framed(0, 0, b""), &[Code::Ok][..]),
        ("a compressed one", gzip, framed(1, 4, b"\x1f\x8b\x08\x00"), &[Code::Unimplemented]),
        (
            "compressed without saying how",
            plain,
            framed(1, 4, b"\x1f\x8b\x08\x00"),
            &[Code::Internal, Code::Unimplemented],
        ),
        ("a strange flag", plain, framed(7, 0, b""), &[Code::Internal]),
        ("an announced giant", plain, framed(0, u32::MAX, b""), &[Code::OutOfRange, Code::ResourceExhausted]),
        ("less than announced", plain, framed(0, 9, b"abc"), &[Code::Internal]),
        ("no frame at all", plain, Bytes::new(), &[Code::Internal]),
        ("no protobuf", plain, framed(0, 3, b"\xff\xff\xff"), &[Code::Internal, Code::InvalidArgument]),
    ] {
        let status = send(&party, headers, body).await;
        assert!(expected.contains(&status.code()), "{what}: {status:?}");
    }
    let other =
        send(&party, &[("content-type", "application/json"), TRAILERS], Bytes::from_static(b"{}")).await;
    assert_ne!(other.code(), Code::Ok, "{other:?}");
}

/// What has come whole is read another way than what comes in pieces: both are answered alike.
#[tokio::test]
async fn a_message_in_pieces_is_answered_as_a_whole_one() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let token = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    let question = wire::IntrospectTokenRequest { token, connector: "orders".to_owned(), presented: None };
    let whole = |message: &[u8]| framed(0, u32::try_from(message.len()).expect("short"), message);
    let good = question.encode_to_vec();
    let (status, answer) =
        send_to(&orders, INTROSPECT, &[GRPC, TRAILERS], in_pieces(vec![Frame::data(whole(&good))])).await;
    assert_eq!(status.code(), Code::Ok);
    let answer = wire::IntrospectTokenResponse::decode(&answer[5..]).expect("an answer");
    assert!(answer.active, "{answer:?}");
    let twice = [whole(&good), whole(&good)].concat();
    let bodies = [
        ("a good question", whole(&good)),
        ("an empty one", whole(b"")),
        ("two of them", twice.into()),
        ("no protobuf", whole(b"\xff\xff\xff")),
        ("a strange flag", framed(7, 0, b"")),
        ("compressed without saying how", framed(1, 4, b"\x1f\x8b\x08\x00")),
        ("less than announced", framed(0, 9, b"abc")),
        ("more than announced", framed(0, 2, b"abc")),
        ("an announced giant", framed(0, u32::MAX, b"")),
        ("half a prefix", Bytes::from_static(b"\0\0")),
        ("nothing", Bytes::new()),
    ];
    let headers: &[&[(&str, &str)]] = &[
        &[GRPC, TRAILERS],
        &[GRPC, TRAILERS, ("grpc-encoding", "identity")],
        &[GRPC, TRAILERS, ("grpc-encoding", "gzip")],
    ];
    for (path, party) in [(INTROSPECT, &orders), (ISSUE, &refunder), (REVOKE, &refunder)] {
        for ((what, body), headers) in
            bodies.iter().flat_map(|one| headers.iter().map(move |headers| (one, headers)))
        {
            let at_once = tonic::body::Body::new(Full::new(body.clone()).map_err(|never| match never {}));
            let (expected, answer) = send_to(party, path, headers, at_once).await;
            let bytes = body.iter().map(|byte| Frame::data(Bytes::copy_from_slice(&[*byte])));
            let mut halves: Vec<_> = body
                .chunks(body.len() / 2 + 1)
                .map(|half| Frame::data(Bytes::copy_from_slice(half)))
                .collect();
            let trailed = halves.drain(..).chain([Frame::trailers(http::HeaderMap::new())]).collect();
            let short = if body.len() < 16 { bytes.collect() } else { vec![Frame::data(body.clone())] };
            for frames in [short, trailed] {
                let (status, said) = send_to(party, path, headers, in_pieces(frames)).await;
                assert_eq!((status.code(), &said), (expected.code(), &answer), "{path}: {what}, {status:?}");
            }
        }
    }
}

#[tokio::test]
async fn messages_have_a_largest_size() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let mut request = start(vec![grant("orders:read", &[])], &secret(&daemon));
    request.justification = "x".repeat(300 * 1024);
    let status = refunder.tasks().start_task(request.clone()).await.expect_err("too large");
    assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status:?}");
    request.justification = "x".repeat(200 * 1024);
    assert_eq!(fields(refunder.tasks().start_task(request).await), ["justification"]);
    // A token is bounded on its own: however long, it is only inactive.
    let answer = introspect(&orders, "orders", &"x".repeat(200 * 1024)).await.expect("an answer");
    assert!(!answer.active);
    // A header list as well, and the connection survives.
    let fat = refunder.clone().header("x-fat", &"x".repeat(20 * 1024));
    fat.tasks().list_tasks(wire::ListTasksRequest::default()).await.expect_err("too much");
    refunder.tasks().list_tasks(wire::ListTasksRequest::default()).await.expect("fine");
}

#[tokio::test]
async fn pages_and_durations_are_bounded() {
    let daemon = Daemon::shared(LOCUMD);
    let refunder = daemon.at("agents/refunder");
    let list = |page_size, page_token: &str, state| wire::ListTasksRequest {
        page_size,
        page_token: page_token.to_owned(),
        state,
    };
    for (request, field) in [
        (list(-1, "", 0), "page_size"),
        (list(1001, "", 0), "page_size"),
        (list(i32::MIN, "", 0), "page_size"),
        (list(1, "x", 0), "page_token"),
        (list(1, "", 99), "state"),
    ] {
        let shown = format!("{request:?}");
        assert_eq!(fields(refunder.tasks().list_tasks(request).await), [field], "{shown}");
    }
    for (seconds, nanos) in [(-1, 0), (0, -1), (1, 1_000_000_000), (i64::MIN, 0), (315_576_000_001, 0)] {
        let span = Some(prost_types::Duration { seconds, nanos });
        let request = wire::StartTaskRequest {
            deadline_after: span,
            ..start(vec![grant("orders:read", &[])], &secret(&daemon))
        };
        let refusal = refunder.tasks().start_task(request).await;
        assert_eq!(refusal.as_ref().err().map(Status::code), Some(Code::InvalidArgument));
        let named = fields(refusal);
        assert!(
            named.len() == 1 && named[0].starts_with("deadline_after"),
            "{named:?} for {seconds} {nanos}"
        );
    }
    let zero = wire::StartTaskRequest {
        lease: seconds(0),
        ..start(vec![grant("orders:read", &[])], &secret(&daemon))
    };
    assert_eq!(reason(refunder.tasks().start_task(zero).await), Reason::RequestMalformed);
}
