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
    /// Whatever is asked with a request id is a retry (I7).
    RequestHashIgnored,
    /// A lock that lands between decision and commit is overlooked.
    LockSkippedInFold,
    /// A snapshot leaves revocations out (R2, J5).
    SnapshotDropsRevocations,
    /// A snapshot leaves the ends of tasks out (R2, J5).
    SnapshotDropsEnds,
    /// Nobody minds that a lease ran out (T1).
    LapseForgotten,
    /// The reaper asks for what it finds without a bound.
    ReaperAsksUnbounded,
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
    /// One tenant's proofs of keys take the room of another's.
    ProofShareForgotten,
    /// A verifier's lease begins when the heartbeat comes, not when its ping was sent (R6).
    FeedLeaseFromReceipt,
    /// A verifier looks after its lease when a frame comes, not when it is asked (R6).
    FeedLeaseUnwatched,
    /// A snapshot that begins takes the place of what is known (R2).
    FeedSnapshotReplaces,
    /// A verifier acknowledges a delta that it joins with the next (R5).
    FeedAcknowledgedBeforeApplied,
    /// A verifier does not compare owners (R1).
    FeedOwnerForgotten,
    /// A verifier compares a token's own task alone (D2).
    FeedAncestorForgotten,
    /// The feed does not tell that a subject is revoked (R1).
    FeedSubjectUntold,
    /// The feed does not tell of tasks that died of what their tokens do not say (R1).
    FeedTasksUntold,
    /// A verifier does not compare the hash that a delta names (R5).
    FeedHashNotCompared,
    /// A verifier does not mind that a heartbeat is ahead of it (R5).
    FeedGapUnnoticed,
    /// A verifier takes what another connector's verifiers are told (R5).
    FeedOtherPartition,
    /// A verifier does not compare the issuer of a frame with the pinned one (R5).
    FeedIssuerNotCompared,
    /// A verifier does not compare the home of a frame with the pinned one (R5).
    FeedHomeNotCompared,
    /// A verifier does not compare the epoch of a frame with the one that it follows (R5).
    FeedEpochNotCompared,
    /// A verifier enters an epoch that was left (R2, J4).
    FeedEpochEnteredAgain,
    /// A verifier takes a snapshot of what it is ahead of (R2, J4).
    FeedOlderTaken,
    /// A broker does not mind that a verifier shows what its journal never told (J4).
    FeedWitnessIgnored,
    /// A broker does not mind that what a witness tells of is not its history, where it is not beyond it (J4).
    FeedWitnessOfPositionAlone,
    /// A verifier forgets what it knows when it is told to begin anew (R2, J4).
    FeedResetForgets,
    /// What was acknowledged in an earlier epoch counts in this one (R1, J4).
    FeedEpochOfAcknowledgementIgnored,
    /// A verifier reads frames of a version that it does not know (R5).
    FeedVersionIgnored,
    /// A verifier skips entries of a level that it does not know (R5).
    FeedLevelIgnored,
    /// A verifier believes its wall clock alone (T2).
    FeedWallClockBelieved,
    /// A verifier's time may go back (R2).
    FeedTimeGoesBack,
    /// A stream that is resumed goes on with what comes next, not with what was missed (R5).
    FeedResumedWithoutTail,
    /// A heartbeat does not wait for what was published before its ping came (R1).
    FeedHeartbeatEarly,
    /// A verifier that is gone is not waited for (R1).
    FeedGoneNotAwaited,
    /// A verifier that comes back is not minded for the lease that it has (R1).
    FeedLeaseOfBeforeForgotten,
    /// Two digests are the same whose first halves are.
    DigestHalfCompared,
    /// A digest stands for the first half of a token's bytes: what is behind it may be anything.
    DigestHalfCovered,
    /// A header may say more than it has to, and in another spelling.
    TokenHeaderLoose,
    /// A token may live as long as it says.
    TokenLifeUncapped,
    /// The online check does not mind for whom a token is.
    CheckAudienceIgnored,
    /// The online check does not mind what a token is bound to.
    CheckProofIgnored,
    /// A verifier does not mind for whom a token is.
    VerifierAudienceIgnored,
    /// A verifier does not mind what a token is bound to.
    VerifierProofIgnored,
}

impl Bug {
    /// The bugs that the zoo has to catch.
    pub const ALL: [Self; 54] = [
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
        Self::RequestHashIgnored,
        Self::LockSkippedInFold,
        Self::SnapshotDropsRevocations,
        Self::SnapshotDropsEnds,
        Self::LapseForgotten,
        Self::ReaperAsksUnbounded,
        Self::RenewalForgotten,
        Self::ChildOutlivesParent,
        Self::BeyondIntent,
        Self::TokenIdShort,
        Self::TenantsIgnored,
        Self::ProofShareForgotten,
        Self::FeedLeaseFromReceipt,
        Self::FeedLeaseUnwatched,
        Self::FeedAcknowledgedBeforeApplied,
        Self::FeedOwnerForgotten,
        Self::FeedAncestorForgotten,
        Self::FeedSubjectUntold,
        Self::FeedTasksUntold,
        Self::FeedResumedWithoutTail,
        Self::FeedHeartbeatEarly,
        Self::FeedSnapshotReplaces,
        Self::FeedHashNotCompared,
        Self::FeedGapUnnoticed,
        Self::FeedOtherPartition,
        Self::FeedIssuerNotCompared,
        Self::FeedHomeNotCompared,
        Self::FeedEpochNotCompared,
        Self::FeedEpochEnteredAgain,
        Self::FeedOlderTaken,
        Self::FeedWitnessIgnored,
        Self::FeedWitnessOfPositionAlone,
        Self::FeedResetForgets,
        Self::FeedEpochOfAcknowledgementIgnored,
        Self::FeedVersionIgnored,
        Self::FeedLevelIgnored,
        Self::FeedWallClockBelieved,
        Self::FeedTimeGoesBack,
        Self::FeedGoneNotAwaited,
        Self::FeedLeaseOfBeforeForgotten,
        Self::DigestHalfCompared,
    ];

    /// Bugs of checks, that the corpus of hostile tokens has to catch.
    pub const OF_TOKENS: [Self; 7] = [
        Self::DigestHalfCovered,
        Self::TokenHeaderLoose,
        Self::TokenLifeUncapped,
        Self::CheckAudienceIgnored,
        Self::CheckProofIgnored,
        Self::VerifierAudienceIgnored,
        Self::VerifierProofIgnored,
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

/// Plants the bug of this name among those of tokens, in a process that tests start; none for any other.
pub fn plant_named(name: &str) {
    plant(Bug::OF_TOKENS.into_iter().find(|bug| format!("{bug:?}") == name));
}
