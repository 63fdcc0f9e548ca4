//! `locum lock`, `locum unlock` and `locum lock list`.

use locum_sdk::admin::Lock;
use serde_json::Value;

use crate::args::{LockArgs, LockCommand, UnlockArgs};
use crate::clock::{now, relative};
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::session::Session;

const PAGE_SIZE: u32 = 1_000;

/// Makes a lock, or lists those in force.
pub(crate) async fn run(args: LockArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    if let Some(LockCommand::List) = args.command {
        return list(session, output).await;
    }
    match (args.selector, args.ttl, args.reason) {
        (Some(selector), Some(ttl), Some(reason)) => {
            let selector = selector.selector()?;
            let lock = session.client()?.admin().lock(&selector, &reason, ttl).await?;
            output.note("what is out already lives on: revoke it as well");
            let value = document::of("lock", document::lock(&lock));
            output.data(value, || rows(std::slice::from_ref(&lock)))
        }
        _ => Err(Failure::Usage("name a selector, `--ttl` and `--reason`, or `list`".to_owned())),
    }
}

/// Lifts locks.
pub(crate) async fn unlock(args: UnlockArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let selector = args.selector.selector()?;
    let lifted = session.client()?.admin().unlock(&selector, &args.reason).await?;
    print(&lifted, output)
}

async fn list(session: &Session, output: &Output) -> Result<(), Failure> {
    let admin = session.client()?.admin();
    let (mut locks, mut page) = (Vec::new(), String::new());
    loop {
        let answer = admin.list_locks(None, PAGE_SIZE, &page).await?;
        locks.extend(answer.items);
        page = answer.next;
        if page.is_empty() {
            return print(&locks, output);
        }
    }
}

fn print(locks: &[Lock], output: &Output) -> Result<(), Failure> {
    let values = Value::Array(locks.iter().map(document::lock).collect());
    output.data(document::of("locks", values), || rows(locks))
}

fn rows(locks: &[Lock]) -> String {
    let now = now();
    let row = |lock: &Lock| {
        vec![
            lock.number.to_string(),
            lock.selector.to_string(),
            lock.reason.clone(),
            lock.locked_by.clone(),
            relative(lock.lock_time, now),
            relative(lock.end_time, now),
        ]
    };
    table(&["LOCK", "SELECTOR", "REASON", "BY", "SINCE", "ENDS"], locks.iter().map(row))
}
