//! `locum policy simulate`: recorded decisions under proposed policies.

use locum_policy::{Explanation, PolicySet, RegistryEntities};
use serde_json::{Value, json};

use super::place::Place;
use super::recorded::{self, Record, Recorded};
use super::{come_out_otherwise, explanation_document, outcome};
use crate::args::SimulateArgs;
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, counted, escaped};
use crate::session::Session;

/// A recorded decision that comes out otherwise.
pub(crate) struct Flip<'a> {
    recorded: &'a Recorded,
    now: Explanation,
}

/// What became of a record.
#[derive(Default)]
pub(crate) struct Replayed<'a> {
    /// Decisions that were put again.
    pub(crate) decisions: usize,
    /// Those that come out otherwise.
    pub(crate) flips: Vec<Flip<'a>>,
    /// Those that cannot be told: not put together, of an unknown workload, or open without knowing
    /// whether a key was proved.
    pub(crate) left_out: usize,
}

/// Replays the record.
pub(crate) async fn run(args: &SimulateArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let place = Place::read(&args.policies, &args.registry)?;
    let record = recorded::read(&args.record, session).await?;
    let replayed = replay(&record, &place.set, &place.known);
    output.data(document::of("simulation", replayed.document()), || replayed.lines().join("\n"))?;
    replayed.judge(args.fail_on_flips)
}

/// Puts every decision of a record again.
pub(crate) fn replay<'a>(record: &'a Record, set: &PolicySet, known: &RegistryEntities) -> Replayed<'a> {
    let mut replayed = Replayed { left_out: record.left_out, ..Replayed::default() };
    for recorded in &record.decisions {
        match again(recorded, set, known) {
            None => replayed.left_out += 1,
            Some(now) => {
                replayed.decisions += 1;
                if now.decision.is_ok() != recorded.outcome.is_ok() {
                    replayed.flips.push(Flip { recorded, now });
                }
            }
        }
    }
    replayed
}

/// How it comes out now; none when that cannot be told.
pub(crate) fn again(recorded: &Recorded, set: &PolicySet, known: &RegistryEntities) -> Option<Explanation> {
    let mut asked = recorded.asked.clone();
    let one = asked.put(set, known)?;
    if recorded.proof_known {
        return Some(one);
    }
    asked.proof = !asked.proof;
    let other = asked.put(set, known)?;
    (one.decision.is_ok() == other.decision.is_ok()).then_some(other)
}

impl Replayed<'_> {
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Flip { recorded, now } in &self.flips {
            let was = match &recorded.outcome {
                Ok(policies) => format!("permitted by {}", policies.join(", ")),
                Err(reason) => format!("denied, {reason}"),
            };
            lines.push(escaped(&format!("{}  {}", recorded.position, recorded.asked.summary())));
            lines.push(escaped(&format!("  was: {was}")));
            lines.push(escaped(&format!("  now: {}", outcome(now))));
        }
        let Self { decisions, flips, left_out } = self;
        lines.push(format!(
            "{} replayed, {} {}, {left_out} left out",
            counted(*decisions as u64, "decision"),
            flips.len(),
            come_out_otherwise(flips.len()),
        ));
        lines
    }

    pub(crate) fn document(&self) -> Value {
        let flip = |Flip { recorded, now }: &Flip<'_>| {
            json!({
                "position": recorded.position,
                "task": recorded.task,
                "jti": recorded.jti,
                "count": recorded.count,
                "asked": recorded.asked.summary(),
                "was": match &recorded.outcome {
                    Ok(policies) => json!({ "permitted": true, "policies": policies }),
                    Err(reason) => json!({ "permitted": false, "reason": reason }),
                },
                "now": explanation_document(now),
            })
        };
        json!({
            "decisions": self.decisions,
            "left_out": self.left_out,
            "flips": Value::Array(self.flips.iter().map(flip).collect()),
        })
    }

    /// Fails on flips where that is asked for.
    pub(crate) fn judge(&self, fail_on_flips: bool) -> Result<(), Failure> {
        match self.flips.len() {
            count if fail_on_flips && count > 0 => {
                Err(Failure::Denied(format!("{count} recorded decisions come out otherwise")))
            }
            _ => Ok(()),
        }
    }
}
