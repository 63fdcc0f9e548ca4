//! Delivery yardsticks: how long one message takes from a publisher to a subscriber, through NATS or Redis.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Instant;

use super::redis::{Log, Redis};
use super::{await_listener, folder, free_port};
use crate::histogram::Histogram;
use crate::process::{Cores, Process};

/// Messages that are timed.
const MESSAGES: usize = 2_000;

/// Delivery through `nats-server`, where it is installed.
pub fn nats() -> Option<Histogram> {
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
    Some(delivery(address, (&subscribe, "PONG"), (hello, &publish), "MSG revoked"))
}

/// Delivery through Redis's publish and subscribe, where it is installed.
pub fn redis() -> Option<Histogram> {
    let redis = Redis::start(Log::Off, 0)?;
    let payload = "r".repeat(200);
    let publish = format!("*3\r\n$7\r\nPUBLISH\r\n$7\r\nrevoked\r\n${}\r\n{payload}\r\n", payload.len());
    let subscribe = "*2\r\n$9\r\nSUBSCRIBE\r\n$7\r\nrevoked\r\n";
    Some(delivery(redis.address, (subscribe, ":1"), ("", &publish), "rrrr"))
}

/// Subscribes until a line begins with what says that it is done, then publishes one message at a time.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn delivery(
    address: SocketAddr,
    (subscribe, done): (&str, &str),
    (hello, publish): (&str, &str),
    arrives: &str,
) -> Histogram {
    let open = || {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("set");
        stream
    };
    let mut subscriber = BufReader::new(open());
    subscriber.get_ref().write_all(subscribe.as_bytes()).expect("written");
    let mut line = String::new();
    let mut until = |begins: &str, subscriber: &mut BufReader<TcpStream>| loop {
        line.clear();
        assert!(subscriber.read_line(&mut line).expect("read") > 0, "the server left");
        if line.starts_with(begins) {
            return;
        }
    };
    until(done, &mut subscriber);
    let mut publisher = open();
    publisher.write_all(hello.as_bytes()).expect("written");
    let mut taken = Histogram::default();
    for message in 0..MESSAGES {
        let sent = Instant::now();
        publisher.write_all(publish.as_bytes()).expect("written");
        until(arrives, &mut subscriber);
        if message > MESSAGES / 10 {
            taken.add(sent.elapsed());
        }
    }
    taken
}
