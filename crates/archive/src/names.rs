//! [`Names`]: every registration that ever was, by number: numbers are never reused, so that an
//! entry of long ago still finds the name that held then.

use std::collections::HashMap;
use std::sync::Arc;

use locum_model::registry::Entries;
use locum_model::{ConnectorNo, Level, ModelNo, OwnerNo, RegistryRevision, Target, TenantNo, WorkloadNo};
use rusqlite::{Connection, params};

use crate::error::ArchiveError;

/// One registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    pub(crate) name: String,
    pub(crate) tenant: TenantNo,
    pub(crate) owner: Option<OwnerNo>,
    pub(crate) model: Option<ModelNo>,
}

/// All registrations. A fold over the registries that came into force. Clones are cheap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    known: Arc<HashMap<(Level, u32), Registration>>,
    revision: RegistryRevision,
}

/// The level under which the file keeps the revision: no registration has it.
const OF_REVISION: u8 = 0;

impl Names {
    /// What the file holds.
    pub(crate) fn load(db: &Connection) -> Result<Self, ArchiveError> {
        let mut names = Self::default();
        let mut rows = db.prepare("SELECT level, number, name, tenant, owner, model FROM names")?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let level: u8 = row.get(0)?;
            if level == OF_REVISION {
                names.revision = RegistryRevision(row.get(1)?);
                continue;
            }
            let found = Level::ALL.into_iter().find(|known| *known as u8 == level);
            let level = found.ok_or_else(|| ArchiveError::Damaged(format!("level {level} of a name")))?;
            let registration = Registration {
                name: row.get(2)?,
                tenant: TenantNo(row.get(3)?),
                owner: row.get::<_, Option<u32>>(4)?.map(OwnerNo),
                model: row.get::<_, Option<u32>>(5)?.map(ModelNo),
            };
            Arc::make_mut(&mut names.known).insert((level, row.get(1)?), registration);
        }
        Ok(names)
    }

    /// Learns a registry, in the file too. One that came second to another never came into force:
    /// its numbers may be somebody else's.
    pub(crate) fn learn(&mut self, db: &Connection, entries: &Entries) -> Result<(), ArchiveError> {
        if entries.revision <= self.revision {
            return Ok(());
        }
        self.revision = entries.revision;
        db.execute("DELETE FROM names WHERE level = ?", [OF_REVISION])?;
        let mut insert = db.prepare_cached(
            "INSERT OR REPLACE INTO names (level, number, name, tenant, owner, model) VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        insert.execute(params![OF_REVISION, self.revision.0, "", 0, None::<u32>, None::<u32>])?;
        for (level, number, registration) in registrations(entries) {
            if self.known.get(&(level, number)) == Some(&registration) {
                continue;
            }
            let Registration { name, tenant, owner, model } = &registration;
            let (owner, model) = (owner.map(|no| no.0), model.map(|no| no.0));
            insert.execute(params![level as u8, number, name, tenant.0, owner, model])?;
            Arc::make_mut(&mut self.known).insert((level, number), registration);
        }
        Ok(())
    }

    pub(crate) fn workload(&self, number: WorkloadNo) -> Option<&Registration> {
        self.known.get(&(Level::Workload, number.0))
    }

    pub(crate) fn connector(&self, number: ConnectorNo) -> Option<&Registration> {
        self.known.get(&(Level::Connector, number.0))
    }

    pub(crate) fn owner(&self, number: OwnerNo) -> Option<&Registration> {
        self.known.get(&(Level::Owner, number.0))
    }

    pub(crate) fn model(&self, number: ModelNo) -> Option<&Registration> {
        self.known.get(&(Level::Model, number.0))
    }

    /// The registration that a target is; none for what is not registered, tenants included.
    pub(crate) fn of_target(&self, target: Target) -> Option<&Registration> {
        match target {
            Target::Workload(number) => self.workload(number),
            Target::Connector(number) => self.connector(number),
            Target::Owner(number) => self.owner(number),
            Target::Model(number) => self.model(number),
            _ => None,
        }
    }
}

fn registrations(entries: &Entries) -> Vec<(Level, u32, Registration)> {
    let plain = |name: &locum_model::Name, tenant: TenantNo| Registration {
        name: name.to_string(),
        tenant,
        owner: None,
        model: None,
    };
    let mut all = Vec::new();
    all.extend(entries.owners.values().map(|e| (Level::Owner, e.number.0, plain(&e.name, e.tenant))));
    all.extend(entries.models.values().map(|e| {
        let registration = Registration { owner: Some(e.owner), ..plain(&e.name, e.tenant) };
        (Level::Model, e.number.0, registration)
    }));
    all.extend(entries.workloads.values().map(|e| {
        let registration = Registration { owner: Some(e.owner), model: e.model, ..plain(&e.name, e.tenant) };
        (Level::Workload, e.number.0, registration)
    }));
    all.extend(entries.connectors.values().map(|e| {
        let registration = Registration { owner: Some(e.owner), ..plain(&e.name, e.tenant) };
        (Level::Connector, e.number.0, registration)
    }));
    all
}
