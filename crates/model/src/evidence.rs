//! The spine: values that only one step can make, and that the next step demands.
//!
//! | value | means | only made in |
//! |---|---|---|
//! | [`Caller`] | this workload proved this identity on this connection | `identity` |
//! | [`Permit`] | policy allowed exactly this, with these obligations, in this world | `policy` |
//! | [`Committed`] | this event is in the journal at this position | `journal` |
//! | [`Live`] | applied, and none of what it rests on was dead | `table` |
//! | [`SignedToken`] | signed by us from a live record | `token` |
//!
//! None has public fields and each has one constructor, named `assertion`; `tests/tidy` fails
//! when it is called in any other crate. So nothing is signed that is not in the journal, nothing
//! is in the table that is not in the journal, nothing is granted that policy did not allow, and
//! nobody unauthenticated is considered.

use std::fmt;
use std::sync::Arc;

use crate::id::TokenId;
use crate::issue_record::Confirmation;
use crate::number::{PolicyRevision, RegistryRevision};
use crate::obligation::Obligations;
use crate::position::Position;
use crate::scope::Scope;
use crate::spiffe::SpiffeId;
use crate::time::Timestamp;

/// Who proved what, on this very request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    spiffe_id: Option<SpiffeId>,
    login: Option<Login>,
    confirmation: Option<Confirmation>,
    expires_at: Timestamp,
}

/// What an OpenID issuer says: this subject, at this issuer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Login {
    /// The `iss`, character by character.
    pub issuer: String,
    /// The `sub`.
    pub subject: String,
}

/// What was allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    scope: Scope,
    obligations: Obligations,
    policies: Vec<String>,
    world: WorldPin,
}

/// The world that a decision was made in, pinned once at its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorldPin {
    /// The newest position that was read; read first, so that it is never too new.
    pub position: Position,
    /// The policy set.
    pub policy: PolicyRevision,
    /// The registry.
    pub registry: RegistryRevision,
}

/// Something that is in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed<E> {
    event: E,
    position: Position,
}

/// Something that was applied and found alive. Shared: the fold and who asked read the one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live<R>(Arc<R>);

/// A token, ready to leave. `Debug` shows its id alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedToken {
    jti: TokenId,
    compact: String,
    expires_at: Timestamp,
}

// === impl Caller ===

impl Caller {
    /// Asserts that the identity was proved on this request. Only `identity` may.
    pub fn assertion(
        spiffe_id: Option<SpiffeId>,
        login: Option<Login>,
        confirmation: Option<Confirmation>,
        expires_at: Timestamp,
    ) -> Self {
        Self { spiffe_id, login, confirmation, expires_at }
    }

    /// The SPIFFE ID, proved or mapped from a login by its issuer's template.
    pub fn spiffe_id(&self) -> Option<&SpiffeId> {
        self.spiffe_id.as_ref()
    }

    /// The login, where the proof was an OpenID token.
    pub fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// The key proved on this request.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.confirmation
    }

    /// When the proof ends.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

// === impl Permit ===

impl Permit {
    /// Asserts that policy allowed `scope`. Only `policy` may.
    pub fn assertion(scope: Scope, obligations: Obligations, policies: Vec<String>, world: WorldPin) -> Self {
        Self { scope, obligations, policies, world }
    }

    /// What was allowed.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What it demands.
    pub fn obligations(&self) -> &Obligations {
        &self.obligations
    }

    /// The ids of the policies that allowed it, ordered.
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// The world that it was decided in.
    pub fn world(&self) -> WorldPin {
        self.world
    }
}

// === impl Committed ===

impl<E> Committed<E> {
    /// Asserts that `event` is durable at `position`. Only `journal` may.
    pub fn assertion(event: E, position: Position) -> Self {
        Self { event, position }
    }

    /// The event.
    pub fn event(&self) -> &E {
        &self.event
    }

    /// The event, to keep without its evidence.
    pub fn into_event(self) -> E {
        self.event
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        self.position
    }
}

// === impl Live ===

impl<R> Live<R> {
    /// Asserts that `record` was applied and is alive. Only `table` may.
    pub fn assertion(record: impl Into<Arc<R>>) -> Self {
        Self(record.into())
    }

    /// The record.
    pub fn record(&self) -> &R {
        &self.0
    }

    /// The record, to keep.
    pub fn shared(&self) -> &Arc<R> {
        &self.0
    }
}

// === impl SignedToken ===

impl SignedToken {
    /// Asserts that `compact` was signed by us from a live record. Only `token` may.
    pub fn assertion(jti: TokenId, compact: String, expires_at: Timestamp) -> Self {
        Self { jti, compact, expires_at }
    }

    /// Its id.
    pub fn jti(&self) -> TokenId {
        self.jti
    }

    /// The secret itself.
    pub fn compact(&self) -> &str {
        &self.compact
    }

    /// The secret itself, for who is answered with it.
    pub fn into_compact(self) -> String {
        self.compact
    }

    /// Until when, exclusive.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

impl fmt::Debug for SignedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedToken").field("jti", &self.jti).finish_non_exhaustive()
    }
}
