//! Planted bugs: each is a promise broken in one line, and the simulation has to catch every one.
//!
//! Compiled under `--cfg bug_zoo` alone; no product has it. One bug at a time is on, process-wide,
//! so that the zoo is walked by one thread. Where a bug is planted, the line beside it is the truth.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A revocation spares what was decided right before it (semantics 1).
    WatermarkOffByOne,
    /// Revoking a connector touches nothing.
    ConnectorForgotten,
    /// Revoking a connector's owner touches neither its tokens nor the tasks that name it.
    ConnectorOwnerForgotten,
    /// Revoking a connector's owner does not touch the tasks that name the connector.
    TaskConnectorOwnerForgotten,
    /// Revoking a subject touches nothing.
    SubjectForgotten,
    /// What is gone from the registry goes on living.
    RemovedLivesOn,
    /// A dead ancestor does not kill what is below it (D2).
    AncestorSkipped,
    /// A token is alive at the moment at which it expires (T3).
    ExpiryInclusive,
    /// A use is spent without being counted (P3).
    UsesUncounted,
    /// A record that lands after its task ended is signed (R3).
    BornDeadSigned,
    /// The answer comes before the event is durable (R4, J1).
    AckBeforeDurable,
    /// Uses are forgotten by a restart (R4).
    UsesNotReplayed,
    /// A retry is a new request (I7).
    RequestIdIgnored,
    /// A lock that lands between decision and commit is overlooked.
    LockSkippedInFold,
    /// A snapshot leaves revocations out (R2, J5).
    SnapshotDropsRevocations,
    /// A snapshot leaves the ends of tasks out (R2, J5).
    SnapshotDropsEnds,
    /// Nobody minds that a lease ran out (T1).
    LapseForgotten,
    /// A renewal changes nothing.
    RenewalForgotten,
    /// A child lives longer than its parent (D1).
    ChildOutlivesParent,
    /// A token may do more than its task's intent says (I4).
    BeyondIntent,
    /// Ids of tokens are short, and so repeat (I3).
    TokenIdShort,
    /// An operator reaches every tenant.
    TenantsIgnored,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Self; 22] = [
        Self::WatermarkOffByOne,
        Self::ConnectorForgotten,
        Self::ConnectorOwnerForgotten,
        Self::TaskConnectorOwnerForgotten,
        Self::SubjectForgotten,
        Self::RemovedLivesOn,
        Self::AncestorSkipped,
        Self::ExpiryInclusive,
        Self::UsesUncounted,
        Self::BornDeadSigned,
        Self::AckBeforeDurable,
        Self::UsesNotReplayed,
        Self::RequestIdIgnored,
        Self::LockSkippedInFold,
        Self::SnapshotDropsRevocations,
        Self::SnapshotDropsEnds,
        Self::LapseForgotten,
        Self::RenewalForgotten,
        Self::ChildOutlivesParent,
        Self::BeyondIntent,
        Self::TokenIdShort,
        Self::TenantsIgnored,
    ];
}

/// 0 for none, else one more than the bug's place.
static PLANTED: AtomicUsize = AtomicUsize::new(0);

/// Plants a bug in place of the one before; none for none.
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, |bug| bug as usize + 1), Ordering::SeqCst);
}

/// Whether this bug is planted.
pub fn is_planted(bug: Bug) -> bool {
    PLANTED.load(Ordering::SeqCst) == bug as usize + 1
}
