//! The archive over made-up histories, against a naive scan of the same events.

mod damage;
mod naive;
mod retention;
mod search;
mod texts;
mod world;

use std::path::Path;
use std::sync::Arc;

use locum_model::{Committed, Entropy, EntropyFailed, Event};
use parking_lot::Mutex;

use crate::Archive;

/// Counts up: every draw is another one, and every run the same.
#[derive(Default)]
struct Counting(Mutex<u64>);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        for byte in bytes {
            let mut state = self.0.lock();
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (*state >> 56) as u8;
        }
        Ok(())
    }
}

/// The archive in `dir`; nothing may be found damaged.
fn opened(dir: &Path) -> Archive {
    let mut lost = |name: &'static str, cause: &crate::ArchiveError| panic!("{name} was lost: {cause}");
    Archive::open(dir, Arc::new(Counting::default()), &mut lost).expect("opens")
}

/// An archive of `events`, indexed a few at a time.
fn filled(dir: &Path, events: &[Committed<Event>]) -> Archive {
    let archive = opened(dir);
    for batch in events.chunks(64) {
        archive.index(batch).expect("indexed");
    }
    archive
}
