//! [`InForce`]: everything that a follower who comes now has to hear.
//!
//! Entries join by maximum and are forgotten once nothing that they cover can live anywhere.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use locum_model::{ConnectorNo, Target, Timestamp};

use super::FeedEntry;

/// The entries for all partitions, and those for one.
#[derive(Default)]
pub(crate) struct InForce {
    all: BTreeMap<Target, FeedEntry>,
    of: BTreeMap<ConnectorNo, BTreeMap<Target, FeedEntry>>,
    due: BTreeSet<(Timestamp, Option<ConnectorNo>, Target)>,
}

/// How far a reader of a partition's entries is; the default is the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    after: Option<Target>,
    in_own: bool,
}

// === impl InForce ===

impl InForce {
    /// Joins an entry with what is known, for one partition or for all.
    pub(crate) fn raise(&mut self, partition: Option<ConnectorNo>, entry: FeedEntry) {
        let entries = match partition {
            Some(connector) => self.of.entry(connector).or_default(),
            None => &mut self.all,
        };
        let drop_after = match entries.entry(entry.target) {
            Slot::Vacant(slot) => slot.insert(entry).drop_after,
            Slot::Occupied(mut slot) => {
                let known = slot.get_mut();
                known.below = known.below.max(entry.below);
                // None is for ever.
                known.drop_after = match (known.drop_after, entry.drop_after) {
                    (Some(one), Some(other)) => Some(one.max(other)),
                    (None, _) | (_, None) => None,
                };
                known.drop_after
            }
        };
        if let Some(at) = drop_after {
            self.due.insert((at, partition, entry.target));
        }
    }

    /// The next entries of a partition, at most `most`; none at its end.
    ///
    /// What is raised while somebody reads may be given or not: it comes as a delta in any case.
    pub(crate) fn read(&self, connector: ConnectorNo, cursor: &mut Cursor, most: usize) -> Vec<FeedEntry> {
        let after =
            |cursor: &Cursor| (cursor.after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        if !cursor.in_own {
            let read: Vec<_> = self.all.range(after(cursor)).take(most).map(|(_, entry)| *entry).collect();
            if let Some(last) = read.last() {
                cursor.after = Some(last.target);
                return read;
            }
            *cursor = Cursor { after: None, in_own: true };
        }
        let own = self.of.get(&connector).map(|own| own.range(after(cursor)));
        let read: Vec<_> = own.into_iter().flatten().take(most).map(|(_, entry)| *entry).collect();
        cursor.after = read.last().map(|entry| entry.target).or(cursor.after);
        read
    }

    /// Forgets at most `most` entries that cover nothing any more.
    pub(crate) fn free(&mut self, now: Timestamp, most: usize) -> usize {
        let mut looked_at = 0;
        while looked_at < most
            && let Some((_, partition, target)) = self.due.first().copied().filter(|(at, ..)| *at <= now)
        {
            looked_at += 1;
            self.due.pop_first();
            self.forget(now, partition, target);
        }
        looked_at
    }

    /// Forgets an entry unless it was raised since its place in the order was taken.
    fn forget(&mut self, now: Timestamp, partition: Option<ConnectorNo>, target: Target) {
        let entries = match partition {
            Some(connector) => self.of.get_mut(&connector),
            None => Some(&mut self.all),
        };
        let Some(entries) = entries else { return };
        if entries.get(&target).and_then(|entry| entry.drop_after).is_some_and(|at| at <= now) {
            entries.remove(&target);
        }
        if let Some(connector) = partition
            && entries.is_empty()
        {
            self.of.remove(&connector);
        }
    }
}
