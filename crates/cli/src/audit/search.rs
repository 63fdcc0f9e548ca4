//! `locum audit search|export`.

use locum_sdk::admin::{AuditDecision, AuditOrder, AuditQuery, Justifications};

use super::{Entries, ocsf};
use crate::args::{CriteriaArgs, ExportArgs, ExportFormat, SearchArgs};
use crate::clock::now;
use crate::failure::Failure;
use crate::output::{Output, counted, harmless};
use crate::session::Session;
use crate::{document, input};

/// Entries between two words on how far an export is.
const PROGRESS: u64 = 500;
/// Entries of one page.
const PAGE: u32 = 250;

/// Prints what is found.
pub(super) async fn search(args: &SearchArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let admin = session.client()?.admin();
    let query = query(&args.criteria)?;
    let order = if args.oldest_first { AuditOrder::OldestFirst } else { AuditOrder::NewestFirst };
    let (mut left, mut next, mut behind) = (args.limit, String::new(), 0);
    let mut entries = Entries::new(output);
    loop {
        let shown = (order, justifications(&args.criteria));
        let found = admin.search_audit(&query, shown, (left.min(PAGE), &next)).await?;
        for entry in &found.page.items {
            entries.show(entry)?;
        }
        left -= u32::try_from(found.page.items.len()).unwrap_or(left).min(left);
        (next, behind) = (found.page.next, found.behind.max(behind));
        if next.is_empty() || left == 0 {
            break;
        }
    }
    entries.end(!next.is_empty())?;
    if behind > 0 {
        let behind = counted(behind, "event");
        output.note(&format!("the archive is {behind} behind: what is newest may be missing"));
    }
    if !next.is_empty() {
        output.note(&format!("there is more; `-n` is {}", args.limit));
    }
    Ok(())
}

/// Prints everything, a line for each entry.
pub(super) async fn export(args: &ExportArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let admin = session.client()?.admin();
    let after = args.after.as_deref().unwrap_or_default();
    let shown = justifications(&args.criteria);
    let mut export = admin.export_audit(&query(&args.criteria)?, shown, after).await?;
    let mut count: u64 = 0;
    while let Some(entry) = export.next().await? {
        let document = match args.format {
            ExportFormat::Jsonl => document::of("entry", document::entry(&entry)),
            ExportFormat::Ocsf => ocsf::event(&entry),
        };
        output.text(&harmless(&document))?;
        // At once and then every so often, where the lines themselves do not show how far it is.
        if count.is_multiple_of(PROGRESS) && !output.has_terminal() {
            output.progress(&counted(count + 1, "entry"));
        }
        count += 1;
    }
    output.progressed();
    let end = export.end().filter(|end| !end.is_empty()).unwrap_or("the beginning");
    output.note(&format!("{}, up to position {end}", counted(count, "entry")));
    Ok(())
}

fn query(args: &CriteriaArgs) -> Result<AuditQuery, Failure> {
    let now = now();
    let moment = |text: &Option<String>| text.as_deref().map(|text| input::moment(text, now)).transpose();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Ok(AuditQuery {
        task: text(&args.task),
        jti: text(&args.token),
        workload: text(&args.workload),
        connector: text(&args.connector),
        owner: text(&args.owner),
        model: text(&args.model),
        operator: text(&args.operator),
        request_id: text(&args.request_id),
        subject: text(&args.subject),
        tenant: text(&args.tenant),
        decision: match (args.permitted, args.denied) {
            (true, _) => Some(AuditDecision::Permit),
            (_, true) => Some(AuditDecision::Denial),
            _ => None,
        },
        reason: text(&args.reason),
        events: args.events.clone(),
        since: moment(&args.since)?,
        until: moment(&args.until)?,
        text: text(&args.text),
    })
}

fn justifications(args: &CriteriaArgs) -> Justifications {
    if args.with_justifications { Justifications::Shown } else { Justifications::Hidden }
}
