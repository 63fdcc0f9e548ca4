//! A crash and what comes after it: power is lost, the broker comes up again, nothing else does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use locum_broker::{Broker, Page, Surroundings, TaskFilter, TaskState};

use crate::around::poll;
use crate::model::Dead;
use crate::run::{Run, operator, options};

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
        self.lose_streams();
        let around = Surroundings {
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            files: Arc::new(self.files.clone()),
            keys: self.keys.clone(),
        };
        let opened = Broker::open(options(), around);
        let (broker, committer) = opened.unwrap_or_else(|error| panic!("J1: it does not come up: {error}"));
        (self.broker, self.committer) = (broker, committer);
        let before = self.model.position;
        let at = self.broker.status().position.sequence;
        assert!(at >= before, "J1, R4: the journal went from {before} back to {at}");
        self.read();
        for (id, what) in std::mem::take(&mut self.owed) {
            let found = self.verdicts.remove(&id).is_some();
            assert!(found, "R4: {what} was answered and is not in the journal");
        }
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

    /// R2: whatever is shown as active after a start is one that the model knows to be alive.
    fn nothing_came_back(&mut self) {
        self.ghosts.clear();
        let filter = TaskFilter { state: Some(TaskState::Active), selector: None };
        let page = Page { size: 1000, after: None };
        let shown = self.broker.inspect_tasks(&operator(&[]), page, &filter).expect("a good page");
        for view in shown.tasks {
            let id = view.started.task;
            let dead = self.model.task_at(id).map(|at| self.model.task_dead(at));
            let over = self.now().is_some_and(|now| view.started.deadline <= now);
            if over && dead.is_none_or(|dead| dead == Dead::Yes) {
                // The newest task stays in every snapshot for its number's sake, and what killed it does
                // not once its deadline is past: it lapses once more, and nothing can be had of it.
                self.ghosts.push(id);
                continue;
            }
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
