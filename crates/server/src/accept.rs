//! The accept loop: TCP in, finished TLS connections out, within bounds.
//!
//! What always holds: at most so many connections at once, handshakes in flight included; a
//! handshake that does not end in time is closed, and so is a peer that then sends no preface; an accept error (out of descriptors, a peer gone
//! already) pauses the loop and never ends it; a connection that agreed on no protocol with us is
//! closed. Each finished connection carries who is at its other end as [`Peer`].
//!
//! It does not judge certificates beyond what the verifier in the TLS configuration did, and it
//! reads no byte of any protocol.

use locum_model::limits::CONNECTIONS_READY_MAX;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use locum_identity::{Peer, Refusal, Trust};
use locum_model::Timestamp;
use locum_model::limits::{CONNECTIONS_MAX, HANDSHAKE_TIMEOUT};
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tasks::{Group, Stopping};
use ahead::Ahead;
use gathered::Gathered;

mod ahead;
mod gathered;

/// Bytes of the HTTP/2 connection preface; no request of HTTP/1.1 is shorter.
const PREFACE_BYTES: usize = 24;
/// The pause after an accept error that is ours: no descriptors, no memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bounds of one listener.
#[derive(Clone, Debug)]
pub struct AcceptOptions {
    /// A handshake has to end within this.
    pub handshake_timeout: Duration,
    /// Connections at once, handshakes included.
    pub connections: Arc<Semaphore>,
    /// What becomes of a client that offers no protocol.
    pub without_alpn: WithoutAlpn,
}

/// What becomes of a client that offers no protocol in its handshake (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutAlpn {
    /// Its connection is closed: nothing but HTTP/2 is spoken here.
    Closed,
    /// It is taken to speak HTTP/1.1, as clients of documents do that know no ALPN.
    Http1,
}

/// Who is at the other end of a connection, as TLS saw it.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The address.
    pub address: SocketAddr,
    /// The certificates that it showed, leaf first; none when it showed nothing.
    pub chain: Option<Arc<[CertificateDer<'static>]>>,
    /// What they prove, judged at the connection's first request.
    judged: Arc<OnceLock<Result<Peer, Refusal>>>,
}

/// A connection whose handshake is done. Its place is free again when it is dropped.
#[derive(Debug)]
pub struct Connection {
    stream: Gathered<TlsStream<Ahead<TcpStream>>>,
    remote: Remote,
    opening: Option<Opening>,
    _place: OwnedSemaphorePermit,
}

/// The first bytes after the handshake: they too have to come in time (RFC 9113 section 3.4).
#[derive(Debug)]
struct Opening {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
}

/// Finished connections, for whoever serves them.
#[derive(Debug)]
pub struct Incoming(mpsc::Receiver<Connection>);

/// What became of a connection attempt, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// The handshake finished.
    Accepted,
    /// The peer failed the handshake, or we refused it.
    HandshakeFailed,
    /// It did not end in time.
    HandshakeTimedOut,
    /// Too many connections.
    TooMany,
    /// The system could not accept.
    AcceptFailed,
}

/// Told about every attempt. Called on the accept loop: it must not block.
pub type Observer = Arc<dyn Fn(Attempt) + Send + Sync>;

/// The loop's end of a listener; [`Accept::run`] is the loop.
pub struct Accept {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    options: AcceptOptions,
    observer: Observer,
    ready: mpsc::Sender<Connection>,
}

// === impl AcceptOptions ===

impl Default for AcceptOptions {
    fn default() -> Self {
        Self {
            handshake_timeout: HANDSHAKE_TIMEOUT,
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            without_alpn: WithoutAlpn::Closed,
        }
    }
}

// === impl Accept ===

impl Accept {
    /// Joins a bound listener with its TLS configuration.
    pub fn new(
        listener: TcpListener,
        tls: Arc<ServerConfig>,
        options: AcceptOptions,
        observer: Observer,
    ) -> (Self, Incoming) {
        let (ready, incoming) = mpsc::channel(CONNECTIONS_READY_MAX);
        (Self { listener, acceptor: tls.into(), options, observer, ready }, Incoming(incoming))
    }

    /// Accepts until told to stop or until nobody takes the connections any more.
    ///
    /// # Errors
    ///
    /// None today: accept errors are waited out. The type is what [`Tasks`](crate::tasks::Tasks) wants.
    pub async fn run(self, mut stopping: Stopping) -> Result<(), String> {
        let mut handshakes = Group::new();
        loop {
            tokio::select! {
                () = stopping.wait() => return Ok(()),
                () = self.ready.closed() => return Ok(()),
                Some(attempt) = handshakes.next() => (self.observer)(attempt),
                accepted = self.listener.accept() => match accepted {
                    Ok((tcp, address)) => self.begin(tcp, address, &mut handshakes),
                    Err(error) => self.after_error(&error).await,
                },
            }
        }
    }

    fn begin(&self, tcp: TcpStream, address: SocketAddr, handshakes: &mut Group<Attempt>) {
        let Ok(place) = self.options.connections.clone().try_acquire_owned() else {
            return (self.observer)(Attempt::TooMany);
        };
        let (acceptor, ready) = (self.acceptor.clone(), self.ready.clone());
        let AcceptOptions { handshake_timeout: timeout, without_alpn, .. } = self.options;
        handshakes.start(async move {
            match tokio::time::timeout(timeout, handshake(acceptor, tcp, without_alpn)).await {
                Err(_elapsed) => Attempt::HandshakeTimedOut,
                Ok(Err(error)) => {
                    tracing::debug!(%address, %error, "handshake failed");
                    Attempt::HandshakeFailed
                }
                Ok(Ok(stream)) => {
                    let remote = Remote { address, chain: chain_of(&stream), judged: Arc::default() };
                    // Closed only when the server stops; the connection then ends with it.
                    let deadline = Box::pin(tokio::time::sleep(timeout));
                    let opening = Some(Opening { missing: PREFACE_BYTES, deadline });
                    let stream = Gathered::new(stream);
                    let _ = ready.send(Connection { stream, remote, opening, _place: place }).await;
                    Attempt::Accepted
                }
            }
        });
    }

    /// A peer that left is its own affair; anything else may be ours and would spin.
    async fn after_error(&self, error: &io::Error) {
        (self.observer)(Attempt::AcceptFailed);
        if !is_the_peers(error) {
            tracing::warn!(%error, "cannot accept connections just now");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

fn is_the_peers(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

async fn handshake(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    without_alpn: WithoutAlpn,
) -> io::Result<TlsStream<Ahead<TcpStream>>> {
    tcp.set_nodelay(true)?;
    let stream = acceptor.accept(Ahead::new(tcp)).await?;
    // rustls lets a client through that offers no ALPN at all.
    match stream.get_ref().1.alpn_protocol() {
        Some(_) => Ok(stream),
        None if without_alpn == WithoutAlpn::Http1 => Ok(stream),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "no protocol was agreed on (ALPN)")),
    }
}

fn chain_of<S>(stream: &TlsStream<S>) -> Option<Arc<[CertificateDer<'static>]>> {
    let shown = stream.get_ref().1.peer_certificates()?;
    Some(shown.iter().map(|cert| cert.clone().into_owned()).collect())
}

// === impl Remote ===

impl Remote {
    /// Somebody who showed nothing.
    #[cfg(test)]
    pub(crate) fn unknown(address: SocketAddr) -> Self {
        Self { address, chain: None, judged: Arc::default() }
    }

    /// The identity that its certificates prove; none when it showed nothing.
    ///
    /// The chain is judged once for the connection: `caller` looks at its end, and at whether its
    /// authority is still trusted, on every request.
    pub fn peer(&self, trust: &Trust, now: Timestamp) -> Option<Result<&Peer, &Refusal>> {
        let chain = self.chain.as_ref()?;
        Some(self.judged.get_or_init(|| locum_identity::peer(trust, chain, now)).as_ref())
    }
}

// === impl Connection ===

impl Connection {
    /// Who is at its other end.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// The protocol agreed on (RFC 7301).
    pub fn protocol(&self) -> Option<&[u8]> {
        self.stream.get_ref().get_ref().1.alpn_protocol()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let Some(opening) = &mut self.opening else { return read };
        opening.missing = opening.missing.saturating_sub(buf.filled().len() - before);
        if opening.missing == 0 {
            self.opening = None;
            return read;
        }
        if read.is_pending() && opening.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the first bytes did not come in time",
            )));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

// === impl Incoming ===

impl Incoming {
    /// The next connection; `None` once the loop has ended.
    pub async fn next(&mut self) -> Option<Connection> {
        self.0.recv().await
    }
}

#[cfg(test)]
mod tests;
