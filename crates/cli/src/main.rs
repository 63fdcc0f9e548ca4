//! `locum`: the command line of Locum, a client like any other.
//!
//! What always holds: data goes to standard output and everything else to standard error; what
//! others wrote is shown escaped; secrets are read from files or standard input, never from flags;
//! the exit code says what happened (see `--help`). It asks the broker and has no private door;
//! only `token decode` works without one, and says that it proves nothing.

mod args;
mod audit;
mod clock;
mod context;
mod context_file;
mod document;
mod exec;
mod exit;
mod failure;
mod help;
mod holder_file;
mod input;
mod key;
mod lock;
mod misread;
mod output;
mod policy;
mod private_file;
#[cfg(test)]
mod reference;
mod reload;
mod revoke;
mod selector;
mod session;
mod status;
mod task;
mod token;
mod token_form;
mod token_list;
mod top;
mod verifier;
mod whoami;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command, TaskCommand, TokenCommand};
use crate::failure::Failure;
use crate::misread::Misread;
use crate::output::{Format, Output};
use crate::session::Session;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return unparsed(error),
    };
    let output = cli.global.printing();
    let code = match start(cli, &output) {
        Ok(()) => 0,
        Err(failure) => output.failed(&failure),
    };
    ExitCode::from(code)
}

/// Tells what came of a command line that is no command: a help or version text, or that it is not one, in the
/// format that it seems to ask for.
fn unparsed(error: clap::Error) -> ExitCode {
    let args = || std::env::args_os();
    let failure = if error.use_stderr() {
        Failure::from(Box::new(Misread::new(error, Cli::command(), args())))
    } else {
        match error.print() {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => Failure::Io(error),
        }
    };
    ExitCode::from(Output::unparsed(args()).failed(&failure))
}

fn start(cli: Cli, output: &Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(cli, output))
}

/// Runs the command until it is done or interrupted.
///
/// Holding is apart: interrupted, it lets go of the task instead of dropping its guard.
async fn run(cli: Cli, output: &Output) -> Result<(), Failure> {
    let takes_a_token = matches!(cli.command, Command::Token(TokenCommand::Request(_)));
    if cli.global.output.is_for_tokens() && !takes_a_token {
        return Err(Failure::Usage("this output format is for `locum token request` alone".to_owned()));
    }
    if cli.global.output == Format::Name && !cli.command.has_names() {
        return Err(Failure::Usage("nothing here has a name: use another `-o`".to_owned()));
    }
    let session = Session::new(cli.global);
    if let Command::Task(TaskCommand::Hold(args)) = cli.command {
        return task::hold(&args, &session, output).await;
    }
    // A program that runs hears of signals first, and its task ends after it.
    if let Command::Exec(args) = cli.command {
        return exec::run(*args, &session, output).await;
    }
    tokio::select! {
        done = obey(cli.command, &session, output) => done,
        heard = tokio::signal::ctrl_c() => {
            heard?;
            Err(Failure::Interrupted)
        }
    }
}

async fn obey(command: Command, session: &Session, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Task(command) => task::run(command, session, output).await,
        Command::Token(command) => token::run(command, session, output).await,
        // Taken before: see `run`.
        Command::Exec(args) => exec::run(*args, session, output).await,
        Command::Revoke(args) => revoke::run(args, session, output).await,
        Command::Lock(args) => lock::run(*args, session, output).await,
        Command::Unlock(args) => lock::unlock(args, session, output).await,
        Command::Policy(command) => policy::run(command, session, output).await,
        Command::Key(command) => key::run(command, session, output).await,
        Command::Verifier(command) => verifier::run(command, session, output).await,
        Command::Audit(command) => audit::run(command, session, output).await,
        Command::Status => status::run(session, output).await,
        Command::Top(args) => top::run(&args, session, output).await,
        Command::Reload => reload::run(session, output).await,
        Command::Whoami => whoami::run(session, output).await,
        Command::Context(command) => context::run(command, session, output),
        Command::Completions(args) => help::completions(&args, output),
        Command::Help(args) => help::run(&args, output),
    }
}
