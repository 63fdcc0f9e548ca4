//! [`describe`]: what an event is about, so that it can be found.
//!
//! An event that names only a task or a token is about everything that these rest on: the archive
//! remembers that of each task and token. Nothing here is shown to anybody.

use std::collections::BTreeSet;

use locum_model::event::{By, TaskStarted};
use locum_model::limits::TASK_DEPTH_MAX;
use locum_model::{
    ConnectorNo, Event, IssueRecord, ModelNo, OwnerNo, Reason, Standing, SubjectKey, Target, TaskId,
    TenantNo, TokenId, WorkloadNo,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::ArchiveError;
use crate::facet::{Decision, Facet, stored, unstored};
use crate::names::Names;

/// What an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Description {
    /// The one tenant that it concerns; none where it concerns several or all.
    pub(crate) tenant: Option<TenantNo>,
    pub(crate) decision: Option<Decision>,
    pub(crate) reason: Option<Reason>,
    pub(crate) facets: BTreeSet<Facet>,
    /// What it took authority from.
    pub(crate) takes: Vec<Target>,
    /// What an operator said about it.
    pub(crate) text: Option<String>,
}

/// What the archive knows when it meets an event.
pub(crate) struct Known<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) names: &'a Names,
}

/// Describes an event. What it says of tasks, tokens and locks has to be [learned](learn) before.
pub(crate) fn describe(known: &Known<'_>, event: &Event) -> Result<Description, ArchiveError> {
    let mut about = Description::default();
    match event {
        Event::TaskStarted(_)
        | Event::TaskEnded(_)
        | Event::TaskLapsed(_)
        | Event::TokenIssued(_)
        | Event::TokenUsed(_)
        | Event::ChecksSummed(_)
        | Event::DenialsSummed(_) => describe_work(known, &mut about, event)?,
        Event::Revoked(_)
        | Event::Locked(_)
        | Event::Unlocked(_)
        | Event::RegistryActivated(_)
        | Event::PolicyActivated(_)
        | Event::KeyPublished(_)
        | Event::KeyActivated(_)
        | Event::KeyRetired(_) => describe_force(known, &mut about, event)?,
    }
    Ok(about)
}

/// What workloads do.
fn describe_work(known: &Known<'_>, about: &mut Description, event: &Event) -> Result<(), ArchiveError> {
    match event {
        Event::TaskStarted(e) => {
            about.decision = Some(Decision::Permit);
            known.add_task(about, e.task)?;
            for connector in &e.connectors {
                known.add_connectors(about, &[connector.number]);
                known.add_owner(about, connector.owner);
            }
            about.facets.extend(e.request.iter().map(|key| Facet::Request(key.id.clone())));
        }
        Event::TaskEnded(e) => {
            known.add_task(about, e.task)?;
            known.add_by(about, &e.by);
            about.text.clone_from(&e.reason);
        }
        Event::TaskLapsed(e) => known.add_task(about, e.task)?,
        Event::TokenIssued(e) => {
            about.decision = Some(Decision::Permit);
            known.add_token(about, e.jti, e.task())?;
            known.add_standing(about, &e.standing);
            about.facets.insert(Facet::Subject(e.subject_key));
            about.facets.insert(Facet::Workload(e.client_id.to_string()));
            about.facets.extend(e.tasks.iter().copied().map(Facet::Task));
            about.facets.extend(e.request.iter().map(|key| Facet::Request(key.id.clone())));
        }
        Event::TokenUsed(e) => {
            about.decision = Some(Decision::Permit);
            known.add_token(about, e.jti, e.task)?;
            known.add_by(about, &e.by);
        }
        Event::ChecksSummed(e) => known.add_token(about, e.jti, e.task)?,
        Event::DenialsSummed(e) => {
            about.decision = Some(Decision::Denial);
            about.reason = Some(e.reason);
            if let Some(task) = e.task {
                known.add_task(about, task)?;
            }
            known.add_by(about, &e.by);
            about.tenant = (e.tenant != TenantNo(0)).then_some(e.tenant);
        }
        _ => {}
    }
    Ok(())
}

/// What operators and Locum itself do.
fn describe_force(known: &Known<'_>, about: &mut Description, event: &Event) -> Result<(), ArchiveError> {
    match event {
        Event::Revoked(e) => {
            known.add_targets(about, &e.targets)?;
            known.add_by(about, &e.by);
            about.takes.clone_from(&e.targets);
            about.text = Some(e.reason.clone());
        }
        Event::Locked(e) => {
            known.add_targets(about, &e.targets)?;
            known.add_by(about, &e.by);
            about.tenant = e.tenant;
            about.text = Some(e.reason.clone());
        }
        Event::Unlocked(e) => {
            known.add_locks(about, &e.locks)?;
            known.add_by(about, &e.by);
            about.text = Some(e.reason.clone());
        }
        Event::RegistryActivated(e) => {
            known.add_targets(about, &e.removed)?;
            known.add_by(about, &e.by);
            about.tenant = None;
            about.takes.clone_from(&e.removed);
        }
        Event::PolicyActivated(e) => known.add_by(about, &e.by),
        Event::KeyPublished(e) => known.add_by(about, &e.by),
        Event::KeyActivated(e) => known.add_by(about, &e.by),
        Event::KeyRetired(e) => {
            known.add_by(about, &e.by);
            about.takes.push(Target::SigningKey(e.kid));
        }
        _ => {}
    }
    Ok(())
}

/// Remembers what later events will only name: tasks, tokens and locks.
pub(crate) fn learn(known: &Known<'_>, sequence: u64, event: &Event) -> Result<(), ArchiveError> {
    match event {
        Event::TaskStarted(e) => learn_task(known.db, sequence, e),
        Event::TokenIssued(e) => learn_token(known.db, sequence, e),
        Event::Locked(e) => {
            let mut about = Description::default();
            known.add_targets(&mut about, &e.targets)?;
            let mut insert =
                known.db.prepare_cached("INSERT OR IGNORE INTO locks (lock, kind, id) VALUES (?, ?, ?)")?;
            let lock = stored(e.lock);
            // Kind 0 is the tenant; every lock has this row.
            insert.execute(params![lock, 0, e.tenant.map(|tenant| tenant.0)])?;
            for facet in &about.facets {
                insert.execute(params![lock, facet.kind(), facet.id()])?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn learn_task(db: &Connection, sequence: u64, e: &TaskStarted) -> Result<(), ArchiveError> {
    let mut insert = db.prepare_cached(
        "INSERT OR IGNORE INTO tasks (task, seq, parent, tenant, workload, identity, owner, model, subject)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    insert.execute(params![
        stored(e.task.as_u64()),
        stored(sequence),
        e.parent.map(|parent| stored(parent.as_u64())),
        e.tenant.0,
        e.workload.0,
        e.workload_identity.as_str(),
        e.owner.0,
        e.model.map(|model| model.0),
        e.subject_key.0,
    ])?;
    Ok(())
}

fn learn_token(db: &Connection, sequence: u64, e: &IssueRecord) -> Result<(), ArchiveError> {
    let mut insert = db.prepare_cached(
        "INSERT OR IGNORE INTO tokens (jti, seq, task, connector, owner) VALUES (?, ?, ?, ?, ?)",
    )?;
    let Standing { connector, connector_owner, .. } = &e.standing;
    let task = stored(e.task().as_u64());
    insert.execute(params![e.jti.0, stored(sequence), task, connector.0, connector_owner.0])?;
    Ok(())
}

/// A task as it was remembered.
struct TaskRow {
    parent: Option<TaskId>,
    tenant: TenantNo,
    workload: WorkloadNo,
    identity: String,
    owner: OwnerNo,
    model: Option<ModelNo>,
    subject: SubjectKey,
}

impl Known<'_> {
    /// The task, those above it, and what it rests on.
    fn add_task(&self, about: &mut Description, task: TaskId) -> Result<(), ArchiveError> {
        about.facets.insert(Facet::Task(task));
        let Some(row) = self.task(task)? else { return Ok(()) };
        about.tenant = about.tenant.or(Some(row.tenant));
        self.add_workload(about, row.workload);
        self.add_owner(about, row.owner);
        self.add_model(about, row.model);
        about.facets.insert(Facet::Workload(row.identity));
        about.facets.insert(Facet::Subject(row.subject));
        let mut above = row.parent;
        for _ in 1..TASK_DEPTH_MAX {
            let Some(task) = above else { break };
            about.facets.insert(Facet::Task(task));
            above = self.task(task)?.and_then(|row| row.parent);
        }
        Ok(())
    }

    /// The token, its connector, and its task.
    fn add_token(&self, about: &mut Description, jti: TokenId, task: TaskId) -> Result<(), ArchiveError> {
        about.facets.insert(Facet::Token(jti));
        self.add_task(about, task)?;
        if let Some((_, connector, owner)) = self.token(jti)? {
            self.add_connectors(about, &[connector]);
            self.add_owner(about, owner);
        }
        Ok(())
    }

    fn add_standing(&self, about: &mut Description, standing: &Standing) {
        about.tenant = Some(standing.tenant);
        self.add_connectors(about, &[standing.connector]);
        self.add_owner(about, standing.connector_owner);
        for actor in &standing.actors {
            self.add_workload(about, actor.workload);
            self.add_owner(about, actor.owner);
            self.add_model(about, actor.model);
        }
    }

    /// Who did it. A workload stands with who answers for it.
    fn add_by(&self, about: &mut Description, by: &By) {
        match by {
            By::Workload { number, id } => {
                about.facets.insert(Facet::Workload(id.to_string()));
                self.add_workload(about, *number);
                if let Some(found) = self.names.workload(*number) {
                    found.owner.into_iter().for_each(|owner| self.add_owner(about, owner));
                    self.add_model(about, found.model);
                }
            }
            By::Operator(name) => {
                about.facets.insert(Facet::Operator(name.clone()));
            }
            By::Broker => {}
        }
    }

    /// What was named, and the tenant where all of it is in one.
    fn add_targets(&self, about: &mut Description, targets: &[Target]) -> Result<(), ArchiveError> {
        let mut tenants = BTreeSet::new();
        for target in targets {
            tenants.insert(self.add_target(about, *target)?);
        }
        about.tenant = tenants.pop_first().flatten().filter(|_| tenants.is_empty());
        Ok(())
    }

    fn add_target(&self, about: &mut Description, target: Target) -> Result<Option<TenantNo>, ArchiveError> {
        let registered = self.names.of_target(target);
        let name = registered.map(|found| found.name.clone());
        match target {
            Target::Workload(_) => about.facets.extend(name.map(Facet::Workload)),
            Target::Connector(_) => about.facets.extend(name.map(Facet::Connector)),
            Target::Owner(_) => about.facets.extend(name.map(Facet::Owner)),
            Target::Model(_) => about.facets.extend(name.map(Facet::Model)),
            Target::Tenant(number) => return Ok(Some(number)),
            Target::Subject(key) => {
                about.facets.insert(Facet::Subject(key));
                return self.tenant_of_subject(key);
            }
            Target::Task(task) => {
                // What is above it and what it rests on was not named.
                about.facets.extend(self.chain(task)?.into_iter().map(Facet::Task));
                return Ok(self.task(task)?.map(|row| row.tenant));
            }
            Target::Token(jti) => {
                about.facets.insert(Facet::Token(jti));
                let Some((task, ..)) = self.token(jti)? else { return Ok(None) };
                about.facets.extend(self.chain(task)?.into_iter().map(Facet::Task));
                return Ok(self.task(task)?.map(|row| row.tenant));
            }
            Target::SigningKey(_) | Target::PolicyRevision(_) => {}
        }
        Ok(registered.map(|found| found.tenant))
    }

    fn add_locks(&self, about: &mut Description, locks: &[u64]) -> Result<(), ArchiveError> {
        let mut tenants = BTreeSet::new();
        let mut rows = self.db.prepare_cached("SELECT kind, id FROM locks WHERE lock = ?")?;
        for lock in locks {
            let mut rows = rows.query([stored(*lock)])?;
            while let Some(row) = rows.next()? {
                match row.get(0)? {
                    0 => {
                        tenants.insert(row.get::<_, Option<u32>>(1)?.map(TenantNo));
                    }
                    kind => about.facets.extend(Facet::read(kind, row.get(1)?)),
                }
            }
        }
        about.tenant = tenants.pop_first().flatten().filter(|_| tenants.is_empty());
        Ok(())
    }

    fn add_workload(&self, about: &mut Description, number: WorkloadNo) {
        about.facets.extend(self.names.workload(number).map(|found| Facet::Workload(found.name.clone())));
    }

    fn add_owner(&self, about: &mut Description, number: OwnerNo) {
        about.facets.extend(self.names.owner(number).map(|found| Facet::Owner(found.name.clone())));
    }

    fn add_model(&self, about: &mut Description, number: Option<ModelNo>) {
        let found = number.and_then(|number| self.names.model(number));
        about.facets.extend(found.map(|found| Facet::Model(found.name.clone())));
    }

    fn add_connectors(&self, about: &mut Description, numbers: &[ConnectorNo]) {
        let found = numbers.iter().filter_map(|number| self.names.connector(*number));
        about.facets.extend(found.map(|found| Facet::Connector(found.name.clone())));
    }

    /// The task and those above it.
    fn chain(&self, task: TaskId) -> Result<Vec<TaskId>, ArchiveError> {
        let mut chain = vec![task];
        while let Some(parent) = self.task(chain[chain.len() - 1])?.and_then(|row| row.parent) {
            chain.push(parent);
            if chain.len() == TASK_DEPTH_MAX {
                break;
            }
        }
        Ok(chain)
    }

    fn task(&self, task: TaskId) -> Result<Option<TaskRow>, ArchiveError> {
        let mut find = self.db.prepare_cached(
            "SELECT parent, tenant, workload, identity, owner, model, subject FROM tasks WHERE task = ?",
        )?;
        let found = find.query_row([stored(task.as_u64())], |row| {
            Ok(TaskRow {
                parent: row.get::<_, Option<i64>>(0)?.map(|id| TaskId::from_u64(unstored(id))),
                tenant: TenantNo(row.get(1)?),
                workload: WorkloadNo(row.get(2)?),
                identity: row.get(3)?,
                owner: OwnerNo(row.get(4)?),
                model: row.get::<_, Option<u32>>(5)?.map(ModelNo),
                subject: SubjectKey(row.get(6)?),
            })
        });
        Ok(found.optional()?)
    }

    fn token(&self, jti: TokenId) -> Result<Option<(TaskId, ConnectorNo, OwnerNo)>, ArchiveError> {
        let mut find = self.db.prepare_cached("SELECT task, connector, owner FROM tokens WHERE jti = ?")?;
        let found = find.query_row([jti.0], |row| {
            Ok((TaskId::from_u64(unstored(row.get(0)?)), ConnectorNo(row.get(1)?), OwnerNo(row.get(2)?)))
        });
        Ok(found.optional()?)
    }

    /// Subjects are numbered with their tenant, so any entry about one tells it.
    fn tenant_of_subject(&self, key: SubjectKey) -> Result<Option<TenantNo>, ArchiveError> {
        let mut find = self.db.prepare_cached("SELECT tenant FROM tasks WHERE subject = ? LIMIT 1")?;
        Ok(find.query_row([key.0], |row| Ok(TenantNo(row.get(0)?))).optional()?)
    }
}
