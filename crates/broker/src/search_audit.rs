//! `SearchAudit` and `ExportAudit`: the archive says where, the journal says what.

use locum_archive::texts::Told;
use locum_archive::{Criteria, Decision, Facet, Hit, Order, Reach, Times};
use locum_model::limits::AUDIT_PAGE_BYTES_MAX;
use locum_model::{Committed, Event, Name, Position, Reason, Registry, TaskId, TokenId};

use crate::broker::Broker;
use crate::operator::{Operator, Tenants};
use crate::record::{self, RecordEntry};
use crate::refusal::Refusal;

/// What an operator looks for; all of it has to be met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// A task and everything below it.
    pub task: Option<TaskId>,
    /// A token.
    pub token: Option<TokenId>,
    /// A workload by its registered name, or by the SPIFFE ID that it proved.
    pub workload: Option<String>,
    /// A connector by its registered name.
    pub connector: Option<String>,
    /// An owner by name.
    pub owner: Option<String>,
    /// A model by its registered name.
    pub model: Option<String>,
    /// An operator by name.
    pub operator: Option<String>,
    /// A caller's request id.
    pub request_id: Option<String>,
    /// A subject, of the one tenant that the question reaches.
    pub subject: Option<String>,
    /// A tenant by name.
    pub tenant: Option<Name>,
    /// What was decided.
    pub decision: Option<Decision>,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// One of these events; any when empty.
    pub events: Vec<String>,
    /// When.
    pub times: Times,
    /// Words in operators' reasons.
    pub text: Option<String>,
}

/// Where a page begins, and how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// In which order.
    pub order: Order,
    /// Go on after this sequence.
    pub after: Option<u64>,
    /// Entries on the page.
    pub size: usize,
    /// Whether justifications are shown.
    pub justifications: Justifications,
}

/// Whether justifications are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Justifications {
    /// Only that there is one.
    Hidden,
    /// As they were given, while they are kept.
    Shown,
}

/// A page of entries.
#[derive(Clone, Debug)]
pub struct AuditFound {
    /// In order.
    pub entries: Vec<RecordEntry>,
    /// Go on after this sequence; none when there is no more. A page that is not full may have one.
    pub next: Option<u64>,
    /// The newest position that was searched.
    pub indexed: Option<Position>,
    /// Events that are committed and were not searched.
    pub behind: u64,
}

impl Broker {
    /// One page of what meets `query` within the operator's tenants. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// ARCHIVE_UNAVAILABLE, REQUEST_MALFORMED for a subject of no one tenant, and INTERNAL when the journal cannot be read.
    pub fn search_audit(
        &self,
        operator: &Operator,
        query: &AuditQuery,
        page: AuditPage,
    ) -> Result<AuditFound, Refusal> {
        let archive = self.archive()?;
        let registry = self.registry();
        let criteria = query.criteria(reach(operator, &registry, query.tenant.as_ref()))?;
        let found = archive.search(&criteria, (page.order, page.after), page.size);
        let found = found.map_err(|cause| self.archive_failed(cause))?;
        let indexed = found.indexed.map(|indexed| indexed.position);
        let (mut entries, mut next, mut bytes) = (Vec::new(), found.next, 0);
        let mut shown = self.entries(operator, &registry, &found.hits)?;
        for hit in &found.hits {
            let Some((committed, mut entry)) = shown.remove(&hit.sequence) else { continue };
            if page.justifications == Justifications::Shown {
                self.add_justification(&mut entry, committed.event())?;
            }
            bytes += entry.bytes();
            if bytes > AUDIT_PAGE_BYTES_MAX && !entries.is_empty() {
                next = entries.last().map(|last: &RecordEntry| last.position.sequence);
                break;
            }
            entries.push(entry);
        }
        let behind = self.journal.head().position.sequence - indexed.map_or(0, |at| at.sequence);
        Ok(AuditFound { entries, next, indexed, behind })
    }

    /// The entries of these hits, from the journal. Whose they are is judged once more.
    fn entries(
        &self,
        operator: &Operator,
        registry: &Registry,
        hits: &[Hit],
    ) -> Result<std::collections::HashMap<u64, (Committed<Event>, RecordEntry)>, Refusal> {
        let mut in_order = hits.to_vec();
        in_order.sort_unstable_by_key(|hit| hit.sequence);
        let mut lookup = self.journal.lookup();
        let mut entries = std::collections::HashMap::new();
        for hit in in_order {
            let Some(committed) = lookup.event(hit.sequence).map_err(|cause| {
                tracing::error!(%cause, "the journal could not be read");
                Refusal::from(Reason::Internal)
            })?
            else {
                continue;
            };
            let entry = record::entry(&committed, registry, |_task| hit.tenant).or_of(hit.tenant, registry);
            let seen = match entry.tenant {
                Some(tenant) => operator.reaches(registry, tenant),
                None => operator.tenants == Tenants::All,
            };
            if seen {
                entries.insert(hit.sequence, (committed, entry));
            }
        }
        Ok(entries)
    }

    fn add_justification(&self, entry: &mut RecordEntry, event: &Event) -> Result<(), Refusal> {
        let Event::TaskStarted(started) = event else { return Ok(()) };
        let Some(commitment) = &started.justification else { return Ok(()) };
        let told = self.archive()?.text(started.tenant, commitment);
        let state = match told.map_err(|cause| self.archive_failed(cause))? {
            Told::Text(text) => {
                entry.facts.insert("justification_text", text.escape_debug().to_string());
                "kept"
            }
            Told::Erased => "erased",
            Told::NotKept => "not kept",
        };
        entry.facts.insert("justification", state.into());
        Ok(())
    }
}

/// How far a question reaches: the operator's tenants, and the one that is asked for.
pub(crate) fn reach(operator: &Operator, registry: &Registry, asked: Option<&Name>) -> Reach {
    if operator.tenants == Tenants::All && asked.is_none() {
        return Reach::All;
    }
    let tenants = registry.entries().tenants.values();
    let within = tenants.filter(|tenant| {
        operator.reaches(registry, tenant.number) && asked.is_none_or(|name| tenant.name == *name)
    });
    Reach::Only(within.map(|tenant| tenant.number).collect())
}

impl AuditQuery {
    fn criteria(&self, reach: Reach) -> Result<Criteria, Refusal> {
        let subject = match (&self.subject, &reach) {
            (None, _) => None,
            // Two tenants may call two parties by one name: a subject is numbered with its tenant.
            (Some(subject), Reach::Only(tenants)) if tenants.len() <= 1 => {
                tenants.iter().next().map(|tenant| Facet::Subject(locum_token::subject_key(*tenant, subject)))
            }
            (Some(_), _) => {
                return Err(Refusal::new(
                    Reason::RequestMalformed,
                    "a subject is of one tenant: name it too",
                ));
            }
        };
        let text = |value: &Option<String>, facet: fn(String) -> Facet| value.clone().map(facet);
        let facets = [
            self.task.map(Facet::Task),
            self.token.map(Facet::Token),
            text(&self.workload, Facet::Workload),
            text(&self.connector, Facet::Connector),
            text(&self.owner, Facet::Owner),
            text(&self.model, Facet::Model),
            text(&self.operator, Facet::Operator),
            text(&self.request_id, Facet::Request),
            subject,
        ];
        Ok(Criteria {
            reach,
            facets: facets.into_iter().flatten().collect(),
            decision: self.decision,
            reason: self.reason,
            events: self.events.clone(),
            times: self.times,
            text: self.text.clone(),
        })
    }
}
