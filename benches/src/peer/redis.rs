//! Redis: opaque tokens that it neither decides on nor signs. Driven by its own `redis-benchmark`.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{Call, IN_FLIGHT, Peer, await_listener, folder, free_port, output};
use crate::process::{Cores, Process};

/// Keys that are there.
const KEYS: u32 = 200_000;

/// A running server.
pub struct Redis {
    /// Where it listens.
    pub address: SocketAddr,
    /// What is stored beside a token, in bytes.
    value_bytes: usize,
    process: Process,
    _dir: TempDir,
}

/// What becomes durable before the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// Nothing.
    Off,
    /// Everything: `appendfsync always`.
    Always,
}

impl Redis {
    /// Starts one, where it is installed, with as many bytes beside each token as ours answers.
    pub fn start(log: Log, value_bytes: usize) -> Option<Self> {
        let binary = folder("redis/usr/bin/redis-server");
        binary.exists().then_some(())?;
        let dir = tempfile::tempdir().expect("a directory");
        let address = free_port();
        let mut command = Command::new(binary);
        command.env("LD_LIBRARY_PATH", libraries()).current_dir(dir.path());
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""]);
        if log == Log::Always {
            command.args(["--appendonly", "yes", "--appendfsync", "always"]);
            command.args(["--auto-aof-rewrite-percentage", "0"]);
        }
        let process = Process::start("redis-server", &mut command, Cores::One);
        await_listener(address);
        Some(Self { address, value_bytes, process, _dir: dir })
    }

    /// Stores a token behind every key.
    pub fn fill(&self) {
        let value = "v".repeat(self.value_bytes);
        self.run(KEYS, 16, &["SET", "token:__rand_int__", &value]);
    }

    /// Tokens looked up a second, `pipelined` in one write.
    pub fn checks(&self, pipelined: u32, span: Duration) -> f64 {
        self.over(span, pipelined, &["GET", "token:__rand_int__"])
    }

    /// Tokens stored a second, each with an expiry.
    fn issues(&self, span: Duration) -> f64 {
        let value = "v".repeat(self.value_bytes);
        self.over(span, 1, &["SET", "token:__rand_int__", &value, "EX", "900"])
    }

    /// Tokens deleted a second. Few enough of them that nearly all are there: one that is gone costs no
    /// write.
    fn revokes(&self) -> f64 {
        self.fill();
        self.run(KEYS / 8, 1, &["DEL", "token:__rand_int__"])
    }

    fn over(&self, span: Duration, pipelined: u32, command: &[&str]) -> f64 {
        let trial = self.run(5_000 * pipelined, pipelined, command);
        let count = (trial * span.as_secs_f64()).max(1_000.0) as u32;
        self.run(count, pipelined, command)
    }

    fn run(&self, count: u32, pipelined: u32, command: &[&str]) -> f64 {
        let mut bench = Command::new(folder("redis/usr/bin/redis-benchmark"));
        bench.env("LD_LIBRARY_PATH", libraries());
        bench.args(["-h", "127.0.0.1", "-p", &self.address.port().to_string(), "--csv"]);
        bench.args(["-c", &IN_FLIGHT.to_string(), "-P", &pipelined.to_string()]);
        bench.args(["-r", &KEYS.to_string(), "-n", &count.to_string()]).args(command);
        rate_of(&output(&mut bench)).expect("redis-benchmark says a rate")
    }
}

impl Peer for Redis {
    fn process(&self) -> &Process {
        &self.process
    }

    async fn rate(&self, call: Call, span: Duration) -> Option<f64> {
        Some(match call {
            Call::Check => self.checks(1, span),
            Call::Issue => self.issues(span),
            Call::Revoke => self.revokes(),
        })
    }
}

/// Where the Debian packages' libraries were unpacked.
fn libraries() -> std::path::PathBuf {
    folder("redis/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH))
}

/// The second column of the last line of `redis-benchmark --csv`.
fn rate_of(csv: &str) -> Option<f64> {
    csv.lines().last()?.rsplit("\",\"").nth(6)?.trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_found() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\
                   \"p99_latency_ms\",\"max_latency_ms\"\n\
                   \"SET k \"\",\"\" v\",\"9615.39\",\"5.1\",\"1.2\",\"4.9\",\"9.5\",\"11.1\",\"12.0\"";
        assert_eq!(rate_of(csv), Some(9615.39));
        assert_eq!(rate_of("nothing"), None);
    }
}
