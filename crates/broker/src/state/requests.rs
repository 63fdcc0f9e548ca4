//! Request ids that were answered, so that a retry is told from a new request.
//!
//! Nearly every token is asked for with one, so that little is kept of each (decision 40): its name, the hash of what
//! was asked, and what its record has of its own. A retry has the record made again, and no other reader wants it.
//!
//! | file | idea |
//! |---|---|
//! | `keyed_request` | a request id, and whose it is |
//! | `own_part` | what is kept of a record, and the record again |
//! | `once` | what many records have, kept once |
//! | `held_tasks` | the tasks that answers rest on |
//! | `by_second` | answers in the order in which they are forgotten |
//! | `sharded` | a hash table that grows and shrinks in small steps |

mod by_second;
mod held_tasks;
mod keyed_request;
mod once;
mod own_part;
mod sharded;

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use locum_model::limits::{REQUEST_ID_KEPT_AFTER_EXP, REQUEST_IDS_PER_WORKLOAD_MAX, REQUEST_TIMEOUT};
use locum_model::{IssueRecord, TaskId, Timestamp, TokenId, WorkloadNo};

use by_second::{BySecond, Place};
use held_tasks::HeldTasks;
use keyed_request::RequestName;
pub(crate) use keyed_request::{KeyedRequest, Whose};
use own_part::{Common, OwnPart};
use sharded::{Hashed, Sharded};

/// What a request id stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// This task, begun by the same request.
    Task(TaskId),
    /// This token, issued for the same request.
    Token(Arc<IssueRecord>),
    /// What another request asked for.
    Another,
}

/// The answered requests, bounded per workload and freed some time after what they answered.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    answers: BySecond<Answer>,
    places: Sharded<Filed>,
    names: RandomState,
    common: Common,
    by_workload: HashMap<WorkloadNo, usize>,
    /// The tasks that the answers stand for or rest on: without their beginnings a replay would find the answers
    /// too late, and without their ends it would take them to be alive.
    rests_on: HeldTasks,
}

/// One answered request.
#[derive(Debug)]
struct Answer {
    name: RequestName,
    /// Of what was asked.
    hash: [u8; 32],
    /// When what it stands for ends.
    until: Timestamp,
    /// None once its name stands for something newer.
    kept: Option<Kept>,
}

// Whoever adds to it adds that much to every token.
const _: () = assert!(size_of::<Answer>() <= 112);

/// What an answered request stands for, as it is kept.
#[derive(Debug)]
enum Kept {
    Task(TaskId, Whose),
    Token(OwnPart),
    Whole(Box<Whole>),
}

/// What cannot be made again of its parts. No broker writes such an event, but what a journal has counts.
#[derive(Debug)]
struct Whole {
    answered: Answered,
    whose: Whose,
    rests_on: Box<[TaskId]>,
}

/// Where the answer of a name lies.
#[derive(Clone, Copy, Debug)]
struct Filed {
    tag: u32,
    place: Place,
}

// === impl Requests ===

impl Requests {
    /// What a request id was answered with; none once it is forgotten.
    ///
    /// INVARIANT: `at`, and not the reaper, says when that is, so that a replay, which has no reaper,
    /// judges every event as it was judged.
    pub(crate) fn answer(&self, request: &KeyedRequest<'_>, at: Timestamp) -> Option<Answered> {
        let answer = self.known(request, at)?;
        let kept = answer.kept.as_ref()?;
        let same = answer.hash == request.key.hash;
        #[cfg(bug_zoo)]
        let same = same || locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::RequestHashIgnored);
        // Whose it is goes into its name. Two of one name, should anybody ever find them, get nothing of each other.
        if !same || kept.whose() != request.whose {
            return Some(Answered::Another);
        }
        Some(match kept {
            Kept::Task(task, _) => Answered::Task(*task),
            Kept::Token(own) => Answered::Token(Arc::new(own.record(
                answer.until,
                self.rests_on.chain(own.task),
                request.key,
            ))),
            Kept::Whole(whole) => whole.answered.clone(),
        })
    }

    /// Whether [`Requests::answer`] has one, without making it.
    pub(crate) fn is_answered(&self, request: &KeyedRequest<'_>, at: Timestamp) -> bool {
        self.known(request, at).is_some()
    }

    fn known(&self, request: &KeyedRequest<'_>, at: Timestamp) -> Option<&Answer> {
        self.find(request.name).filter(|answer| at < answer.due())
    }

    fn find(&self, name: RequestName) -> Option<&Answer> {
        let is = |filed: &Filed| self.answers.get(filed.place).is_some_and(|answer| answer.name == name);
        let filed = self.places.find(self.tag(name).hash(), is)?;
        self.answers.get(filed.place)
    }

    fn tag(&self, name: RequestName) -> Tag {
        Tag(self.names.hash_one(name) as u32)
    }

    /// Remembers that a request began `task`, which rests on itself and those above it, until `until` and a little longer.
    pub(crate) fn remember_task(
        &mut self,
        request: &KeyedRequest<'_>,
        task: TaskId,
        rests_on: &[TaskId],
        until: Timestamp,
    ) {
        let kept = if self.rests_on.hold(rests_on) && rests_on.last() == Some(&task) {
            Kept::Task(task, request.whose)
        } else {
            whole(Answered::Task(task), request.whose, rests_on)
        };
        self.remember(request, kept, until);
    }

    /// Remembers the token that a request was answered with, until its end and a little longer.
    pub(crate) fn remember_token(&mut self, request: &KeyedRequest<'_>, record: &Arc<IssueRecord>) {
        let own = if self.rests_on.hold(&record.tasks) { self.common.part(record) } else { None };
        let kept = match own {
            Some(own) => Kept::Token(own),
            None => whole(Answered::Token(Arc::clone(record)), request.whose, &record.tasks),
        };
        self.remember(request, kept, record.expires_at);
    }

    fn remember(&mut self, request: &KeyedRequest<'_>, kept: Kept, until: Timestamp) {
        #[cfg(bug_zoo)]
        if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::RequestIdIgnored) {
            return self.let_go(kept);
        }
        let (name, hash) = (request.name, request.key.hash);
        let answer = Answer { name, hash, until, kept: Some(kept) };
        let place = self.answers.put(answer.due(), answer);
        let tag = self.tag(name);
        let answers = &self.answers;
        let is = |filed: &Filed| answers.get(filed.place).is_some_and(|answer| answer.name == name);
        let Some(filed) = self.places.find_mut(tag.hash(), is) else {
            self.places.insert(Filed { tag: tag.0, place });
            return *self.by_workload.entry(request.whose.workload).or_default() += 1;
        };
        // Forgotten by its time and not freed yet.
        let before = std::mem::replace(&mut filed.place, place);
        if let Some(kept) = self.answers.get_mut(before).and_then(|before| before.kept.take()) {
            self.let_go(kept);
        }
    }

    /// Whether `workload` may use one more request id.
    pub(crate) fn has_room(&self, workload: WorkloadNo) -> bool {
        self.by_workload.get(&workload).is_none_or(|count| *count < REQUEST_IDS_PER_WORKLOAD_MAX)
    }

    /// Whether some answered request stands for this token: not only for one of the same request id, which
    /// may be used again when it was forgotten.
    pub(crate) fn holds(&self, record: &IssueRecord) -> bool {
        let request = KeyedRequest::of_issue(record);
        let kept =
            request.and_then(|request| self.find(request.name)).and_then(|answer| answer.kept.as_ref());
        kept.and_then(Kept::token) == Some(record.jti)
    }

    /// Whether some answered request stands for this task, or rests on it.
    pub(crate) fn rest_on(&self, task: TaskId) -> bool {
        self.rests_on.has(task)
    }

    /// Frees at most `most` answers of requests whose time has been over for as long as any event may be under way, and
    /// says how many: those that another took the place of among them.
    pub(crate) fn free(&mut self, now: Timestamp, most: usize) -> usize {
        let is_due = |answer: &Answer| answer.due().plus(REQUEST_TIMEOUT) <= now;
        let mut freed = 0;
        while freed < most
            && let Some((answer, place)) = self.answers.take_first(is_due)
        {
            freed += 1;
            // One that another took the place of was let go then.
            let Answer { name, kept: Some(kept), .. } = answer else { continue };
            self.places.remove(self.tag(name).hash(), |filed| filed.place == place);
            let workload = kept.whose().workload;
            if let Some(count) = self.by_workload.get_mut(&workload) {
                *count -= 1;
                if *count == 0 {
                    self.by_workload.remove(&workload);
                }
            }
            self.let_go(kept);
        }
        freed
    }

    fn let_go(&mut self, kept: Kept) {
        match kept {
            Kept::Task(task, _) => self.rests_on.let_go_chain(task),
            Kept::Token(own) => {
                self.rests_on.let_go_chain(own.task);
                self.common.give_back(own);
            }
            Kept::Whole(whole) => self.rests_on.let_go(&whole.rests_on),
        }
    }
}

fn whole(answered: Answered, whose: Whose, rests_on: &[TaskId]) -> Kept {
    Kept::Whole(Box::new(Whole { answered, whose, rests_on: rests_on.into() }))
}

// === impl Answer, Kept ===

impl Answer {
    /// From when it is forgotten.
    fn due(&self) -> Timestamp {
        self.until.plus(REQUEST_ID_KEPT_AFTER_EXP)
    }
}

impl Kept {
    fn whose(&self) -> Whose {
        match self {
            Self::Task(_, whose) => *whose,
            Self::Token(own) => own.whose(),
            Self::Whole(whole) => whole.whose,
        }
    }

    fn token(&self) -> Option<TokenId> {
        match self {
            Self::Token(own) => Some(own.jti),
            Self::Whole(whole) => match &whole.answered {
                Answered::Token(record) => Some(record.jti),
                Answered::Task(_) | Answered::Another => None,
            },
            Self::Task(..) => None,
        }
    }
}

// === impl Filed ===

/// What is kept of the hash of a name. The hash is keyed: nobody can choose ids that lie in one place.
#[derive(Clone, Copy)]
struct Tag(u32);

impl Hashed for Tag {
    /// The table looks at both ends.
    fn hash(&self) -> u64 {
        u64::from(self.0) << u32::BITS | u64::from(self.0)
    }
}

impl Hashed for Filed {
    fn hash(&self) -> u64 {
        Tag(self.tag).hash()
    }
}

#[cfg(test)]
mod tests;
