//! `locum audit`: the verbs that read the record, and those about the archive.

use locum_sdk::admin::RecordEntry;
use serde_json::{Value, json};

use crate::args::{AuditCommand, TailArgs};
use crate::failure::Failure;
use crate::output::{Output, escaped};
use crate::session::Session;
use crate::{document, input, task};

mod archive;
mod ocsf;
mod search;

/// Runs one of the verbs.
pub(crate) async fn run(command: AuditCommand, session: &Session, output: &Output) -> Result<(), Failure> {
    match command {
        AuditCommand::Tail(args) => tail(&args, session, output).await,
        AuditCommand::Show(args) => show(&args.task, session, output).await,
        AuditCommand::Search(args) => search::search(&args, session, output).await,
        AuditCommand::Export(args) => search::export(&args, session, output).await,
        AuditCommand::Reindex => archive::reindex(session, output).await,
        AuditCommand::Retention(args) => archive::retention(&args, session, output).await,
        AuditCommand::Status => archive::status(session, output).await,
    }
}

/// Prints entry by entry, so that a reader sees each when it comes.
async fn tail(args: &TailArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let admin = session.client()?.admin();
    let mut record = match args.follow {
        true => admin.follow_record(args.last).await?,
        false => admin.recent_record(args.last).await?,
    };
    while let Some(entry) = record.next().await? {
        output.data(document::of("entry", document::entry(&entry)), || line(&entry, output))?;
    }
    Ok(())
}

async fn show(id: &str, session: &Session, output: &Output) -> Result<(), Failure> {
    let id = input::task(id)?;
    let history = session.client()?.admin().task_history(id).await?;
    let value = json!({
        "schema_version": document::SCHEMA_VERSION,
        "task": history.task.as_ref().map(document::task),
        "entries": Value::Array(history.entries.iter().map(document::entry).collect()),
        "partial": history.partial,
    });
    output.data(value, || {
        let head = history.task.as_ref().map(task::facts);
        head.into_iter()
            .chain(history.entries.iter().map(|entry| line(entry, output)))
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    match history.partial {
        false => Ok(()),
        true => Err(Failure::Partly("there is more of this task than is shown".to_owned())),
    }
}

/// One entry on one line, in columns; whatever stands in it cannot break the line. A terminal cuts it.
fn line(entry: &RecordEntry, output: &Output) -> String {
    let mut line =
        format!("{}  {:<17}  {:<10}  ", when(entry, output), escaped(&entry.event), escaped(&entry.task));
    line.push_str(&escaped(&entry.summary));
    for (name, fact) in [("reason", &entry.reason), ("by", &entry.by), ("jti", &entry.jti)] {
        if !fact.is_empty() {
            line.push_str(&format!(" {name}={}", escaped(fact)));
        }
    }
    output.cut(line)
}

/// When, to the second: a record is read by the clock. A terminal has no room for the year.
fn when(entry: &RecordEntry, output: &Output) -> String {
    let time = entry.time.to_string();
    let from = if output.width().is_some() { 5 } else { 0 };
    format!("{}Z", time.get(from..19).unwrap_or(&time))
}
