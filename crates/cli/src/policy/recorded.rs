//! Decisions from the record, put together again as requests.
//!
//! An entry says what was asked. What a token's entry does not repeat stands in the entry that
//! started its task, so a record has to begin before the tasks that it is to tell about; what cannot be put
//! together is counted and told, never guessed. Whether a key was proved is not in the record where no
//! token was bound to it: such a decision is put both ways, and told only where both agree.

use std::collections::HashMap;

use locum_model::{Name, Timestamp};
use locum_policy::Ask;
use serde_json::Value;

use super::ask::Asked;
use super::text_of;
use crate::args::RecordArgs;
use crate::document;
use crate::failure::Failure;
use crate::session::Session;

/// Largest exported record that is read, in bytes.
pub(crate) const RECORD_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A decision that was recorded.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// `home.epoch.sequence`.
    pub(crate) position: String,
    /// The task; empty where none came of it.
    pub(crate) task: String,
    /// The token; empty where none came of it.
    pub(crate) jti: String,
    /// What was asked, as the record has it.
    pub(crate) asked: Asked,
    /// Whether `asked.proof` is known.
    pub(crate) proof_known: bool,
    /// The policies that permitted; the reason why it was denied.
    pub(crate) outcome: Result<Vec<String>, String>,
    /// Requests that it stands for.
    pub(crate) count: u64,
}

/// A record, decision by decision.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) decisions: Vec<Recorded>,
    /// Decisions that could not be put together again.
    pub(crate) left_out: usize,
}

/// What is known of a task from the entry that started it.
struct Started {
    purpose: Name,
    justification: bool,
    depth: u32,
}

/// Reads the record from a file, or asks the broker.
pub(crate) async fn read(args: &RecordArgs, session: &Session) -> Result<Record, Failure> {
    match &args.record {
        Some(file) => of_text(&text_of(file, RECORD_BYTES_MAX)?),
        None => {
            let mut entries = Vec::new();
            let mut record = session.client()?.admin().recent_record(args.last).await?;
            while let Some(entry) = record.next().await? {
                entries.push(document::entry(&entry));
            }
            Ok(of_entries(&entries))
        }
    }
}

/// Reads JSON lines: documents with an `entry`, or entries.
pub(crate) fn of_text(text: &str) -> Result<Record, Failure> {
    let mut entries = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = || Failure::Usage(format!("line {} of the record is no JSON object", at + 1));
        let value: Value = serde_json::from_str(line).map_err(|_not_json| wrong())?;
        let entry = value.get("entry").cloned().unwrap_or(value);
        entries.push(entry.is_object().then_some(entry).ok_or_else(wrong)?);
    }
    Ok(of_entries(&entries))
}

fn of_entries(entries: &[Value]) -> Record {
    let mut record = Record::default();
    let mut started = HashMap::new();
    for entry in entries {
        let put = match entry["event"].as_str().unwrap_or_default() {
            "task-started" => task_started(entry, &mut started),
            "token-issued" => token_issued(entry, &started),
            "denials-summed" if decided(entry) => denied(entry),
            _ => continue,
        };
        match put {
            Some(decision) => record.decisions.push(decision),
            None => record.left_out += 1,
        }
    }
    record
}

/// Whether a denial is one of policy: other refusals do not come out otherwise under other policies.
fn decided(entry: &Value) -> bool {
    matches!(
        entry["reason"].as_str().unwrap_or_default(),
        "POLICY_DENIED" | "INTENT_NOT_ALLOWED" | "POLICY_ERROR" | "JUSTIFICATION_REQUIRED" | "PROOF_REQUIRED"
    )
}

fn task_started(entry: &Value, started: &mut HashMap<String, Started>) -> Option<Recorded> {
    let depth = match entry["facts"]["parent"].as_str() {
        None => 0,
        Some(parent) => started.get(parent)?.depth + 1,
    };
    let purpose: Name = fact(entry, "purpose")?.parse().ok()?;
    let justification = fact(entry, "justification").is_some();
    let decision = decision(entry, Ask::StartTask, &purpose)?;
    started.insert(text(entry, "task"), Started { purpose, justification, depth });
    // A task is never refused for want of a proved key, and policies see none.
    let asked = Asked { depth, justification, ..decision.asked };
    Some(Recorded { asked, proof_known: true, ..decision })
}

fn token_issued(entry: &Value, started: &HashMap<String, Started>) -> Option<Recorded> {
    let task = started.get(entry["task"].as_str()?)?;
    let decision = decision(entry, Ask::IssueToken, &task.purpose)?;
    let bound = fact(entry, "bound").is_some();
    let delegated = fact(entry, "delegated").is_some();
    let (depth, justification) = (task.depth, task.justification);
    let asked = Asked { depth, justification, proof: bound, delegated, ..decision.asked };
    Some(Recorded { asked, proof_known: bound, ..decision })
}

/// A denial tells all that was asked, because no task may have come of it.
fn denied(entry: &Value) -> Option<Recorded> {
    let ask = Ask::ALL.into_iter().find(|ask| Some(ask.as_str()) == fact(entry, "ask"))?;
    let purpose: Name = fact(entry, "purpose")?.parse().ok()?;
    let decision = decision(entry, ask, &purpose)?;
    let yes = |name: &str| fact(entry, name) == Some("yes");
    let asked = Asked {
        depth: fact(entry, "depth")?.parse().ok()?,
        justification: yes("justified"),
        proof: yes("proved"),
        delegated: yes("delegated"),
        ..decision.asked
    };
    let count = fact(entry, "count").and_then(|count| count.parse().ok()).unwrap_or(1);
    Some(Recorded { asked, proof_known: true, count, ..decision })
}

/// What every decision's entry says.
fn decision(entry: &Value, ask: Ask, purpose: &Name) -> Option<Recorded> {
    let at: Timestamp = entry["time"].as_str()?.parse().ok()?;
    let asked = Asked {
        ask,
        tenant: entry["tenant"].as_str()?.parse().ok()?,
        workload: fact(entry, "workload")?.parse().ok()?,
        purpose: purpose.clone(),
        scope: fact(entry, "asked")?.parse().ok()?,
        depth: 0,
        justification: false,
        proof: false,
        delegated: false,
        at,
    };
    let policies = entry["policies"].as_array().into_iter().flatten();
    let policies = policies.filter_map(|id| id.as_str().map(str::to_owned)).collect();
    let reason = text(entry, "reason");
    Some(Recorded {
        position: text(entry, "position"),
        task: text(entry, "task"),
        jti: text(entry, "jti"),
        asked,
        proof_known: false,
        outcome: if reason.is_empty() { Ok(policies) } else { Err(reason) },
        count: 1,
    })
}

fn fact<'a>(entry: &'a Value, name: &str) -> Option<&'a str> {
    entry["facts"][name].as_str()
}

fn text(entry: &Value, name: &str) -> String {
    entry[name].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = r#"{"schema_version":1,"entry":{"position":"1.1.5","time":"2026-01-05T12:00:00.000Z","event":"task-started","tenant":"acme","task":"task-1-1","jti":"","policies":["a"],"reason":"","facts":{"purpose":"refund-order","asked":"orders:read orders:refund=order/7","workload":"refunder","justification":"committed to, not kept"}}}"#;
    const CHILD: &str = r#"{"position":"1.1.6","time":"2026-01-05T12:00:01.000Z","event":"task-started","tenant":"acme","task":"task-1-2","policies":["a"],"reason":"","facts":{"purpose":"refund-order","asked":"orders:read","workload":"refunder","parent":"task-1-1"}}"#;
    const TOKEN: &str = r#"{"position":"1.1.7","time":"2026-01-05T12:00:02.000Z","event":"token-issued","tenant":"acme","task":"task-1-2","jti":"j","policies":["a"],"reason":"","facts":{"asked":"orders:read","workload":"refunder","bound":"yes"}}"#;
    const DENIED: &str = r#"{"position":"1.1.8","time":"2026-01-05T12:00:03.000Z","event":"denials-summed","tenant":"acme","task":"","reason":"POLICY_DENIED","policies":[],"facts":{"count":"3","ask":"issue_token","purpose":"explore","asked":"orders:read","workload":"refunder","depth":"1","justified":"no","proved":"yes","delegated":"no"}}"#;

    fn read(lines: &[&str]) -> Record {
        of_text(&lines.join("\n")).expect("lines of JSON")
    }

    #[test]
    fn decisions_are_put_together_from_their_entries_and_their_tasks() {
        let record = read(&[TASK, CHILD, "", TOKEN, DENIED]);
        assert_eq!((record.decisions.len(), record.left_out), (4, 0));
        let [task, child, token, denied] = record.decisions.as_slice() else { panic!("four") };
        assert_eq!((task.asked.ask, task.asked.justification, task.asked.depth), (Ask::StartTask, true, 0));
        assert_eq!(task.asked.scope.written(), "orders:read orders:refund=order/7");
        assert_eq!((child.asked.depth, child.asked.justification), (1, false));
        assert_eq!((token.asked.depth, token.asked.proof, token.proof_known), (1, true, true));
        assert_eq!(token.asked.purpose.as_str(), "refund-order");
        assert_eq!((denied.count, denied.outcome.clone()), (3, Err("POLICY_DENIED".to_owned())));
        assert_eq!((denied.asked.ask, denied.asked.depth, denied.asked.proof), (Ask::IssueToken, 1, true));
    }

    #[test]
    fn what_cannot_be_put_together_is_counted_and_never_guessed() {
        assert_eq!(read(&[CHILD, TOKEN]).left_out, 2, "the task began before the record");
        let old = TASK.replace("\"asked\"", "\"scope\"");
        assert_eq!(read(&[&old]).left_out, 1);
        assert_eq!(read(&[&TASK.replace("order/7", "order//7")]).left_out, 1);
        let other = DENIED.replace("POLICY_DENIED", "RATE_LIMITED");
        let record = read(&[&other, &TASK.replace("task-started", "token-used")]);
        assert_eq!((record.decisions.len(), record.left_out), (0, 0));
        let unbound = TOKEN.replace("\"bound\"", "\"loose\"");
        assert!(!read(&[TASK, CHILD, &unbound]).decisions[2].proof_known);
        for bad in ["{", "[]", "null", "1"] {
            assert!(of_text(bad).is_err(), "{bad}");
        }
    }
}
