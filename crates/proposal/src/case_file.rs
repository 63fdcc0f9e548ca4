//! Case files, `*.test.toml` beside the policies: requests, and what policies have to say to them.
//!
//! ```toml
//! [[case]]
//! name = "one order, for one refund"
//! workload = "acme/refunder"
//! purpose = "refund-order"
//! scope = ["orders:refund=order/1881"]
//! permit = { ttl_max = "30s" }
//!
//! [[case]]
//! name = "not just to look around"
//! workload = "acme/refunder"
//! purpose = "explore"
//! scope = ["orders:refund=order/1881"]
//! deny = { reason = "POLICY_DENIED", operation = "orders:refund" }
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use locum_model::limits::{POLICY_BYTES_MAX, POLICY_CASES_MAX, TASK_DEPTH_MAX};
use locum_model::scope::Operation;
use locum_model::{Name, Reason, Scope, Timestamp};
use serde::Deserialize;
use toml::Spanned;

use crate::bounded_file::{files_of, read_bounded};
use crate::duration::parse_duration;
use crate::problem::{Problem, Problems, line_of};

/// When a case asks that does not say: Monday, 5 January 2026, at noon in UTC.
pub const ASKED_AT: Timestamp = Timestamp::from_seconds(1_767_614_400);

/// The cases of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseFile {
    /// The file.
    pub path: PathBuf,
    /// The registry that the cases speak of, relative to the file; none when it does not say.
    pub registry: Option<PathBuf>,
    /// In the file's order.
    pub cases: Vec<PolicyCase>,
}

/// A request, and what has to come out.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyCase {
    /// Its name, one line, unique in its file.
    pub name: String,
    /// Its line, from 1.
    pub line: usize,
    /// `start_task`, `issue_token` or `authorize`.
    pub ask: String,
    /// The workload's tenant.
    pub tenant: Name,
    /// The workload's name.
    pub workload: Name,
    /// The task's purpose.
    pub purpose: Name,
    /// What is asked for.
    pub scope: Scope,
    /// Tasks above this one.
    pub depth: u32,
    /// Whether the task has a justification.
    pub justification: bool,
    /// Whether the caller proved a key.
    pub proof: bool,
    /// Whether it is on behalf of another party.
    pub delegated: bool,
    /// When it is asked.
    pub at: Timestamp,
    /// What has to come out.
    pub expected: Expected,
}

/// What has to come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It is permitted.
    Permit(Permitted),
    /// It is denied.
    Deny(Denied),
}

/// A permit; what is none may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permitted {
    /// Exactly these policies permit, ordered.
    pub policies: Option<Vec<String>>,
    /// The longest life of the token; the inner none: not shortened by policy.
    pub ttl_max: Option<Option<Duration>>,
    /// Whether the token may be used once only.
    pub single_use: Option<bool>,
    /// Whether proof of possession is demanded.
    pub proof_of_possession: Option<bool>,
    /// Whether a justification is demanded.
    pub justification: Option<bool>,
}

/// A denial; what is none may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Why.
    pub reason: Reason,
    /// The operation that was not allowed.
    pub operation: Option<Operation>,
    /// Exactly these policies decided, ordered.
    pub policies: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    registry: Option<PathBuf>,
    #[serde(default)]
    case: Vec<Spanned<CaseRow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseRow {
    name: String,
    #[serde(default = "issue_token")]
    ask: String,
    workload: String,
    purpose: String,
    scope: Vec<String>,
    #[serde(default)]
    depth: u32,
    #[serde(default)]
    justification: bool,
    #[serde(default)]
    proof: bool,
    #[serde(default)]
    delegated: bool,
    at: Option<String>,
    permit: Option<PermitRow>,
    deny: Option<DenyRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PermitRow {
    policies: Option<Vec<String>>,
    ttl_max: Option<String>,
    single_use: Option<bool>,
    proof_of_possession: Option<bool>,
    justification: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DenyRow {
    reason: String,
    operation: Option<String>,
    policies: Option<Vec<String>>,
}

fn issue_token() -> String {
    "issue_token".to_owned()
}

/// Reads a case file, or every `*.test.toml` of a directory in order of name.
///
/// # Errors
///
/// [`Problems`]: all of them.
pub fn read(path: &Path) -> Result<Vec<CaseFile>, Problems> {
    let refused = |path: &Path, message: String| Problems::from(Problem::in_file(path, None, "", message));
    let files = if path.is_dir() {
        files_of(path, ".test.toml", POLICY_CASES_MAX).map_err(|error| refused(path, error.to_string()))?
    } else {
        vec![path.to_owned()]
    };
    if files.is_empty() {
        return Err(refused(path, "no `*.test.toml` file is here".to_owned()));
    }
    let (mut found, mut read, mut left) = (Problems::default(), Vec::new(), POLICY_BYTES_MAX);
    for file in files {
        let bytes = read_bounded(&file, left).map_err(|error| refused(&file, error.to_string()));
        let text =
            bytes.and_then(|bytes| String::from_utf8(bytes).map_err(|e| refused(&file, e.to_string())));
        left -= text.as_ref().map_or(0, String::len);
        match text.and_then(|text| parse(&file, &text)) {
            Ok(cases) => read.push(cases),
            Err(problems) => found = found.and(problems),
        }
    }
    if found.is_empty() { Ok(read) } else { Err(found) }
}

/// Reads one file's text; `path` is for telling where problems are, and what a registry is relative to.
///
/// # Errors
///
/// [`Problems`]: all of them.
pub fn parse(path: &Path, text: &str) -> Result<CaseFile, Problems> {
    let problem = |line, key: &str, message: String| Problem::in_file(path, line, key, message);
    let document: Document = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_of(text, span.start));
        Problems::from(problem(line, "", error.message().to_owned()))
    })?;
    let (mut cases, mut problems) = (Vec::<PolicyCase>::new(), Vec::new());
    if document.case.is_empty() || document.case.len() > POLICY_CASES_MAX {
        problems.push(problem(None, "case", format!("1 to {POLICY_CASES_MAX} cases are needed")));
    }
    for (at, row) in document.case.into_iter().enumerate() {
        let line = line_of(text, row.span().start);
        match case(row.into_inner(), line) {
            Ok(case) if cases.iter().any(|other| other.name == case.name) => {
                problems.push(problem(Some(line), &format!("case[{at}].name"), "stands twice".to_owned()));
            }
            Ok(case) => cases.push(case),
            Err((key, message)) => {
                problems.push(problem(Some(line), &format!("case[{at}].{key}"), message));
            }
        }
    }
    if !problems.is_empty() {
        return Err(Problems::of(problems));
    }
    let beside = |relative: PathBuf| path.parent().map_or(relative.clone(), |dir| dir.join(relative));
    Ok(CaseFile { path: path.to_owned(), registry: document.registry.map(beside), cases })
}

type Wrong = (&'static str, String);

fn case(row: CaseRow, line: usize) -> Result<PolicyCase, Wrong> {
    fn read<T: std::str::FromStr<Err: std::fmt::Display>>(key: &'static str, text: &str) -> Result<T, Wrong> {
        text.parse().map_err(|error: T::Err| (key, error.to_string()))
    }
    if row.name.trim().is_empty() || row.name.len() > 200 || row.name.chars().any(char::is_control) {
        return Err(("name", "must be one line of 1 to 200 bytes".to_owned()));
    }
    let (tenant, workload) =
        row.workload.split_once('/').ok_or_else(|| ("workload", "is written `tenant/name`".to_owned()))?;
    let depth_max = u32::try_from(TASK_DEPTH_MAX).unwrap_or(u32::MAX);
    if row.depth >= depth_max {
        return Err(("depth", format!("must be below {depth_max}")));
    }
    let expected = match (row.permit, row.deny) {
        (Some(permit), None) => Expected::Permit(permitted(permit)?),
        (None, Some(deny)) => Expected::Deny(denied(deny)?),
        _ => return Err(("permit", "either `permit` or `deny` is needed".to_owned())),
    };
    Ok(PolicyCase {
        tenant: read("workload", tenant)?,
        workload: read("workload", workload)?,
        purpose: read("purpose", &row.purpose)?,
        scope: read("scope", &row.scope.join(" "))?,
        at: row.at.as_deref().map_or(Ok(ASKED_AT), |at| read("at", at))?,
        name: row.name,
        line,
        ask: row.ask,
        depth: row.depth,
        justification: row.justification,
        proof: row.proof,
        delegated: row.delegated,
        expected,
    })
}

fn permitted(row: PermitRow) -> Result<Permitted, Wrong> {
    let ttl_max = match row.ttl_max.as_deref() {
        None => None,
        Some("none") => Some(None),
        Some(text) => {
            Some(Some(parse_duration(text).map_err(|error| ("permit.ttl_max", error.to_string()))?))
        }
    };
    Ok(Permitted {
        policies: row.policies.map(sorted),
        ttl_max,
        single_use: row.single_use,
        proof_of_possession: row.proof_of_possession,
        justification: row.justification,
    })
}

fn denied(row: DenyRow) -> Result<Denied, Wrong> {
    let reason = row.reason.parse().map_err(|_unknown| {
        let known = "is no reason; docs/reference/errors.md lists them";
        ("deny.reason", format!("`{}` {known}", crate::problem::shown(&row.reason)))
    })?;
    let operation = row.operation.map(|text| text.parse()).transpose();
    let operation =
        operation.map_err(|error: locum_model::scope::NotAScope| ("deny.operation", error.to_string()))?;
    Ok(Denied { reason, operation, policies: row.policies.map(sorted) })
}

fn sorted(mut policies: Vec<String>) -> Vec<String> {
    policies.sort();
    policies
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
registry = "../registry"

[[case]]
name = "one order"
workload = "acme/refunder"
purpose = "refund-order"
scope = ["orders:read", "orders:refund=order/7,order/8"]
at = "2026-03-07T18:30:00+02:00"
permit = { ttl_max = "30s", policies = ["b", "a"] }

[[case]]
name = "no"
ask = "start_task"
workload = "acme/refunder"
purpose = "explore"
scope = ["orders:refund=order/7"]
depth = 2
proof = true
deny = { reason = "POLICY_DENIED", operation = "orders:refund" }
"#;

    fn refusal(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        parse(Path::new("a.test.toml"), &GOOD.replacen(from, to, 1)).expect_err(to).to_string()
    }

    #[test]
    fn a_file_reads() {
        let file = parse(Path::new("p/a.test.toml"), GOOD).expect("good");
        assert_eq!(file.registry, Some(PathBuf::from("p/../registry")));
        let [one, two] = file.cases.as_slice() else { panic!("two cases") };
        assert_eq!((one.name.as_str(), one.line, one.ask.as_str()), ("one order", 4, "issue_token"));
        assert_eq!(one.scope.grants().len(), 2);
        assert_eq!(one.at.to_string(), "2026-03-07T16:30:00.000Z");
        let Expected::Permit(permit) = &one.expected else { panic!("a permit") };
        assert_eq!(permit.ttl_max, Some(Some(Duration::from_secs(30))));
        assert_eq!(permit.policies.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
        assert_eq!((two.depth, two.proof, two.justification), (2, true, false));
        assert_eq!(two.at, ASKED_AT);
        assert_eq!(ASKED_AT.to_string(), "2026-01-05T12:00:00.000Z");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (from, to, part) in [
            ("purpose", "propose", "a.test.toml:7: unknown field"),
            ("\"acme/refunder\"", "\"refunder\"", "`case[0].workload`: is written `tenant/name`"),
            ("\"acme/refunder\"", "\"Acme/refunder\"", "case[0].workload"),
            ("\"orders:read\"", "\"orders\"", "case[0].scope"),
            ("\"orders:read\"", "\"orders:refund\"", "stands twice"),
            ("2026-03-07T18:30:00+02:00", "yesterday", "case[0].at"),
            ("\"30s\"", "\"half a minute\"", "permit.ttl_max"),
            ("permit = {", "deny = { reason = \"X\" }\npermit = {", "either `permit` or `deny`"),
            ("POLICY_DENIED", "NOPE", "`NOPE` is no reason"),
            ("\"no\"", "\"one order\"", "stands twice"),
            ("depth = 2", "depth = 99", "case[1].depth"),
            ("[[case]]\nname = \"no\"", "[[case]]\nname = \"\\u0007\"", "case[1].name"),
        ] {
            let said = refusal(from, to);
            assert!(said.contains(part), "{to}: {said}");
        }
        let empty = parse(Path::new("a.test.toml"), "").expect_err("no case").to_string();
        assert!(empty.contains("cases are needed"), "{empty}");
    }
}
