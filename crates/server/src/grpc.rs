//! gRPC on connections that were accepted: HTTP/2 with every guard set, and each request handed to who answers.
//!
//! tonic's own server leaves two HTTP/2 guards off unless they are set: the number of streams and the number
//! of resets that a peer can make us send (CVE-2025-8671). Here all of them stand in one place:
//! streams, header list, frame, resets of both kinds, keep-alive, age of a connection, time of a
//! request, requests at once. Compression is not offered, so a compressed request
//! is `UNIMPLEMENTED` and no bomb is ever inflated.
//!
//! What can be answered at once is answered where the connection is read, without a task of its own; everything
//! else gets one (`calls`). Messages that have come whole are taken as they are, and answers of one message are
//! written without a stream around them (`message`).
//!
//! The size of a message is a setting of each generated service: register it with
//! `max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use locum_model::limits::{
    CONNECTION_AGE_MAX, CONNECTION_WINDOW_BYTES, HEADER_LIST_BYTES_MAX, HTTP2_FRAME_BYTES_MAX,
    KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, LOCAL_RESETS_MAX, PENDING_RESETS_MAX, STREAM_WINDOW_BYTES,
    STREAMS_PER_CONNECTION_MAX,
};

use crate::accept::{Connection, Incoming};
use crate::tasks::{Group, RunCalls, Stopping};

mod calls;
mod message;

pub use calls::{Account, Answering, Answers, Routed};
pub(crate) use message::{LookedAt, whole};
pub use message::{Said, one_message};

/// How long requests may take to end when the process stops.
pub(crate) const DRAIN: Duration = Duration::from_secs(9);

/// Serves connections until told to stop or until there are no more; then lets what runs on them finish, for 9 s at
/// most: a peer that reads nothing does not decide how the process ends.
///
/// # Errors
///
/// When connections end although nobody said stop.
pub async fn serve(answers: Arc<impl Answers>, incoming: Incoming, stopping: Stopping) -> Result<(), String> {
    serve_draining(answers, incoming, stopping, DRAIN).await
}

async fn serve_draining(
    answers: Arc<impl Answers>,
    mut incoming: Incoming,
    mut stopping: Stopping,
    drain: Duration,
) -> Result<(), String> {
    let mut connections = Group::new();
    loop {
        tokio::select! {
            () = stopping.wait() => break,
            Some(()) = connections.next() => {}
            next = incoming.next() => match next {
                Some(connection) => {
                    connections.start(one(connection, Arc::clone(&answers), stopping.clone()));
                }
                None if stopping.is_set() => break,
                None => return Err("no more connections".to_owned()),
            },
        }
    }
    drop(incoming);
    let all_ended = async { while connections.next().await.is_some() {} };
    if tokio::time::timeout(drain, all_ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections are cut that did not end in time");
    }
    Ok(())
}

/// One connection, to its end. After its age, or when the process stops, it takes no new requests, and what
/// runs on it may finish: its age alone cuts no stream that is held on purpose.
async fn one(connection: Connection, answers: Arc<impl Answers>, mut stopping: Stopping) {
    let run = RunCalls::default();
    let calls = calls::Calls::new(answers, connection.remote().clone(), run.clone());
    let mut serving = pin!(guarded(run).serve_connection(TokioIo::new(connection), calls));
    let over = async {
        tokio::select! {
            () = tokio::time::sleep(CONNECTION_AGE_MAX) => {}
            () = stopping.wait() => {}
        }
    };
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = over => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection failed");
    }
}

/// HTTP/2 with every guard set.
fn guarded(run: RunCalls) -> http2::Builder<RunCalls> {
    let mut builder = http2::Builder::new(run);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_frame_size(HTTP2_FRAME_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    builder
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use futures_util::future::Either;
    use http::Request;
    use hyper::body::Incoming;

    use super::*;
    use crate::accept::{Accept, AcceptOptions, Remote};
    use crate::tasks::{Group, Tasks};
    use crate::test_pki::{ClientOptions, Pki};
    use crate::tls::{ClientCertificates, OwnCertificate, grpc_config};

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const ENHANCE_YOUR_CALM: u32 = 11;

    /// Says back what has come whole, at once.
    struct Echo;

    impl Answers for Echo {
        type Account = ();

        fn begin(self: &Arc<Self>, _request: &Request<Incoming>) {}

        fn answer(self: &Arc<Self>, _: &Remote, request: Request<Incoming>, _account: &()) -> Answering {
            Answering::Now(match whole(request, 1_024) {
                Either::Left(request) => one_message(64, |bytes| bytes.extend_from_slice(request.body())),
                Either::Right(_) => tonic::Status::unimplemented("it has not come whole").into_http(),
            })
        }
    }

    /// A guarded server with the health service, and a raw client on it.
    async fn raw_client() -> (TlsStream<TcpStream>, Tasks, Group<()>) {
        let (_reporter, health) = tonic_health::server::health_reporter();
        raw_client_of(Routed(tonic::service::Routes::new(health))).await
    }

    /// A guarded server, and a raw client on it.
    async fn raw_client_of(answers: impl Answers) -> (TlsStream<TcpStream>, Tasks, Group<()>) {
        raw_client_draining(answers, DRAIN).await
    }

    async fn raw_client_draining(
        answers: impl Answers,
        drain: Duration,
    ) -> (TlsStream<TcpStream>, Tasks, Group<()>) {
        let dir = tempfile::tempdir().expect("a directory");
        let pki = Pki::new();
        let (cert, key) = pki.write_server(dir.path());
        let own = OwnCertificate::load(&cert, &key).expect("loaded");
        let tls = grpc_config(&own, ClientCertificates::NotAsked).expect("configured");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let (accept, incoming) = Accept::new(listener, tls, AcceptOptions::default(), Arc::new(|_| {}));
        let (tasks, mut loops) = (Tasks::new(), Group::new());
        let (stopping, stopped) = (tasks.stopping(), tasks.stopping());
        loops.start(async move { drop(accept.run(stopping).await) });
        loops.start(async move { drop(serve_draining(Arc::new(answers), incoming, stopped, drain).await) });
        let tcp = TcpStream::connect(address).await.expect("connected");
        let name = ServerName::try_from("localhost").expect("a name");
        let connector = TlsConnector::from(pki.client_config(ClientOptions::default()));
        (connector.connect(name, tcp).await.expect("a handshake"), tasks, loops)
    }

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind, flags];
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    async fn next_frame(client: &mut TlsStream<TcpStream>) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 9];
        client.read_exact(&mut head).await.ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        client.read_exact(&mut payload).await.ok()?;
        Some((head[3], payload))
    }

    #[tokio::test]
    async fn the_bounds_are_announced() {
        let (mut client, _tasks, _loops) = raw_client().await;
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        client.write_all(&hello).await.expect("written");
        let (kind, payload) = next_frame(&mut client).await.expect("a frame");
        assert_eq!(kind, SETTINGS);
        let setting = |id: u16| {
            let found = payload.chunks_exact(6).find(|pair| pair[..2] == id.to_be_bytes());
            found.map(|pair| u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]))
        };
        assert_eq!(setting(3), Some(STREAMS_PER_CONNECTION_MAX), "SETTINGS_MAX_CONCURRENT_STREAMS");
        assert_eq!(setting(6), Some(HEADER_LIST_BYTES_MAX), "SETTINGS_MAX_HEADER_LIST_SIZE");
    }

    /// CVE-2025-8671: a window that overflows makes us reset the stream; the peer does it for ever.
    #[tokio::test]
    async fn a_peer_that_makes_us_reset_is_sent_away() {
        let (mut client, _tasks, _loops) = raw_client().await;
        client.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.expect("written");
        // `:method POST`, `:scheme https`, `:path /` from the static table, `:authority a`.
        let head = [0x83, 0x87, 0x84, 0x41, 0x01, b'a'];
        let (mut reader, mut writer) = tokio::io::split(client);
        let flood = async {
            for n in 0..20_000_u32 {
                let stream = 1 + 2 * n;
                let bytes =
                    [frame(1, 4, stream, &head), frame(8, 0, stream, &[0x7f, 0xff, 0xff, 0xff])].concat();
                if writer.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            let _ = writer.flush().await;
            std::future::pending::<()>().await;
        };
        let sent_away = async {
            let mut resets = 0_usize;
            loop {
                let mut head = [0; 9];
                reader.read_exact(&mut head).await.expect("it says why before it closes");
                let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                let mut payload = vec![0; length];
                reader.read_exact(&mut payload).await.expect("a frame is whole");
                if head[3] == GOAWAY {
                    assert_eq!(payload[4..8], ENHANCE_YOUR_CALM.to_be_bytes());
                    return resets;
                }
                resets += usize::from(head[3] == 3);
            }
        };
        let within = tokio::time::timeout(Duration::from_secs(20), async {
            tokio::select! { () = flood => unreachable!("pending"), resets = sent_away => resets }
        });
        let resets = within.await.expect("sent away");
        assert!((1..=LOCAL_RESETS_MAX).contains(&resets), "{resets} resets");
    }

    /// An answer that is there at once goes on in a task when the peer has no room for it.
    #[tokio::test]
    async fn an_answer_waits_for_the_room_that_its_caller_gives() {
        let (mut client, _tasks, _loops) = raw_client_of(Echo).await;
        // SETTINGS_INITIAL_WINDOW_SIZE: four bytes, fewer than a prefix has.
        let settings = [0, 4, 0, 0, 0, 4];
        let head = [0x83, 0x87, 0x84, 0x41, 0x01, b'a'];
        let message = *b"\0\0\0\0\x05hello";
        let asked =
            [PREFACE, &frame(SETTINGS, 0, 0, &settings), &frame(1, 4, 1, &head), &frame(0, 1, 1, &message)];
        client.write_all(&asked.concat()).await.expect("written");
        let mut said = Vec::new();
        let mut heads = 0;
        let within = tokio::time::timeout(Duration::from_secs(20), async {
            while heads < 2 {
                let (kind, payload) = next_frame(&mut client).await.expect("a frame");
                match kind {
                    0 => {
                        assert!(payload.len() <= 4, "{payload:?}");
                        said.extend_from_slice(&payload);
                        let more = frame(8, 0, 1, &[0, 0, 0, 4]);
                        client.write_all(&more).await.expect("written");
                    }
                    1 => heads += 1,
                    _ => {}
                }
            }
        });
        within.await.expect("an answer and its trailers");
        assert_eq!(said, message);
    }

    /// Such a peer would hold up the end of the process.
    #[tokio::test]
    async fn who_gives_no_room_for_an_answer_is_cut_when_the_process_stops() {
        let (mut client, tasks, mut loops) = raw_client_draining(Echo, Duration::from_millis(50)).await;
        let settings = [0, 4, 0, 0, 0, 0];
        let head = [0x83, 0x87, 0x84, 0x41, 0x01, b'a'];
        let message = *b"\0\0\0\0\x05hello";
        let asked =
            [PREFACE, &frame(SETTINGS, 0, 0, &settings), &frame(1, 4, 1, &head), &frame(0, 1, 1, &message)];
        client.write_all(&asked.concat()).await.expect("written");
        while next_frame(&mut client).await.expect("a frame").0 != 1 {}
        tasks.run(async {}, Duration::from_secs(1)).await.expect("no loops of its own");
        let within = tokio::time::timeout(Duration::from_secs(20), async {
            while loops.next().await.is_some() {}
            while next_frame(&mut client).await.is_some() {}
        });
        within.await.expect("the loops end, and the connection with them");
    }

    /// Who is refused may still be sending: what comes of it is passed over, and others are answered.
    #[tokio::test]
    async fn a_refused_request_that_has_not_come_whole_leaves_the_connection_as_it_is() {
        let (mut client, _tasks, _loops) = raw_client_of(Echo).await;
        let head = [0x83, 0x87, 0x84, 0x41, 0x01, b'a'];
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(1, 4, 1, &head)].concat();
        client.write_all(&hello).await.expect("written");
        let message = *b"\0\0\0\0\x05hello";
        let within = tokio::time::timeout(Duration::from_secs(20), async {
            // The refusal is a head alone.
            while next_frame(&mut client).await.expect("a frame").0 != 1 {}
            let rest = [frame(0, 1, 1, &message), frame(1, 4, 3, &head), frame(0, 1, 3, &message)];
            client.write_all(&rest.concat()).await.expect("written");
            loop {
                let (kind, payload) = next_frame(&mut client).await.expect("the connection goes on");
                assert_ne!(kind, GOAWAY, "{payload:?}");
                if kind == 0 {
                    return payload;
                }
            }
        });
        assert_eq!(within.await.expect("answered"), message);
    }
}
