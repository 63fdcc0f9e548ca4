//! `locum status`.

use crate::clock::{now, relative};
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, escaped, table};
use crate::session::Session;

/// Shows health and live counts.
pub(crate) async fn run(session: &Session, output: &Output) -> Result<(), Failure> {
    let status = session.client()?.admin().status().await?;
    for warning in &status.warnings {
        output.note(&format!("warning: {}", escaped(warning)));
    }
    output.data(document::of("status", document::status(&status)), || {
        let started = status.start_time.map_or_else(|| "unknown".to_owned(), |at| relative(at, now()));
        let rows = [
            ("ready", if status.ready { "yes" } else { "no" }.to_owned()),
            ("version", status.version.clone()),
            ("issuer", status.issuer.clone()),
            ("started", started),
            ("tokens", status.tokens.to_string()),
            ("tasks", status.tasks.to_string()),
            ("registry", format!("revision {}", status.registry_revision)),
            ("policy", format!("revision {}", status.policy_revision)),
            ("position", status.position.clone()),
            ("reaper lag", format!("{} ms", status.reaper_lag.as_millis())),
            ("followers", status.followers.to_string()),
        ];
        table(&[], rows.into_iter().map(|(name, fact)| vec![name.to_owned(), fact]))
    })?;
    match status.ready {
        true => Ok(()),
        false => Err(Failure::Denied("the broker does not serve".to_owned())),
    }
}
