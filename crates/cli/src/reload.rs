//! `locum reload`.

use serde_json::json;

use crate::document;
use crate::failure::Failure;
use crate::output::{Output, escaped, facts};
use crate::session::Session;

/// Has the broker read registry and policy files again, and tells what changed.
pub(crate) async fn run(session: &Session, output: &Output) -> Result<(), Failure> {
    let reloaded = session.client()?.admin().reload().await?;
    let (registry, policy) = (reloaded.registry_revision, reloaded.policy_revision);
    let told =
        json!({ "registry_revision": registry, "policy_revision": policy, "changes": reloaded.changes });
    if reloaded.changes.is_empty() {
        output.note("nothing changed: the files say what was in force");
    }
    output.data(document::of("reloaded", told), || {
        let revision = |number: u32| format!("revision {number}");
        let inforce = [("registry", revision(registry)), ("policy", revision(policy))];
        facts(inforce.into_iter().chain(reloaded.changes.iter().map(|change| ("change", escaped(change)))))
    })
}
