//! `locum audit tail|show`.

use locum_sdk::admin::RecordEntry;
use serde_json::{Value, json};

use crate::args::{AuditCommand, TailArgs};
use crate::failure::Failure;
use crate::output::{Output, escaped};
use crate::session::Session;
use crate::{document, input, task};

/// Runs one of the verbs.
pub(crate) async fn run(command: AuditCommand, session: &Session, output: &Output) -> Result<(), Failure> {
    match command {
        AuditCommand::Tail(args) => tail(&args, session, output).await,
        AuditCommand::Show(args) => show(&args.task, session, output).await,
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
        output.data(document::of("entry", document::entry(&entry)), || line(&entry))?;
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
        head.into_iter().chain(history.entries.iter().map(line)).collect::<Vec<_>>().join("\n")
    })?;
    match history.partial {
        false => Ok(()),
        true => Err(Failure::Partly("there is more of this task than is shown".to_owned())),
    }
}

/// One entry on one line; whatever stands in it cannot break the line.
fn line(entry: &RecordEntry) -> String {
    let mut line = format!("{} {} {}", entry.time, escaped(&entry.event), escaped(&entry.summary));
    for (name, fact) in
        [("by", &entry.by), ("task", &entry.task), ("jti", &entry.jti), ("reason", &entry.reason)]
    {
        if !fact.is_empty() {
            line.push_str(&format!(" {name}={}", escaped(fact)));
        }
    }
    line
}
