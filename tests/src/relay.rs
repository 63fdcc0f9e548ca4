//! [`Relay`]: a wire between a client and a daemon that can be cut, stalled and led elsewhere.
//!
//! It has one address for as long as it lives, whichever daemon is behind it, so that a client can be
//! told once. Bytes are passed on as they come; nothing is looked at.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the wire is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Bytes pass.
    Open,
    /// Connections stay, and nothing passes: a peer that went silent.
    Stalled,
    /// Connections are closed, and new ones at once.
    Cut,
}

/// A wire. It ends with its runtime.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    behind: Arc<AtomicU16>,
    line: watch::Sender<Line>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// A wire to the port of the daemon.
    ///
    /// # Panics
    ///
    /// When the system has no port left.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (behind, line) = (Arc::new(AtomicU16::new(port)), watch::Sender::new(Line::Open));
        let (target, state) = (Arc::clone(&behind), line.subscribe());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *state.borrow() != Line::Cut {
                    tokio::spawn(pass(client, target.load(Ordering::Relaxed), state.clone()));
                }
            }
        });
        Self { address, behind, line, accepting }
    }

    /// Where it listens, as the address of a broker.
    pub fn addr(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Leads new connections to another port.
    pub fn lead_to(&self, port: u16) {
        self.behind.store(port, Ordering::Relaxed);
    }

    /// Changes how the wire is, for the connections that there are too.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(client: TcpStream, port: u16, state: watch::Receiver<Line>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut cut = state.clone();
    tokio::select! {
        () = copy(from_client, to_server, state.clone()) => {}
        () = copy(from_server, to_client, state) => {}
        _ = cut.wait_for(|line| *line == Line::Cut) => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<Line>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if state.wait_for(|line| *line == Line::Open).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
