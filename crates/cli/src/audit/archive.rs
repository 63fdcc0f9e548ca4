//! `locum audit reindex|retention|status`: the archive itself.

use std::collections::BTreeMap;

use locum_sdk::admin::{ArchiveStatus, Forgotten, RetentionPlan};
use serde_json::{Value, json};

use crate::args::RetentionArgs;
use crate::clock::{largest, now, relative};
use crate::document::{self, time};
use crate::failure::Failure;
use crate::output::{self, Output, counted};
use crate::session::Session;

/// Has the index made anew; progress goes to people alone.
pub(super) async fn reindex(session: &Session, output: &Output) -> Result<(), Failure> {
    let mut progress = session.client()?.admin().reindex_archive().await?;
    let mut last = None;
    while let Some((indexed, total)) = progress.next().await? {
        last = Some((indexed, total));
        let percent = (indexed * 100).checked_div(total).unwrap_or(100);
        output.progress(&format!("{indexed} of {total} events, {percent} %"));
    }
    output.progressed();
    match last {
        Some((indexed, total)) if indexed == total => {
            let value = json!({ "indexed": indexed, "total": total });
            output.data(document::of("reindexed", value), || format!("{} indexed", counted(indexed, "event")))
        }
        _ => Err(Failure::Partly(
            "the index is still being made; `locum audit status` shows how far it is".into(),
        )),
    }
}

/// Shows what would go.
pub(super) async fn retention(
    args: &RetentionArgs,
    session: &Session,
    output: &Output,
) -> Result<(), Failure> {
    debug_assert!(args.dry_run, "the flag is required");
    let plan = session.client()?.admin().plan_retention(args.keep).await?;
    let keys = |plan: &RetentionPlan| -> Value {
        plan.keys.iter().map(|(tenant, day)| json!({ "tenant": tenant, "day": day })).collect()
    };
    let value = json!({
        "retention_days": plan.retention.map(days),
        "before": plan.before.map(time),
        "entries": plan.entries,
        "oldest": plan.times.map(|(oldest, _)| time(oldest)),
        "newest": plan.times.map(|(_, newest)| time(newest)),
        "keys": keys(&plan),
    });
    output.data(document::of("retention", value), || shown(&plan))
}

fn shown(plan: &RetentionPlan) -> String {
    let (Some(keep), Some(before)) = (plan.retention, plan.before) else {
        return "no retention is set: nothing goes".into();
    };
    let mut lines = vec![format!("keeping {} days: what is older than {before} goes", days(keep))];
    lines.push(match plan.times {
        Some((oldest, newest)) => {
            format!("{} of the index, of {oldest} to {newest}", counted(plan.entries, "entry"))
        }
        None => "no entries of the index".into(),
    });
    let mut of_tenants: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (tenant, day) in &plan.keys {
        of_tenants.entry(tenant).or_default().push(day);
    }
    if of_tenants.is_empty() {
        lines.push("no keys of justifications".into());
    }
    for (tenant, days) in of_tenants {
        let (first, last) = (days.iter().min(), days.iter().max());
        let range = first.zip(last).map(|(first, last)| format!("{first} to {last}")).unwrap_or_default();
        lines.push(format!(
            "{} keys of justifications of `{tenant}`, of {range}: what they sealed is erased",
            days.len()
        ));
    }
    lines.push("nothing was taken away; the journal is never touched".into());
    lines.join("\n")
}

fn days(span: std::time::Duration) -> u64 {
    span.as_secs() / 86_400
}

/// Shows how the archive does.
pub(super) async fn status(session: &Session, output: &Output) -> Result<(), Failure> {
    let status = session.client()?.admin().archive_status().await?;
    output.data(document::of("archive", json_of(&status)), || facts(&status))
}

fn json_of(status: &ArchiveStatus) -> Value {
    json!({
        "enabled": status.enabled,
        "open": status.open,
        "indexed": status.indexed,
        "indexed_time": status.indexed_time.map(time),
        "position": status.position,
        "behind": status.behind,
        "trouble": status.trouble,
        "rebuilds": status.rebuilds,
        "entries": status.entries,
        "texts": status.texts,
        "texts_waiting": status.texts_waiting,
        "texts_lost": status.texts_lost,
        "bytes": status.bytes,
        "retention_days": status.retention.map(days),
        "forgotten": status.forgotten.iter().map(forgotten_json).collect::<Vec<_>>(),
    })
}

fn forgotten_json(one: &Forgotten) -> Value {
    json!({
        "time": one.time.map(time),
        "retention_days": one.retention.map(days),
        "before": one.before.map(time),
        "entries": one.entries,
        "keys": one.keys,
        "texts": one.texts,
    })
}

/// What went and by which rule: `12 entries, 3 keys, 40 texts 2 h ago; kept 30 d`.
fn forgotten(one: &Forgotten) -> String {
    let when = one.time.map(|at| format!(" {}", relative(at, now()))).unwrap_or_default();
    let rule = one.retention.map(|keep| format!("; kept {}", largest(keep.as_secs()))).unwrap_or_default();
    let entries = counted(one.entries, "entry");
    let keys = counted(one.keys, "key");
    format!("{entries}, {keys}, {}{when}{rule}", counted(one.texts, "text"))
}

fn facts(status: &ArchiveStatus) -> String {
    let state = match (status.enabled, status.open, status.trouble.is_empty(), status.behind) {
        (false, ..) => "off".into(),
        (_, _, false, _) => format!("in trouble: {}", status.trouble),
        (_, false, ..) => "being opened".into(),
        (_, _, _, 0) => "current".into(),
        (.., behind) => format!("{} behind", counted(behind, "event")),
    };
    let indexed = match status.indexed_time {
        Some(at) => format!("{} ({})", status.indexed, relative(at, now())),
        None => "nothing".into(),
    };
    let kept = status.retention.map_or("for ever".into(), |span| largest(span.as_secs()));
    let texts =
        format!("{} kept, {} waiting, {} lost", status.texts, status.texts_waiting, status.texts_lost);
    let mut rows = vec![
        ("archive", state),
        ("indexed", indexed),
        ("committed", status.position.clone()),
        ("entries", status.entries.to_string()),
        ("justifications", texts),
        ("rebuilds", status.rebuilds.to_string()),
        ("size", format!("{} KiB", status.bytes / 1024)),
        ("kept", kept),
    ];
    rows.extend(status.forgotten.iter().map(|one| ("forgotten", forgotten(one))));
    output::facts(rows)
}
