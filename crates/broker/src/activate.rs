//! `Reload` and `CheckPolicy`: registry and policies come into force whole, or not at all.

use std::sync::Arc;

use locum_model::Event;
use locum_model::event::{By, PolicyActivated, PolicyText, RegistryActivated};
use locum_model::number::{PolicyRevision, RegistryRevision};
use locum_model::registry::Proposal;
use locum_policy::PolicyProblem;
use locum_table::Applied;

use crate::broker::Broker;
use crate::fold::Verdict;
use crate::refusal::Refusal;
use locum_model::number_registry::{Numbered, number};

/// What was put in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activated {
    /// The registry in force.
    pub registry: RegistryRevision,
    /// The policy set in force.
    pub policy: PolicyRevision,
    /// What changed, a line each; nothing when all was as before.
    pub changes: Vec<String>,
}

/// Why something did not come into force; what was in force stays.
#[derive(Debug, thiserror::Error)]
pub enum NotActivated {
    /// The registry contradicts itself or a bound; a line for each problem.
    #[error("the registry is refused: {}", .0.join("; "))]
    Registry(Vec<String>),
    /// The policies do not compile; a problem each.
    #[error("the policy set is refused: {}", lines(.0))]
    Policy(Vec<PolicyProblem>),
    /// It could not be written down.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Broker {
    /// Puts a registry in force, when it differs from the one that is; durable on return. What is
    /// gone from it is revoked by the same event.
    ///
    /// # Errors
    ///
    /// [`NotActivated`]; nothing changed then.
    pub async fn activate_registry(&self, proposal: &Proposal, by: By) -> Result<Activated, NotActivated> {
        let pinned = self.fold.pin();
        let Numbered { entries, removed, changes } =
            number(pinned.world.registry.entries(), proposal).map_err(NotActivated::Registry)?;
        if changes.is_empty() && pinned.world.registry.revision().0 > 0 {
            return Ok(self.in_force(changes));
        }
        let digest = locum_token::sha256(format!("{proposal:?}").as_bytes());
        let at = self.now()?;
        let event = RegistryActivated { entries, digest, removed, by, at };
        let settled = self.commits.commit(Event::RegistryActivated(Box::new(event))).await?;
        still_next(&settled.verdict)?;
        Ok(self.in_force(changes))
    }

    /// Puts a policy set in force, when its texts differ from those that are; durable on return.
    ///
    /// # Errors
    ///
    /// [`NotActivated`]; nothing changed then.
    pub async fn activate_policy(&self, texts: Vec<PolicyText>, by: By) -> Result<Activated, NotActivated> {
        let (digest, pinned) = (policy_digest(&texts), self.fold.pin());
        if pinned.world.policy_of(digest).is_some() {
            return Ok(self.in_force(Vec::new()));
        }
        let set = locum_policy::compile(&texts).map_err(NotActivated::Policy)?;
        let revision = PolicyRevision(pinned.pin.policy.0 + 1);
        let event = PolicyActivated { revision, texts, digest, by, at: self.now()? };
        let settled = self.commits.commit(Event::PolicyActivated(Box::new(event))).await?;
        still_next(&settled.verdict)?;
        Ok(self.in_force(vec![format!("~ policy revision {revision} with {} policies", set.len())]))
    }

    /// How many policies the texts hold, or what is wrong with them; changes nothing. Texts that are in force
    /// are not compiled again.
    ///
    /// # Errors
    ///
    /// Every problem.
    pub fn check_policy(&self, texts: &[PolicyText]) -> Result<usize, Vec<PolicyProblem>> {
        match self.fold.pin().world.policy_of(policy_digest(texts)) {
            Some(set) => Ok(set.len()),
            None => locum_policy::compile(texts).map(|set| set.len()),
        }
    }

    fn in_force(&self, changes: Vec<String>) -> Activated {
        let pin = self.fold.pin().pin;
        Activated { registry: pin.registry, policy: pin.policy, changes }
    }

    /// The registry in force.
    pub fn registry(&self) -> Arc<locum_model::Registry> {
        Arc::clone(&self.fold.pin().world.registry)
    }
}

/// Refuses when another one came into force since this one was numbered; asking again numbers it anew.
fn still_next(verdict: &Verdict) -> Result<(), Refusal> {
    match verdict {
        Verdict::Applied(Applied::TooLate(reason)) => {
            Err(Refusal::new(*reason, "another one came into force meanwhile: try again"))
        }
        Verdict::Applied(_) | Verdict::Repeated => Ok(()),
    }
}

fn policy_digest(texts: &[PolicyText]) -> [u8; 32] {
    let mut all = Vec::new();
    for text in texts {
        for part in [&text.name, &text.text] {
            all.extend_from_slice(&(part.len() as u64).to_be_bytes());
            all.extend_from_slice(part.as_bytes());
        }
    }
    locum_token::sha256(&all)
}

fn lines(problems: &[PolicyProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
