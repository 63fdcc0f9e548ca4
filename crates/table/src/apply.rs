//! The fold: one committed event after the other, live and at restart alike.
//!
//! Races are decided here and nowhere else: a record that lands after its task ended, or that was
//! decided before a revocation and committed after it, is too late and is not entered.

use std::sync::Arc;

use locum_model::event::{Revoked, TaskStarted, TokenUsed};
use locum_model::limits::TASK_DEPTH_MAX;
use locum_model::{
    Committed, Event, IssueRecord, Level, Live, Position, Reason, Target, TaskId, Timestamp, TokenId,
};

use crate::answer::Applied;
use crate::hashing::RowKey;
use crate::lookup::Rests;
use crate::row::{NewRow, Row, exp_seconds};
use crate::standing::{Asked, Holder, Mark, Standing};
use crate::table::{Table, Writer};
use crate::task::{Close, NewTask};
use crate::watermark::Entry;

/// Where the event being folded stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    position: Position,
    order: u64,
}

impl Table {
    /// Folds one event in and says what it came to.
    ///
    /// Called by one writer, in the journal's order. What it changed is seen by every lookup that
    /// starts after it returned. Its cost does not depend on how many tokens or tasks die by it.
    pub fn apply(&self, event: &Committed<Event>) -> Applied {
        let mut writer = self.writer.lock();
        let position = event.position();
        let place = Place { position, order: writer.homes.enter(position) };
        writer.newest_at = writer.newest_at.max(event.event().at());
        let writer = &mut *writer;
        match event.event() {
            Event::TaskStarted(started) => answer(self.start(writer, started, place)),
            Event::TaskEnded(ended) => answer(self.close(writer, ended.task, Close::Ended)),
            Event::TaskLapsed(lapsed) => answer(self.close(writer, lapsed.task, Close::Lapsed)),
            Event::TokenIssued(record) => answer(self.issue(writer, record, place)),
            Event::TokenUsed(used) => answer(self.spend(used)),
            Event::Revoked(revoked) => {
                self.revoke(writer, revoked, place);
                Applied::Done
            }
            Event::RegistryActivated(registry) => {
                let entry = everything_before(place, registry.at);
                #[cfg(bug_zoo)]
                let entry = if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::RemovedLivesOn) {
                    Entry { below: 0, ..entry }
                } else {
                    entry
                };
                registry.removed.iter().for_each(|target| self.raise(writer, *target, entry));
                Applied::Done
            }
            Event::KeyRetired(key) => {
                writer.retired.insert(key.kid);
                self.raise(writer, Target::SigningKey(key.kid), everything_before(place, key.at));
                Applied::Done
            }
            Event::KeyPublished(_)
            | Event::KeyActivated(_)
            | Event::PolicyActivated(_)
            | Event::ChecksSummed(_)
            | Event::DenialsSummed(_)
            | Event::Locked(_)
            | Event::Unlocked(_) => Applied::Done,
        }
    }

    fn start(&self, writer: &mut Writer, started: &TaskStarted, place: Place) -> Result<Applied, Reason> {
        if self.tasks.slot(started.task).is_some() {
            // A broker counts its tasks; the same count twice is a broken journal, never a task.
            return Err(Reason::Internal);
        }
        let parent = match started.parent {
            Some(parent) => Some(self.tasks.slot(parent).ok_or(Reason::TaskNotFound)?),
            None => None,
        };
        if let Some(parent) = parent {
            self.task_reason(writer.slots.cells(), parent).map_or(Ok(()), Err)?;
            if writer.slots.cells().chain(parent).count() >= TASK_DEPTH_MAX {
                return Err(Reason::ChainTooLong);
            }
        }
        let decided = writer.homes.decision(started.decided_at, place.order);
        let standing = Standing::of_task(started).ok_or(Reason::Internal)?;
        let below = writer.ledger.below(Target::Task(started.task));
        let dead = decided < below.max(writer.ledger.forgotten_below())
            || self.watermarks.cover_value(&standing, decided)
            || self.watermarks.cover_subject(started.subject_key, decided);
        if dead {
            return Err(Reason::TaskRevoked);
        }
        let hold = writer.interner.hold(&self.standings, standing, Holder::Task);
        let standing = hold.ok_or(Reason::Overloaded)?;
        let new =
            NewTask { id: started.task, parent, decided, below, subject: started.subject_key, standing };
        if writer.slots.enter(&self.tasks, new).is_none() {
            writer.interner.release(&self.standings, standing, Holder::Task);
            return Err(Reason::Overloaded);
        }
        Ok(Applied::Started)
    }

    fn close(&self, writer: &mut Writer, task: TaskId, close: Close) -> Result<Applied, Reason> {
        let slot = self.tasks.slot(task).ok_or(Reason::TaskNotFound)?;
        self.task_reason(writer.slots.cells(), slot).map_or(Ok(()), Err)?;
        writer.slots.at(slot).close(close);
        writer.rounds.may_free(slot);
        Ok(Applied::Ended)
    }

    fn issue(&self, writer: &mut Writer, record: &Arc<IssueRecord>, place: Place) -> Result<Applied, Reason> {
        let key = RowKey::of(record.jti);
        if self.rows.contains(key) {
            return Err(Reason::TokenIdRepeated);
        }
        if !key.tag().is_of_a_row() {
            return Err(Reason::Overloaded);
        }
        let slot = self.slot_of(writer, &record.tasks)?;
        if record.expires_at <= record.issued_at {
            return Err(Reason::TokenExpired);
        }
        let decided = writer.homes.decision(record.decided_at, place.order);
        let below = writer.ledger.below(Target::Token(record.jti)).max(writer.ledger.forgotten_below());
        // Rows that were entered before a key was retired are below its watermark; a record that names
        // it later, decided whenever, stops here.
        if decided < below || writer.retired.contains(&record.kid) {
            return Err(Reason::TokenRevoked);
        }
        let kid = writer.key(record.kid);
        let subject = writer.slots.at(slot).subject();
        let asked = Asked::of(record, kid, subject);
        let standing = match writer.interner.hold_again(&asked) {
            Some(standing) => standing,
            None => {
                let standing = Standing::of_token(&asked).ok_or(Reason::ChainTooLong)?;
                let hold = writer.interner.hold(&self.standings, standing, Holder::Token);
                let index = hold.ok_or(Reason::Overloaded)?;
                writer.interner.remember(&asked, index);
                index
            }
        };
        let workload = asked.workload();
        let rests = Rests { decided, standing: self.standings.at(standing), task: slot };
        #[cfg(bug_zoo)]
        let rests = if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::BornDeadSigned) {
            Rests { decided: u64::MAX, ..rests }
        } else {
            rests
        };
        if let Some(reason) = self.rests_reason(writer.slots.cells(), rests) {
            writer.interner.release(&self.standings, standing, Holder::Token);
            return Err(reason);
        }
        self.enter_row(
            writer,
            record,
            NewRow {
                decided,
                expires_at: record.expires_at,
                issued_at: record.issued_at,
                standing,
                task: slot,
                limited: record.uses_max.is_some(),
            },
        );
        self.count_in(writer, workload);
        Ok(Applied::Issued(Live::assertion(Arc::clone(record))))
    }

    fn enter_row(&self, writer: &mut Writer, record: &IssueRecord, new: NewRow) {
        let key = RowKey::of(record.jti);
        writer.slots.at(new.task).hold();
        if let Some(uses) = record.uses_max {
            // Before the row, so that no lookup finds the row without its count.
            self.uses.insert(key, uses);
        }
        let exp = exp_seconds(new.expires_at);
        writer.calendar.add(exp, key.tag());
        let life = i64::from(exp).saturating_sub(new.issued_at.as_seconds());
        let life = u32::try_from(life.max(0)).unwrap_or(u32::MAX);
        writer.life_seconds_max = writer.life_seconds_max.max(life);
        self.rows.insert(key, &Row::new(new));
    }

    /// The slot of the leaf, when the chain is what the table knows of it.
    fn slot_of(&self, writer: &Writer, tasks: &[TaskId]) -> Result<u32, Reason> {
        let slot = tasks.last().and_then(|leaf| self.tasks.slot(*leaf)).ok_or(Reason::TaskNotFound)?;
        let known = writer.slots.cells().chain(slot).map(|cell| cell.id());
        if known.eq(tasks.iter().rev().copied()) { Ok(slot) } else { Err(Reason::TaskNotFound) }
    }

    fn spend(&self, used: &TokenUsed) -> Result<Applied, Reason> {
        let key = RowKey::of(used.jti);
        {
            let judged = self.rows.hold(key, |cell, tasks| {
                let row = cell.read();
                self.reason(&row, tasks, self.uses_left(key, &row), used.at).map_or(Ok(()), Err)
            });
            judged.unwrap_or(Err(Reason::TokenUnknown))?;
        }
        match self.uses.get_mut(&key) {
            None => Ok(Applied::Used { left: u32::MAX }),
            Some(mut left) => {
                #[cfg(bug_zoo)]
                if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::UsesUncounted) {
                    return Ok(Applied::Used { left: *left });
                }
                *left = left.checked_sub(1).ok_or(Reason::TokenSpent)?;
                Ok(Applied::Used { left: *left })
            }
        }
    }

    fn revoke(&self, writer: &mut Writer, revoked: &Revoked, place: Place) {
        let all = everything_before(place, revoked.at);
        // Of a home that this table never met nothing tells what came before: take it all.
        let until = revoked.until.and_then(|until| Some((until, writer.homes.order(until)?)));
        let entry = match until {
            Some((until, order)) if order < all.below => {
                Entry { position: until, below: order + 1, at: revoked.at }
            }
            _ => all,
        };
        revoked.targets.iter().for_each(|target| self.raise(writer, *target, entry));
    }

    fn raise(&self, writer: &mut Writer, target: Target, entry: Entry) {
        if !writer.ledger.raise(target, entry) {
            return;
        }
        let below = entry.below;
        let registration = |level, number| self.watermarks.raise(Mark::new(level, number), below);
        match target {
            Target::Token(jti) => self.revoke_row(jti, below),
            Target::Task(task) => self.revoke_task(writer, task, below),
            Target::Subject(subject) => self.watermarks.raise_subject(subject, below),
            Target::Workload(no) => registration(Level::Workload, no.0),
            Target::Connector(no) => registration(Level::Connector, no.0),
            Target::Tenant(no) => registration(Level::Tenant, no.0),
            Target::Owner(no) => registration(Level::Owner, no.0),
            Target::Model(no) => registration(Level::Model, no.0),
            Target::SigningKey(kid) => registration(Level::SigningKey, writer.key(kid)),
            Target::PolicyRevision(no) => registration(Level::PolicyRevision, no.0),
        }
    }

    fn revoke_row(&self, jti: TokenId, below: u64) {
        self.rows.hold(RowKey::of(jti), |row, _| {
            if row.read().decided() < below {
                row.revoke();
            }
        });
    }

    fn revoke_task(&self, writer: &Writer, task: TaskId, below: u64) {
        if let Some(slot) = self.tasks.slot(task) {
            writer.slots.at(slot).revoke(below);
        }
    }
}

fn answer(result: Result<Applied, Reason>) -> Applied {
    result.unwrap_or_else(Applied::TooLate)
}

/// The watermark of a revocation that stands here and names no earlier end.
fn everything_before(place: Place, at: Timestamp) -> Entry {
    #[cfg(bug_zoo)]
    let place = Place {
        order: place.order
            - u64::from(locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::WatermarkOffByOne)),
        ..place
    };
    Entry { position: place.position.watermark(), below: place.order, at }
}
