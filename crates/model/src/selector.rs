//! The one language that says what list, revoke, lock and unlock apply to.

use std::fmt;

use crate::id::{KeyId, SubjectKey, TaskId, TokenId};
use crate::name::Name;
use crate::number::{ConnectorNo, ModelNo, OwnerNo, PolicyRevision, TenantNo, WorkloadNo};
use crate::spiffe::SpiffePattern;

/// What an operator names: one level, one id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// One token.
    Token(TokenId),
    /// One task and everything below it.
    Task(TaskId),
    /// Everything on behalf of one subject.
    Subject(String),
    /// One workload by its registered name.
    Workload(Name),
    /// Every workload whose identity pattern meets this one; expanded when committed.
    WorkloadPattern(SpiffePattern),
    /// One connector by its registered name.
    Connector(Name),
    /// One tenant.
    Tenant(Name),
    /// Everything that one owner answers for.
    Owner(Name),
    /// Everything behind which one model stands.
    Model(Name),
    /// Everything signed with one key.
    SigningKey(KeyId),
    /// Everything that one policy revision allowed.
    PolicyRevision(PolicyRevision),
}

/// What a selector came to: one level, one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// One token.
    Token(TokenId),
    /// One task and everything below it.
    Task(TaskId),
    /// One subject.
    Subject(SubjectKey),
    /// One workload's registration.
    Workload(WorkloadNo),
    /// One connector's registration.
    Connector(ConnectorNo),
    /// One tenant.
    Tenant(TenantNo),
    /// One owner.
    Owner(OwnerNo),
    /// One model's registration.
    Model(ModelNo),
    /// One signing key.
    SigningKey(KeyId),
    /// One policy revision.
    PolicyRevision(PolicyRevision),
}

/// The kinds of target, numbered as in the revocation feed. The numbers never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// A token.
    Token = 1,
    /// A task and everything below it.
    Task = 2,
    /// A subject.
    Subject = 3,
    /// A workload.
    Workload = 4,
    /// A connector.
    Connector = 5,
    /// A tenant.
    Tenant = 6,
    /// An owner.
    Owner = 7,
    /// A model.
    Model = 8,
    /// A signing key.
    SigningKey = 9,
    /// A policy revision.
    PolicyRevision = 10,
}

// === impl Target ===

impl Target {
    /// The kind of target.
    pub fn level(self) -> Level {
        match self {
            Self::Token(_) => Level::Token,
            Self::Task(_) => Level::Task,
            Self::Subject(_) => Level::Subject,
            Self::Workload(_) => Level::Workload,
            Self::Connector(_) => Level::Connector,
            Self::Tenant(_) => Level::Tenant,
            Self::Owner(_) => Level::Owner,
            Self::Model(_) => Level::Model,
            Self::SigningKey(_) => Level::SigningKey,
            Self::PolicyRevision(_) => Level::PolicyRevision,
        }
    }

    /// The id as 16 bytes, numbers big-endian at the end: how it stands in the feed.
    pub fn id_bytes(self) -> [u8; 16] {
        match self {
            Self::Token(id) => id.0,
            Self::Subject(key) => key.0,
            Self::SigningKey(kid) => kid.short(),
            Self::Task(id) => u128::from(id.as_u64()).to_be_bytes(),
            Self::Workload(WorkloadNo(n))
            | Self::Connector(ConnectorNo(n))
            | Self::Tenant(TenantNo(n))
            | Self::Owner(OwnerNo(n))
            | Self::Model(ModelNo(n))
            | Self::PolicyRevision(PolicyRevision(n)) => u128::from(n).to_be_bytes(),
        }
    }
}

// === impl Level ===

impl Level {
    /// Every level, in the feed's order.
    pub const ALL: [Self; 10] = [
        Self::Token,
        Self::Task,
        Self::Subject,
        Self::Workload,
        Self::Connector,
        Self::Tenant,
        Self::Owner,
        Self::Model,
        Self::SigningKey,
        Self::PolicyRevision,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Task => "task",
            Self::Subject => "subject",
            Self::Workload => "workload",
            Self::Connector => "connector",
            Self::Tenant => "tenant",
            Self::Owner => "owner",
            Self::Model => "model",
            Self::SigningKey => "signing-key",
            Self::PolicyRevision => "policy-revision",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `workload=refunder`: the level and the id as people name it, and as they type it.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(id) => write!(f, "token={id}"),
            Self::Task(id) => write!(f, "task={id}"),
            Self::Subject(subject) => write!(f, "subject={}", subject.escape_debug()),
            Self::Workload(name) => write!(f, "workload={name}"),
            Self::WorkloadPattern(pattern) => write!(f, "workload={pattern}"),
            Self::Connector(name) => write!(f, "connector={name}"),
            Self::Tenant(name) => write!(f, "tenant={name}"),
            Self::Owner(name) => write!(f, "owner={name}"),
            Self::Model(name) => write!(f, "model={name}"),
            Self::SigningKey(kid) => write!(f, "signing-key={kid}"),
            Self::PolicyRevision(revision) => write!(f, "policy-revision={revision}"),
        }
    }
}
