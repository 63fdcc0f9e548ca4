//! Raw gRPC over HTTP/2 and mTLS: requests that were encoded before, answers read and no more.
//!
//! A generated client spends about as much CPU on a call as the server does; it would measure
//! itself. This one sends ready-made bytes, so that the server's core is the one that is full.

use std::net::SocketAddr;
use std::sync::Arc;

use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Uri, Version};
use prost::Message;
use prost::bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::drive::Slot;

/// Bytes before each gRPC message: a flag and the length.
const PREFIX_BYTES: usize = 5;
/// Room for answers in flight; the client never makes the server wait.
const WINDOW_BYTES: u32 = 16 << 20;

/// An open connection; clones share it.
#[derive(Clone)]
pub struct Line(SendRequest<Bytes>);

/// Somebody's way in: an address, and the certificate to show there.
#[derive(Clone)]
pub struct Door {
    address: SocketAddr,
    tls: TlsConnector,
}

/// A slot for unary calls of one method. It goes through `bodies` in turn, from a place of its own.
pub struct Unary {
    line: Line,
    path: &'static str,
    bodies: Arc<[Bytes]>,
    good: fn(&[u8]) -> bool,
}

/// A two-way stream whose batches are asked one at a time per slot; open several for more.
pub struct TwoWay {
    send: SendStream<Bytes>,
    receive: RecvStream,
    read: BytesMut,
    bodies: Arc<[Bytes]>,
    good: fn(&[u8]) -> bool,
    /// Batches that are out before the first answer is awaited.
    ahead: u64,
    out: u64,
}

// === impl Door ===

impl Door {
    /// A way to `address`, whose certificate `ca` vouches for, with a certificate and key in PEM.
    ///
    /// # Panics
    ///
    /// When the PEM is none.
    pub fn new(address: SocketAddr, ca: &str, (cert, key): (&str, &str)) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("a CA");
        let chain = CertificateDer::pem_slice_iter(cert.as_bytes()).collect::<Result<_, _>>().expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring has TLS 1.3")
            .with_root_certificates(roots);
        let mut config = config.with_client_auth_cert(chain, key).expect("a certificate with its key");
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self { address, tls: TlsConnector::from(Arc::new(config)) }
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// What the system, TLS or HTTP/2 says.
    pub async fn line(&self) -> Result<Line, String> {
        let said = |cause: &dyn std::fmt::Display| cause.to_string();
        let tcp = TcpStream::connect(self.address).await.map_err(|cause| said(&cause))?;
        tcp.set_nodelay(true).map_err(|cause| said(&cause))?;
        let name = ServerName::try_from("localhost").expect("a DNS name");
        let tls = self.tls.connect(name, tcp).await.map_err(|cause| said(&cause))?;
        let (send, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(tls)
            .await
            .map_err(|cause| said(&cause))?;
        // Ends with the last handle; what made it end shows where a request fails.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Line(send))
    }

    /// Opens several.
    ///
    /// # Panics
    ///
    /// When one cannot be opened.
    pub async fn lines(&self, count: usize) -> Vec<Line> {
        let mut lines = Vec::with_capacity(count);
        for _ in 0..count {
            lines.push(self.line().await.expect("a connection"));
        }
        lines
    }
}

// === impl Line ===

impl Line {
    /// Begins a call; `path` is a whole URL.
    async fn begin(
        &self,
        path: &'static str,
    ) -> Result<(h2::client::ResponseFuture, SendStream<Bytes>), String> {
        let request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(Uri::from_static(path))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .map_err(|cause| cause.to_string())?;
        let mut ready = self.0.clone().ready().await.map_err(|cause| cause.to_string())?;
        ready.send_request(request, false).map_err(|cause| cause.to_string())
    }

    /// One unary call to the URL `path`: framed bytes in, the bare answer out.
    ///
    /// # Errors
    ///
    /// A transport's failure, or a status that is not OK.
    pub async fn unary(&self, path: &'static str, body: Bytes) -> Result<Bytes, String> {
        let (answer, mut send) = self.begin(path).await?;
        send.send_data(body, true).map_err(|cause| cause.to_string())?;
        let answer = answer.await.map_err(|cause| cause.to_string())?;
        judged(answer.headers(), Missing::StillToCome)?;
        let mut receive = answer.into_body();
        let mut read = Bytes::new();
        while let Some(data) = receive.data().await {
            let data = data.map_err(|cause| cause.to_string())?;
            receive.flow_control().release_capacity(data.len()).map_err(|cause| cause.to_string())?;
            // Nearly every answer is one frame, and then nothing is copied.
            read = if read.is_empty() { data } else { [read, data].concat().into() };
        }
        let trailers = receive.trailers().await.map_err(|cause| cause.to_string())?.unwrap_or_default();
        judged(&trailers, Missing::IsWrong)?;
        if read.len() < PREFIX_BYTES {
            return Err("an answer without a message".to_owned());
        }
        Ok(read.split_off(PREFIX_BYTES))
    }

    /// Opens a two-way stream; `ahead` batches go out before the first answer is awaited.
    ///
    /// # Errors
    ///
    /// A transport's failure, or a status.
    pub async fn two_way(
        &self,
        path: &'static str,
        bodies: Arc<[Bytes]>,
        (ahead, good): (u64, fn(&[u8]) -> bool),
    ) -> Result<TwoWay, String> {
        let (answer, mut send) = self.begin(path).await?;
        let mut out = 0;
        while out < ahead {
            let body = bodies[out as usize % bodies.len()].clone();
            send.send_data(body, false).map_err(|cause| cause.to_string())?;
            out += 1;
        }
        let answer = answer.await.map_err(|cause| cause.to_string())?;
        judged(answer.headers(), Missing::StillToCome)?;
        Ok(TwoWay { send, receive: answer.into_body(), read: BytesMut::new(), bodies, good, ahead, out })
    }
}

// === impl Unary ===

impl Unary {
    /// `slots` slots spread over the lines, that all ask the same questions from places of their own.
    pub fn slots(
        lines: &[Line],
        slots: usize,
        path: &'static str,
        bodies: &Arc<[Bytes]>,
        good: fn(&[u8]) -> bool,
    ) -> Vec<Self> {
        let slot =
            |n: usize| Self { line: lines[n % lines.len()].clone(), path, bodies: Arc::clone(bodies), good };
        (0..slots).map(slot).collect()
    }
}

impl Slot for Unary {
    async fn ask(&mut self, number: u64) -> Result<(), String> {
        let body = self.bodies[number as usize % self.bodies.len()].clone();
        let answer = self.line.unary(self.path, body).await?;
        if (self.good)(&answer) { Ok(()) } else { Err(format!("a wrong answer of {} bytes", answer.len())) }
    }
}

// === impl TwoWay ===

impl TwoWay {
    /// Sends one batch.
    ///
    /// # Errors
    ///
    /// A transport's failure.
    pub fn send(&mut self, body: Bytes) -> Result<(), String> {
        self.send.send_data(body, false).map_err(|cause| cause.to_string())
    }

    /// The next message, bare.
    ///
    /// # Errors
    ///
    /// A transport's failure, or the end of the stream.
    pub async fn next(&mut self) -> Result<Bytes, String> {
        loop {
            if let Some(message) = self.take() {
                return Ok(message);
            }
            let Some(data) = self.receive.data().await else {
                let trailers = self.receive.trailers().await.map_err(|cause| cause.to_string())?;
                judged(&trailers.unwrap_or_default(), Missing::IsWrong)?;
                return Err("the stream ended".to_owned());
            };
            let data = data.map_err(|cause| cause.to_string())?;
            self.receive.flow_control().release_capacity(data.len()).map_err(|cause| cause.to_string())?;
            self.read.extend_from_slice(&data);
        }
    }

    fn take(&mut self) -> Option<Bytes> {
        let prefix = self.read.get(..PREFIX_BYTES)?;
        let length = (&prefix[1..]).get_u32() as usize;
        if self.read.len() < PREFIX_BYTES + length {
            return None;
        }
        let mut message = self.read.split_to(PREFIX_BYTES + length);
        message.advance(PREFIX_BYTES);
        Some(message.freeze())
    }
}

impl Slot for TwoWay {
    /// Awaits one answer and sends one batch more, so that `ahead` of them stay out.
    async fn ask(&mut self, _number: u64) -> Result<(), String> {
        let answer = self.next().await?;
        if !(self.good)(&answer) {
            return Err(format!("a wrong answer of {} bytes", answer.len()));
        }
        debug_assert!(self.ahead > 0, "a batch is out");
        let body = self.bodies[self.out as usize % self.bodies.len()].clone();
        self.out += 1;
        self.send(body)
    }
}

// === free functions ===

/// A message with its prefix, as it goes over the wire.
pub fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).expect("a short message"));
    message.encode(&mut bytes).expect("a buffer grows");
    bytes.freeze()
}

/// Whether a status may still be missing where it is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    StillToCome,
    IsWrong,
}

fn judged(headers: &HeaderMap, missing: Missing) -> Result<(), String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        Some("0") => Ok(()),
        None if missing == Missing::StillToCome => Ok(()),
        code => {
            let message = text("grpc-message").unwrap_or_default();
            Err(format!("status {}: {message}", code.unwrap_or("missing")))
        }
    }
}
