//! `locum top`: what goes on, looked at again and again.
//!
//! On a terminal a view that redraws itself and goes on `q`; anywhere else a line for each look (with
//! `-o json` a document). A look that fails is told and the next one is tried; only the first has to
//! succeed, so that a wrong address is an error and not a view.

use std::time::{Duration, Instant};

use locum_sdk::admin::{Activity, Admin, Key, RecordEntry, Status};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::TopArgs;
use crate::clock::steady;
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, escaped};
use crate::session::Session;

mod screen;
mod view;

use screen::Screen;

/// Entries of the record that a view shows at most.
const RECENT_MAX: u32 = 50;

/// One look at the broker.
pub(crate) struct Look {
    pub(crate) status: Status,
    pub(crate) keys: Vec<Key>,
    pub(crate) recent: Vec<RecordEntry>,
    at: Instant,
}

/// What was done in a second, since the look before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) issued: f64,
    pub(crate) refused: f64,
    pub(crate) active: f64,
    pub(crate) inactive: f64,
    pub(crate) revocations: f64,
}

/// Runs it.
pub(crate) async fn run(args: &TopArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let admin = session.client()?.admin();
    let is_view = output.is_for_people() && output.has_terminal();
    let mut last = look(&admin, is_view).await?;
    let mut rates = None;
    let mut left = args.count;
    if !is_view {
        if output.is_for_people() {
            output.text(view::HEADER)?;
        }
        loop {
            tell(&last, rates, output)?;
            if is_over(&mut left) {
                return Ok(());
            }
            tokio::time::sleep(args.every).await;
            (last, rates) = again(last, rates, &admin, is_view, output).await;
        }
    }
    let screen = Screen::open()?;
    let mut resized = signal(SignalKind::window_change())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut trouble = None;
    loop {
        screen.draw(&view::lines(&last, rates, trouble.as_deref(), screen.size()), output)?;
        let pause = tokio::time::sleep(args.every);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                _ = resized.recv() => {
                    screen.draw(&view::lines(&last, rates, trouble.as_deref(), screen.size()), output)?;
                }
                _ = terminated.recv() => return Err(Failure::Interrupted),
                () = screen.quit() => return Ok(()),
            }
        }
        if is_over(&mut left) {
            let lines = view::lines(&last, rates, trouble.as_deref(), screen.size());
            // What was asked for by number is there to be read: on the screen that stays.
            drop(screen);
            return output.text(&lines.join("\n"));
        }
        match look(&admin, is_view).await {
            Ok(next) => {
                rates = between(&last, &next);
                (last, trouble) = (next, None);
            }
            Err(failure) => trouble = Some(escaped(&failure.to_string())),
        }
    }
}

/// Looks again; a look that fails leaves what was seen before, and is told.
async fn again(
    last: Look,
    rates: Option<Rates>,
    admin: &Admin,
    with_record: bool,
    output: &Output,
) -> (Look, Option<Rates>) {
    match look(admin, with_record).await {
        Ok(next) => {
            let rates = between(&last, &next);
            (next, rates)
        }
        Err(failure) => {
            output.warn(&failure.to_string());
            (last, rates)
        }
    }
}

async fn look(admin: &Admin, with_record: bool) -> Result<Look, Failure> {
    let (status, keys) = tokio::try_join!(admin.status(), admin.list_keys())?;
    let mut recent = Vec::new();
    if with_record {
        let mut record = admin.recent_record(RECENT_MAX).await?;
        while let Some(entry) = record.next().await? {
            recent.push(entry);
        }
    }
    Ok(Look { status, keys, recent, at: steady() })
}

/// Whether that was the last look.
fn is_over(left: &mut Option<u64>) -> bool {
    *left = left.map(|left| left.saturating_sub(1));
    *left == Some(0)
}

fn tell(look: &Look, rates: Option<Rates>, output: &Output) -> Result<(), Failure> {
    output.data(document::of("status", document::status(&look.status)), || view::line(look, rates))
}

fn between(before: &Look, after: &Look) -> Option<Rates> {
    // A broker that was started in between counts from zero again.
    let is_same = before.status.start_time == after.status.start_time;
    is_same.then(|| rates(before.status.activity, after.status.activity, after.at.duration_since(before.at)))
}

fn rates(before: Activity, after: Activity, took: Duration) -> Rates {
    let seconds = took.as_secs_f64().max(0.001);
    let rate = |of: fn(Activity) -> u64| {
        let done = u32::try_from(of(after).saturating_sub(of(before))).unwrap_or(u32::MAX);
        f64::from(done) / seconds
    };
    Rates {
        issued: rate(|done| done.tokens_issued),
        refused: rate(|done| done.tokens_refused),
        active: rate(|done| done.checks_active),
        inactive: rate(|done| done.checks_inactive),
        revocations: rate(|done| done.revocations),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_what_was_done_in_a_second() {
        let before = Activity { tokens_issued: 10, checks_active: 5, ..Activity::default() };
        let after = Activity { tokens_issued: 30, checks_active: 5, ..Activity::default() };
        let seen = rates(before, after, Duration::from_secs(2));
        assert_eq!(seen, Rates { issued: 10.0, ..Rates::default() });
        assert_eq!(rates(after, before, Duration::ZERO), Rates::default(), "never below zero");
    }

    #[test]
    fn looks_are_counted_down() {
        let mut left = Some(2);
        assert!(!is_over(&mut left) && is_over(&mut left));
        assert!(!is_over(&mut None));
    }
}
