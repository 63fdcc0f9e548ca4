//! `locum audit`: the verbs that read the record, and those about the archive.

use locum_sdk::admin::RecordEntry;
use serde_json::{Value, json};

use crate::args::{AuditCommand, TailArgs};
use crate::failure::Failure;
use crate::output::{Format, Output, escaped};
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

async fn tail(args: &TailArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let admin = session.client()?.admin();
    let (mut record, mut entries) = match args.follow {
        true => (admin.follow_record(args.last).await?, Entries::without_end(output)),
        false => (admin.recent_record(args.last).await?, Entries::new(output)),
    };
    while let Some(entry) = record.next().await? {
        entries.show(&entry)?;
    }
    entries.end(false)
}

/// Entries on their way out: a reader sees each when it comes, but for `-o json`, which is one document.
struct Entries<'a> {
    output: &'a Output,
    gathered: Option<Vec<Value>>,
    is_empty: bool,
}

impl<'a> Entries<'a> {
    fn new(output: &'a Output) -> Self {
        let gathered = (output.format() == Format::Json).then(Vec::new);
        Self { output, gathered, is_empty: true }
    }

    /// For entries that go on for ever: a document for each, whatever is asked for.
    fn without_end(output: &'a Output) -> Self {
        Self { output, gathered: None, is_empty: false }
    }

    fn show(&mut self, entry: &RecordEntry) -> Result<(), Failure> {
        self.is_empty = false;
        let value = document::entry(entry);
        match &mut self.gathered {
            Some(gathered) => gathered.push(value),
            None => self.output.data(document::of("entry", value), || line(entry, self.output))?,
        }
        Ok(())
    }

    /// There are no more, or at least none that were asked for.
    fn end(self, more: bool) -> Result<(), Failure> {
        match self.gathered {
            Some(gathered) => self.output.data(document::listing("entries", gathered, more), String::new),
            None if self.is_empty => {
                self.output.data(document::listing("entries", Vec::new(), more), String::new)
            }
            None => Ok(()),
        }
    }
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
