//! Answers as values, and real sockets for what only bytes show.

use http_body_util::BodyExt;
use locum_model::limits::{HTTP_HEADERS_MAX, URI_BYTES_MAX};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::*;
use crate::accept::{Accept, AcceptOptions};
use crate::tasks::Tasks;
use crate::test_pki::{ClientOptions, Pki};
use crate::tls::{ClientCertificates, OwnCertificate, https_config};

const KEYS: &str = r#"{"keys":[]}"#;

fn documents(readiness: &Readiness) -> Documents {
    let jwks: Current = Arc::new(|| KEYS.into());
    Documents::new("https://locum.acme.test", Duration::from_secs(3600), jwks, readiness.clone())
}

fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    documents(&Readiness::new()).answer(&request.body(()).expect("a request"))
}

async fn body_of(answer: Answer) -> String {
    let bytes = answer.into_body().collect().await.expect("whole").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn the_key_set_is_cacheable_for_half_the_lead() {
    let answer = ask("GET", "/.well-known/jwks.json", &[]);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=1800");
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/jwk-set+json");
    let tag = answer.headers()[ETAG].to_str().expect("ascii").to_owned();
    assert_eq!(body_of(answer).await, KEYS);
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let answer = ask("GET", "/.well-known/jwks.json", &[("if-none-match", &known)]);
        assert_eq!(answer.status(), 304, "{known}");
        assert_eq!(answer.headers()[ETAG], tag.as_str());
        assert_eq!(body_of(answer).await, "");
    }
    for other in ["\"x\"", "", &tag.replace('"', "")] {
        assert_eq!(
            ask("GET", "/.well-known/jwks.json", &[("if-none-match", other)]).status(),
            200,
            "{other}"
        );
    }
}

#[test]
fn refuses_methods_bodies_and_long_uris() {
    let long = format!("/{}", "a".repeat(URI_BYTES_MAX));
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16);
    let table: [Row<'_>; 12] = [
        ("GET", "/livez", &[], 200),
        ("HEAD", "/livez", &[], 200),
        ("GET", "/livez", &[("content-length", "0")], 200),
        ("GET", "/readyz", &[], 503),
        ("GET", "/", &[], 404),
        ("GET", "/.well-known/../livez", &[], 404),
        ("POST", "/livez", &[], 405),
        ("TRACE", "/livez", &[], 405),
        ("OPTIONS", "/.well-known/jwks.json", &[("origin", "https://evil.test")], 405),
        ("GET", &long, &[], 414),
        ("GET", "/livez", &[("content-length", "1")], 413),
        ("GET", "/livez", &[("transfer-encoding", "chunked")], 413),
    ];
    for (method, path, headers, expected) in table {
        let answer = ask(method, path, headers);
        assert_eq!(
            answer.status().as_u16(),
            expected,
            "{method} {} {headers:?}",
            &path[..path.len().min(40)]
        );
        assert!(!answer.headers().keys().any(|name| name.as_str().starts_with("access-control")), "no CORS");
    }
}

#[test]
fn readiness_follows_its_handle() {
    let readiness = Readiness::new();
    let documents = documents(&readiness);
    let ask = || documents.answer(&Request::get("/readyz").body(()).expect("a request")).status().as_u16();
    assert_eq!(ask(), 503);
    readiness.ready();
    assert_eq!(ask(), 200);
    readiness.not_ready();
    assert_eq!(ask(), 503);
}

#[tokio::test]
async fn metadata_names_only_what_exists() {
    let body = body_of(ask("GET", "/.well-known/oauth-authorization-server", &[])).await;
    let metadata: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(metadata["issuer"], "https://locum.acme.test");
    assert_eq!(metadata["jwks_uri"], "https://locum.acme.test/.well-known/jwks.json");
    assert!(metadata.as_object().expect("an object").keys().all(|key| !key.ends_with("_endpoint")));
}

/// Everything that the server sends until it closes.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &[u8]) -> String {
    // A server that refuses early may reset while we still write.
    let _ = stream.write_all(request).await;
    let _ = stream.flush().await;
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn speaks_http1_and_h2_over_tls_and_refuses_hostile_heads() {
    let dir = tempfile::tempdir().expect("a directory");
    let pki = Pki::new();
    let (cert, key) = pki.write_server(dir.path());
    let own = OwnCertificate::load(&cert, &key).expect("loaded");
    let tls = https_config(&own, ClientCertificates::NotAsked).expect("configured");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let (accept, incoming) = Accept::new(listener, tls, AcceptOptions::default(), Arc::new(|_| {}));
    let (tasks, mut loops) = (Tasks::new(), Group::new());
    loops.start(accept.run(tasks.stopping()));
    loops.start(serve(documents(&Readiness::new()), incoming, tasks.stopping()));
    let connect = async |protocols: &[&[u8]]| {
        let config = pki.client_config(ClientOptions { protocols, ..Default::default() });
        let tcp = TcpStream::connect(address).await.expect("connected");
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(config).connect(name, tcp).await.expect("a handshake")
    };
    let many = format!("GET /livez HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(HTTP_HEADERS_MAX + 1));
    let large = format!("GET /livez HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(64 * 1024));
    let table = [
        ("GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "HTTP/1.1 200"),
        ("HEAD /.well-known/jwks.json HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "HTTP/1.1 200"),
        ("TRACE / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "HTTP/1.1 405"),
        ("CONNECT evil.test:443 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "HTTP/1.1 405"),
        ("GET /livez HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "HTTP/1.1 400"),
        ("GET /livez HTTP/1.1\r\nhost: a\r\nbad\0name: x\r\n\r\n", "HTTP/1.1 400"),
        (many.as_str(), "HTTP/1.1 431"),
        (large.as_str(), "HTTP/1.1 431"),
    ];
    for (request, expected) in table {
        let said = exchange(connect(&[b"http/1.1"]).await, request.as_bytes()).await;
        assert!(said.starts_with(expected), "{:?}: {said}", &request[..request.len().min(60)]);
    }
    let said = exchange(connect(&[b"http/1.1"]).await, table[1].0.as_bytes()).await;
    assert!(said.ends_with("\r\n\r\n"), "HEAD has no body: {said}");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(connect(&[b"h2"]).await))
            .await
            .expect("h2");
    let mut driving = Group::new();
    driving.start(async move { drop(connection.await) });
    let request = Request::get("https://localhost/livez").body(Full::<Bytes>::default()).expect("a request");
    assert_eq!(sender.send_request(request).await.expect("answered").status(), 200);
}

#[tokio::test]
async fn metrics_are_served_on_loopback_alone() {
    let metrics = Arc::new(Metrics::new(locum_model::Timestamp::from_seconds(0)));
    let tasks = Tasks::new();
    let open = TcpListener::bind("0.0.0.0:0").await.expect("bound");
    let refused = serve_metrics(metrics.clone(), open, tasks.stopping()).await;
    assert!(refused.expect_err("open to others").contains("loopback"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let mut loops = Group::new();
    loops.start(serve_metrics(metrics, listener, tasks.stopping()));
    for (path, expected) in [("/metrics", "HTTP/1.1 200"), ("/livez", "HTTP/1.1 404")] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let said = exchange(TcpStream::connect(address).await.expect("connected"), request.as_bytes()).await;
        assert!(said.starts_with(expected), "{said}");
        assert_eq!(path == "/metrics", said.contains("locum_build_info{version="), "{said}");
    }
}
