//! `locum policy check`.

use std::fs;
use std::path::Path;

use locum_sdk::admin::{PolicyFile, PolicyProblem};

use crate::args::{CheckArgs, PolicyCommand};
use crate::document;
use crate::failure::Failure;
use crate::input::unreadable;
use crate::output::{Output, escaped};
use crate::session::Session;

/// Runs it.
pub(crate) async fn run(command: PolicyCommand, session: &Session, output: &Output) -> Result<(), Failure> {
    let PolicyCommand::Check(CheckArgs { files }) = command;
    let files: Result<Vec<_>, _> = files.iter().map(|file| read(file)).collect();
    let verdict = session.client()?.admin().check_policy(files?).await?;
    output.data(document::of("verdict", document::verdict(&verdict)), || {
        let lines: Vec<_> = verdict.problems.iter().map(line).collect();
        if verdict.valid { format!("{} policies, all good", verdict.policies) } else { lines.join("\n") }
    })?;
    if verdict.valid { Ok(()) } else { Err(Failure::Denied("the policy set is not valid".to_owned())) }
}

fn read(file: &Path) -> Result<PolicyFile, Failure> {
    let text = fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    Ok(PolicyFile { name, text })
}

/// `file:line:column: message`, as editors understand it.
fn line(problem: &PolicyProblem) -> String {
    let PolicyProblem { file, line, column, message } = problem;
    match line {
        0 => format!("{}: {}", escaped(file), escaped(message)),
        _ => format!("{}:{line}:{column}: {}", escaped(file), escaped(message)),
    }
}
