//! The story: what happens to a token, step by step, each step measured.
//!
//! Plugin, API and operator are separate clients; the API decides by itself what it answers, and a
//! step is `ok` only when it answered as the story promises. A step that fails does not end the
//! story: the rest is still tried and told.

use std::time::Duration;

use locum_sdk::model::{Clock, Scope, Selector};
use locum_sdk::{Client, Ending, Outcome, Task, Token};
use tokio::time::timeout;

use crate::http_call::{self, Answered};
use crate::place::Character;
use crate::stage::Stage;

/// A step that takes longer has failed.
const STEP_MAX: Duration = Duration::from_secs(10);
const EARLIER: &str = "an earlier step failed";
const ORDER: &str = "order/1881";
const REFUND_PATH: &str = "/orders/1881/refund";

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name for machines.
    pub name: &'static str,
    /// What happened, for people.
    pub title: &'static str,
    /// What came of it, or why it failed.
    pub outcome: Result<String, String>,
    /// How long it took.
    pub took: Duration,
}

/// Who acts in the story.
struct Actors {
    plugin: Client,
    operator: Client,
}

/// What the API must answer.
#[derive(Clone, Copy)]
enum Expected {
    Accepted,
    Refused,
}

/// A story that is being told.
struct Story<'a> {
    stage: &'a Stage,
    clock: &'a dyn Clock,
    told: &'a mut dyn FnMut(&Step),
    steps: Vec<Step>,
}

/// Tells the story; `told` hears of each step when it is over.
pub async fn tell(stage: &Stage, clock: &dyn Clock, told: &mut dyn FnMut(&Step)) -> Vec<Step> {
    let mut story = Story { stage, clock, told, steps: Vec::new() };
    let actors = story.connect().await;
    story.end_kills(actors.as_ref()).await;
    story.revocation_kills(actors.as_ref()).await;
    story.steps
}

impl Story<'_> {
    /// Everybody proves who they are, so that no later step measures a handshake.
    async fn connect(&mut self) -> Option<Actors> {
        let stage = self.stage;
        let work = async {
            let client = |character| stage.client(character).map_err(text);
            let (plugin, operator) = (client(Character::Refunder)?, client(Character::Operator)?);
            plugin.list_tasks(None, 1, "").await.map_err(text)?;
            let status = operator.admin().status().await.map_err(text)?;
            let told = format!("over mutual TLS; Locum {}", status.version);
            Ok((Actors { plugin, operator }, told))
        };
        self.step("connect", "plugin, operator connect", work).await
    }

    /// A token ends with its task.
    async fn end_kills(&mut self, actors: Option<&Actors>) {
        let task = self.step("start_task", "task started", start(actors)).await;
        let clock = self.clock;
        let token = self.step("issue_token", "token issued", issue(task.as_ref(), clock)).await;
        let token = token.as_ref();
        self.call("call_accepted", "the orders API accepts it", token, Expected::Accepted).await;
        let id = task.as_ref().map(|task| task.id());
        let end = async {
            let view = task.ok_or(EARLIER)?.end(Outcome::Completed).await.map_err(text)?;
            Ok(((), format!("{} is {}, completed", view.task, view.state.as_str())))
        };
        self.step("end_task", "task ended", end).await;
        self.call("call_refused", "the same call, refused", token, Expected::Refused).await;
        let read = async {
            let (actors, id) = actors.zip(id).ok_or(EARLIER)?;
            let history = actors.operator.admin().task_history(id).await.map_err(text)?;
            let events: Vec<_> = history.entries.iter().map(|entry| entry.event.as_str()).collect();
            if events.is_empty() {
                return Err("the record says nothing of the task".to_owned());
            }
            Ok(((), events.join(", ")))
        };
        self.step("read_record", "the record is read", read).await;
    }

    /// A token ends when an operator says so.
    async fn revocation_kills(&mut self, actors: Option<&Actors>) {
        let task = self.step("start_another_task", "another task started", start(actors)).await;
        let clock = self.clock;
        let token =
            self.step("issue_another_token", "another token issued", issue(task.as_ref(), clock)).await;
        let token = token.as_ref();
        self.call("another_call_accepted", "the orders API accepts it", token, Expected::Accepted).await;
        let refunder = Selector::Workload("refunder".parse().expect("a name"));
        let preview = async {
            let admin = actors.ok_or(EARLIER)?.operator.admin();
            let preview = admin.preview_revoke(&refunder, None).await.map_err(text)?;
            let told = format!("would kill {}", counted(preview.tokens, preview.tasks));
            Ok(((), told))
        };
        self.step("preview_revoke", "the operator looks first", preview).await;
        let revoke = async {
            let admin = actors.ok_or(EARLIER)?.operator.admin();
            let done = admin.revoke(&refunder, "the demo says so", None).await.map_err(text)?;
            let names: Vec<_> = done.matches.iter().map(|m| format!("{}={}", m.level, m.name)).collect();
            Ok(((), format!("{}, at position {}", names.join(", "), done.position)))
        };
        self.step("revoke", "the operator revokes", revoke).await;
        self.call("revoked_call_refused", "the same call, refused", token, Expected::Refused).await;
        let hear = async {
            match task.as_ref().ok_or(EARLIER)?.ended().await {
                ending @ Ending::Revoked => Ok(((), ending.to_string())),
                other => Err(format!("expected to hear that it was revoked, heard that {other}")),
            }
        };
        self.step("plugin_told", "the plugin heard of it", hear).await;
    }

    async fn call(
        &mut self,
        name: &'static str,
        title: &'static str,
        token: Option<&Token>,
        expected: Expected,
    ) {
        let address = self.stage.orders();
        let work = async {
            let answered =
                http_call::post(address, REFUND_PATH, token.ok_or(EARLIER)?).await.map_err(text)?;
            expected.judge(&answered).map(|told| ((), told))
        };
        self.step(name, title, work).await;
    }

    /// Does one thing, measures it and tells of it.
    async fn step<T>(
        &mut self,
        name: &'static str,
        title: &'static str,
        work: impl Future<Output = Result<(T, String), String>>,
    ) -> Option<T> {
        let before = self.clock.elapsed();
        let done = timeout(STEP_MAX, work).await;
        let took = self.clock.elapsed().saturating_sub(before);
        let (value, outcome) = match done {
            Ok(Ok((value, told))) => (Some(value), Ok(told)),
            Ok(Err(why)) => (None, Err(why)),
            Err(_late) => (None, Err(format!("not done within {} s", STEP_MAX.as_secs()))),
        };
        let step = Step { name, title, outcome, took };
        (self.told)(&step);
        self.steps.push(step);
        value
    }
}

async fn start(actors: Option<&Actors>) -> Result<(Task, String), String> {
    let plugin = &actors.ok_or(EARLIER)?.plugin;
    let described = plugin.task("refund-order").scope("orders:read", [ORDER]).scope("orders:refund", [ORDER]);
    let task = described.start().await.map_err(text)?;
    let told = format!("{}: refund-order", task.id());
    Ok((task, told))
}

async fn issue(task: Option<&Task>, clock: &dyn Clock) -> Result<(Token, String), String> {
    let builder = task.ok_or(EARLIER)?.token("orders").scope("orders:refund", [ORDER]);
    let token = builder.source().map_err(text)?.get().await.map_err(text)?;
    let now = clock.now().map_err(text)?;
    let seconds = token.expire_time().since(now).as_millis().div_ceil(1000);
    let told = format!("{}, {seconds} s left", shown(token.scope()));
    Ok((token, told))
}

impl Expected {
    fn judge(self, answered: &Answered) -> Result<String, String> {
        let Answered { status, error } = answered;
        let told = format!("{REFUND_PATH} → {status} {}", error.as_deref().unwrap_or_default());
        let told = told.trim_end().to_owned();
        let as_promised = match self {
            Self::Accepted => *status == 200,
            Self::Refused => *status == 401 && error.as_deref() == Some("invalid_token"),
        };
        if as_promised { Ok(told) } else { Err(told) }
    }
}

fn shown(scope: &Scope) -> String {
    let grants = scope.grants().map(|(operation, resources)| {
        let patterns: Vec<_> = resources.patterns().map(|pattern| pattern.as_str()).collect();
        format!("{operation} on {}", patterns.join(" "))
    });
    grants.collect::<Vec<_>>().join(", ")
}

fn counted(tokens: u64, tasks: u64) -> String {
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    format!("{tokens} token{} of {tasks} task{}", plural(tokens), plural(tasks))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_promised_answer_is_ok() {
        let answered = |status, error: Option<&str>| Answered { status, error: error.map(str::to_owned) };
        let fits = |expected: Expected, answer: &Answered| expected.judge(answer).is_ok();
        let (fine, refused) = (answered(200, None), answered(401, Some("invalid_token")));
        assert!(fits(Expected::Accepted, &fine) && !fits(Expected::Accepted, &refused));
        assert!(fits(Expected::Refused, &refused) && !fits(Expected::Refused, &fine));
        for other in [answered(401, None), answered(403, Some("insufficient_scope")), answered(503, None)] {
            assert!(!fits(Expected::Refused, &other) && !fits(Expected::Accepted, &other), "{other:?}");
        }
    }
}
