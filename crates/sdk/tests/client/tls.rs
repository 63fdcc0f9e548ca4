//! The real connection: TLS 1.3, the named authorities alone, certificates as they are on disk.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use locum_sdk::{Client, Error, ErrorKind, Options};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(vec![]).expect("good");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA")
}

fn leaf(authority: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("good");
    (params.signed_by(&key, authority).expect("signed"), key)
}

/// A listener that demands a client certificate and notes who came, then hangs up.
async fn listen(authority: &Authority, alpn: &[u8]) -> (SocketAddr, tokio::sync::mpsc::Receiver<Vec<u8>>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).expect("a CA");
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build();
    let (cert, key) = leaf(authority, "localhost");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_client_cert_verifier(verifier.expect("a verifier"))
        .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .expect("a certificate");
    config.alpn_protocols = vec![alpn.to_vec()];
    let (seen, came) = tokio::sync::mpsc::channel(16);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((tcp, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(tcp).await {
                let certificate = stream.get_ref().1.peer_certificates().expect("demanded")[0].to_vec();
                drop(seen.send(certificate).await);
            }
        }
    });
    (addr, came)
}

fn put(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).expect("written");
    file
}

#[tokio::test]
async fn the_certificate_on_disk_is_the_one_that_is_shown() {
    let ca = authority();
    let (addr, mut came) = listen(&ca, b"h2").await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let write = |(cert, key): &(rcgen::Certificate, KeyPair)| {
        let cert = put(path, "cert.pem", &cert.pem());
        (cert, put(path, "key.pem", &key.serialize_pem()))
    };
    let (first, second) = (leaf(&ca, "one"), leaf(&ca, "two"));
    let (cert, key) = write(&first);
    let options = Options::new(format!("https://localhost:{}", addr.port()), put(path, "ca.pem", &ca.pem()))
        .certificate(cert, key)
        .timeout(std::time::Duration::from_secs(2));
    let client = Client::connect(&options).expect("good options");
    let error = client.get_task("task-1-1".parse().expect("good")).await.expect_err("it hangs up");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(came.recv().await.expect("somebody came"), first.0.der().to_vec());
    while came.try_recv().is_ok() {}
    write(&second);
    client.get_task("task-1-1".parse().expect("good")).await.expect_err("it hangs up");
    assert_eq!(came.recv().await.expect("came again"), second.0.der().to_vec(), "rotated without a restart");
}

#[tokio::test]
async fn a_broker_of_another_authority_or_protocol_is_not_spoken_to() {
    let (ca, other) = (authority(), authority());
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = leaf(&ca, "one");
    let (cert, key) =
        (put(folder.path(), "c.pem", &cert.pem()), put(folder.path(), "k.pem", &key.serialize_pem()));
    // The certificate's cause is told as soon as it is there, on however slow a machine; without a protocol there
    // is nothing to be told, and the timeout ends it.
    let (long, short) = (std::time::Duration::from_secs(60), std::time::Duration::from_secs(2));
    let strangers = [(&other, b"h2".as_slice(), "certificate", long), (&ca, b"http/1.1", "", short)];
    for (trusted, alpn, cause, timeout) in strangers {
        let (addr, _came) = listen(&ca, alpn).await;
        let options = Options::new(
            format!("https://localhost:{}", addr.port()),
            put(folder.path(), "ca.pem", &trusted.pem()),
        )
        .certificate(&cert, &key)
        .timeout(timeout);
        let client = Client::connect(&options).expect("good options");
        let error = client.get_task("task-1-1".parse().expect("good")).await.expect_err("not spoken to");
        assert!(matches!(error, Error::Unreachable(_) | Error::TimedOut(_)), "{error:?}");
        assert!(error.to_string().contains(cause), "{error}");
    }
}
