//! Real sockets on loopback: who gets a connection and who does not.

use locum_identity::{DomainOptions, Trust, TrustOptions, client_certs};
use locum_model::Timestamp;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::*;
use crate::tasks::Tasks;
use crate::test_pki::{ClientOptions, Pki};
use crate::tls::{ClientCertificates, OwnCertificate, grpc_config};

/// One listener, its loop and what it saw.
struct Bench {
    pki: Pki,
    address: SocketAddr,
    incoming: Incoming,
    attempts: mpsc::UnboundedReceiver<Attempt>,
    connections: Arc<Semaphore>,
    own: OwnCertificate,
    dir: tempfile::TempDir,
    _loops: Group<Result<(), String>>,
    _tasks: Tasks,
}

fn trust(pki: &Pki, domain: &str) -> Arc<Trust> {
    let domain = DomainOptions {
        name: domain.parse().expect("a trust domain"),
        bundle_pem: pki.ca_pem().as_bytes().to_vec(),
        jwt_keys: None,
    };
    let options = TrustOptions {
        domains: vec![domain],
        issuers: Vec::new(),
        audience: "https://locum.acme.test".into(),
    };
    Arc::new(Trust::of(options, today()).expect("trusted"))
}

/// Far from every edge of the test certificates' validity.
fn today() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

fn no_trust() -> Arc<Trust> {
    let options =
        TrustOptions { domains: Vec::new(), issuers: Vec::new(), audience: "https://locum.acme.test".into() };
    Arc::new(Trust::of(options, today()).expect("an empty trust is a trust"))
}

async fn bench(pki: Pki, trust: Arc<Trust>, places: usize) -> Bench {
    let dir = tempfile::tempdir().expect("a directory");
    let (cert, key) = pki.write_server(dir.path());
    let own = OwnCertificate::load(&cert, &key).expect("loaded");
    let clients = ClientCertificates::Asked(client_certs(Arc::new(move || trust.clone())));
    let tls = grpc_config(&own, clients).expect("configured");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let connections = Arc::new(Semaphore::new(places));
    let options = AcceptOptions {
        handshake_timeout: Duration::from_millis(300),
        connections: connections.clone(),
        ..AcceptOptions::default()
    };
    let (seen, attempts) = mpsc::unbounded_channel();
    let observer: Observer = Arc::new(move |attempt| seen.send(attempt).unwrap_or(()));
    let (accept, incoming) = Accept::new(listener, tls, options, observer);
    let (tasks, mut loops) = (Tasks::new(), Group::new());
    loops.start(accept.run(tasks.stopping()));
    Bench { pki, address, incoming, attempts, connections, own, dir, _loops: loops, _tasks: tasks }
}

type Client = tokio_rustls::client::TlsStream<TcpStream>;

impl Bench {
    /// Connects and waits for the server's verdict: TLS 1.3 clients finish before the server does.
    async fn connect(&self, options: ClientOptions<'_>) -> io::Result<Client> {
        let connector = TlsConnector::from(self.pki.client_config(options));
        let tcp = TcpStream::connect(self.address).await?;
        connector.connect(ServerName::try_from("localhost").expect("a name"), tcp).await
    }

    async fn attempt(&mut self) -> Attempt {
        self.attempts.recv().await.expect("the loop runs")
    }
}

/// A client that was refused sees an error, at the latest when it reads.
async fn assert_refused(client: io::Result<Client>) {
    if let Ok(mut client) = client {
        let mut byte = [0; 1];
        let read = client.read(&mut byte).await;
        assert!(!matches!(read, Ok(1)), "refused, but the server sent something");
    }
}

#[tokio::test]
async fn with_and_without_a_certificate() {
    let pki = Pki::new();
    let trust = trust(&pki, "acme.test");
    let mut bench = bench(pki, trust, 8).await;
    let _stranger = bench.connect(ClientOptions::default()).await.expect("connected");
    let connection = bench.incoming.next().await.expect("accepted");
    assert!(connection.remote().chain.is_none());
    assert_eq!(connection.protocol(), Some(&b"h2"[..]));

    let certificate = bench.pki.client("spiffe://acme.test/agents/refunder");
    let leaf = certificate.0.clone();
    let _known = bench
        .connect(ClientOptions { certificate: Some(certificate), ..Default::default() })
        .await
        .expect("connected");
    let connection = bench.incoming.next().await.expect("accepted");
    let remote = connection.remote();
    assert_eq!(remote.chain.as_deref().expect("shown").first(), Some(&leaf));
    assert!(remote.address.ip().is_loopback());
}

#[tokio::test]
async fn bytes_pass_both_ways() {
    let pki = Pki::new();
    let trust = trust(&pki, "acme.test");
    let mut bench = bench(pki, trust, 8).await;
    let mut client = bench.connect(ClientOptions::default()).await.expect("connected");
    let mut server = bench.incoming.next().await.expect("accepted");
    client.write_all(b"ping").await.expect("written");
    let mut bytes = [0; 4];
    server.read_exact(&mut bytes).await.expect("read");
    assert_eq!(&bytes, b"ping");
    server.write_all(b"pong").await.expect("written");
    server.flush().await.expect("flushed");
    client.read_exact(&mut bytes).await.expect("read");
    assert_eq!(&bytes, b"pong");
}

#[tokio::test]
async fn a_slow_preface_is_an_error_and_a_whole_one_is_not() {
    let pki = Pki::new();
    let trust = trust(&pki, "acme.test");
    let mut bench = bench(pki, trust, 8).await;
    let mut slow = bench.connect(ClientOptions::default()).await.expect("connected");
    let mut connection = bench.incoming.next().await.expect("accepted");
    slow.write_all(b"PRI * HTTP/2.0").await.expect("written");
    let mut bytes = Vec::new();
    let ended = connection.read_to_end(&mut bytes).await.expect_err("too slow");
    assert_eq!(ended.kind(), io::ErrorKind::TimedOut);

    let mut good = bench.connect(ClientOptions::default()).await.expect("connected");
    let mut connection = bench.incoming.next().await.expect("accepted");
    good.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("written");
    connection.read_exact(&mut [0; 24]).await.expect("whole");
    let idle = tokio::time::timeout(Duration::from_millis(600), connection.read_u8()).await;
    assert!(idle.is_err(), "an idle connection stays open after its preface");
}

#[tokio::test]
async fn an_unknown_ca_is_refused() {
    let pki = Pki::new();
    let trust = trust(&pki, "acme.test");
    let mut bench = bench(pki, trust, 8).await;
    let certificate = Pki::new().client("spiffe://acme.test/agents/refunder");
    let client = bench.connect(ClientOptions { certificate: Some(certificate), ..Default::default() }).await;
    assert_eq!(bench.attempt().await, Attempt::HandshakeFailed);
    assert_refused(client).await;
}

#[tokio::test]
async fn without_a_bundle_every_certificate_is_refused() {
    let mut bench = bench(Pki::new(), no_trust(), 8).await;
    let certificate = bench.pki.client("spiffe://acme.test/agents/refunder");
    let client = bench.connect(ClientOptions { certificate: Some(certificate), ..Default::default() }).await;
    assert_eq!(bench.attempt().await, Attempt::HandshakeFailed);
    assert_refused(client).await;
}

#[tokio::test]
async fn old_tls_and_foreign_protocols_are_refused() {
    let pki = Pki::new();
    let trust = trust(&pki, "acme.test");
    let mut bench = bench(pki, trust, 8).await;
    let refused = [
        ClientOptions { versions: &[&rustls::version::TLS12], ..Default::default() },
        ClientOptions { protocols: &[b"http/1.1"], ..Default::default() },
        ClientOptions { protocols: &[b"h2c", b"spdy/3"], ..Default::default() },
        ClientOptions { protocols: &[], ..Default::default() },
    ];
    for options in refused {
        let client = bench.connect(options).await;
        assert_eq!(bench.attempt().await, Attempt::HandshakeFailed);
        assert_refused(client).await;
    }
}

#[tokio::test]
async fn slow_and_silent_handshakes_are_closed_while_others_get_in() {
    let pki = Pki::new();
    let trust = trust(&pki, "acme.test");
    let mut bench = bench(pki, trust, 8).await;
    let mut silent = TcpStream::connect(bench.address).await.expect("connected");
    let mut slow = TcpStream::connect(bench.address).await.expect("connected");
    slow.write_all(&[0x16, 0x03]).await.expect("written");
    let _client = bench.connect(ClientOptions::default()).await.expect("connected");
    let _connection = bench.incoming.next().await.expect("accepted");
    assert_eq!(bench.attempt().await, Attempt::Accepted);
    for stream in [&mut silent, &mut slow] {
        let mut byte = [0; 1];
        assert!(!matches!(stream.read(&mut byte).await, Ok(1)), "closed");
        assert_eq!(bench.attempt().await, Attempt::HandshakeTimedOut);
    }
}

#[tokio::test]
async fn connections_are_capped_and_places_come_back() {
    let pki = Pki::new();
    let trust = trust(&pki, "acme.test");
    let mut bench = bench(pki, trust, 1).await;
    let first = bench.connect(ClientOptions::default()).await.expect("connected");
    let connection = bench.incoming.next().await.expect("accepted");
    assert_eq!(bench.attempt().await, Attempt::Accepted);
    assert_refused(bench.connect(ClientOptions::default()).await).await;
    assert_eq!(bench.attempt().await, Attempt::TooMany);
    drop((first, connection));
    assert_eq!(bench.connections.available_permits(), 1);
    let _again = bench.connect(ClientOptions::default()).await.expect("connected");
    assert_eq!(bench.attempt().await, Attempt::Accepted);
}

#[tokio::test]
async fn no_session_is_ever_resumed() {
    let pki = Pki::new();
    let trust = trust(&pki, "acme.test");
    let mut bench = bench(pki, trust, 8).await;
    // One client configuration, so that it could resume if it were given a ticket.
    let config = bench.pki.client_config(ClientOptions::default());
    for _ in 0..3 {
        let tcp = TcpStream::connect(bench.address).await.expect("connected");
        let name = ServerName::try_from("localhost").expect("a name");
        let mut client = TlsConnector::from(config.clone()).connect(name, tcp).await.expect("connected");
        let mut server = bench.incoming.next().await.expect("accepted");
        server.write_all(b"x").await.expect("written");
        server.flush().await.expect("flushed");
        client.read_exact(&mut [0; 1]).await.expect("read");
        assert_eq!(client.get_ref().1.tls13_tickets_received(), 0);
        assert_eq!(client.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
}

#[tokio::test]
async fn a_reloaded_certificate_serves_the_next_handshake() {
    let pki = Pki::new();
    let trust = trust(&pki, "acme.test");
    let mut bench = bench(pki, trust, 8).await;
    let mut leaves = Vec::new();
    for _ in 0..2 {
        let client = bench.connect(ClientOptions::default()).await.expect("connected");
        let _server = bench.incoming.next().await.expect("accepted");
        let shown = client.get_ref().1.peer_certificates().expect("shown");
        leaves.push(shown.first().expect("a leaf").clone().into_owned());
        bench.pki.write_server(bench.dir.path());
        bench.own.reload().expect("reloaded");
    }
    assert_ne!(leaves[0], leaves[1]);
}

#[test]
fn errors_of_the_peer_do_not_pause_the_loop() {
    let table = [(103, true), (104, true), (24, false), (23, false), (12, false)];
    for (code, expected) in table {
        assert_eq!(is_the_peers(&io::Error::from_raw_os_error(code)), expected, "errno {code}");
    }
}
