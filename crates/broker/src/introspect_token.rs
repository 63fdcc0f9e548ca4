//! `IntrospectToken`: may this token be believed, now?
//!
//! No await, no journal, no lock held longer than one shard's read. Whatever makes a token dead,
//! the answer is the same; the cause goes to the record's aggregate.

#[cfg(bug_zoo)]
use locum_model::bug_zoo::{Bug, is_planted};
use locum_model::limits::TOKEN_BYTES_MAX;
use locum_model::registry::Connector;
use locum_model::{Caller, ConnectorNo, Name, Reason, TenantNo, Timestamp, TokenId, WorkloadNo};
use locum_table::{CheckOutcome, LiveToken, Lookup};
use locum_token::dpop::{NotAdmitted, Presented, Proof};
use locum_token::{Claims, Recognised};

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::world::Pinned;

/// A question about a token.
#[derive(Clone, Copy, Debug)]
pub struct Presentation<'a> {
    /// The token, as presented.
    pub token: &'a str,
    /// What its presenter showed to the backend.
    pub presented: Presented<'a>,
}

/// An active token.
#[derive(Clone, Debug)]
pub struct ActiveToken {
    /// What it says.
    pub says: Recognised,
    /// Uses left, for a use-limited token.
    pub uses_left: Option<u32>,
}

/// What a check found. The reason for an inactive token is for logs and metrics alone.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "made once a check and taken apart at once")]
pub enum Checked {
    /// It may be believed.
    Active(ActiveToken),
    /// It must not.
    Inactive(Reason),
}

/// Why a token must not be believed, and its id where it is known to be one of ours.
pub(crate) type NotLive = (Option<TokenId>, Reason);

/// Checks for one caller at one moment: what is the same for all tokens of a batch is found once.
///
/// Whether a token is dead is read anew for each. Not to be kept: the world and the time grow old.
pub struct Checking<'b> {
    broker: &'b Broker,
    pinned: Pinned,
    workload: WorkloadNo,
    now: Timestamp,
    served: Option<(Name, ConnectorNo)>,
}

impl Broker {
    /// Whether the token is active for a connector that the caller serves.
    ///
    /// # Errors
    ///
    /// CONNECTOR_NOT_SERVED, WORKLOAD_UNREGISTERED, CLOCK_UNSETTLED, IDENTITY_EXPIRED, OVERLOADED when more
    /// proofs of keys are shown than are remembered.
    pub fn introspect_token(
        &self,
        caller: &Caller,
        connector: &Name,
        shown: Presentation<'_>,
    ) -> Result<Checked, Refusal> {
        self.checking(caller)?.introspect_token(connector, shown)
    }

    /// The checks that this caller asks for now.
    ///
    /// # Errors
    ///
    /// WORKLOAD_UNREGISTERED, CLOCK_UNSETTLED, and IDENTITY_EXPIRED: on a stream the proof may be older
    /// than the question.
    pub fn checking(&self, caller: &Caller) -> Result<Checking<'_>, Refusal> {
        let pinned = self.fold.pin();
        let workload = pinned.workload(caller)?.number;
        let now = self.now()?;
        if now >= caller.expires_at() {
            return Err(Reason::IdentityExpired.into());
        }
        Ok(Checking { broker: self, pinned, workload, now, served: None })
    }

    /// Brings near what checks of these tokens will read: those that follow do not wait for memory one
    /// after the other. Answers nothing, and costs little for what is no token.
    pub fn expect_checks<'t>(&self, tokens: impl Iterator<Item = &'t str>) {
        let short = tokens.filter(|token| token.len() <= TOKEN_BYTES_MAX);
        let jtis: Vec<TokenId> = short.filter_map(locum_token::jti_of).collect();
        self.fold.table.warm(&jtis);
    }

    /// Judges a token for a connector and notes the check in the token's row.
    pub(crate) fn check(
        &self,
        pinned: &Pinned,
        connector: &Connector,
        shown: Presentation<'_>,
        now: Timestamp,
    ) -> Result<Checked, Refusal> {
        let found = self.recognise(shown.token, now).unwrap_or_else(|| {
            let (claims, live) = self.verify(pinned, shown.token, now)?;
            Ok((Recognised::of(&claims), live))
        });
        self.judge(connector, shown, now, found)
    }

    fn judge(
        &self,
        connector: &Connector,
        shown: Presentation<'_>,
        now: Timestamp,
        found: Result<(Recognised, LiveToken), NotLive>,
    ) -> Result<Checked, Refusal> {
        let judged = found.and_then(|(says, live)| {
            if !is_for(&says, connector) {
                return Err((Some(live.jti), Reason::TokenWrongAudience));
            }
            let bound = says.confirmation();
            #[cfg(bug_zoo)]
            let bound =
                bound.filter(|_| !is_planted(Bug::CheckProofIgnored) || shown.presented.proof.is_some());
            let proof = shown.presented.proves(bound, shown.token, now);
            let proof = proof.map_err(|cause| {
                tracing::debug!(%cause, jti = %live.jti, "a token's key was not proved");
                (Some(live.jti), Reason::TokenUnproved)
            })?;
            Ok((says, live, proof))
        });
        // Last: what is refused for anything else takes no place among the proofs.
        let judged = match judged {
            Ok((_, live, Some(proof)))
                if !self.admits(&proof, (connector.tenant, self.holder_of(live.jti)), now)? =>
            {
                Err((Some(live.jti), Reason::TokenUnproved))
            }
            Ok((says, live, _)) => Ok((says, live)),
            Err(refused) => Err(refused),
        };
        Ok(match judged {
            Ok((says, live)) => {
                self.fold.table.note_check(live.jti, now, CheckOutcome::Active);
                Checked::Active(ActiveToken { says, uses_left: live.uses_left })
            }
            Err((jti, reason)) => {
                if let Some(jti) = jti {
                    self.fold.table.note_check(jti, now, CheckOutcome::Refused);
                }
                Checked::Inactive(reason)
            }
        })
    }

    /// Whether a proof that holds is let through: the first time that anybody shows it. The room that it
    /// takes is that of the workload whose token it is for, within its tenant's.
    ///
    /// # Errors
    ///
    /// OVERLOADED when more are shown than are remembered.
    pub(crate) fn admits(
        &self,
        proof: &Proof,
        holder: (TenantNo, WorkloadNo),
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        #[cfg(bug_zoo)]
        let holder = if is_planted(Bug::ProofShareForgotten) { (TenantNo(0), WorkloadNo(0)) } else { holder };
        match self.proofs.admit(proof, holder, now) {
            Ok(()) => Ok(true),
            Err(NotAdmitted::Replayed | NotAdmitted::TooOld) => Ok(false),
            Err(full @ NotAdmitted::Full) => Err(Refusal::new(Reason::Overloaded, full.to_string())),
        }
    }

    /// The workload that asked for a token. One that was freed meanwhile is nobody's, and shares that room.
    fn holder_of(&self, jti: TokenId) -> WorkloadNo {
        self.fold.table.workload_of(jti).unwrap_or(WorkloadNo(0))
    }

    /// Checks as far as no signature has to be verified: none for a token whose bytes are not known, and where a
    /// proof of its key is shown.
    pub(crate) fn check_recognised(
        &self,
        connector: &Connector,
        shown: Presentation<'_>,
        now: Timestamp,
    ) -> Option<Result<Checked, Refusal>> {
        if shown.presented.proof.is_some() {
            return None;
        }
        self.recognise(shown.token, now).map(|found| self.judge(connector, shown, now, found))
    }

    /// A live token, by its bytes where they are known, else by its signature.
    pub(crate) fn find_live(
        &self,
        pinned: &Pinned,
        compact: &str,
        now: Timestamp,
    ) -> Result<LiveToken, NotLive> {
        let verified = || self.verify(pinned, compact, now).map(|(_, live)| live);
        self.look_up(compact, now).unwrap_or_else(verified)
    }

    /// A live token and what it says, by its bytes; none where only its signature can tell.
    fn recognise(&self, compact: &str, now: Timestamp) -> Option<Result<(Recognised, LiveToken), NotLive>> {
        let says = |live| match Recognised::read(compact) {
            Ok(says) => Ok((says, live)),
            Err(refusal) => Err((None, refusal.reason())),
        };
        self.look_up(compact, now).map(|found| found.and_then(says))
    }

    fn look_up(&self, compact: &str, now: Timestamp) -> Option<Result<LiveToken, NotLive>> {
        let hint = if compact.len() > TOKEN_BYTES_MAX { None } else { locum_token::jti_of(compact) };
        let Some(hint) = hint else { return Some(Err((None, Reason::TokenMalformed))) };
        match self.fold.table.lookup(hint, compact, now) {
            Lookup::Live(live) => Some(Ok(live)),
            Lookup::Dead(dead) => Some(Err((Some(dead.jti), dead.reason))),
            Lookup::Unrecognised => None,
        }
    }

    fn verify(&self, pinned: &Pinned, compact: &str, now: Timestamp) -> Result<(Claims, LiveToken), NotLive> {
        let claims = locum_token::verify(&pinned.world.keys, &self.options.issuer, compact, now)
            .map_err(|refusal| (None, refusal.reason()))?;
        match self.fold.table.lookup_verified(claims.jti, now) {
            Lookup::Live(live) => {
                self.fold.table.remember(claims.jti, compact);
                Ok((claims, live))
            }
            Lookup::Dead(dead) => Err((Some(dead.jti), dead.reason)),
            Lookup::Unrecognised => Err((None, Reason::TokenUnknown)),
        }
    }
}

// === impl Checking ===

impl Checking<'_> {
    /// Whether the token is active for a connector that the caller serves.
    ///
    /// # Errors
    ///
    /// CONNECTOR_NOT_SERVED, WORKLOAD_UNREGISTERED, and OVERLOADED when more proofs of keys are shown than are
    /// remembered.
    pub fn introspect_token(
        &mut self,
        connector: &Name,
        shown: Presentation<'_>,
    ) -> Result<Checked, Refusal> {
        let connector = self.serve(connector)?;
        self.broker.check(&self.pinned, self.connector(connector)?, shown, self.now)
    }

    /// The same where no signature has to be verified, which takes fifty times as long: none for a token whose
    /// bytes are not known, and where a proof of its key is shown.
    ///
    /// # Errors
    ///
    /// Those of [`Checking::introspect_token`].
    pub fn recognise_token(
        &mut self,
        connector: &Name,
        shown: Presentation<'_>,
    ) -> Result<Option<Checked>, Refusal> {
        let connector = self.serve(connector)?;
        self.broker.check_recognised(self.connector(connector)?, shown, self.now).transpose()
    }

    /// The connector of this name, which the caller has to serve.
    fn serve(&mut self, connector: &Name) -> Result<ConnectorNo, Refusal> {
        if let Some((name, number)) = &self.served
            && name == connector
        {
            return Ok(*number);
        }
        let workload = self.pinned.world.registry.workload(self.workload);
        let number = self.pinned.served(workload.ok_or(Reason::WorkloadUnregistered)?, connector)?.number;
        self.served = Some((connector.clone(), number));
        Ok(number)
    }

    fn connector(&self, number: ConnectorNo) -> Result<&Connector, Refusal> {
        Ok(self.pinned.world.registry.connector(number).ok_or(Reason::ConnectorNotServed)?)
    }
}

// === free functions ===

fn is_for(says: &Recognised, connector: &Connector) -> bool {
    #[cfg(bug_zoo)]
    if is_planted(Bug::CheckAudienceIgnored) {
        return true;
    }
    says.audience() == connector.audience && says.connector() == connector.number
}
