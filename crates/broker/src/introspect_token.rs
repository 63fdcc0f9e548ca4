//! `IntrospectToken`: may this token be believed, now?
//!
//! No await, no journal, no lock held longer than one shard's read. Whatever makes a token dead,
//! the answer is the same; the cause goes to the record's aggregate.

#[cfg(bug_zoo)]
use locum_model::bug_zoo::{Bug, is_planted};
use locum_model::limits::TOKEN_BYTES_MAX;
use locum_model::registry::Connector;
use locum_model::{Caller, Name, Reason, TenantNo, Timestamp, TokenId};
use locum_table::{CheckOutcome, LiveToken, Lookup};
use locum_token::Claims;
use locum_token::dpop::{NotAdmitted, Presented, Proof};

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
    pub claims: Claims,
    /// Uses left, for a use-limited token.
    pub uses_left: Option<u32>,
}

/// What a check found. The reason for an inactive token is for logs and metrics alone.
#[derive(Clone, Debug)]
pub enum Checked {
    /// It may be believed.
    Active(Box<ActiveToken>),
    /// It must not.
    Inactive(Reason),
}

/// Claims of which something is not compared.
#[cfg(bug_zoo)]
fn careless(
    mut claims: Claims,
    live: LiveToken,
    connector: &Connector,
    shown: Presentation<'_>,
) -> (Claims, LiveToken) {
    if is_planted(Bug::CheckAudienceIgnored) {
        claims.audience.clone_from(&connector.audience);
        claims.standing.connector = connector.number;
    }
    if is_planted(Bug::CheckProofIgnored) && shown.presented.proof.is_none() {
        claims.confirmation = None;
    }
    (claims, live)
}

/// Why a token must not be believed, and its id where it is known to be one of ours.
pub(crate) type NotLive = (Option<TokenId>, Reason);

impl Broker {
    /// Whether the token is active for a connector that the caller serves.
    ///
    /// # Errors
    ///
    /// CONNECTOR_NOT_SERVED, WORKLOAD_UNREGISTERED, CLOCK_UNSETTLED, OVERLOADED when more proofs of keys are
    /// shown than are remembered.
    pub fn introspect_token(
        &self,
        caller: &Caller,
        connector: &Name,
        shown: Presentation<'_>,
    ) -> Result<Checked, Refusal> {
        let pinned = self.fold.pin();
        let workload = pinned.workload(caller)?;
        let connector = pinned.served(workload, connector)?;
        let now = self.now()?;
        // On a stream the proof may be older than the question.
        if now >= caller.expires_at() {
            return Err(Reason::IdentityExpired.into());
        }
        self.check(&pinned, connector, shown, now)
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
        let found = self.find(pinned, shown.token, now);
        let judged = found.and_then(|(claims, live)| {
            #[cfg(bug_zoo)]
            let (claims, live) = careless(claims, live, connector, shown);
            if claims.audience != connector.audience || claims.standing.connector != connector.number {
                return Err((Some(live.jti), Reason::TokenWrongAudience));
            }
            let proof = shown.presented.proves(claims.confirmation, shown.token, now);
            let proof = proof.map_err(|cause| {
                tracing::debug!(%cause, jti = %live.jti, "a token's key was not proved");
                (Some(live.jti), Reason::TokenUnproved)
            })?;
            Ok((claims, live, proof))
        });
        // Last: what is refused for anything else takes no place among the proofs.
        let judged = match judged {
            Ok((claims, live, Some(proof))) if !self.admits(&proof, claims.standing.tenant, now)? => {
                Err((Some(live.jti), Reason::TokenUnproved))
            }
            Ok((claims, live, _)) => Ok((claims, live)),
            Err(refused) => Err(refused),
        };
        Ok(match judged {
            Ok((claims, live)) => {
                self.fold.table.note_check(live.jti, now, CheckOutcome::Active);
                Checked::Active(Box::new(ActiveToken { claims, uses_left: live.uses_left }))
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
    /// takes is the tenant's whose token it is for.
    ///
    /// # Errors
    ///
    /// OVERLOADED when more are shown than are remembered.
    pub(crate) fn admits(&self, proof: &Proof, tenant: TenantNo, now: Timestamp) -> Result<bool, Refusal> {
        #[cfg(bug_zoo)]
        let tenant = if is_planted(Bug::ProofShareForgotten) { TenantNo(0) } else { tenant };
        match self.proofs.admit(proof, tenant, now) {
            Ok(()) => Ok(true),
            Err(NotAdmitted::Replayed | NotAdmitted::TooOld) => Ok(false),
            Err(full @ NotAdmitted::Full) => Err(Refusal::new(Reason::Overloaded, full.to_string())),
        }
    }

    /// A live token and what it says.
    fn find(&self, pinned: &Pinned, compact: &str, now: Timestamp) -> Result<(Claims, LiveToken), NotLive> {
        match self.find_live(pinned, compact, now)? {
            (live, Some(claims)) => Ok((claims, live)),
            (live, None) => {
                let claims = locum_token::read_recognised(compact);
                Ok((claims.map_err(|refusal| (None, refusal.reason()))?, live))
            }
        }
    }

    /// A live token, by its bytes where they are known, else by its signature; then its claims were read too.
    pub(crate) fn find_live(
        &self,
        pinned: &Pinned,
        compact: &str,
        now: Timestamp,
    ) -> Result<(LiveToken, Option<Claims>), NotLive> {
        if compact.len() > TOKEN_BYTES_MAX {
            return Err((None, Reason::TokenMalformed));
        }
        let hint = locum_token::jti_of(compact).ok_or((None, Reason::TokenMalformed))?;
        match self.fold.table.lookup(hint, compact, now) {
            Lookup::Live(live) => Ok((live, None)),
            Lookup::Dead(dead) => Err((Some(dead.jti), dead.reason)),
            Lookup::Unrecognised => {
                self.verify(pinned, compact, now).map(|(claims, live)| (live, Some(claims)))
            }
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
