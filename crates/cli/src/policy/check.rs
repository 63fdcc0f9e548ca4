//! `locum policy check`.

use std::path::Path;

use locum_model::event::PolicyText;
use locum_model::limits::POLICY_BYTES_MAX;
use locum_sdk::admin::{PolicyFile, PolicyProblem, PolicyVerdict};

use super::place::unreadable;
use super::text_of;
use crate::args::CheckArgs;
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, counted, escaped};
use crate::session::Session;

/// Runs it.
pub(crate) async fn run(args: &CheckArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let texts: Result<Vec<_>, _> = args.paths.iter().map(|path| read(path)).collect();
    let texts = texts?.concat();
    let verdict = match args.on_broker {
        true => {
            let file = |text: PolicyText| PolicyFile { name: text.name, text: text.text };
            session.client()?.admin().check_policy(texts.into_iter().map(file).collect()).await?
        }
        false => here(&texts),
    };
    output.data(document::of("verdict", document::verdict(&verdict)), || {
        let lines: Vec<_> = verdict.problems.iter().map(line).collect();
        let policies = counted(verdict.policies.into(), "policy");
        if verdict.valid { format!("{policies}, all good") } else { lines.join("\n") }
    })?;
    if verdict.valid { Ok(()) } else { Err(Failure::Denied("the policy set is not valid".to_owned())) }
}

/// What this version says, without a broker.
fn here(texts: &[PolicyText]) -> PolicyVerdict {
    let problem = |problem: locum_policy::PolicyProblem| PolicyProblem {
        file: problem.file,
        line: u32::try_from(problem.line).unwrap_or(u32::MAX),
        column: u32::try_from(problem.column).unwrap_or(u32::MAX),
        message: problem.message,
    };
    match locum_policy::compile(texts) {
        Ok(set) => {
            let policies = u32::try_from(set.len()).unwrap_or(u32::MAX);
            PolicyVerdict { valid: true, policies, problems: Vec::new() }
        }
        Err(problems) => {
            let problems = problems.into_iter().map(problem).collect();
            PolicyVerdict { valid: false, policies: 0, problems }
        }
    }
}

fn read(path: &Path) -> Result<Vec<PolicyText>, Failure> {
    if path.is_dir() {
        return locum_proposal::read_policies(path).map_err(unreadable);
    }
    Ok(vec![PolicyText { name: name_of(path), text: text_of(path, POLICY_BYTES_MAX)? }])
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// `file:line:column: message`, as editors understand it.
fn line(problem: &PolicyProblem) -> String {
    let PolicyProblem { file, line, column, message } = problem;
    match line {
        0 => format!("{}: {}", escaped(file), escaped(message)),
        _ => format!("{}:{line}:{column}: {}", escaped(file), escaped(message)),
    }
}
