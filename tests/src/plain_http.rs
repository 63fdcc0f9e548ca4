//! The public documents and the metrics, read with bare HTTP/1.1.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::daemon::Daemon;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header lines, in lower case.
    pub headers: Vec<String>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Gets a document over TLS, with further header lines.
///
/// # Panics
///
/// When there is no answer.
pub async fn get(daemon: &Daemon, path: &str, headers: &[&str]) -> Answer {
    let mut roots = RootCertStore::empty();
    let ca = daemon.site.authority.pem();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("a CA");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(daemon.addresses().http).await.expect("connected");
    let name = ServerName::try_from("localhost").expect("a name");
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("a handshake");
    ask(tls, path, headers).await
}

/// Scrapes the metrics.
///
/// # Panics
///
/// When there is no answer.
pub async fn metrics(daemon: &Daemon) -> Answer {
    let tcp = TcpStream::connect(daemon.addresses().metrics).await.expect("connected");
    ask(tcp, "/metrics", &[]).await
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str, headers: &[&str]) -> Answer {
    let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}\r\n");
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut text = Vec::new();
    // A peer that closes without a TLS goodbye has still answered.
    let _ = stream.read_to_end(&mut text).await;
    let text = String::from_utf8(text).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    Answer {
        status: status.expect("a status"),
        headers: lines.map(|line| line.to_ascii_lowercase()).collect(),
        body: body.to_owned(),
    }
}
