//! `locum status`.

use locum_sdk::admin::{Key, Status, Verifier};
use serde_json::{Value, json};

use crate::clock::{largest, now, relative};
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, facts};
use crate::session::Session;
use crate::verifier::behind;

/// Shows health, counts and key ages.
pub(crate) async fn run(session: &Session, output: &Output) -> Result<(), Failure> {
    let admin = session.client()?.admin();
    let (status, keys) = tokio::try_join!(admin.status(), admin.list_keys())?;
    status.warnings.iter().for_each(|warning| output.warn(warning));
    let mut value = document::status(&status);
    value["keys"] = Value::Array(keys.iter().map(aged).collect());
    output.data(document::of("status", value), || facts(told(&status, &keys)))?;
    match status.ready {
        true => Ok(()),
        false => Err(Failure::Denied("the broker does not serve".to_owned())),
    }
}

fn aged(key: &Key) -> Value {
    let mut value = document::key(key);
    value["age_seconds"] = json!(now().since(key.publish_time).as_secs());
    value
}

fn told(status: &Status, keys: &[Key]) -> Vec<(&'static str, String)> {
    let started = status.start_time.map_or_else(|| "unknown".to_owned(), |at| relative(at, now()));
    let mut rows = vec![
        ("ready", if status.ready { "yes" } else { "no" }.to_owned()),
        ("version", status.version.clone()),
        ("issuer", status.issuer.clone()),
        ("started", started),
        ("token rows", format!("{} (live ones, and dead ones until they are reaped)", status.tokens)),
        ("tasks", status.tasks.to_string()),
        ("reaper lag", format!("{} ms", status.reaper_lag.as_millis())),
        ("followers", format!("{} of the revocation feed", status.followers)),
        ("oldest verifier", status.oldest_verifier.as_ref().map_or_else(|| "none".to_owned(), oldest)),
        ("registry", format!("revision {}", status.registry_revision)),
        ("policy", format!("revision {}", status.policy_revision)),
        ("position", status.position.clone()),
    ];
    rows.extend(keys.iter().map(|key| ("key", key_line(key))));
    rows
}

/// A verifier on one line: who it is, what it lacks, and how long it may answer.
fn oldest(verifier: &Verifier) -> String {
    let Verifier { workload, connector, lease_left, .. } = verifier;
    let gone = if verifier.connected { "" } else { " (gone)" };
    let lag = behind(verifier).map_or_else(|| "lacks nothing".to_owned(), |lag| format!("behind by {lag}"));
    format!("{workload} of {connector}{gone}: {lag}, may answer for {} ms", lease_left.as_millis())
}

/// A key on one line: what it is for, its state and its age.
pub(crate) fn key_line(key: &Key) -> String {
    let age = largest(now().since(key.publish_time).as_secs());
    let kid: String = key.kid.chars().take(12).collect();
    format!("{} {} {}, {age} old ({kid}…)", key.purpose, key.algorithm, key.state)
}
