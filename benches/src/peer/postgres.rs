//! PostgreSQL: a table of tokens, prepared statements, `fsync` on. Driven by its own `pgbench`.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{Call, IN_FLIGHT, Peer, await_listener, folder, free_port, output};
use crate::process::{Cores, Process};

/// Debian's `nobody`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

const TABLE: &str = "CREATE TABLE token (id bigserial PRIMARY KEY, digest bytea NOT NULL, claims text NOT NULL, \
     expires timestamptz NOT NULL, revoked boolean NOT NULL DEFAULT false); \
     CREATE UNIQUE INDEX ON token (digest); \
     INSERT INTO token (digest, claims, expires) SELECT sha256(n::text::bytea), repeat('c', 250), \
     now() + interval '1 hour' FROM generate_series(1, 100000) n; ANALYZE token;";
const CHECK: &str = "\\set n random(1, 100000)\nSELECT claims FROM token WHERE digest = sha256((:n)::text::bytea) \
     AND expires > now() AND NOT revoked;\n";
const ISSUE: &str = "\\set n random(1, 9000000000000000000)\nINSERT INTO token (digest, claims, expires) VALUES \
     (sha256((:n)::text::bytea), repeat('c', 250), now() + interval '15 minutes');\n";
const REVOKE: &str = "\\set n random(1, 100000)\nUPDATE token SET revoked = true WHERE id = :n;\n";

/// A running server.
pub struct Postgres {
    port: u16,
    bin: PathBuf,
    dir: TempDir,
    process: Process,
}

impl Postgres {
    /// Starts one, where it is installed, with a table of tokens.
    pub fn start() -> Option<Self> {
        let places = [folder("postgres/usr/lib/postgresql/15/bin"), "/usr/lib/postgresql/15/bin".into()];
        let bin = places.into_iter().find(|bin| bin.join("pgbench").exists())?;
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("set");
        let data = dir.path().join("data");
        std::fs::create_dir(&data).expect("made");
        if rustix::process::geteuid().is_root() {
            chown(&data, Some(NOBODY), Some(NOBODY)).expect("given away");
        }
        output(as_nobody(&bin, "initdb").args(["-A", "trust", "-U", "bench", "-D"]).arg(&data));
        let address = free_port();
        let mut server = as_nobody(&bin, "postgres");
        server.arg("-D").arg(&data).args(["-p", &address.port().to_string(), "-k", ""]);
        server.args(["-c", "max_connections=200", "-c", "shared_buffers=256MB"]);
        let process = Process::start("postgres", &mut server, Cores::One);
        await_listener(address);
        let postgres = Self { port: address.port(), bin, dir, process };
        // It listens a moment before it answers.
        for _ in 0..100 {
            if postgres.command("pg_isready").output().is_ok_and(|ready| ready.status.success()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        output(postgres.command("psql").args(["-q", "-c", TABLE]));
        Some(postgres)
    }

    /// Transactions a second, `each` of them by each client.
    fn run(&self, script: &Path, each: u64) -> f64 {
        let mut bench = self.command("pgbench");
        bench.args(["-n", "-M", "prepared", "-j", "1", "-c", &IN_FLIGHT.to_string()]);
        bench.args(["-t", &each.max(20).to_string()]).arg("-f").arg(script);
        rate_of(&output(&mut bench)).expect("pgbench says a rate")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.env("LD_LIBRARY_PATH", libraries());
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "bench"]);
        command.env("PGDATABASE", "postgres");
        command
    }
}

impl Peer for Postgres {
    fn process(&self) -> &Process {
        &self.process
    }

    async fn rate(&self, call: Call, span: Duration) -> Option<f64> {
        let script = match call {
            Call::Check => CHECK,
            Call::Issue => ISSUE,
            Call::Revoke => REVOKE,
        };
        let file = self.dir.path().join("script");
        std::fs::write(&file, script).expect("written");
        // Counted, not timed: opening its 64 connections would eat a short span. Longer than others, because each of
        // its processes begins with empty caches.
        let trial = self.run(&file, 20);
        Some(self.run(&file, (trial * 3.0 * span.as_secs_f64() / IN_FLIGHT as f64) as u64))
    }
}

/// A program of the server, not as root.
fn as_nobody(bin: &Path, program: &str) -> Command {
    let mut command = Command::new(bin.join(program));
    command.env("LD_LIBRARY_PATH", libraries()).env("LC_ALL", "C");
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn libraries() -> PathBuf {
    folder("postgres/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH))
}

/// What stands behind `tps = `.
fn rate_of(said: &str) -> Option<f64> {
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = "))?;
    rate.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_found() {
        let said = "latency average = 9.6 ms\ntps = 6630.3 (without initial connection time)\n";
        assert_eq!(rate_of(said), Some(6630.3));
        assert_eq!(rate_of("nothing"), None);
    }
}
