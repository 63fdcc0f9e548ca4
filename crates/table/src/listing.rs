//! Listings of live tokens: exactly those that a revocation of the same targets would kill.
//!
//! A question for operators, not for checks: it scans rows up to a bound and keeps one page of them.

use std::collections::BTreeMap;

use locum_model::Target;

use crate::answer::{Listed, ListedToken, Place};
use crate::hashing::RowKey;
use crate::preview::Sought;
use crate::row::Row;
use crate::table::Table;
use crate::task::TaskCells;

/// Which page.
#[derive(Clone, Copy, Debug)]
pub struct Paging {
    /// Tokens on it, at least 1.
    pub size: usize,
    /// It begins after this place.
    pub after: Option<Place>,
    /// Rows to look at, at most.
    pub scan_max: usize,
}

impl Table {
    /// The live tokens that rest on any of `targets`, oldest decision first.
    ///
    /// Expiry is judged at the newest event's time. Costs one pass over the rows up to the bound, and
    /// memory for one page.
    pub fn list(&self, targets: &[Target], paging: Paging) -> Listed {
        let sought = Sought::of(targets, None, &self.writer.lock());
        let mut page = Page { paging, found: BTreeMap::new() };
        let mut complete = true;
        if sought.names_only_tokens() {
            // Found by their ids, however many rows there are.
            for jti in &sought.tokens {
                self.look_at(&sought, RowKey::of(*jti), &mut page);
            }
        } else {
            let mut seen = 0;
            self.rows.all_keys(|key| {
                complete = seen < paging.scan_max;
                seen += 1;
                if complete {
                    self.look_at(&sought, key, &mut page);
                }
                complete
            });
        }
        page.listed(complete)
    }

    fn look_at(&self, sought: &Sought, key: RowKey, page: &mut Page) {
        self.rows.hold(key, |cell, tasks| {
            let row = cell.read();
            page.take(place_of(key, &row), || self.listed(sought, key, &row, tasks));
        });
    }

    /// The token of a row, if it is alive and sought. The caller holds the row.
    fn listed(&self, sought: &Sought, key: RowKey, row: &Row, tasks: &TaskCells) -> Option<ListedToken> {
        let uses_left = self.uses_left(key, row);
        let is_dead = self.reason(row, tasks, uses_left, sought.now).is_some();
        if is_dead || !self.would_kill(sought, key.jti(), row, tasks) {
            return None;
        }
        let standing = self.standings.at(row.standing());
        Some(ListedToken {
            place: place_of(key, row),
            task: tasks.at(row.task()).id(),
            workload: standing.workload(),
            connector: standing.connector(),
            issued_at: row.issued_at(),
            expires_at: row.expires_at(),
            uses_left,
        })
    }
}

fn place_of(key: RowKey, row: &Row) -> Place {
    Place { decided: row.decided(), jti: key.jti() }
}

/// The page so far, and one more than it holds: that one says that there is another page.
struct Page {
    paging: Paging,
    found: BTreeMap<Place, ListedToken>,
}

impl Page {
    fn take(&mut self, place: Place, token: impl FnOnce() -> Option<ListedToken>) {
        let is_full = self.found.len() > self.paging.size;
        let last = self.found.last_key_value().map(|(place, _)| *place);
        let is_before = self.paging.after.is_some_and(|after| place <= after);
        if is_before || (is_full && last.is_some_and(|last| place > last)) {
            return;
        }
        if let Some(token) = token() {
            self.found.insert(place, token);
            if is_full {
                self.found.pop_last();
            }
        }
    }

    fn listed(self, complete: bool) -> Listed {
        let more = self.found.len() > self.paging.size;
        Listed { tokens: self.found.into_values().take(self.paging.size).collect(), more, complete }
    }
}
