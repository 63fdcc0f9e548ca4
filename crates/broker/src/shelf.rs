//! [`Shelf`]: the archive's place in the broker, whether or not there is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use locum_archive::{Archive, Waiting};
use locum_journal::Events;
use parking_lot::Mutex;

/// The archive's place in the broker.
#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) archive: ArcSwapOption<Archive>,
    /// Somebody will attach an archive: texts are left for it.
    pub(crate) expected: AtomicBool,
    pub(crate) waiting: Waiting,
    pub(crate) feed: Mutex<Feeding>,
    /// The newest sequence that is indexed.
    pub(crate) indexed: AtomicU64,
    /// An operator wants the index to be made anew.
    pub(crate) again: AtomicBool,
    /// A reader met damage: somebody has to look.
    pub(crate) suspect: AtomicBool,
    pub(crate) rebuilds: AtomicU64,
    pub(crate) trouble: Mutex<Option<String>>,
}

/// What feeding the archive keeps between two steps.
#[derive(Default)]
pub(crate) struct Feeding {
    /// The index was found to be one of this journal.
    pub(crate) checked: bool,
    /// Where reading stands; begins anew when the index does.
    pub(crate) events: Option<(u64, Events)>,
}

impl Shelf {
    pub(crate) fn get(&self) -> Option<Arc<Archive>> {
        self.archive.load_full()
    }

    /// Whether texts are to be left for an archive.
    pub(crate) fn is_expected(&self) -> bool {
        self.expected.load(Ordering::Relaxed)
    }

    /// Notes what is wrong, loudly when it is news.
    pub(crate) fn note_trouble(&self, what: Option<String>) {
        let mut trouble = self.trouble.lock();
        match &what {
            Some(line) if *trouble != what => tracing::error!(cause = %line, "the archive"),
            None if trouble.is_some() => tracing::info!("the archive works again"),
            _ => {}
        }
        *trouble = what;
    }
}
