//! `locum exec`: a program in a task of its own, with its tokens in files. The task ends with it.
//!
//! The program gets neither the holder secret nor our identity: a token per connector in a file of
//! mode 0600, replaced well before it expires, and nothing else. When the task is revoked or lapses,
//! the files go and the program is told to stop (TERM).

mod child;
mod plan;
mod token_files;

use std::time::Duration;

use locum_model::event::Outcome;
use locum_sdk::{Task, TokenSource};
use rustix::process::Signal;
use tokio::process::Child;

use self::child::Signals;
use self::plan::Need;
use self::token_files::{TokenFiles, may_pass};
use crate::args::ExecArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;

/// How often it is looked whether a token is due; the source keeps it until two thirds of its life.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs the program; its exit code is ours.
pub(crate) async fn run(args: ExecArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let (needs, connectors) = plan::plan(&args)?;
    // Heard from the start: whoever stops us while the task begins leaves no task behind.
    let mut signals = Signals::hear()?;
    let task = begin(&args, &needs, session).await?;
    let prepared = prepare(&args, &needs, &connectors, &task).await;
    let (mut tokens, mut running) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => {
            end(task, Outcome::Cancelled, output).await;
            return Err(failure);
        }
    };
    let watched = watch(&task, &mut tokens, &mut running, &mut signals, output).await;
    tokens.remove();
    let code = match &watched {
        Ok(status) => child::code(*status),
        Err(_) => 1,
    };
    let outcome = match code {
        0 => Outcome::Completed,
        129.. => Outcome::Cancelled,
        _ => Outcome::Failed,
    };
    end(task, outcome, output).await;
    match watched {
        Err(error) => Err(error.into()),
        Ok(_) if code == 0 => Ok(()),
        Ok(_) => Err(Failure::Program(code)),
    }
}

async fn begin(args: &ExecArgs, needs: &[Need], session: &Session) -> Result<Task, Failure> {
    let mut builder = session.client()?.task(&args.purpose).justification(&args.justification);
    for need in needs {
        builder = builder.scope(&need.operation, &need.resources);
    }
    if let Some(deadline) = args.deadline {
        builder = builder.deadline(deadline);
    }
    Ok(builder.start().await?)
}

/// The tokens in their files, then the program.
async fn prepare(
    args: &ExecArgs,
    needs: &[Need],
    connectors: &[String],
    task: &Task,
) -> Result<(TokenFiles, Child), Failure> {
    let mut sources = Vec::new();
    for connector in connectors {
        sources.push((connector.clone(), source(args, needs, connector, task)?));
    }
    let mut tokens = TokenFiles::new(task.id(), sources, args.token_file.clone())?;
    let started = match tokens.renew().await {
        Ok(()) => child::start(&args.program, &task.id().to_string(), &tokens),
        Err(failure) => Err(failure),
    };
    match started {
        Ok(running) => Ok((tokens, running)),
        Err(failure) => {
            tokens.remove();
            Err(failure)
        }
    }
}

fn source(args: &ExecArgs, needs: &[Need], connector: &str, task: &Task) -> Result<TokenSource, Failure> {
    let mut builder = task.token(connector);
    for need in needs.iter().filter(|need| need.connector() == connector) {
        builder = builder.scope(&need.operation, &need.resources);
    }
    if let Some(ttl) = args.ttl {
        builder = builder.ttl(ttl);
    }
    if args.bind_to_certificate {
        builder = builder.bind_to_certificate();
    }
    Ok(builder.source()?)
}

/// Until the program is over: passes signals on, renews tokens, and stops it when the task is dead.
async fn watch(
    task: &Task,
    tokens: &mut TokenFiles,
    running: &mut Child,
    signals: &mut Signals,
    output: &Output,
) -> std::io::Result<std::process::ExitStatus> {
    let (mut alive, mut troubled) = (true, false);
    loop {
        tokio::select! {
            biased;
            status = running.wait() => return status,
            signal = signals.next() => child::pass_on(running, signal),
            ending = task.ended(), if alive => {
                alive = false;
                tokens.remove();
                output.note(&format!("{} is over: {ending}; telling the program to stop", task.id()));
                child::send(running, Signal::TERM);
            }
            () = tokio::time::sleep(LOOK_EVERY), if alive => match tokens.renew().await {
                Ok(()) => troubled = false,
                // Told once; the token in the file serves as long as it lives.
                Err(failure) if !troubled => {
                    troubled = true;
                    let hope = if may_pass(&failure) { "; trying again" } else { "" };
                    output.note(&format!("a token could not be renewed: {failure}{hope}"));
                }
                Err(_told_already) => {}
            },
        }
    }
}

/// Ends the task. That it cannot be reached changes nothing for the program: nobody holds the task
/// any more, and it lapses.
async fn end(task: Task, outcome: Outcome, output: &Output) {
    if task.ending().is_some() {
        return;
    }
    let id = task.id();
    if let Err(error) = task.end(outcome).await {
        output.note(&format!("{id} could not be ended, it lapses by itself: {error}"));
    }
}
