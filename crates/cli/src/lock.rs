//! `locum lock`, `locum unlock` and `locum lock list`.

use locum_model::{Reason, Selector};
use locum_sdk::admin::{Admin, Lock};
use serde_json::Value;

use crate::args::{LockArgs, LockCommand, UnlockArgs};
use crate::clock::{now, relative};
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, Sheet, counted, long, plain, wide};
use crate::revoke::{covers, shell_word};
use crate::selector::{SelectorArgs, shown};
use crate::session::Session;

const PAGE_SIZE: u32 = 1_000;

/// Makes a lock, or lists those in force.
pub(crate) async fn run(args: LockArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    if let Some(LockCommand::List(args)) = args.command {
        return list(&args.selector, session, output).await;
    }
    let selector = args.selector.required()?;
    let (Some(ttl), Some(reason)) = (args.ttl, args.reason) else {
        return Err(Failure::Usage("name a selector, `--ttl` and `--reason`, or `list`".to_owned()));
    };
    let admin = session.client()?.admin();
    if args.dry_run {
        return preview(&selector, &admin, output).await;
    }
    let lock = admin.lock(&selector, &reason, ttl).await?;
    output.data(document::of("lock", document::lock(&lock)), || rows(std::slice::from_ref(&lock), output))?;
    covers(&lock.matches).for_each(|line| output.note(&line));
    let word = shell_word(&shown(&selector));
    output.note(&format!("to revoke what is out: locum revoke {word} --reason '…'"));
    Ok(())
}

/// What a lock would come to.
async fn preview(selector: &Selector, admin: &Admin, output: &Output) -> Result<(), Failure> {
    let preview = admin.preview_revoke(selector, None).await?;
    output.data(document::of("preview", document::preview(&preview)), || {
        let mut lines = vec![format!("{}: would be locked", shown(selector))];
        lines.extend(covers(&preview.matches));
        lines.push(format!("  {} would live on", counted(preview.tokens, "live token")));
        lines.join("\n")
    })
}

/// Lifts locks.
pub(crate) async fn unlock(args: UnlockArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let selector = args.selector.required()?;
    let admin = session.client()?.admin();
    if args.dry_run {
        let mut locks = all(&admin, None).await?;
        locks.retain(|lock| lock.selector == selector);
        return print(&locks, output);
    }
    match admin.unlock(&selector, &args.reason).await {
        Ok(lifted) => {
            print(&lifted, output)?;
            output.remark("lifted: what it refused is decided by policy again; what was revoked stays dead");
            Ok(())
        }
        Err(error) => {
            if error.reason() == Some(Reason::LockUnknown) {
                hint(&selector, &admin, output).await;
            }
            Err(error.into())
        }
    }
}

/// The locks that refuse some of it, but were made with another selector. A hint that cannot be had
/// is none: the failure itself is told in any case.
async fn hint(selector: &Selector, admin: &Admin, output: &Output) {
    for lock in all(admin, Some(selector)).await.unwrap_or_default() {
        let word = shell_word(&shown(&lock.selector));
        output.note(&format!(
            "lock {} covers some of it; to lift it: locum unlock {word} --reason '…'",
            lock.number
        ));
    }
}

async fn list(args: &SelectorArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let selector = args.optional()?;
    print(&all(&session.client()?.admin(), selector.as_ref()).await?, output)
}

async fn all(admin: &Admin, on: Option<&Selector>) -> Result<Vec<Lock>, Failure> {
    let (mut locks, mut page) = (Vec::new(), String::new());
    loop {
        let answer = admin.list_locks(on, PAGE_SIZE, &page).await?;
        locks.extend(answer.items);
        page = answer.next;
        if page.is_empty() {
            return Ok(locks);
        }
    }
}

fn print(locks: &[Lock], output: &Output) -> Result<(), Failure> {
    let values = Value::Array(locks.iter().map(document::lock).collect());
    output.data(document::of("locks", values), || rows(locks, output))
}

fn rows(locks: &[Lock], output: &Output) -> String {
    let now = now();
    let columns = [
        plain("LOCK"),
        plain("SELECTOR"),
        plain("ENDS"),
        long("REASON"),
        long("BY"),
        wide("SINCE"),
        wide("COVERS"),
    ];
    let row = |lock: &Lock| {
        let names: Vec<&str> = lock.matches.iter().map(|one| one.name.as_str()).collect();
        vec![
            lock.number.to_string(),
            shown(&lock.selector),
            relative(lock.end_time, now),
            lock.reason.clone(),
            lock.locked_by.clone(),
            relative(lock.lock_time, now),
            names.join(", "),
        ]
    };
    output.sheet(&Sheet::new(&columns, locks.iter().map(row)))
}
