//! `locum task start|hold|end|list|show`.

use std::path::PathBuf;

use locum_model::event::Outcome;
use locum_model::{Reason, TaskId};
use locum_sdk::admin::TaskQuery;
use locum_sdk::{Ending, TaskHandle, TaskView};
use serde_json::json;

use crate::args::{EndArgs, HeldArgs, ListArgs, OutcomeArg, ShowArgs, StartArgs, TaskCommand};
use crate::clock::{largest, now, relative};
use crate::failure::Failure;
use crate::output::{Output, Sheet, escaped, long, plain, table, wide};
use crate::session::Session;
use crate::{document, holder_file, input};

const PAGE_SIZE: u32 = 200;

/// Runs one of the verbs; `hold` has a way of its own.
pub(crate) async fn run(command: TaskCommand, session: &Session, output: &Output) -> Result<(), Failure> {
    match command {
        TaskCommand::Start(args) => start(args, session, output).await,
        TaskCommand::Hold(args) => hold(&args, session, output).await,
        TaskCommand::End(args) => end(args, session, output).await,
        TaskCommand::List(args) => list(args, session, output).await,
        TaskCommand::Show(args) => show(args, session, output).await,
    }
}

/// The task that a command names, with the secret from its file.
pub(crate) fn held(args: &HeldArgs, session: &Session) -> Result<(TaskHandle, PathBuf), Failure> {
    handle(&args.task, (args.holder_file.clone(), "--holder-file"), session)
}

/// A task with the secret from the file that `flag` names, or else from its usual place.
fn handle(
    task: &str,
    (file, flag): (Option<PathBuf>, &str),
    session: &Session,
) -> Result<(TaskHandle, PathBuf), Failure> {
    let task = input::task(task)?;
    let (file, unsaid) = match file {
        Some(file) => (file, None),
        None => (holder_file::default_path(&session.addr()?, task)?, Some(flag)),
    };
    let secret = holder_file::read(&file, unsaid)?;
    Ok((session.client()?.task_handle(task, secret), file))
}

async fn start(args: StartArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    if let Some(file) = args.holder_file.as_ref().filter(|file| file.exists()) {
        let shown = escaped(&file.to_string_lossy());
        return Err(Failure::Usage(format!("`{shown}` is there already and is not overwritten")));
    }
    let mut builder = session.client()?.task(&args.purpose).justification(args.justification);
    for scope in &args.scopes {
        let (operation, resources) = input::scope(scope);
        builder = builder.scope(operation, resources);
    }
    if let Some(deadline) = args.deadline {
        builder = builder.deadline(deadline);
    }
    if let Some(lease) = args.lease {
        builder = builder.lease(lease);
    }
    if let Some(parent) = &args.parent {
        let (parent, _) = handle(parent, (args.parent_holder_file, "--parent-holder-file"), session)?;
        builder = builder.parent(&parent);
    }
    let (handle, view) = builder.start_unheld().await?;
    let file = keep(&handle, args.holder_file, session).await?;
    let (shown, lease) = (file.to_string_lossy(), largest(view.lease.as_secs()));
    output.remark(&format!("holder secret: {}", escaped(&shown)));
    output
        .remark(&format!("nobody holds it yet: it lapses in {lease} unless `locum task hold {}`", view.task));
    let mut value = document::task(&view);
    value["holder_file"] = json!(shown);
    output.data(document::of("task", value), || view.task.to_string())
}

/// Writes the secret down; a task whose secret is lost would only be a nuisance, so it is ended.
async fn keep(handle: &TaskHandle, file: Option<PathBuf>, session: &Session) -> Result<PathBuf, Failure> {
    let secret = handle.secret();
    let written = match file {
        Some(file) => holder_file::write(&file, secret).map(|()| file),
        None => session
            .addr()
            .and_then(|addr| holder_file::default_path(&addr, handle.id()))
            .and_then(|file| holder_file::write_own(&file, secret).map(|()| file)),
    };
    let Err(failure) = written else { return written };
    match handle.end(Outcome::Cancelled).await {
        Ok(_) => Err(failure),
        Err(error) => Err(Failure::Partly(format!(
            "{} was started, its secret could not be kept ({failure}), and ending it failed: {error}",
            handle.id()
        ))),
    }
}

/// Holds a task until it is over or the person says stop; then it is let go, not ended.
pub(crate) async fn hold(args: &HeldArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let (handle, file) = held(args, session)?;
    // Holding rides out a broker that is away for a while. One that was never there is an error.
    session.client()?.get_task(handle.id()).await?;
    let task = handle.hold();
    output.note(&format!("holding {}; its lease runs on when this is interrupted", task.id()));
    let ending = tokio::select! {
        ending = task.ended() => ending,
        heard = tokio::signal::ctrl_c() => {
            drop(task.release());
            heard?;
            return Err(Failure::Interrupted);
        }
    };
    let id = task.id();
    holder_file::remove(&file)?;
    let word = match ending {
        Ending::Ended => "ended",
        Ending::Lapsed => "lapsed",
        Ending::Revoked => "revoked",
        Ending::Lost => "lost",
    };
    let value = json!({ "task": id.to_string(), "ending": word });
    output.data(document::of("task", value), || format!("{id} {word}"))?;
    match ending {
        Ending::Ended => Ok(()),
        other => Err(locum_sdk::Error::TaskOver(other).into()),
    }
}

async fn end(args: EndArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let view = match &args.reason {
        Some(reason) => {
            let task = input::task(&args.held.task)?;
            session.client()?.admin().end_task(task, reason).await?
        }
        None => {
            let (handle, file) = held(&args.held, session)?;
            let view = handle.end(outcome(args.outcome)).await?;
            holder_file::remove(&file)?;
            view
        }
    };
    output.data(document::of("task", document::task(&view)), || {
        format!("{} {}", view.task, view.state.as_str())
    })
}

fn outcome(outcome: OutcomeArg) -> Outcome {
    match outcome {
        OutcomeArg::Completed => Outcome::Completed,
        OutcomeArg::Failed => Outcome::Failed,
        OutcomeArg::Cancelled => Outcome::Cancelled,
    }
}

async fn list(args: ListArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let state = args.state.as_deref().map(str::parse).transpose()?;
    let client = session.client()?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let selector = args.selector.optional()?;
    let mut query = TaskQuery { state, selector, ..TaskQuery::default() };
    let mut tasks: Vec<TaskView> = Vec::new();
    while tasks.len() < limit {
        query.size = PAGE_SIZE.min(u32::try_from(limit - tasks.len()).unwrap_or(PAGE_SIZE));
        let page = match args.own {
            true => client.list_tasks(query.state, query.size, &query.page).await?,
            false => {
                client.admin().list_tasks(&query).await.inspect_err(|error| own_is_meant(error, output))?
            }
        };
        tasks.extend(page.items);
        query.page = page.next;
        if query.page.is_empty() {
            break;
        }
        output.progress(&format!("{} tasks", tasks.len()));
    }
    output.progressed();
    let more = !query.page.is_empty();
    let values = tasks.iter().map(document::task).collect();
    output.data(document::listing("tasks", values, more), || rows(&tasks, output))?;
    if more {
        output.note(&format!("there are more than {limit}: raise `--limit`"));
    }
    Ok(())
}

fn rows(tasks: &[TaskView], output: &Output) -> String {
    let now = now();
    let columns = [
        plain("TASK"),
        plain("STATE"),
        long("WORKLOAD"),
        long("PURPOSE"),
        plain("STARTED"),
        plain("DEADLINE"),
        wide("SCOPE"),
        wide("SUBJECT"),
        wide("PARENT"),
        wide("TENANT"),
    ];
    let row = |task: &TaskView| {
        vec![
            task.task.to_string(),
            task.state.as_str().to_owned(),
            task.workload.clone(),
            task.purpose.clone(),
            relative(task.start_time, now),
            relative(task.deadline, now),
            task.scope.to_string(),
            task.subject.clone(),
            task.parent.map(|parent| parent.to_string()).unwrap_or_default(),
            task.tenant.clone(),
        ]
    };
    output.sheet(&Sheet::new(&columns, tasks.iter().map(row)))
}

async fn show(args: ShowArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let id: TaskId = input::task(&args.task)?;
    let client = session.client()?;
    let view = match args.own {
        true => client.get_task(id).await?,
        false => client.admin().get_task(id).await.inspect_err(|error| own_is_meant(error, output))?,
    };
    output.data(document::of("task", document::task(&view)), || facts(&view))
}

/// Tells a workload, who sees no tasks but its own, how.
fn own_is_meant(error: &locum_sdk::Error, output: &Output) {
    if error.reason() == Some(Reason::RoleMissing) {
        output.note("a workload sees its own tasks with `--own`");
    }
}

/// A task as lines of name and fact.
pub(crate) fn facts(view: &TaskView) -> String {
    let now = now();
    let mut rows = vec![
        ("task", view.task.to_string()),
        ("state", view.state.as_str().to_owned()),
        ("purpose", view.purpose.clone()),
        ("workload", format!("{} ({})", view.workload, view.workload_identity)),
        ("subject", view.subject.clone()),
        ("tenant", view.tenant.clone()),
        ("started", relative(view.start_time, now)),
        ("deadline", relative(view.deadline, now)),
        ("lease", largest(view.lease.as_secs())),
    ];
    rows.extend(view.parent.map(|parent| ("parent", parent.to_string())));
    rows.extend(view.outcome.map(|outcome| ("outcome", document::outcome(outcome).to_owned())));
    rows.extend(view.end_time.map(|end| ("over", relative(end, now))));
    for (operation, resources) in view.scope.grants() {
        let patterns: Vec<&str> = resources.patterns().map(|pattern| pattern.as_str()).collect();
        let on = if patterns.is_empty() { "everything".to_owned() } else { patterns.join(", ") };
        rows.push(("may", format!("{operation} on {on}")));
    }
    table(&[], rows.into_iter().map(|(name, fact)| vec![name.to_owned(), fact]))
}
