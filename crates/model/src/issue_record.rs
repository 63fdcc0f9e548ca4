//! [`IssueRecord`]: what was allowed, decided and written down before anything is signed.

use crate::id::{KeyId, SubjectKey, TaskId, TokenId};
use crate::number::RegistryRevision;
use crate::position::Position;
use crate::scope::Scope;
use crate::spiffe::SpiffeId;
use crate::standing::Standing;
use crate::time::Timestamp;

/// The key that a token is bound to, proved on the request that asked for it (RFC 7800 `cnf`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Confirmation {
    /// SHA-256 of the client certificate's DER (`x5t#S256`, RFC 8705 section 3.1).
    Certificate([u8; 32]),
    /// RFC 7638 thumbprint of a DPoP key (`jkt`, RFC 9449 section 6.1).
    Key([u8; 32]),
}

/// A caller's `request_id` and what the request was, so that a retry can be told from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// The `request_id` as given.
    pub id: String,
    /// SHA-256 over the request's canonical form.
    pub hash: [u8; 32],
}

/// The durable record of one token. Every claim can be rebuilt from it, to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueRecord {
    /// The token's id.
    pub jti: TokenId,
    /// The task and its ancestors from root to leaf.
    pub tasks: Vec<TaskId>,
    /// Whose authority it rests on.
    pub standing: Standing,
    /// On whose behalf.
    pub subject: String,
    /// The subject as a number.
    pub subject_key: SubjectKey,
    /// The SPIFFE ID of the workload that asked.
    pub client_id: SpiffeId,
    /// The connector's audience.
    pub audience: String,
    /// What may be done.
    pub scope: Scope,
    /// When it was decided.
    pub at: Timestamp,
    /// The second of that: the `iat` of the token.
    pub issued_at: Timestamp,
    /// From when it holds, in whole seconds.
    pub not_before: Timestamp,
    /// Until when, exclusive, in whole seconds.
    pub expires_at: Timestamp,
    /// How often it may be used; unlimited when absent. Limited tokens are online-only.
    pub uses_max: Option<u32>,
    /// The key it is bound to.
    pub confirmation: Option<Confirmation>,
    /// The key that signs it.
    pub kid: KeyId,
    /// The newest position that the decision had read.
    pub decided_at: Position,
    /// The registry it was decided in.
    pub registry_revision: RegistryRevision,
    /// The ids of the policies that allowed it.
    pub policies: Vec<String>,
    /// The request's id, where the caller gave one.
    pub request: Option<RequestKey>,
}

impl IssueRecord {
    /// The task that the token is for: the leaf of its chain.
    ///
    /// # Panics
    ///
    /// When the chain is empty; no constructor of records makes one.
    pub fn task(&self) -> TaskId {
        *self.tasks.last().expect("an issue record has a task")
    }

    /// Whether only an online check can answer for it.
    pub fn online_only(&self) -> bool {
        self.uses_max.is_some()
    }
}
