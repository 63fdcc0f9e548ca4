//! [`Standings`]: on which registrations a token or a task rests, interned once.
//!
//! A standing is a list of marks, one for each registration, so that judging is one loop over
//! watermarks whatever the registrations are. Millions of rows share few standings; a row keeps
//! the index. The cells are read without a lock: whoever reads one holds a row or a task that
//! keeps it in use, and it is only rewritten when nothing does.

use std::collections::HashMap;

use locum_model::event::TaskStarted;
use locum_model::limits::{ACTORS_MAX, SCOPE_GRANTS_MAX};
use locum_model::{
    Actor, ConnectorNo, IssueRecord, Level, ModelNo, OwnerNo, PolicyRevision, SubjectKey, Target, TenantNo,
    WorkloadNo,
};

use crate::chunked::Chunked;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// A token has at most three marks an actor and five more, a task one a connector and four more.
const MARKS_MAX: usize = 4 + 2 * SCOPE_GRANTS_MAX;
const _: () = assert!(MARKS_MAX >= 3 * ACTORS_MAX + 5);
/// More different standings at once are refused.
const STANDINGS_MAX: u32 = 1 << 20;
const NO_WORKLOAD: u64 = u64::MAX;
/// Places for recent standings: few enough to be looked through when one is freed.
const RECENT_PLACES: u32 = 64;

/// One registration: its level and its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Mark(u64);

/// A standing as a value: what is interned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Standing {
    /// Ordered, each once.
    marks: Vec<Mark>,
    /// The workload that asked for the token; none for tasks.
    workload: Option<WorkloadNo>,
    /// The token's subject, where it is not its task's.
    subject: Option<SubjectKey>,
}

/// A standing where readers find it.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct StandingCell {
    /// The generation of revocations at which the marks were last compared, plus one.
    compared: AtomicU64,
    /// The highest *below* of the marks then. Only ever rises while the standing is in use.
    below: AtomicU64,
    length: AtomicU32,
    /// Whether the subject below is set.
    apart: AtomicU32,
    workload: AtomicU64,
    subject: [AtomicU64; 2],
    marks: [AtomicU64; MARKS_MAX],
}

/// The readers' side.
#[derive(Debug)]
pub(crate) struct Standings {
    cells: Chunked<StandingCell>,
}

/// The writer's side: which standing has which index, and how much rests on it.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    indexes: HashMap<Standing, u32>,
    held: Vec<Held>,
    free: Vec<u32>,
    /// Standings in use that tokens asked for last: most of the next ones ask for them again.
    recent: Vec<Option<Recent>>,
}

/// What a token rests on, as its record says it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    standing: &'a locum_model::Standing,
    /// The table's number of the signing key.
    key: u32,
    /// The token's subject, where it is not its task's.
    subject: Option<SubjectKey>,
}

/// What some token asked for, and what it got.
#[derive(Debug)]
struct Recent {
    standing: locum_model::Standing,
    key: u32,
    subject: Option<SubjectKey>,
    index: u32,
}

/// What rests on one standing.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    tokens: u32,
    tasks: u32,
}

/// What takes hold of a standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A row.
    Token,
    /// A task.
    Task,
}

// === impl Mark ===

impl Mark {
    /// The mark of a registration; for a signing key the number is the table's own.
    pub(crate) fn new(level: Level, number: u32) -> Self {
        Self(u64::from(level as u8) << 32 | u64::from(number))
    }

    /// The mark of a target that is a registration; the others have none, or one of the table's own.
    pub(crate) fn of(target: Target) -> Option<Self> {
        let number = match target {
            Target::Workload(WorkloadNo(number))
            | Target::Connector(ConnectorNo(number))
            | Target::Tenant(TenantNo(number))
            | Target::Owner(OwnerNo(number))
            | Target::Model(ModelNo(number))
            | Target::PolicyRevision(PolicyRevision(number)) => number,
            Target::Token(_) | Target::Task(_) | Target::Subject(_) | Target::SigningKey(_) => return None,
        };
        Some(Self::new(target.level(), number))
    }

    /// The level's number, as in [`Level`].
    pub(crate) fn level(self) -> usize {
        (self.0 >> 32) as usize
    }

    /// The registration's number.
    pub(crate) fn number(self) -> u32 {
        self.0 as u32
    }
}

// === impl Standing ===

impl Standing {
    /// What a token rests on; none when it has more actors than there may be.
    pub(crate) fn of_token(asked: &Asked<'_>) -> Option<Self> {
        let standing = asked.standing;
        if standing.actors.len() > ACTORS_MAX {
            return None;
        }
        let mut marks = vec![Mark::new(Level::SigningKey, asked.key)];
        marks.extend(standing.targets().filter_map(Mark::of));
        #[cfg(bug_zoo)]
        if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::ConnectorOwnerForgotten) {
            marks.retain(|mark| mark.level() != Level::Owner as usize);
            marks.extend(standing.actors.iter().flat_map(Actor::targets).filter_map(Mark::of));
        }
        Some(Self { marks, workload: asked.workload(), subject: asked.subject }.ordered())
    }

    /// What a task rests on, its subject apart; none when it names more connectors than an intent can.
    pub(crate) fn of_task(started: &TaskStarted) -> Option<Self> {
        let mut marks = vec![Mark::new(Level::Tenant, started.tenant.0)];
        let actor = Actor { workload: started.workload, owner: started.owner, model: started.model };
        marks.extend(actor.targets().filter_map(Mark::of));
        for connector in &started.connectors {
            marks.push(Mark::new(Level::Connector, connector.number.0));
            #[cfg(bug_zoo)]
            use locum_model::bug_zoo::{Bug, is_planted};
            #[cfg(bug_zoo)]
            if [Bug::ConnectorOwnerForgotten, Bug::TaskConnectorOwnerForgotten].into_iter().any(is_planted) {
                continue;
            }
            marks.push(Mark::new(Level::Owner, connector.owner.0));
        }
        let standing = Self { marks, workload: None, subject: None }.ordered();
        (standing.marks.len() <= MARKS_MAX).then_some(standing)
    }

    fn ordered(mut self) -> Self {
        self.marks.sort_unstable();
        self.marks.dedup();
        self
    }

    /// The marks.
    pub(crate) fn marks(&self) -> impl Iterator<Item = Mark> {
        self.marks.iter().copied()
    }
}

// === impl Asked ===

impl<'a> Asked<'a> {
    /// Of a record whose signing key has the number `key`, and whose task is on behalf of `task_subject`.
    pub(crate) fn of(record: &'a IssueRecord, key: u32, task_subject: SubjectKey) -> Self {
        let subject = (record.subject_key != task_subject).then_some(record.subject_key);
        Self { standing: &record.standing, key, subject }
    }

    /// The workload that asked for the token.
    pub(crate) fn workload(&self) -> Option<WorkloadNo> {
        self.standing.actors.last().map(|actor| actor.workload)
    }

    /// The one place where it is looked for among the recent.
    fn place(&self) -> usize {
        let workload = self.workload().map_or(0, |workload| workload.0);
        let connector = self.standing.connector.0;
        (workload.wrapping_mul(31).wrapping_add(connector) % RECENT_PLACES) as usize
    }

    fn is(&self, recent: &Recent) -> bool {
        (self.key, self.subject, self.standing) == (recent.key, recent.subject, &recent.standing)
    }
}

// === impl StandingCell ===

/// By hand: arrays longer than 32 have no default of their own.
impl Default for StandingCell {
    fn default() -> Self {
        Self {
            compared: AtomicU64::default(),
            below: AtomicU64::default(),
            length: AtomicU32::default(),
            apart: AtomicU32::default(),
            workload: AtomicU64::default(),
            subject: Default::default(),
            marks: [const { AtomicU64::new(0) }; MARKS_MAX],
        }
    }
}

impl StandingCell {
    /// The marks.
    pub(crate) fn marks(&self) -> impl Iterator<Item = Mark> {
        let length = self.length.load(Ordering::Relaxed) as usize;
        self.marks.iter().take(length).map(|mark| Mark(mark.load(Ordering::Relaxed)))
    }

    /// The token's subject, where it is not its task's.
    pub(crate) fn subject(&self) -> Option<SubjectKey> {
        (self.apart.load(Ordering::Relaxed) != 0).then(|| load_subject(&self.subject))
    }

    /// The workload that asked for the token.
    pub(crate) fn workload(&self) -> Option<WorkloadNo> {
        let number = self.workload.load(Ordering::Relaxed);
        (number != NO_WORKLOAD).then_some(WorkloadNo(number as u32))
    }

    /// The connector that the token is for; of a task's standing, the first.
    pub(crate) fn connector(&self) -> Option<ConnectorNo> {
        let connector = self.marks().find(|mark| mark.level() == Level::Connector as usize)?;
        Some(ConnectorNo(connector.number()))
    }

    /// The tenant that it is part of.
    pub(crate) fn tenant(&self) -> Option<TenantNo> {
        let tenant = self.marks().find(|mark| mark.level() == Level::Tenant as usize)?;
        Some(TenantNo(tenant.number()))
    }

    /// The highest *below* of the marks, where they were compared at this generation.
    pub(crate) fn below_at(&self, generation: u64) -> Option<u64> {
        let compared = self.compared.load(Ordering::Acquire);
        (compared == generation + 1).then(|| self.below.load(Ordering::Acquire))
    }

    /// Remembers what the marks came to at a generation, and gives the highest there is.
    ///
    /// By maximum, so that of two readers the one with the older view takes nothing back: if it also
    /// puts back the older generation, the next reader compares once more.
    pub(crate) fn raise_below(&self, below: u64, generation: u64) -> u64 {
        let before = self.below.fetch_max(below, Ordering::AcqRel);
        self.compared.store(generation + 1, Ordering::Release);
        below.max(before)
    }

    // Relaxed: the row or task that leads readers here is published after this, through a lock.
    fn write(&self, standing: &Standing) {
        self.compared.store(0, Ordering::Relaxed);
        self.below.store(0, Ordering::Relaxed);
        for (cell, mark) in self.marks.iter().zip(&standing.marks) {
            cell.store(mark.0, Ordering::Relaxed);
        }
        let length = u32::try_from(standing.marks.len()).expect("a standing has few marks");
        self.length.store(length, Ordering::Relaxed);
        let workload = standing.workload.map_or(NO_WORKLOAD, |workload| u64::from(workload.0));
        self.workload.store(workload, Ordering::Relaxed);
        self.apart.store(u32::from(standing.subject.is_some()), Ordering::Relaxed);
        store_subject(&self.subject, standing.subject.unwrap_or(SubjectKey([0; 16])));
    }

    fn read(&self) -> Standing {
        Standing { marks: self.marks().collect(), workload: self.workload(), subject: self.subject() }
    }
}

/// Reads a subject kept as two integers.
pub(crate) fn load_subject(cell: &[AtomicU64; 2]) -> SubjectKey {
    let [high, low] = cell.each_ref().map(|half| u128::from(half.load(Ordering::Relaxed)));
    SubjectKey((high << 64 | low).to_be_bytes())
}

/// Keeps a subject as two integers.
pub(crate) fn store_subject(cell: &[AtomicU64; 2], subject: SubjectKey) {
    let whole = u128::from_be_bytes(subject.0);
    cell[0].store((whole >> 64) as u64, Ordering::Relaxed);
    cell[1].store(whole as u64, Ordering::Relaxed);
}

// === impl Standings, Interner ===

impl Standings {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { cells: Chunked::with_room_for(STANDINGS_MAX) }
    }

    /// The standing at `index`, which a row or a task holds.
    pub(crate) fn at(&self, index: u32) -> &StandingCell {
        self.cells.get(index).expect("an index in use was interned")
    }
}

impl Interner {
    /// Takes hold of a standing and gives its index; none when there are too many.
    pub(crate) fn hold(&mut self, cells: &Standings, standing: Standing, holder: Holder) -> Option<u32> {
        let index = match self.indexes.get(&standing) {
            Some(index) => *index,
            None => {
                let index = self.free.pop().or_else(|| u32::try_from(self.held.len()).ok())?;
                cells.cells.make(index)?.write(&standing);
                if index as usize == self.held.len() {
                    self.held.push(Held::default());
                }
                self.indexes.insert(standing, index);
                index
            }
        };
        *self.count(index, holder) += 1;
        Some(index)
    }

    /// Takes hold of a standing for a token, where one asked for the same a short while ago.
    pub(crate) fn hold_again(&mut self, asked: &Asked<'_>) -> Option<u32> {
        let recent = self.recent.get(asked.place())?.as_ref().filter(|recent| asked.is(recent))?;
        self.held[recent.index as usize].tokens += 1;
        Some(recent.index)
    }

    /// Remembers what a token that asked for this was given.
    pub(crate) fn remember(&mut self, asked: &Asked<'_>, index: u32) {
        self.recent.resize_with(RECENT_PLACES as usize, || None);
        let Asked { standing, key, subject } = *asked;
        self.recent[asked.place()] = Some(Recent { standing: standing.clone(), key, subject, index });
    }

    /// Lets go of a standing; the last to do so frees it.
    pub(crate) fn release(&mut self, cells: &Standings, index: u32, holder: Holder) {
        *self.count(index, holder) -= 1;
        let Held { tokens: 0, tasks: 0 } = self.held[index as usize] else { return };
        self.indexes.remove(&cells.at(index).read());
        // INVARIANT: what is recent is in use, or its index could be another's by now.
        for place in &mut self.recent {
            place.take_if(|recent| recent.index == index);
        }
        self.free.push(index);
    }

    fn count(&mut self, index: u32, holder: Holder) -> &mut u32 {
        let held = &mut self.held[index as usize];
        match holder {
            Holder::Token => &mut held.tokens,
            Holder::Task => &mut held.tasks,
        }
    }

    /// How many standings are in use.
    pub(crate) fn len(&self) -> usize {
        self.indexes.len()
    }

    /// The standings that tokens rest on, with how many rows each.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = (u32, usize)> {
        let counted = self.held.iter().enumerate().filter(|(_, held)| held.tokens > 0);
        counted.filter_map(|(index, held)| Some((u32::try_from(index).ok()?, held.tokens as usize)))
    }
}
