//! A broker on a real disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How a broker of a bench is set.
pub fn broker_options() -> locum_broker::Options {
    locum_broker::Options {
        issuer: "https://locum.acme.test".into(),
        journal: locum_journal::Options { home: 1, ..locum_journal::Options::default() },
        key_publish_ahead: Duration::from_secs(3600),
        key_rotate_every: Duration::from_secs(86_400),
        proofs_max: locum_model::limits::PROOFS_REMEMBERED_MAX,
    }
}

/// The real world for a broker whose journal is in `dir`'s `journal`; keys stay in memory.
pub fn surroundings(dir: &Path) -> locum_broker::Surroundings {
    let clock = locum_server::clock::SystemClock::open(&dir.join("clock")).expect("a clock");
    locum_broker::Surroundings {
        clock: Arc::new(clock),
        entropy: Arc::new(locum_server::entropy::OsEntropy::new()),
        files: Arc::new(locum_journal::DiskFiles::open(dir.join("journal")).expect("a journal directory")),
        keys: Arc::new(locum_token::MemoryKeyStore::default()),
    }
}
