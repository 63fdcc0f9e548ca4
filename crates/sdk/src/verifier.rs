//! [`Verifier`]: checks tokens in this process, and hears of a revocation within milliseconds.
//!
//! It follows the revocation feed of one connector in the background. What it answers is decided in
//! `locum-verifier`; here are the stream, the clock and the runtime. Cut off from every broker it
//! answers *unknown* once the staleness bound of the connector is over, and never *active* on hope.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use locum_model::DigestKey;
use locum_verifier as core;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use locum_verifier::{Answer, Figures, Inactive, Moment, Unknown};

use crate::checker::Presentation;
use crate::client::Client;
use crate::clock::moment;
use crate::entropy::SystemEntropy;
use crate::error::Error;
use crate::follow_feed;
use crate::tasks;
use crate::verifier_metrics;
use crate::verifier_options::VerifierOptions;

/// An offline verifier. Cheap to clone; the last clone that goes ends the stream.
///
/// ```no_run
/// use std::time::Duration;
///
/// use locum_sdk::{CheckLayer, Checker, Client, Verifier};
///
/// # async fn example() -> Result<CheckLayer, locum_sdk::Error> {
/// let verifier = Verifier::from_env("orders", "https://orders.acme.test")?;
/// verifier.ready(Duration::from_secs(10)).await?;
/// let checker = Checker::offline(verifier).or_ask(Client::from_env()?);
/// CheckLayer::operation(checker, "orders:refund")
/// # }
/// ```
#[derive(Clone)]
pub struct Verifier(Arc<Running>);

struct Running {
    followed: Arc<Followed>,
    task: AbortHandle,
}

/// What the checks and the loop that follows the feed share.
pub(crate) struct Followed {
    pub(crate) core: core::Verifier,
    pub(crate) options: VerifierOptions,
    /// What went wrong last with the feed; none while all is well.
    pub(crate) trouble: Mutex<Option<String>>,
    /// Counts the leases, for those who wait for the first.
    pub(crate) leases: watch::Sender<u64>,
    clock: Box<dyn Fn() -> Moment + Send + Sync>,
}

// === impl Verifier ===

impl Verifier {
    /// Starts to follow the feed, in the background of the current runtime. Until the first heartbeat
    /// every answer is *unknown*; see [`Verifier::ready`].
    ///
    /// # Errors
    ///
    /// [`Error::Options`] for options that cannot work, or no tokio runtime.
    pub fn start(options: VerifierOptions) -> Result<Self, Error> {
        Self::start_by(moment, options)
    }

    /// As [`Verifier::start`], by another clock than this machine's: for tests of what a backend does when
    /// its clock is off or its machine has slept. `elapsed` never goes back.
    ///
    /// # Errors
    ///
    /// As [`Verifier::start`].
    pub fn start_by(
        clock: impl Fn() -> Moment + Send + Sync + 'static,
        options: VerifierOptions,
    ) -> Result<Self, Error> {
        options.check()?;
        let brokers = options.brokers.iter().map(Client::connect).collect::<Result<Vec<_>, _>>()?;
        let pins = core::Options::new(&options.issuer, options.root, &options.audience);
        let followed = Arc::new(Followed {
            core: core::Verifier::new(pins, DigestKey::draw(&SystemEntropy::new())?),
            options,
            trouble: Mutex::new(None),
            leases: watch::Sender::new(0),
            clock: Box::new(clock),
        });
        let work = follow_feed::run(Arc::clone(&followed), brokers);
        let task = tasks::spawn(work)
            .ok_or_else(|| Error::Options("a verifier is started within a tokio runtime".to_owned()))?;
        Ok(Self(Arc::new(Running { followed, task })))
    }

    /// Starts a verifier for a connector as the environment describes it, see
    /// [`VerifierOptions::from_env`].
    ///
    /// # Errors
    ///
    /// As [`VerifierOptions::from_env`] and [`Verifier::start`].
    pub fn from_env(connector: &str, audience: &str) -> Result<Self, Error> {
        Self::start(VerifierOptions::from_env(connector, audience)?)
    }

    /// Waits until tokens can be answered for.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] when that takes longer than `patience`, with what went wrong last: a pin that
    /// does not fit, a broker out of reach, a clock that is off.
    pub async fn ready(&self, patience: Duration) -> Result<(), Error> {
        let mut leases = self.0.followed.leases.subscribe();
        let answerable = async {
            while self.0.followed.lack().is_some() {
                // The sender lives as long as this handle does.
                let _ = leases.changed().await;
            }
        };
        match tokio::time::timeout(patience, answerable).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.stale(self.0.followed.lack().unwrap_or(Unknown::NotStarted))),
        }
    }

    /// Whether a token may be believed now. Never waits.
    ///
    /// The cause of anything but *active* is for the backend's own log.
    pub fn check<'a>(&self, presented: impl Into<Presentation<'a>>) -> Answer {
        let presentation = presented.into();
        self.0.followed.core.check(presentation.token(), &presentation.proved(), self.0.followed.now())
    }

    /// How the verifier is doing: what is left of the lease, where the feed stands, how the checks
    /// came out. For metrics.
    pub fn figures(&self) -> Figures {
        self.0.followed.core.figures(self.0.followed.now())
    }

    /// The same in Prometheus' text format, to be put beside what the backend serves of its own: families
    /// `locum_verifier_…`, each series with the label `connector`.
    pub fn metrics(&self) -> String {
        verifier_metrics::text(self.connector(), &self.figures())
    }

    /// What went wrong last with the feed; none while all is well.
    pub fn trouble(&self) -> Option<String> {
        self.0.followed.trouble.lock().clone()
    }

    /// The connector whose tokens are checked.
    pub fn connector(&self) -> &str {
        &self.0.followed.options.connector
    }

    /// An *unknown* as an error.
    pub(crate) fn stale(&self, unknown: Unknown) -> Error {
        let why = match self.trouble() {
            Some(trouble) if unknown != Unknown::OnlineOnly => format!("{unknown}; {trouble}"),
            _ => unknown.to_string(),
        };
        Error::Stale(why)
    }
}

impl Followed {
    /// Both clocks, now.
    pub(crate) fn now(&self) -> Moment {
        (self.clock)()
    }

    fn lack(&self) -> Option<Unknown> {
        self.core.lack(self.now())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("connector", &self.connector()).finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
