//! Delivery yardsticks: how long one message takes from a publisher to its subscribers, through NATS or
//! Redis. Subscribers have a connection each and share one thread, as followers of our feed do here.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::redis::{Log, Redis};
use super::{await_listener, folder, free_port};
use crate::histogram::Histogram;
use crate::process::{Cores, Process};

/// Messages that are timed, to one subscriber; to more there are fewer.
const MESSAGES: usize = 2_000;
const MESSAGES_MIN: usize = 100;
/// Every subscriber has a message within this.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is said to a server, and what it says.
struct Speech<'a> {
    /// Subscribes.
    subscribe: &'a str,
    /// Begins the line after which the subscriber is one.
    done: &'a str,
    /// Before the first message of a publisher.
    hello: &'a str,
    publish: &'a str,
    /// Begins a line of every message that arrives, and no other.
    arrives: &'static str,
}

/// Delivery through `nats-server`, where it is installed.
pub async fn nats(subscribers: usize) -> Option<Histogram> {
    let binary = folder("nats/nats-server");
    binary.exists().then_some(())?;
    let address = free_port();
    let mut command = Command::new(binary);
    command.args(["-a", "127.0.0.1", "-p", &address.port().to_string()]);
    let _server = Process::start("nats-server", &mut command, Cores::One);
    await_listener(address);
    let hello = "CONNECT {\"verbose\":false}\r\n";
    let subscribe = format!("{hello}SUB revoked 1\r\nPING\r\n");
    let payload = "r".repeat(200);
    let publish = format!("PUB revoked {}\r\n{payload}\r\n", payload.len());
    let speech =
        Speech { subscribe: &subscribe, done: "PONG", hello, publish: &publish, arrives: "MSG revoked" };
    Some(delivery(address, subscribers, speech).await)
}

/// Delivery through Redis's publish and subscribe, where it is installed.
pub async fn redis(subscribers: usize) -> Option<Histogram> {
    let redis = Redis::start(Log::Off, 0)?;
    let payload = "r".repeat(200);
    let publish = format!("*3\r\n$7\r\nPUBLISH\r\n$7\r\nrevoked\r\n${}\r\n{payload}\r\n", payload.len());
    let subscribe = "*2\r\n$9\r\nSUBSCRIBE\r\n$7\r\nrevoked\r\n";
    let speech = Speech { subscribe, done: ":1", hello: "", publish: &publish, arrives: "rrrr" };
    Some(delivery(redis.address, subscribers, speech).await)
}

/// Subscribes them all, then publishes one message at a time and waits until everybody has it.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
async fn delivery(address: SocketAddr, subscribers: usize, speech: Speech<'_>) -> Histogram {
    let (tells, mut told) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for _ in 0..subscribers {
        let mut subscriber = BufReader::new(open(address).await);
        subscriber.get_mut().write_all(speech.subscribe.as_bytes()).await.expect("written");
        until(speech.done, &mut subscriber).await;
        let (tells, arrives) = (tells.clone(), speech.arrives);
        tasks.spawn(async move {
            loop {
                until(arrives, &mut subscriber).await;
                let _ = tells.send(Instant::now());
            }
        });
    }
    let mut publisher = open(address).await;
    publisher.write_all(speech.hello.as_bytes()).await.expect("written");
    let mut taken = Histogram::default();
    let messages = (MESSAGES / subscribers).max(MESSAGES_MIN);
    for message in 0..messages {
        let sent = Instant::now();
        publisher.write_all(speech.publish.as_bytes()).await.expect("written");
        for _ in 0..subscribers {
            let arrived = tokio::time::timeout(PATIENCE, told.recv()).await.expect("in time");
            let arrived = arrived.expect("a sender is here");
            if message > messages / 10 {
                taken.add(arrived - sent);
            }
        }
    }
    taken
}

async fn open(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("set");
    stream
}

/// Reads lines until one begins like this.
async fn until(begins: &str, subscriber: &mut BufReader<TcpStream>) {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(subscriber.read_line(&mut line).await.expect("read") > 0, "the server left");
        if line.starts_with(begins) {
            return;
        }
    }
}
