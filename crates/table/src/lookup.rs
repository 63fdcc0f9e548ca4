//! The check: is this token alive, now?
//!
//! One probe of the rows, the judgement (expiry, one compare with the highest watermark there is, and the
//! flags of at most eight tasks), one digest of the token, one compare of 16 bytes. An id that has no row
//! ends at the probe.
//! That takes no lock. What is not plainly alive is judged once more in full while the row is held
//! (shared, for a few compares), because the row is what keeps its task and its standing from being
//! reused meanwhile, and what was found is then written down beside them for the next check.

use locum_model::{Reason, SubjectKey, TaskId, Timestamp, TokenId};

use crate::answer::{Dead, LiveToken, Lookup};
use crate::hashing::RowKey;
use crate::row::Row;
use crate::standing::StandingCell;
use crate::table::Table;
use crate::task::{Task, TaskCells};

/// What a token rests on, while it is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rests<'a> {
    /// The order of its decision.
    pub(crate) decided: u64,
    /// Its standing.
    pub(crate) standing: &'a StandingCell,
    /// The slot of its task.
    pub(crate) task: u32,
}

/// What a peek at a row came to.
enum Peeked {
    Live(LiveToken),
    Unclear,
    Unrecognised,
}

impl Table {
    /// Looks a token up by its bytes: the fast path of every online check.
    ///
    /// `jti` is what stands at the fixed offset of the token's payload. The answer is
    /// [`Lookup::Unrecognised`] when there is no row, no memo yet, or when one byte of `compact`
    /// differs from the token that the memo was filled with; the caller then verifies the
    /// signature in full and calls [`Table::lookup_verified`]. Nothing else about the token has to
    /// be checked when it is recognised: these bytes were signed or verified here.
    pub fn lookup(&self, jti: TokenId, compact: &str, now: Timestamp) -> Lookup {
        let key = RowKey::of(jti);
        let peeked = self.rows.peek(key, |row, tasks| {
            // First, so that what it reads comes from memory while the digest is computed.
            let live = self.plainly_live(key, row, tasks, now);
            match self.digest_key.digest(compact).is_some_and(|digest| row.recognises(digest)) {
                true => live.map_or(Peeked::Unclear, Peeked::Live),
                false => Peeked::Unrecognised,
            }
        });
        match peeked {
            Some(Peeked::Live(live)) => Lookup::Live(live),
            Some(Peeked::Unclear) => self.judge_held(key, now),
            Some(Peeked::Unrecognised) | None => Lookup::Unrecognised,
        }
    }

    /// Looks a token up whose signature and claims the caller has verified in full.
    ///
    /// [`Lookup::Unrecognised`] here means that it is not in the table: never entered, or reaped.
    pub fn lookup_verified(&self, jti: TokenId, now: Timestamp) -> Lookup {
        let key = RowKey::of(jti);
        match self.rows.peek(key, |row, tasks| self.plainly_live(key, row, tasks, now)) {
            Some(Some(live)) => Lookup::Live(live),
            Some(None) => self.judge_held(key, now),
            None => Lookup::Unrecognised,
        }
    }

    /// [`Table::lookup`] of many tokens: what they need is fetched together, not one after the other.
    pub fn lookup_batch(&self, asked: &[(TokenId, &str)], now: Timestamp) -> Vec<Lookup> {
        self.bring_near(asked.iter().map(|(jti, _)| RowKey::of(*jti)));
        asked.iter().map(|(jti, compact)| self.lookup(*jti, compact, now)).collect()
    }

    /// Fills the memo of a token's row, so that [`Table::lookup`] recognises these bytes from now on.
    ///
    /// Only the signer calls this, or who has just verified `compact` in full: the memo takes the
    /// place of the signature check.
    pub fn remember(&self, jti: TokenId, compact: &str) {
        if let Some(digest) = self.digest_key.digest(compact) {
            self.rows.hold(RowKey::of(jti), |row, _| row.remember(digest));
        }
    }

    /// Brings the rows of a batch near, so that the lookups that follow do not wait for memory one after
    /// the other: without the digests between them, the probes overlap. Worth it from a few tokens on.
    pub fn warm(&self, jtis: &[TokenId]) {
        self.bring_near(jtis.iter().map(|jti| RowKey::of(*jti)));
    }

    /// Brings the places near to which a batch of tokens will be entered.
    pub fn make_near(&self, jtis: impl Iterator<Item = TokenId>) {
        self.rows.bring_near(jtis.map(|jti| RowKey::of(jti).tag()));
    }

    /// One round for the rows, one for what they lead to: within a round no load waits for another.
    fn bring_near(&self, keys: impl Iterator<Item = RowKey> + Clone) {
        let generation = self.watermarks.generation();
        self.rows.bring_near(keys.clone().map(|key| key.tag()));
        let untouched = |row: &Row, tasks: &TaskCells| tasks.untouched(row.task(), generation).is_some();
        std::hint::black_box(keys.filter(|key| self.rows.peek(*key, untouched) == Some(true)).count());
    }

    /// Whether a task is alive, and why not; none when it is not in the table.
    ///
    /// The nearest dead task of its chain gives the reason; of one task, that it was closed goes
    /// before that it was revoked.
    pub fn task(&self, task: TaskId) -> Option<Result<(), Reason>> {
        self.tasks.hold(task, |tasks, slot| self.task_reason(tasks, slot).map_or(Ok(()), Err))
    }

    /// Judges a token in full, while its row stays.
    fn judge_held(&self, key: RowKey, now: Timestamp) -> Lookup {
        let judged = self.rows.hold(key, |cell, tasks| {
            let row = cell.read();
            let (jti, expires_at) = (key.jti(), row.expires_at());
            let (task, uses_left) = (tasks.at(row.task()).id(), self.uses_left(key, &row));
            match self.reason(&row, tasks, uses_left, now) {
                None => Lookup::Live(LiveToken { jti, task, expires_at, uses_left }),
                Some(reason) => Lookup::Dead(Dead { jti, task, reason }),
            }
        });
        judged.unwrap_or(Lookup::Unrecognised)
    }

    /// A token of which nothing has to be looked at twice: it is not over, has no limit and
    /// no revocation of its own, neither its standing nor any subject was revoked since its decision,
    /// and its tasks are untouched.
    ///
    /// A shortcut that only reads, so that it needs no lock: whatever it does not answer,
    /// [`Table::reason`] judges in full.
    fn plainly_live(&self, key: RowKey, row: &Row, tasks: &TaskCells, now: Timestamp) -> Option<LiveToken> {
        #[cfg(bug_zoo)]
        let now = if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::ExpiryInclusive) {
            now.minus(std::time::Duration::from_millis(1))
        } else {
            now
        };
        if now >= row.expires_at() || row.is_marked() {
            return None;
        }
        let decided = row.decided();
        if self.watermarks.reach(decided)
            && (self.watermarks.reach_subjects(decided)
                || !self.watermarks.spare(self.standings.at(row.standing()), decided))
        {
            return None;
        }
        let task = tasks.untouched(row.task(), self.watermarks.generation())?;
        Some(LiveToken { jti: key.jti(), task, expires_at: row.expires_at(), uses_left: None })
    }

    /// Why a token is dead: expired, then revoked, then its task's reason, then spent.
    pub(crate) fn reason(
        &self,
        row: &Row,
        tasks: &TaskCells,
        uses_left: Option<u32>,
        now: Timestamp,
    ) -> Option<Reason> {
        if now >= row.expires_at() {
            return Some(Reason::TokenExpired);
        }
        if row.is_revoked() {
            return Some(Reason::TokenRevoked);
        }
        self.rests_reason(tasks, self.rests(row)).or((uses_left == Some(0)).then_some(Reason::TokenSpent))
    }

    /// Uses left; none for a token without a limit.
    pub(crate) fn uses_left(&self, key: RowKey, row: &Row) -> Option<u32> {
        // A limited token without its count is one that is being reaped: it has none left.
        row.is_limited().then(|| self.uses.get(&key).map_or(0, |left| *left))
    }

    pub(crate) fn rests(&self, row: &Row) -> Rests<'_> {
        Rests { decided: row.decided(), standing: self.standings.at(row.standing()), task: row.task() }
    }

    /// Why what a token rests on is dead: revoked at any level, or else its task's reason.
    pub(crate) fn rests_reason(&self, tasks: &TaskCells, rests: Rests<'_>) -> Option<Reason> {
        let Rests { decided, standing, task } = rests;
        let reached = self.watermarks.reach(decided);
        if reached && self.watermarks.cover(standing, decided) {
            return Some(Reason::TokenRevoked);
        }
        if reached && self.watermarks.cover_subject(subject_of(standing, tasks, task), decided) {
            return Some(Reason::TokenRevoked);
        }
        let mut reason = None;
        for link in tasks.chain(task) {
            #[cfg(bug_zoo)]
            if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::AncestorSkipped)
                && link.id() != tasks.at(task).id()
            {
                break;
            }
            if decided < link.below() {
                return Some(Reason::TokenRevoked);
            }
            reason = reason.or_else(|| self.link_reason(link));
        }
        reason
    }

    /// Why the task at `slot` is dead: the reason of the nearest dead one of its chain.
    pub(crate) fn task_reason(&self, tasks: &TaskCells, slot: u32) -> Option<Reason> {
        tasks.chain(slot).find_map(|link| self.link_reason(link))
    }

    /// Why one task is dead by itself.
    fn link_reason(&self, task: Task<'_>) -> Option<Reason> {
        task.closed().or_else(|| self.is_revoked(task).then_some(Reason::TaskRevoked))
    }

    fn is_revoked(&self, task: Task<'_>) -> bool {
        let decided = task.decided();
        if decided < task.below() {
            return true;
        }
        // Before the comparison, so that what is noted holds for every value up to it.
        let generation = self.watermarks.generation();
        if task.is_verified(generation) {
            return false;
        }
        let covered = self.watermarks.reach(decided)
            && (self.watermarks.cover(self.standings.at(task.standing()), decided)
                || self.watermarks.cover_subject(task.subject(), decided));
        if !covered {
            task.verify(generation);
        }
        covered
    }
}

/// On whose behalf a token of this standing and this task is.
pub(crate) fn subject_of(standing: &StandingCell, tasks: &TaskCells, task: u32) -> SubjectKey {
    standing.subject().unwrap_or_else(|| tasks.at(task).subject())
}
