//! [`Relay`]: a wire between a client and a daemon that can be cut, stalled, slowed, made to lose or
//! double what passes, and led elsewhere.
//!
//! It has one address for as long as it lives, whichever daemon is behind it, so that a client can be
//! told once. Nothing is looked at: pieces are what one read gives. How the wire is, is looked at when a
//! piece is passed on: once [`Relay::set`] has returned, no piece passes that the line does not let pass.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Pieces that are on their way in one direction; more are not read.
const ON_THEIR_WAY_MAX: usize = 64;

/// How the wire is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Bytes pass.
    Open,
    /// Connections stay, and nothing passes: a peer that went silent.
    Stalled,
    /// Connections are closed, and new ones at once.
    Cut,
    /// What comes passes so much later, in order.
    Late(Duration),
    /// Of the pieces, one in so many is lost. Over TLS that ends the connection, once the next one comes.
    Losing(u32),
    /// One in so many comes twice. Over TLS that ends the connection.
    Doubling(u32),
    /// One in so many closes its connection.
    Breaking(u32),
}

/// A wire. It ends with its runtime.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    behind: Arc<AtomicU16>,
    line: watch::Sender<Line>,
    accepted: Arc<AtomicU32>,
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
        let (target, state, pieces) = (Arc::clone(&behind), line.subscribe(), Arc::default());
        let accepted = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&accepted);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                if *state.borrow() != Line::Cut {
                    let port = target.load(Ordering::Relaxed);
                    tokio::spawn(pass(client, port, state.clone(), Arc::clone(&pieces)));
                }
            }
        });
        Self { address, behind, line, accepted, accepting }
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where it listens, as the address of a broker.
    pub fn addr(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// How many connections were ever made to it.
    pub fn accepted(&self) -> u32 {
        self.accepted.load(Ordering::Relaxed)
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

async fn pass(client: TcpStream, port: u16, state: watch::Receiver<Line>, pieces: Arc<AtomicU32>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut cut = state.clone();
    tokio::select! {
        () = copy(from_client, to_server, state.clone(), &pieces) => {}
        () = copy(from_server, to_client, state, &pieces) => {}
        _ = cut.wait_for(|line| *line == Line::Cut) => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<Line>,
    pieces: &AtomicU32,
) {
    let (send, mut queue) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THEIR_WAY_MAX);
    let reading = async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            if send.send((Instant::now(), buffer[..read].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((came, piece)) = queue.recv().await {
            let Some(times) = how_often(came, &mut state, pieces).await else { return };
            for _ in 0..times {
                if to.write_all(&piece).await.is_err() {
                    return;
                }
            }
        }
    };
    tokio::pin!(writing);
    tokio::select! {
        () = reading => writing.await,
        () = &mut writing => {}
    }
}

/// How often a piece is passed on, once it may be; none for a connection that has to end.
async fn how_often(came: Instant, state: &mut watch::Receiver<Line>, pieces: &AtomicU32) -> Option<usize> {
    loop {
        let line = *state.wait_for(|line| *line != Line::Stalled).await.ok()?;
        let is_hit = |of: u32| pieces.fetch_add(1, Ordering::Relaxed) % of == of - 1;
        return match line {
            Line::Cut => None,
            Line::Late(by) if Instant::now() < came + by => {
                tokio::select! {
                    () = sleep_until(came + by) => {}
                    changed = state.changed() => changed.ok()?,
                }
                continue;
            }
            Line::Losing(of) if is_hit(of) => Some(0),
            Line::Doubling(of) if is_hit(of) => Some(2),
            Line::Breaking(of) if is_hit(of) => None,
            _ => Some(1),
        };
    }
}
