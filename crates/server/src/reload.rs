//! Reloading: certificate, bundles, registry and policies, without a restart.
//!
//! Each is read and judged whole before it replaces what is in force; what is refused leaves that
//! as it was, and says so. Listeners, the issuer and operators need a restart.

use std::sync::Arc;

use arc_swap::ArcSwap;
use locum_broker::{Activated, Broker, NotActivated, Refusal};
use locum_identity::Trust;
use locum_model::Clock;
use locum_model::event::By;

use crate::config::{self, Settings};
use crate::tasks::blocking;
use crate::tls::OwnCertificate;

/// What can be read again, and from where.
pub struct Reload {
    /// Where everything is.
    pub settings: Settings,
    /// The broker.
    pub broker: Arc<Broker>,
    /// Whom we trust.
    pub trust: Arc<ArcSwap<Trust>>,
    /// Our own certificate.
    pub own: OwnCertificate,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// What was not put in force.
#[derive(Debug, thiserror::Error)]
pub enum NotReloaded {
    /// The registry files.
    #[error("registry: {0}")]
    Registry(String),
    /// The policy files.
    #[error("policies: {0}")]
    Policy(String),
    /// It could not be written down.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Reload {
    /// Puts the registry's and the policies' files in force: both are read before either is. While
    /// they are refused, the broker's status says why.
    ///
    /// # Errors
    ///
    /// [`NotReloaded`]; when the policies are refused a registry that was valid is in force.
    pub async fn files(&self, by: By) -> Result<Activated, NotReloaded> {
        let activated = self.read_files(by).await;
        let why = |cause| format!("the files are refused, the last good ones are in force: {cause}");
        self.broker.files_refused(activated.as_ref().err().map(why));
        activated
    }

    async fn read_files(&self, by: By) -> Result<Activated, NotReloaded> {
        let settings = self.settings.clone();
        let read = blocking(move || (config::registry(&settings), config::policies(&settings))).await;
        let (registry, policies) = read.map_err(NotReloaded::Registry)?;
        let registry = registry.map_err(|problems| NotReloaded::Registry(problems.to_string()))?;
        let policies = policies.map_err(|problems| NotReloaded::Policy(problems.to_string()))?;
        if let Err(problems) = self.broker.check_policy(&policies) {
            return Err(NotReloaded::Policy(join(&problems)));
        }
        let first = self.broker.activate_registry(&registry, by.clone()).await.map_err(not_activated)?;
        let mut second = self.broker.activate_policy(policies, by).await.map_err(not_activated)?;
        second.changes.splice(0..0, first.changes);
        Ok(second)
    }

    /// Reads our certificate and the bundles again.
    ///
    /// # Errors
    ///
    /// A sentence with every problem; each part that was refused stays as it was.
    pub fn trust(&self) -> Result<(), String> {
        let mut problems = Vec::new();
        if let Err(refused) = self.own.reload() {
            problems.push(refused.to_string());
        }
        match self.read_trust() {
            Ok(trust) => self.trust.store(Arc::new(trust)),
            Err(cause) => problems.push(cause),
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }

    fn read_trust(&self) -> Result<Trust, String> {
        let options = config::trust_options(&self.settings).map_err(|problems| problems.to_string())?;
        let now = self.clock.now().map_err(|unsettled| unsettled.to_string())?;
        Trust::of(options, now).map_err(|problem| problem.to_string())
    }

    /// Everything, as on SIGHUP; tells the log how it went.
    pub async fn everything(&self) {
        if let Err(cause) = self.trust() {
            tracing::error!(%cause, "certificates or bundles were refused; what was in force stays");
        }
        match self.files(By::Broker).await {
            Ok(activated) => {
                let (registry, policy) = (activated.registry.0, activated.policy.0);
                tracing::info!(registry, policy, changes = ?activated.changes, "reloaded");
            }
            Err(cause) => tracing::error!(%cause, "the files were refused; what was in force stays"),
        }
    }
}

fn not_activated(cause: NotActivated) -> NotReloaded {
    match cause {
        NotActivated::Registry(problems) => NotReloaded::Registry(problems.join("; ")),
        NotActivated::Policy(problems) => NotReloaded::Policy(join(&problems)),
        NotActivated::Refused(refusal) => NotReloaded::Refused(refusal),
    }
}

fn join(problems: &[locum_policy::PolicyProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
