//! [`Claims`]: what a token says, in the words of `model`.
//!
//! Made from an issue record when signing and from a payload when reading; both pass the same
//! check, so that nothing is signed that would not be taken back.

use locum_model::limits::{
    ACTORS_MAX, AUDIENCE_BYTES_MAX, TASK_DEPTH_MAX, TOKEN_TTL_MAX, WORKLOAD_ID_BYTES_MAX,
};
use locum_model::{
    Confirmation, IssueRecord, KeyId, Position, Scope, SpiffeId, Standing, SubjectKey, Target, TaskId,
    Timestamp, TokenId,
};

use crate::confirmation::subject_key;

/// Last second of the year 9999: no time in a token is later.
const SECONDS_MAX: i64 = 253_402_300_799;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `jti`: its id.
    pub jti: TokenId,
    /// `iss`: who issued it.
    pub issuer: String,
    /// `aud`: the one connector that it is for.
    pub audience: String,
    /// `sub`: on whose behalf.
    pub subject: String,
    /// `client_id`: the SPIFFE ID of the workload that asked.
    pub client_id: SpiffeId,
    /// `iat`, in whole seconds.
    pub issued_at: Timestamp,
    /// `nbf`, in whole seconds.
    pub not_before: Timestamp,
    /// `exp`, in whole seconds, exclusive.
    pub expires_at: Timestamp,
    /// `scope` and `authorization_details`: what may be done.
    pub scope: Scope,
    /// `cnf`: the key that it is bound to.
    pub confirmation: Option<Confirmation>,
    /// The task and its ancestors from root to leaf.
    pub tasks: Vec<TaskId>,
    /// Whose authority it rests on.
    pub standing: Standing,
    /// The newest position that the decision had read.
    pub decided_at: Position,
    /// Only an online check can answer for it.
    pub online_only: bool,
    /// It may be used once.
    pub single_use: bool,
    /// It is bait: nobody honest presents it.
    pub canary: bool,
    /// The header's `kid`: the key that signed it.
    pub kid: KeyId,
}

/// What is wrong with claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimFault {
    /// A claim is missing, has another type or is out of bounds.
    #[error("claim `{0}` is missing, malformed or out of bounds")]
    Malformed(&'static str),
    /// `exp` is further from `iat` than any token may live.
    #[error("the token lives longer than any token may")]
    LifeTooLong,
}

// === impl Claims ===

impl Claims {
    /// What the token of this record says.
    pub(crate) fn of(issuer: &str, record: &IssueRecord) -> Self {
        Self {
            jti: record.jti,
            issuer: issuer.to_owned(),
            audience: record.audience.clone(),
            subject: record.subject.clone(),
            client_id: record.client_id.clone(),
            issued_at: record.issued_at,
            not_before: record.not_before,
            expires_at: record.expires_at,
            scope: record.scope.clone(),
            confirmation: record.confirmation,
            tasks: record.tasks.clone(),
            standing: record.standing.clone(),
            decided_at: record.decided_at,
            online_only: record.online_only(),
            single_use: record.uses_max == Some(1),
            canary: false,
            kid: record.kid,
        }
    }

    /// The task that the token is for: the leaf of its chain.
    ///
    /// # Panics
    ///
    /// When the chain is empty; no token that was read has an empty one.
    pub fn task(&self) -> TaskId {
        *self.tasks.last().expect("a token has a task")
    }

    /// The subject as a number.
    pub fn subject_key(&self) -> SubjectKey {
        subject_key(self.standing.tenant, &self.subject)
    }

    /// What the token rests on by itself: its id, and its task and every task above it.
    pub fn own_targets(&self) -> impl Iterator<Item = Target> {
        std::iter::once(Target::Token(self.jti)).chain(self.tasks.iter().copied().map(Target::Task))
    }

    /// What it shares with other tokens: every registration of its standing, its subject, its key.
    ///
    /// With [`Claims::own_targets`] these are all levels of revocation; the token is dead when its
    /// decision is at or below the watermark of any of them.
    pub fn shared_targets(&self) -> impl Iterator<Item = Target> {
        let besides = [Target::Subject(self.subject_key()), Target::SigningKey(self.kid)];
        self.standing.targets().chain(besides)
    }

    /// The actors as `act` names them, the one acting now first (RFC 8693 section 4.1): it by its
    /// SPIFFE ID, those before it by registration, as `workload-7`.
    pub fn actors(&self) -> impl Iterator<Item = String> {
        let before = self.standing.actors.iter().rev().skip(1);
        let before = before.map(|actor| format!("workload-{}", actor.workload));
        std::iter::once(self.client_id.to_string()).chain(before)
    }

    /// Checks every bound that does not depend on the reader.
    pub(crate) fn check(&self) -> Result<(), ClaimFault> {
        let within = |claim, fits| if fits { Ok(()) } else { Err(ClaimFault::Malformed(claim)) };
        within("iss", !self.issuer.is_empty())?;
        within("aud", (1..=AUDIENCE_BYTES_MAX).contains(&self.audience.len()))?;
        within("sub", !self.subject.is_empty())?;
        within("client_id", self.client_id.as_str().len() <= WORKLOAD_ID_BYTES_MAX)?;
        within("scope", self.scope.grants().len() > 0)?;
        within("iat", is_time(self.issued_at))?;
        within("nbf", is_time(self.not_before) && self.not_before < self.expires_at)?;
        within("exp", is_time(self.expires_at) && self.issued_at < self.expires_at)?;
        within("locum", (1..=ACTORS_MAX).contains(&self.standing.actors.len()))?;
        within("locum", (1..=TASK_DEPTH_MAX).contains(&self.tasks.len()))?;
        within("locum", self.decided_at.sequence < 1 << 48)?;
        within("locum", self.online_only || !self.single_use)?;
        #[cfg(bug_zoo)]
        if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::TokenLifeUncapped) {
            return Ok(());
        }
        if self.expires_at.since(self.issued_at) > TOKEN_TTL_MAX {
            return Err(ClaimFault::LifeTooLong);
        }
        Ok(())
    }
}

fn is_time(time: Timestamp) -> bool {
    time == time.floor_to_second() && (0..=SECONDS_MAX).contains(&time.as_seconds())
}
