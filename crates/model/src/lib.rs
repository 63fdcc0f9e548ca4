//! The nouns of Locum: ids, scope algebra, intent, task, issue record, event, reason, limits,
//! time, entropy and the evidence types.
//!
//! Everything else in the workspace speaks in these types; this crate speaks in nobody else's.
//! It does no IO, knows no encoding, reads no clock and draws no randomness: [`Clock`] and
//! [`Entropy`] are traits that the edges implement and the simulator fakes.
//!
//! Reading order: how things are named ([`name`], [`spiffe`], [`id`], [`number`]), when they
//! happened ([`time`], [`position`]), what may be done ([`scope`], [`intent`], [`obligation`]),
//! who stands behind it ([`registry`], [`standing`]), what was decided ([`issue_record`],
//! [`event`], [`selector`], [`reason`]), the proofs that hold it together ([`evidence`]), and by what a
//! process knows a token's bytes again ([`digest`]).

#[cfg(bug_zoo)]
pub mod bug_zoo;
pub mod digest;
pub mod entropy;
pub mod event;
pub mod evidence;
pub mod feed;
pub mod id;
pub mod intent;
pub mod issue_record;
pub mod limits;
pub mod name;
pub mod number;
pub mod number_registry;
pub mod obligation;
pub mod position;
pub mod reason;
pub mod registry;
pub mod scope;
pub mod selector;
pub mod spiffe;
pub mod standing;
pub mod time;

pub use digest::{Digest, DigestKey};
pub use entropy::{Entropy, EntropyFailed};
pub use event::Event;
pub use evidence::{Caller, Committed, Live, Permit, SignedToken};
pub use id::{KeyId, SubjectKey, TaskId, TokenId};
pub use intent::Intent;
pub use issue_record::{Confirmation, IssueRecord};
pub use name::Name;
pub use number::{ConnectorNo, ModelNo, OwnerNo, PolicyRevision, RegistryRevision, TenantNo, WorkloadNo};
pub use number_registry::check_registry;
pub use obligation::Obligations;
pub use position::Position;
pub use reason::Reason;
pub use registry::Registry;
pub use scope::{Grant, ResourcePattern, Resources, Scope};
pub use selector::{Level, Selector, Target};
pub use spiffe::{SpiffeId, SpiffePattern, TrustDomain};
pub use standing::{Actor, Standing};
pub use time::{Clock, ClockUnsettled, NotATime, Timestamp};
