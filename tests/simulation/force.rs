//! What operators do, each with what the model expects of it.

use std::sync::Arc;
use std::time::Duration;

use locum_model::event::{By, Outcome};
use locum_model::registry::Algorithm;
use locum_model::{Selector, Timestamp};

use crate::model::Dead;
use crate::plan::{Answer, Expected, Plan};
use crate::run::{Run, operator};
use crate::universe::{self, CONNECTORS, Setup, TENANTS, Who, name};

/// Marks, each with its tenant where it has one.
type Found = Vec<(Option<usize>, String)>;

/// What an operator names, and the tenants that they answer for; all when there is none.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) what: String,
    selector: Selector,
    /// What it comes to, each with its tenant where it has one.
    found: Found,
}

impl Named {
    fn new(what: String, selector: Selector, found: Found) -> Self {
        Self { what, selector, found }
    }
}

impl Run {
    /// A task.
    pub(crate) fn name_task(&self, task: usize) -> Named {
        let (tenant, id) = (self.model.tasks[task].who.tenant, self.model.tasks[task].id);
        let mark = format!("task {id}");
        Named::new(mark.clone(), Selector::Task(id), vec![(Some(tenant), mark)])
    }

    /// A token, or the task that it is of: to revoke either kills it.
    pub(crate) fn name_token(&mut self, which: usize) -> Named {
        let (jti, task) = (self.model.tokens[which].jti, self.model.tokens[which].task);
        if self.dice.percent(50) {
            return self.name_task(task);
        }
        let (tenant, mark) = (self.model.tasks[task].who.tenant, format!("token {jti}"));
        Named::new(mark.clone(), Selector::Token(jti), vec![(Some(tenant), mark)])
    }

    /// Something that a token rests on, by its mark; none for what has no name of its own.
    pub(crate) fn name_mark(&self, tenant: usize, mark: &str) -> Option<Named> {
        let (level, rest) = mark.split_once(' ')?;
        let word = || {
            let word = rest.split_once('/').map_or(rest, |(_, word)| word);
            name(word.split(['#', ' ']).next().unwrap_or_default())
        };
        let selector = match level {
            "workload" => Selector::Workload(word()),
            "owner" => Selector::Owner(word()),
            "model" => Selector::Model(word()),
            "connector" => Selector::Connector(word()),
            "tenant" => Selector::Tenant(word()),
            "subject" => Selector::Subject(rest.rsplit(' ').next()?.to_owned()),
            _ => return None,
        };
        Some(Named::new(mark.to_owned(), selector, vec![(Some(tenant), mark.to_owned())]))
    }

    /// One of everything that can be named.
    pub(crate) fn something_to_name(&mut self) -> Option<Named> {
        let level = self.dice.weighted(&[
            (14, "token"),
            (14, "task"),
            (6, "subject"),
            (6, "workload"),
            (3, "pattern"),
            (8, "connector"),
            (4, "tenant"),
            (10, "owner"),
            (6, "model"),
            (3, "key"),
            (4, "policy"),
        ]);
        let (selector, found) = match level {
            "token" | "task" => self.name_one(level)?,
            "subject" => self.name_subject()?,
            "key" => {
                let kid = self.dice.pick(&self.model.keys)?.clone();
                (Selector::SigningKey(locum_token::parse_kid(&kid).ok()?), vec![(None, format!("key {kid}"))])
            }
            "policy" => {
                let revision = 1 + self.dice.below(self.model.policy_revision.max(1) as usize) as u32;
                let number = locum_model::PolicyRevision(revision);
                (Selector::PolicyRevision(number), vec![(None, format!("policy {revision}"))])
            }
            level => self.name_registered(level)?,
        };
        let id = self.next_id;
        Some(Named::new(format!("{level} {id}"), selector, found))
    }

    fn name_one(&mut self, level: &str) -> Option<(Selector, Found)> {
        if level == "task" {
            let all: Vec<_> = (0..self.model.tasks.len()).collect();
            let task = &self.model.tasks[*self.dice.pick_late(&all)?];
            let found = vec![(Some(task.who.tenant), format!("task {}", task.id))];
            return Some((Selector::Task(task.id), found));
        }
        let all: Vec<_> = (0..self.model.tokens.len()).collect();
        let token = &self.model.tokens[*self.dice.pick_late(&all)?];
        let tenant = self.model.tasks[token.task].who.tenant;
        Some((Selector::Token(token.jti), vec![(Some(tenant), format!("token {}", token.jti))]))
    }

    fn name_subject(&mut self) -> Option<(Selector, Found)> {
        let all: Vec<_> = (0..self.model.tasks.len()).collect();
        let subject = self.model.tasks[*self.dice.pick_late(&all)?].subject.clone();
        let found = (0..3).filter_map(|at| Some((Some(at), self.model.subject_mark(at, &subject)?)));
        let found = found.collect();
        Some((Selector::Subject(subject), found))
    }

    fn name_registered(&mut self, level: &str) -> Option<(Selector, Found)> {
        let one = |run: &mut Self, names: &[&'static str]| run.dice.pick(names).copied();
        let word = match level {
            "workload" | "pattern" => one(self, &["agent", "helper", "backend"])?,
            "connector" => one(self, &CONNECTORS)?,
            "tenant" => one(self, &TENANTS)?,
            "owner" => one(self, &["crew", "night-crew", "desk", "depot", "post", "house"])?,
            _ => "gpt",
        };
        let mut found = Vec::new();
        for (at, tenant) in TENANTS.into_iter().enumerate() {
            let mark = match level {
                "workload" | "pattern" => self.model.workload_mark(Who { tenant: at, name: word }),
                "tenant" if tenant == word => self.model.mark(&format!("tenant {tenant}")),
                "tenant" => None,
                level => self.model.mark(&format!("{level} {tenant}/{word}")),
            };
            found.extend(mark.map(|mark| (Some(at), mark)));
        }
        let selector = match level {
            "workload" => Selector::Workload(name(word)),
            "pattern" => {
                // A glob over one tenant's trust domain: all of its workloads.
                let at = self.dice.below(3);
                let all = ["agent", "helper", "backend"].map(|name| Who { tenant: at, name });
                let marks = all.into_iter().filter_map(|who| self.model.workload_mark(who));
                found = marks.map(|mark| (Some(at), mark)).collect();
                let pattern = format!("spiffe://{}.test/agents/*", TENANTS[at]);
                Selector::WorkloadPattern(pattern.parse().expect("a good pattern"))
            }
            "connector" => Selector::Connector(name(word)),
            "tenant" => Selector::Tenant(name(word)),
            "owner" => Selector::Owner(name(word)),
            _ => Selector::Model(name(word)),
        };
        Some((selector, found))
    }

    /// What an operator of these tenants reaches of it.
    fn reached(&self, named: &Named, tenants: &[&str]) -> Vec<String> {
        let reaches = |tenant: &Option<usize>| match tenant {
            _ if tenants.is_empty() => true,
            // A tenant that is not registered any more belongs to nobody but those who have all.
            Some(at) => {
                let registered = self.model.mark(&format!("tenant {}", TENANTS[*at])).is_some();
                registered && tenants.contains(&TENANTS[*at])
            }
            None => false,
        };
        named.found.iter().filter(|(tenant, _)| reaches(tenant)).map(|(_, mark)| mark.clone()).collect()
    }

    pub(crate) fn revoke(
        &mut self,
        named: Named,
        tenants: &'static [&'static str],
        before: Option<Timestamp>,
    ) {
        let marks = self.reached(&named, tenants);
        let expected = match self.now() {
            None => Expected::refused("there is no time"),
            _ if marks.is_empty() => Expected::refused("it names nothing that the operator reaches"),
            Some(now) if before.is_some_and(|moment| moment > now) => {
                Expected::refused("that is in the future")
            }
            // What is named by its id may be forgotten once it is dead.
            Some(now) => {
                Expected::event(self.forgotten(&named, tenants, now), "", Plan::Revoke { marks, before })
            }
        };
        let what = format!("revoke {} {:?} by {tenants:?} before {before:?}", named.what, in_words(&named));
        let (broker, operator) = (Arc::clone(&self.broker), operator(tenants));
        self.begin(what, expected, async move {
            Answer::Revoked(broker.revoke(&operator, named.selector, "simulated", before).await)
        });
    }

    /// Whether an id may be unknown to the broker by now, and so out of reach of some operators.
    fn forgotten(&self, named: &Named, tenants: &[&str], now: Timestamp) -> Dead {
        let dead = match named.selector {
            // A key that was retired is gone from the ring.
            Selector::SigningKey(_) => Dead::Maybe,
            _ if tenants.is_empty() => Dead::No,
            Selector::Token(jti) => {
                let token = self.model.token_at(jti).map(|at| &self.model.tokens[at]);
                token.map_or(Dead::No, |token| self.model.token_dead(token, now))
            }
            Selector::Task(id) => self.model.task_at(id).map_or(Dead::No, |at| self.model.task_dead(at)),
            _ => Dead::No,
        };
        dead.min(Dead::Maybe)
    }

    pub(crate) fn lock(&mut self, named: Named, tenants: &'static [&'static str], seconds: u64) {
        if matches!(
            named.selector,
            Selector::Token(_) | Selector::PolicyRevision(_) | Selector::SigningKey(_)
        ) {
            return;
        }
        let Some(now) = self.now() else { return };
        let marks = self.reached(&named, tenants);
        let span = Duration::from_secs(seconds);
        let expected = if marks.is_empty() {
            Expected::refused("it names nothing that the operator reaches")
        } else {
            let what = named.selector.to_string();
            let plan = Plan::Lock { what, marks, until: now.plus(span) };
            Expected::event(self.forgotten(&named, tenants, now), "", plan)
        };
        let what = format!("lock {} {:?} by {tenants:?} for {seconds} s", named.what, in_words(&named));
        let (broker, operator) = (Arc::clone(&self.broker), operator(tenants));
        self.begin(what, expected, async move {
            let locked = broker.lock(&operator, named.selector, "simulated", span).await;
            Answer::Done(locked.map(drop))
        });
    }

    pub(crate) fn unlock(&mut self, at: usize) {
        let Some(now) = self.now() else { return };
        let what = self.model.locks[at].what.clone();
        let same = |lock: usize| {
            let lock = &self.model.locks[lock];
            lock.what == what && !lock.lifted && now < lock.until
        };
        let locks: Vec<_> = (0..self.model.locks.len()).filter(|lock| same(*lock)).collect();
        let expected = if locks.is_empty() {
            Expected::refused("no such lock is in force")
        } else {
            Expected::event(Dead::No, "", Plan::Unlock { locks })
        };
        let known = self.broker.locks_of(&operator(&[])).expect("there is time");
        let selector = known.iter().find(|lock| lock.selector.to_string() == what);
        let selector = selector.map_or(Selector::Tenant(name("nobody")), |lock| lock.selector.clone());
        let broker = Arc::clone(&self.broker);
        self.begin(format!("unlock {what}"), expected, async move {
            let unlocked = broker.unlock(&operator(&[]), &selector, "simulated").await;
            Answer::Done(unlocked.map(drop))
        });
    }

    pub(crate) fn force_end(&mut self, task: usize, tenants: &'static [&'static str]) {
        let (id, tenant) = (self.model.tasks[task].id, self.model.tasks[task].who.tenant);
        let registered = self.model.mark(&format!("tenant {}", TENANTS[tenant])).is_some();
        let reaches = tenants.is_empty() || (registered && tenants.contains(&TENANTS[tenant]));
        let expected = match self.model.task_dead(task) {
            _ if !reaches => Expected::refused("the task is not of the operator's tenants"),
            Dead::Yes => Expected { refused: Dead::Maybe, ..Expected::answered() },
            _ if self.now().is_none() => Expected::refused("there is no time"),
            dead => Expected::event(dead, "it is over", Plan::End { task, outcome: Outcome::Cancelled }),
        };
        let (broker, operator) = (Arc::clone(&self.broker), operator(tenants));
        self.begin(format!("force end {id} by {tenants:?}"), expected, async move {
            Answer::Task(broker.force_end_task(&operator, id, "simulated").await)
        });
    }

    pub(crate) fn rotate_key(&mut self, algorithm: Algorithm) {
        let expected = match self.now() {
            None => Expected::refused("there is no time"),
            // A key that waits already is reason to refuse; the model does not follow keys so far.
            Some(_) => Expected::event(Dead::Maybe, "", Plan::Rotate),
        };
        let broker = Arc::clone(&self.broker);
        self.begin(format!("rotate {algorithm:?}"), expected, async move {
            Answer::Done(broker.rotate_key(&operator(&[]), algorithm).await.map(drop))
        });
    }

    pub(crate) fn activate_registry(&mut self, setup: Setup) {
        let expected = match self.now() {
            _ if self.model.setup.is_some_and(|now| now.entries() == setup.entries()) => {
                let plan = Some(Plan::Registry(setup, self.model.registries));
                Expected { refused: Dead::Maybe, plan, ..Expected::answered() }
            }
            None => Expected::refused("there is no time"),
            Some(_) => Expected::event(Dead::No, "", Plan::Registry(setup, self.model.registries)),
        };
        let broker = Arc::clone(&self.broker);
        self.begin(format!("registry {setup:?}"), expected, async move {
            let activated = broker.activate_registry(&setup.proposal(), By::Operator("op".into())).await;
            Answer::Done(activated.map(drop).map_err(refusal_of))
        });
    }

    pub(crate) fn activate_policy(&mut self, set: usize) {
        let expected = match self.now() {
            _ if self.model.policy_revision > 0 && self.model.policy == set => Expected::answered(),
            None => Expected::refused("there is no time"),
            Some(_) => Expected::event(Dead::No, "", Plan::Policy(set, self.model.policy_revision)),
        };
        let broker = Arc::clone(&self.broker);
        self.begin(format!("policy {set}"), expected, async move {
            let activated = broker.activate_policy(universe::policy(set), By::Operator("op".into())).await;
            Answer::Done(activated.map(drop).map_err(refusal_of))
        });
    }
}

fn refusal_of(error: locum_broker::NotActivated) -> locum_broker::Refusal {
    match error {
        locum_broker::NotActivated::Refused(refusal) => refusal,
        other => panic!("a good proposal was refused: {other}"),
    }
}

/// What it names, without key ids: those are not the same in two runs of one seed.
fn in_words(named: &Named) -> Vec<&str> {
    let word = |mark: &'_ (Option<usize>, String)| !mark.1.starts_with("key ");
    named.found.iter().filter(|mark| word(mark)).map(|(_, mark)| mark.as_str()).collect()
}
