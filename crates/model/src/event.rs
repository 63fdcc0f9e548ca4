//! [`Event`]: everything that can happen. The journal holds events, the state is their fold.

use std::sync::Arc;
use std::time::Duration;

use crate::id::{KeyId, SubjectKey, TaskId, TokenId};
use crate::intent::Intent;
use crate::issue_record::{IssueRecord, RequestKey};
use crate::name::Name;
use crate::number::{ConnectorNo, ModelNo, OwnerNo, PolicyRevision, RegistryRevision, TenantNo, WorkloadNo};
use crate::position::Position;
use crate::reason::Reason;
use crate::registry::{Algorithm, Entries};
use crate::scope::{Operation, ResourcePattern, Scope};
use crate::selector::{Selector, Target};
use crate::spiffe::SpiffeId;
use crate::time::Timestamp;

/// Something that happened, in the past tense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A key exists and is published; it signs nothing yet.
    KeyPublished(KeyPublished),
    /// A key signs from now on; the one before it of the same purpose and algorithm stops.
    KeyActivated(KeyMoved),
    /// A key is gone from the published set and never verifies again.
    KeyRetired(KeyMoved),
    /// A registry came into force.
    RegistryActivated(Box<RegistryActivated>),
    /// A policy set came into force.
    PolicyActivated(Box<PolicyActivated>),
    /// A task began.
    TaskStarted(Arc<TaskStarted>),
    /// Its holder, or an operator, ended it.
    TaskEnded(TaskEnded),
    /// Its lease ran out or its deadline passed.
    TaskLapsed(TaskLapsed),
    /// A token was allowed; it may be signed once this is applied. Shared with whoever waits for that.
    TokenIssued(Arc<IssueRecord>),
    /// One use of a use-limited token was spent.
    TokenUsed(TokenUsed),
    /// How a token was checked over its life.
    ChecksSummed(ChecksSummed),
    /// Requests that were refused, of one workload for one reason over a span.
    DenialsSummed(DenialsSummed),
    /// Somebody revoked.
    Revoked(Box<Revoked>),
    /// Somebody locked.
    Locked(Box<Locked>),
    /// Somebody unlocked.
    Unlocked(Unlocked),
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// A registered workload.
    Workload {
        /// Its registration.
        number: WorkloadNo,
        /// The SPIFFE ID it proved.
        id: SpiffeId,
    },
    /// An operator, by the name that the configuration gives them.
    Operator(String),
    /// Locum itself.
    Broker,
}

/// What a key is for. One key, one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyPurpose {
    /// Signs tokens.
    Token,
    /// Signs frames of the revocation feed.
    Feed,
    /// Signs the sets of feed and token keys; verifiers pin it.
    KeysetRoot,
}

/// A key was made and published. The private half stays in the key store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPublished {
    /// Its id.
    pub kid: KeyId,
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its public half: an uncompressed P-256 point of 65 bytes, or 32 bytes of Ed25519.
    pub public_key: Vec<u8>,
    /// Who asked.
    pub by: By,
    /// When.
    pub at: Timestamp,
}

/// A key changed its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMoved {
    /// Which.
    pub kid: KeyId,
    /// Who asked.
    pub by: By,
    /// When.
    pub at: Timestamp,
}

/// A registry came into force; entries that are gone are revoked by the same event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryActivated {
    /// All of it, numbered.
    pub entries: Entries,
    /// SHA-256 of the proposal's text.
    pub digest: [u8; 32],
    /// What was in the registry before and is not now.
    pub removed: Vec<Target>,
    /// Who proposed it.
    pub by: By,
    /// When.
    pub at: Timestamp,
}

/// One policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyText {
    /// The file's name.
    pub name: String,
    /// Its Cedar text.
    pub text: String,
}

/// A policy set came into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyActivated {
    /// Its number.
    pub revision: PolicyRevision,
    /// Its texts, ordered by name.
    pub texts: Vec<PolicyText>,
    /// SHA-256 over names and texts.
    pub digest: [u8; 32],
    /// Who proposed it.
    pub by: By,
    /// When.
    pub at: Timestamp,
}

/// SHA-256 over a salt and a text: proves what was said without keeping it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// 16 random bytes; zeros where they are kept apart, sealed with the text.
    pub salt: [u8; 16],
    /// SHA-256 of salt, then text.
    pub digest: [u8; 32],
}

impl Commitment {
    /// A commitment whose salt is kept apart: without it nobody can guess the text, however short.
    pub fn kept_apart(digest: [u8; 32]) -> Self {
        Self { salt: [0; 16], digest }
    }
}

/// A task began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStarted {
    /// Its id.
    pub task: TaskId,
    /// The task that it is part of.
    pub parent: Option<TaskId>,
    /// Its tenant.
    pub tenant: TenantNo,
    /// Who started it.
    pub workload: WorkloadNo,
    /// The SPIFFE ID that it proved.
    pub workload_identity: SpiffeId,
    /// Who answers for the workload.
    pub owner: OwnerNo,
    /// The model behind the workload.
    pub model: Option<ModelNo>,
    /// On whose behalf.
    pub subject: String,
    /// The subject as a number.
    pub subject_key: SubjectKey,
    /// Why, and the most it will ask for.
    pub intent: Intent,
    /// The connectors that the intent names, and who answers for each.
    pub connectors: Vec<NamedConnector>,
    /// What the caller said in its own words.
    pub justification: Option<Commitment>,
    /// SHA-256 of the holder secret.
    pub holder: [u8; 32],
    /// The hard end.
    pub deadline: Timestamp,
    /// The soft lease.
    pub lease: Duration,
    /// The newest position that the decision had read.
    pub decided_at: Position,
    /// The policy set that allowed it.
    pub policy_revision: PolicyRevision,
    /// The registry that it was decided in.
    pub registry_revision: RegistryRevision,
    /// The ids of the policies that allowed it.
    pub policies: Vec<String>,
    /// The request's id, where the caller gave one.
    pub request: Option<RequestKey>,
    /// When.
    pub at: Timestamp,
}

/// A connector that an intent names. A task rests on its owner too: who revokes the owner revokes the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedConnector {
    /// Its registration.
    pub number: ConnectorNo,
    /// Who answered for it when the task began.
    pub owner: OwnerNo,
}

/// How a task came out, as its holder says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It did what it was for.
    Completed,
    /// It did not.
    Failed,
    /// It was given up.
    Cancelled,
}

/// A task was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEnded {
    /// Which; everything below it ends too.
    pub task: TaskId,
    /// How it came out.
    pub outcome: Outcome,
    /// Why, where an operator ended it.
    pub reason: Option<String>,
    /// Who ended it.
    pub by: By,
    /// When.
    pub at: Timestamp,
}

/// Why a task lapsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LapseCause {
    /// Nobody renewed or held it.
    LeaseExpired,
    /// Its hard end came.
    DeadlinePassed,
}

/// A task lapsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskLapsed {
    /// Which; everything below it ends too.
    pub task: TaskId,
    /// Why.
    pub cause: LapseCause,
    /// When.
    pub at: Timestamp,
}

/// One use was spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUsed {
    /// Which token.
    pub jti: TokenId,
    /// Its task.
    pub task: TaskId,
    /// What was done.
    pub operation: Operation,
    /// To what.
    pub resource: Option<ResourcePattern>,
    /// The backend that asked.
    pub by: By,
    /// When.
    pub at: Timestamp,
}

/// How a token was checked: the aggregate that stands for every single check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChecksSummed {
    /// Which token.
    pub jti: TokenId,
    /// Its task.
    pub task: TaskId,
    /// The first check.
    pub first: Timestamp,
    /// The last check.
    pub last: Timestamp,
    /// How often it was found active.
    pub active: u32,
    /// How often it was refused.
    pub refused: u32,
}

/// Refusals of one workload for one reason in one method, over a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenialsSummed {
    /// Whose tenant.
    pub tenant: TenantNo,
    /// Who was refused.
    pub by: By,
    /// The task, where all refusals were for one.
    pub task: Option<TaskId>,
    /// The RPC's name.
    pub method: String,
    /// Why.
    pub reason: Reason,
    /// What was missing, at the first refusal; bounded and without the caller's text.
    pub detail: String,
    /// The policy set in force at the first refusal.
    pub policy_revision: PolicyRevision,
    /// How many.
    pub count: u32,
    /// The first.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
    /// What policies were asked at the first refusal, where it was theirs.
    pub asked: Option<DeniedAsk>,
}

/// What policies denied: all that it takes to ask them again, but who asked and for which method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeniedAsk {
    /// The purpose of the task.
    pub purpose: Name,
    /// What was asked for.
    pub scope: Scope,
    /// Tasks above it.
    pub depth: u32,
    /// Whether the task has a justification.
    pub justified: bool,
    /// Whether the caller proved a key.
    pub proved: bool,
    /// Whether it was on behalf of another party.
    pub delegated: bool,
    /// The policies that decided.
    pub policies: Vec<String>,
}

/// Something was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// What was named.
    pub selector: Selector,
    /// What it came to.
    pub targets: Vec<Target>,
    /// Only what was decided at or below this; everything so far when absent.
    pub until: Option<Position>,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: By,
    /// When.
    pub at: Timestamp,
}

/// Something is locked: nothing new for it until the lock ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The lock's number; counts from 1.
    pub lock: u64,
    /// Whose lock it is: the tenant it is confined to, none for all.
    pub tenant: Option<TenantNo>,
    /// What was named.
    pub selector: Selector,
    /// What it came to.
    pub targets: Vec<Target>,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: By,
    /// When.
    pub at: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
}

/// Locks were lifted. What was revoked stays revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlocked {
    /// Which.
    pub locks: Vec<u64>,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: By,
    /// When.
    pub at: Timestamp,
}

/// Who has to know of an event once there is more than one broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Its home alone.
    Local,
    /// Every broker.
    Shared,
}

// === impl Event ===

impl Event {
    /// Who has to know.
    pub fn reach(&self) -> Reach {
        match self {
            Self::KeyPublished(_)
            | Self::KeyActivated(_)
            | Self::KeyRetired(_)
            | Self::RegistryActivated(_)
            | Self::PolicyActivated(_)
            | Self::TaskEnded(_)
            | Self::TaskLapsed(_)
            | Self::Revoked(_)
            | Self::Locked(_)
            | Self::Unlocked(_) => Reach::Shared,
            Self::TaskStarted(_)
            | Self::TokenIssued(_)
            | Self::TokenUsed(_)
            | Self::ChecksSummed(_)
            | Self::DenialsSummed(_) => Reach::Local,
        }
    }

    /// The event's name, as people read it in the record.
    pub fn name(&self) -> &'static str {
        match self {
            Self::KeyPublished(_) => "key-published",
            Self::KeyActivated(_) => "key-activated",
            Self::KeyRetired(_) => "key-retired",
            Self::RegistryActivated(_) => "registry-activated",
            Self::PolicyActivated(_) => "policy-activated",
            Self::TaskStarted(_) => "task-started",
            Self::TaskEnded(_) => "task-ended",
            Self::TaskLapsed(_) => "task-lapsed",
            Self::TokenIssued(_) => "token-issued",
            Self::TokenUsed(_) => "token-used",
            Self::ChecksSummed(_) => "checks-summed",
            Self::DenialsSummed(_) => "denials-summed",
            Self::Revoked(_) => "revoked",
            Self::Locked(_) => "locked",
            Self::Unlocked(_) => "unlocked",
        }
    }

    /// When it happened.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::KeyPublished(e) => e.at,
            Self::KeyActivated(e) | Self::KeyRetired(e) => e.at,
            Self::RegistryActivated(e) => e.at,
            Self::PolicyActivated(e) => e.at,
            Self::TaskStarted(e) => e.at,
            Self::TaskEnded(e) => e.at,
            Self::TaskLapsed(e) => e.at,
            Self::TokenIssued(e) => e.at,
            Self::TokenUsed(e) => e.at,
            Self::ChecksSummed(e) => e.last,
            Self::DenialsSummed(e) => e.last,
            Self::Revoked(e) => e.at,
            Self::Locked(e) => e.at,
            Self::Unlocked(e) => e.at,
        }
    }
}
