//! What the world does: callers leave, time passes, the reaper comes, disks fill and fail, power goes.

use std::cell::Cell;
use std::time::Duration;

use locum_broker::NextTick;
use locum_journal::Fault;
use locum_model::limits::REAPER_ASKS_MAX;

use crate::model::Dead;
use crate::run::Run;

impl Run {
    /// Whoever asked is gone. What was submitted is committed all the same.
    pub(crate) fn cancel(&mut self) {
        // On a full disk nobody leaves: whether an event was refused is told to its caller alone.
        if !self.pending.is_empty() && !self.troubled {
            let at = self.dice.below(self.pending.len());
            let gone = self.pending.remove(at);
            self.trace.say(format_args!("cancel {}", gone.id));
        }
    }

    pub(crate) fn time(&mut self) {
        let span = match self.dice.below(20) {
            0..=8 => Duration::from_millis(self.dice.next() % 1_500),
            9..=12 => Duration::from_millis(self.dice.next() % 20_000),
            13 | 14 => self.until_something_ends(),
            15 | 16 => {
                // Nothing is in flight for longer than half a minute.
                self.drain_or_crash();
                Duration::from_millis(self.dice.next() % 300_000)
            }
            17 => {
                self.drain_or_crash();
                Duration::from_secs(self.dice.next() % (30 * 3600))
            }
            _ => {
                let back = Duration::from_millis(self.dice.next() % 8_000);
                self.clock.step_back(back);
                self.trace.say(format_args!("the clock goes back by {back:?}"));
                return;
            }
        };
        self.clock.settle();
        self.clock.advance(span);
        self.trace.say(format_args!("time goes on by {span:?}"));
        if self.dice.percent(60) {
            self.tick();
        }
    }

    /// To the very millisecond at which a token, a lease, a deadline or a lock is over, or just before.
    fn until_something_ends(&mut self) -> Duration {
        self.clock.settle();
        let Some(now) = self.now() else { return Duration::ZERO };
        let tokens = self.model.tokens.iter().map(|token| token.expires_at);
        let leases = self.model.tasks.iter().filter_map(|task| task.lease.map(|lease| lease.due));
        let locks = self.model.locks.iter().map(|lock| lock.until);
        let ends: Vec<_> = tokens.chain(leases).chain(locks).map(|end| end.since(now)).collect();
        let soon = |span: &Duration| !span.is_zero() && *span < Duration::from_secs(60);
        let ends: Vec<_> = ends.into_iter().filter(soon).collect();
        let span = self.dice.pick(&ends).copied().unwrap_or(Duration::from_secs(1));
        let early = Duration::from_millis(u64::from(self.dice.percent(30)));
        span.saturating_sub(early)
    }

    /// The reaper's turn; when it wants the next, where there is a time.
    pub(crate) fn tick(&mut self) -> Option<NextTick> {
        let now = self.now()?;
        for task in std::mem::take(&mut self.unlapsed) {
            self.model.run_out_again(task);
        }
        // No more are asked for than may be, so that nothing waits behind many.
        let due = self.model.run_out(now, REAPER_ASKS_MAX.saturating_sub(self.lapsing.len()));
        let alive = |at: &usize| self.model.task_dead(*at);
        let sure = due.iter().filter(|at| alive(at) == Dead::No).count();
        let maybe = due.iter().filter(|at| alive(at) == Dead::Maybe).count();
        let ticked = self.broker.tick(now);
        self.trace.say(format_args!("tick: {ticked:?}"));
        let right = (sure..=sure + maybe).contains(&ticked.lapsed);
        assert!(right, "T1: {} tasks lapse and {sure} leases ran out", ticked.lapsed);
        self.lapsing.extend(due.into_iter().filter(|at| self.model.task_dead(*at) != Dead::Yes));
        self.ticked_at = Some(now);
        self.ticked_position = self.model.position;
        Some(ticked.next)
    }

    pub(crate) fn compact(&mut self) {
        let Some(now) = self.now() else { return };
        let breaths = Cell::new(0);
        match self.broker.compact(now, &|| breaths.set(breaths.get() + 1)) {
            Ok(report) => {
                assert_eq!(breaths.get(), report.read, "whoever writes it can rest before each event");
                self.trace.say(format_args!("compact: {} of {} kept", report.kept, report.read));
            }
            Err(_error) => assert!(self.troubled, "a snapshot failed on a disk that is well"),
        }
    }

    pub(crate) fn some_crash(&mut self) {
        match self.dice.below(4) {
            // In the middle of a batch, at any call.
            0 | 1 => {
                self.troubled = true;
                let calls = self.dice.next() % 6;
                self.files.halt_after(calls);
                self.failing_batch();
            }
            // Between the commit and the answers.
            2 => self.pump(),
            _ => {}
        }
        self.crash();
    }

    /// Commits with a disk that may fail, hears some answers, and reads nothing: the crash follows.
    fn failing_batch(&mut self) {
        self.blind = true;
        let pumped = self.commit_batch_that_fails();
        self.trace.say(format_args!("a batch on a failing disk: {pumped:?}"));
        self.look_at_all();
    }

    pub(crate) fn disk(&mut self) {
        match self.dice.below(3) {
            0 => {
                self.troubled = true;
                let calls = self.dice.next() % 3;
                self.files.fail_after(calls, Fault::Broken);
                self.failing_batch();
                self.crash();
            }
            1 => {
                self.drain_or_crash();
                self.troubled = true;
                self.files.set_capacity(Some(0));
                self.trace.say("the disk is full");
            }
            _ => {
                self.files.set_capacity(None);
                self.pump();
                self.troubled = false;
                self.seal();
                self.trace.say("the disk has space");
            }
        }
    }

    /// Before a long time passes: whatever is in flight lands, or the process goes down.
    pub(crate) fn drain_or_crash(&mut self) {
        if self.troubled { self.crash() } else { self.drain() }
    }
}
