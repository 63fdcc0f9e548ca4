//! A crash and what comes after it: power is lost, the broker comes up again, nothing else does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use locum_api::feed;
use locum_broker::{Broker, Committer, Page, Surroundings, TaskFilter, TaskState};
use locum_journal::MemoryFiles;
use locum_model::feed::Body;
use locum_model::{KeyId, Selector};
use locum_server::journal_accept::{Accepted, NotAccepted, accept_copy};

use crate::around::poll;
use crate::model::{Dead, Model};
use crate::run::{Run, operator, options};

/// A copy of the data directory, and what was true when it was made.
pub(crate) struct Backup {
    files: MemoryFiles,
    model: Model,
}

impl Run {
    /// Loses power, with what was not synced lost or torn, and comes up again.
    pub(crate) fn crash(&mut self) {
        if self.dice.percent(50) {
            self.look_at_all();
        }
        self.pending.clear();
        let seed = self.dice.next();
        self.files.crash(seed);
        self.files.set_capacity(None);
        self.troubled = false;
        self.clock.settle();
        self.trace.say("crash");
        self.start_broker();
        let before = self.model.sequence();
        let at = self.broker.status().position.sequence;
        assert!(at >= before, "J1, R4: the journal went from {before} back to {at}");
        self.read();
        for (id, what) in std::mem::take(&mut self.owed) {
            let found = self.verdicts.remove(&id).is_some();
            assert!(found, "R4: {what} was answered and is not in the journal");
        }
        self.go_on();
    }

    /// A broker comes up on the files as they are.
    fn start_broker(&mut self) {
        (self.broker, self.committer) = self.open_broker();
    }

    fn open_broker(&mut self) -> (Arc<Broker>, Committer) {
        self.lose_streams();
        let around = Surroundings {
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            files: Arc::new(self.files.clone()),
            keys: self.keys.clone(),
        };
        let opened = Broker::open(options(), around);
        opened.unwrap_or_else(|error| panic!("J1: it does not come up: {error}"))
    }

    /// What was on its way is gone, every lease begins anew, and nothing has come back.
    fn go_on(&mut self) {
        self.blind = false;
        self.queued.clear();
        self.verdicts.clear();
        self.lapsing.clear();
        self.unlapsed.clear();
        self.ticked_at = None;
        let now = self.now().expect("the clock was settled");
        self.model.restart(now);
        self.nothing_came_back();
        self.prepare_keys();
    }

    // === copies ===

    /// Copies the data directory while it is in use.
    pub(crate) fn back_up(&mut self) {
        self.drain_or_crash();
        let files = self.files.fork();
        files.crash(self.dice.next());
        self.trace.say(format_args!("a copy is made at {}", self.model.sequence()));
        self.backup = Some(Backup { files, model: self.model.clone() });
    }

    /// J4: a copy is put back and accepted. Everything that was decided before is dead, in whatever the copy
    /// has forgotten too; verifiers that know more than it does follow it into its new epoch by themselves.
    pub(crate) fn restore(&mut self) {
        let Some(backup) = self.backup.take() else { return };
        self.pending.clear();
        self.owed.clear();
        self.feed.waits.clear();
        self.troubled = false;
        let files = backup.files.fork();
        if self.dice.percent(30) {
            // Power is lost on the way: it is run again.
            files.halt_after(self.dice.next() % 60);
            let accepted = self.accept_copy(&files);
            self.trace.say(format_args!("an acceptance on a failing disk: {}", accepted.is_ok()));
            files.crash(self.dice.next());
        }
        self.accept_copy(&files)
            .unwrap_or_else(|refused| panic!("J4: a good copy is not accepted: {refused}"));
        self.files = files;
        self.start_broker();
        let position = self.broker.status().position;
        self.trace.say(format_args!("a copy is restored: {} {}", position.epoch, position.sequence));
        assert!(self.model.epochs.iter().all(|epoch| *epoch < position.epoch), "J4: that is no new epoch");
        self.model.restore(&backup.model, position.epoch, position.sequence);
        self.note_deaths();
        self.go_on();
        self.backup = Some(backup).filter(|_| self.dice.percent(50));
    }

    /// The copy is put back, a broker comes up on it, and nobody accepts it, for as long as `steps` take. Then
    /// everything is as it was before, but that the streams are lost.
    pub(crate) fn with_the_copy(&mut self, steps: impl FnOnce(&mut Self)) {
        let backup = self.backup.take().expect("a copy was made");
        let true_disk = std::mem::replace(&mut self.files, backup.files.fork());
        let (broker, committer) = self.open_broker();
        let broker = std::mem::replace(&mut self.broker, broker);
        let committer = std::mem::replace(&mut self.committer, committer);
        self.trace.say("a copy is put back and nobody says so");
        self.is_on_copy = true;
        steps(self);
        self.is_on_copy = false;
        self.trace.say("the true disk is put back");
        self.lose_streams();
        (self.files, self.broker, self.committer) = (true_disk, broker, committer);
    }

    /// The broker on a copy goes on with so many events, of which the model knows nothing.
    pub(crate) fn go_on_untold(&mut self, events: u64) {
        assert!(self.is_on_copy, "the model knows everything else");
        for _ in 0..events {
            let broker = Arc::clone(&self.broker);
            let nobody = Selector::Subject("spiffe://acme.test/agents/nobody".into());
            let mut revoked: Pin<Box<dyn Future<Output = _>>> =
                Box::pin(async move { broker.revoke(&operator(&[]), nobody, "untold", None).await });
            assert!(poll(&mut revoked).is_none(), "a revocation is durable before it is answered");
            self.committer.pump().expect("the copy's disk is well");
            poll(&mut revoked).expect("committed").expect("an operator of all tenants may");
        }
        let position = self.broker.status().position;
        self.trace.say(format_args!("the copy goes on to {} {}", position.epoch, position.sequence));
    }

    /// J4: sometimes a copy is put back, goes on, and nobody says so. Whoever kept what it has forgotten finds it
    /// out, whether it has overtaken them or not.
    pub(crate) fn put_back(&mut self) {
        if self.backup.is_none() {
            return;
        }
        self.drain_or_crash();
        self.clock.settle();
        let events = self.dice.weighted(&[(2, 0), (3, 3), (3, 30), (2, 200)]);
        self.with_the_copy(|run| {
            let knows_more = |at: &usize| run.knows_more_than_the_copy(*at);
            let knowing: Vec<_> = (0..run.feed.stations.len()).filter(knows_more).collect();
            run.go_on_untold(events);
            for at in knowing {
                let shows = run.dice.percent(80);
                run.feed.stations[at].comes_back(shows);
                run.exchange_with(at, usize::MAX, 0);
                let is_served = run.line(at).is_some_and(|line| line.course.is_some());
                assert!(!is_served, "J4: verifier {at} follows another history than its own");
            }
        });
    }

    /// Whether a verifier can prove that the broker at hand, which has just come up, has forgotten something.
    fn knows_more_than_the_copy(&self, at: usize) -> bool {
        let Some(kept) = &self.feed.stations[at].kept else { return false };
        let said = feed::decode(&kept.payload).expect("it gave a lease");
        let kid = KeyId(kept.kid[..].try_into().expect("it gave a lease"));
        let Body::Heartbeat { journal, .. } = said.body else { panic!("only heartbeats give leases") };
        let told = journal.map_or(said.sequence, |batch| batch.sequence);
        let here = self.broker.status().position;
        // A key of the feed that is younger than the copy says nothing to it.
        self.broker.key_set().1.key(&kid).is_some() && (said.epoch, told) > (here.epoch, here.sequence)
    }

    fn accept_copy(&mut self, files: &MemoryFiles) -> Result<Accepted, NotAccepted> {
        // An epoch is a second.
        self.clock.settle();
        self.clock.advance(Duration::from_secs(1));
        let now = self.now().expect("the clock was settled");
        accept_copy(Arc::new(files.clone()), "op", now)
    }

    /// R2: whatever is shown as active after a start is one that the model knows to be alive.
    fn nothing_came_back(&mut self) {
        let filter = TaskFilter { state: Some(TaskState::Active), selector: None };
        let page = Page { size: 1000, after: None };
        let shown = self.broker.inspect_tasks(&operator(&[]), page, &filter).expect("a good page");
        for view in shown.tasks {
            let id = view.started.task;
            let dead = self.model.task_at(id).map(|at| self.model.task_dead(at));
            assert!(dead.is_some_and(|dead| dead != Dead::Yes), "R2: {id} came back: {dead:?}");
        }
    }

    /// As `locumd` does at each start.
    pub(crate) fn prepare_keys(&mut self) {
        let broker = Arc::clone(&self.broker);
        let mut keys: Pin<Box<dyn Future<Output = _>>> = Box::pin(async move { broker.prepare_keys().await });
        for _ in 0..32 {
            if let Some(prepared) = poll(&mut keys) {
                prepared.expect("the keys are made");
                return;
            }
            self.pump();
        }
        panic!("the keys are not made");
    }
}
