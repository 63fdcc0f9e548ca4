//! [`InForce`]: everything that a follower who comes now has to hear.
//!
//! Entries join by maximum and are forgotten once nothing that they cover can live anywhere.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::ops::Bound;

use locum_model::{ConnectorNo, Position, Target, Timestamp};

use super::FeedEntry;

/// The entries for all partitions, and those for one.
#[derive(Default)]
pub(crate) struct InForce {
    all: Entries,
    of: BTreeMap<ConnectorNo, Entries>,
    /// What may be forgotten when. An entry whose time was put off has a place at the earlier one too.
    due: BTreeMap<Timestamp, Vec<(Option<ConnectorNo>, Target)>>,
}

/// What is dead, and from when it may be forgotten.
type Entries = BTreeMap<Target, (Position, Option<Timestamp>)>;

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
            Slot::Vacant(slot) => slot.insert((entry.below, entry.drop_after)).1,
            Slot::Occupied(mut slot) => {
                let (below, drop_after) = slot.get_mut();
                let before = *drop_after;
                *below = entry.below.max(*below);
                // None is for ever.
                *drop_after = match (before, entry.drop_after) {
                    (Some(one), Some(other)) => Some(one.max(other)),
                    (None, _) | (_, None) => None,
                };
                // What stays when it was has its place.
                drop_after.filter(|_| *drop_after != before)
            }
        };
        if let Some(at) = drop_after {
            self.due.entry(at).or_default().push((partition, entry.target));
        }
    }

    /// The next entries of a partition, at most `most`; none at its end.
    ///
    /// What is raised while somebody reads may be given or not: it comes as a delta in any case.
    pub(crate) fn read(&self, connector: ConnectorNo, cursor: &mut Cursor, most: usize) -> Vec<FeedEntry> {
        let after =
            |cursor: &Cursor| (cursor.after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        if !cursor.in_own {
            let read: Vec<_> = self.all.range(after(cursor)).take(most).map(shown).collect();
            if let Some(last) = read.last() {
                cursor.after = Some(last.target);
                return read;
            }
            *cursor = Cursor { after: None, in_own: true };
        }
        let own = self.of.get(&connector).map(|own| own.range(after(cursor)));
        let read: Vec<_> = own.into_iter().flatten().take(most).map(shown).collect();
        cursor.after = read.last().map(|entry| entry.target).or(cursor.after);
        read
    }

    /// Forgets at most `most` entries that cover nothing any more.
    pub(crate) fn free(&mut self, now: Timestamp, most: usize) -> usize {
        let mut looked_at = 0;
        while looked_at < most
            && let Some(mut slot) = self.due.first_entry().filter(|slot| *slot.key() <= now)
        {
            match slot.get_mut().pop() {
                Some((partition, target)) => {
                    looked_at += 1;
                    self.forget(now, partition, target);
                }
                None => _ = slot.remove(),
            }
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
        if entries.get(&target).and_then(|(_, drop_after)| *drop_after).is_some_and(|at| at <= now) {
            entries.remove(&target);
        }
        if let Some(connector) = partition
            && entries.is_empty()
        {
            self.of.remove(&connector);
        }
    }
}

// === free functions ===

fn shown((target, (below, drop_after)): (&Target, &(Position, Option<Timestamp>))) -> FeedEntry {
    FeedEntry { target: *target, below: *below, drop_after: *drop_after }
}

#[cfg(test)]
mod tests {
    use locum_model::TokenId;

    use super::*;

    fn entry(token: u8, drop_after: i64) -> FeedEntry {
        FeedEntry {
            target: Target::Token(TokenId([token; 16])),
            below: Position { home: 1, epoch: 1, sequence: 1 },
            drop_after: Some(Timestamp::from_seconds(drop_after)),
        }
    }

    /// The tokens of a partition that are in force.
    fn tokens(in_force: &InForce) -> Vec<Target> {
        let read = in_force.read(ConnectorNo(1), &mut Cursor { after: None, in_own: true }, 100);
        read.into_iter().map(|entry| entry.target).collect()
    }

    #[test]
    fn an_entry_is_forgotten_at_the_latest_time_that_it_was_given() {
        let mut in_force = InForce::default();
        for drop_after in [10, 20, 15, 20] {
            in_force.raise(Some(ConnectorNo(1)), entry(1, drop_after));
        }
        in_force.raise(Some(ConnectorNo(1)), entry(2, 10));
        in_force.raise(None, entry(3, 30));
        let places: usize = in_force.due.values().map(Vec::len).sum();
        assert_eq!(places, 4, "a time that an entry has already gives it no second place");
        assert_eq!(in_force.free(Timestamp::from_seconds(9), 100), 0);
        // Two places are at 10; one of them is of an entry that was put off.
        assert_eq!(in_force.free(Timestamp::from_seconds(10), 1), 1);
        assert_eq!(in_force.free(Timestamp::from_seconds(19), 100), 1);
        assert_eq!(tokens(&in_force), [entry(1, 20).target]);
        assert_eq!(in_force.free(Timestamp::from_seconds(20), 100), 1);
        assert_eq!(tokens(&in_force), []);
        assert_eq!((in_force.due.len(), in_force.all.len()), (1, 1));
        assert_eq!(in_force.free(Timestamp::from_seconds(30), 100), 1);
        assert!(in_force.due.is_empty() && in_force.all.is_empty());
    }
}
