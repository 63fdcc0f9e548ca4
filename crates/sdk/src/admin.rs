//! The calls of operators: what is live, what happened, revocation, locks, keys and policies.
//!
//! Thin: one method per call, plain types in and out. What the broker says is bounded and escaped
//! here, so that it can be shown; ids and times are parsed.

mod archive;
mod control;
mod inspection;
mod named_count;
mod page;
mod record;
mod revocation;
mod verifier;

pub use archive::{
    ArchiveStatus, AuditDecision, AuditOrder, AuditPage, AuditQuery, Export, Forgotten, Justifications,
    Reindexing, RetentionPlan,
};
pub use control::{Key, PolicyFile, PolicyProblem, PolicyVerdict, Reloaded, Rotation};
pub use inspection::{Activity, LiveToken, LiveTokens, Status, TaskQuery, TokenQuery};
pub use named_count::NamedCount;
pub use page::Page;
pub(crate) use page::page_size;
pub use record::{History, Record, RecordEntry};
pub use revocation::{Lock, Match, Preview, Revocation, parse_selector, selector_text};
pub use verifier::Verifier;

use crate::client::Client;

/// The admin API of one broker. Cheap to clone.
///
/// ```no_run
/// # async fn example(client: locum_sdk::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use locum_sdk::model::Selector;
///
/// let refunder = Selector::Workload("refunder".parse()?);
/// let preview = client.admin().preview_revoke(&refunder, None).await?;
/// println!("{} tokens of {} tasks would die", preview.tokens, preview.tasks);
/// client.admin().revoke(&refunder, "stolen laptop", None).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
}

impl Client {
    /// The calls of operators.
    pub fn admin(&self) -> Admin {
        Admin { client: self.clone() }
    }
}
