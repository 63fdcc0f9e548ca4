//! What the revocation feed carries: entries in journal order, numbers only.
//!
//! The fold publishes here before it wakes the caller. Encoding, signing and numbering of frames
//! is the server's; it does that once for all followers.

use std::sync::Arc;

use locum_model::limits::{CLOCK_SKEW_MAX, FEED_BUFFER_FRAMES, TASK_DEADLINE_MAX, TOKEN_TTL_MAX};
use locum_model::{Committed, Event, Position, Target, Timestamp};
use locum_table::Applied;
use tokio::sync::{broadcast, watch};

use crate::fold::Verdict;

/// Everything at a target that was decided at or below a position is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// What.
    pub target: Target,
    /// The newest decision that is dead.
    pub below: Position,
    /// From when it may be forgotten; never for signing keys.
    pub drop_after: Option<Timestamp>,
}

/// What one event adds to the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedDelta {
    /// Where the event stands.
    pub position: Position,
    /// The entries; never empty.
    pub entries: Vec<FeedEntry>,
}

/// The publishing side.
pub(crate) struct Feed {
    deltas: broadcast::Sender<Arc<FeedDelta>>,
    /// The newest applied sequence; followers of the record wait on it.
    head: watch::Sender<u64>,
    /// Counts events that may have ended a task; holders wait on it.
    endings: watch::Sender<u64>,
}

// === impl Feed ===

impl Feed {
    pub(crate) fn new() -> Self {
        Self {
            deltas: broadcast::Sender::new(FEED_BUFFER_FRAMES),
            head: watch::Sender::new(0),
            endings: watch::Sender::new(0),
        }
    }

    /// Publishes what `committed` means to those who follow.
    pub(crate) fn publish(&self, committed: &Committed<Event>, verdict: &Verdict) {
        self.head.send_replace(committed.position().sequence);
        if matches!(verdict, Verdict::Repeated | Verdict::Applied(Applied::TooLate(_))) {
            return;
        }
        let entries = entries_of(committed);
        if entries.is_empty() {
            return;
        }
        self.endings.send_modify(|count| *count += 1);
        // Nobody may be following.
        let _ = self.deltas.send(Arc::new(FeedDelta { position: committed.position(), entries }));
    }

    pub(crate) fn follow(&self) -> broadcast::Receiver<Arc<FeedDelta>> {
        self.deltas.subscribe()
    }

    pub(crate) fn followers(&self) -> usize {
        self.deltas.receiver_count()
    }

    pub(crate) fn head(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    pub(crate) fn endings(&self) -> watch::Receiver<u64> {
        self.endings.subscribe()
    }
}

fn entries_of(committed: &Committed<Event>) -> Vec<FeedEntry> {
    let position = committed.position();
    let entry = |target: Target, below: Position, at: Timestamp| FeedEntry {
        target,
        below,
        drop_after: drop_after(target, at),
    };
    match committed.event() {
        // Whatever the task's tokens were decided at, they are dead: no later one can be issued.
        Event::TaskEnded(ended) => vec![entry(Target::Task(ended.task), position, ended.at)],
        Event::TaskLapsed(lapsed) => vec![entry(Target::Task(lapsed.task), position, lapsed.at)],
        Event::KeyRetired(key) => vec![entry(Target::SigningKey(key.kid), position, key.at)],
        Event::RegistryActivated(activated) => {
            let dead = |target: &Target| entry(*target, position.watermark(), activated.at);
            activated.removed.iter().map(dead).collect()
        }
        Event::Revoked(revoked) => {
            let below = revoked.until.unwrap_or(position.watermark()).min(position.watermark());
            revoked.targets.iter().map(|target| entry(*target, below, revoked.at)).collect()
        }
        Event::KeyPublished(_)
        | Event::KeyActivated(_)
        | Event::PolicyActivated(_)
        | Event::TaskStarted(_)
        | Event::TokenIssued(_)
        | Event::TokenUsed(_)
        | Event::ChecksSummed(_)
        | Event::DenialsSummed(_)
        | Event::Locked(_)
        | Event::Unlocked(_) => Vec::new(),
    }
}

/// A watermark may go once nothing that it covers can live; a task may still start children.
pub(crate) fn drop_after(target: Target, at: Timestamp) -> Option<Timestamp> {
    match target {
        Target::SigningKey(_) => None,
        Target::Token(_) => Some(at.plus(TOKEN_TTL_MAX + CLOCK_SKEW_MAX)),
        _ => Some(at.plus(TASK_DEADLINE_MAX + TOKEN_TTL_MAX + CLOCK_SKEW_MAX)),
    }
}
