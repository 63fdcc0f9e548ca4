//! Killed in the middle of load, again and again: nothing that was acknowledged is ever lost.
//!
//! Several clients start tasks, get tokens, spend uses, end tasks, revoke and lock, each writing
//! down what it was told in its own memory. After every `kill -9` and restart all of that has to be
//! so. What was under way at the moment of the kill may have happened or not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use locum_api::admin::v1::selector::Target;
use locum_api::admin::v1::{ListLocksRequest, LockRequest};
use locum_api::broker::v1 as wire;
use locum_model::Reason;
use locum_tests::refused::reason;
use locum_tests::wait::within;
use locum_tests::work::{Held, begin, grant, is_active, issue, may, revoke, seconds, selector};
use locum_tests::{Daemon, Party, Site, eventually};

use crate::LOCUMD;

const KILLS: usize = 6;
const CLIENTS: usize = 4;

/// What was acknowledged.
#[derive(Default)]
struct Told {
    live: Vec<String>,
    dead: Vec<String>,
    spent: Vec<String>,
    ended: Vec<Held>,
    open: Vec<Held>,
    locked: Vec<String>,
}

/// One client's work until the broker is gone. Only what was answered is noted.
async fn work(daemon: &Daemon, told: &Mutex<Told>, stop: &AtomicBool, client: usize) {
    let parties =
        (daemon.at("agents/refunder"), daemon.at("services/orders-api"), daemon.operator("operator"));
    let mut turn = client;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        if one_turn(daemon, &parties, told, turn).await.is_err() {
            return;
        }
    }
}

async fn one_turn(
    daemon: &Daemon,
    (refunder, orders, operator): &(Party, Party, Party),
    told: &Mutex<Told>,
    turn: usize,
) -> Result<(), tonic::Status> {
    let note = |change: &dyn Fn(&mut Told)| change(&mut told.lock().expect("whole"));
    let task = begin(daemon, refunder, vec![grant("orders:read", &[])]).await?;
    let single = wire::IssueTokenRequest { uses_max: 1, ..task.ask("orders:read", &["order/1"]) };
    let kept = issue(daemon, refunder, task.ask("orders:read", &["order/1"])).await?.token;
    let spent = issue(daemon, refunder, single).await?.token;
    if orders.checks().authorize(may(&spent, "orders:read", "order/1")).await?.into_inner().permitted {
        note(&|told| told.spent.push(spent.clone()));
    }
    match turn % 4 {
        0 => {
            note(&|told| told.live.push(kept.clone()));
            note(&|told| told.open.push(task.clone()));
        }
        1 => {
            refunder.tasks().end_task(task.end()).await?;
            note(&|told| told.ended.push(task.clone()));
            note(&|told| told.dead.push(kept.clone()));
        }
        2 => {
            operator.revocation().revoke(revoke(Target::Task(task.task_id.clone()))).await?;
            note(&|told| told.dead.push(kept.clone()));
        }
        _ => {
            let target = Target::Task(task.task_id.clone());
            let lock =
                LockRequest { selector: selector(target), reason: "a drill".to_owned(), ttl: seconds(600) };
            operator.revocation().lock(lock).await?;
            note(&|told| told.locked.push(task.task_id.clone()));
            refunder.tokens().revoke_token(wire::RevokeTokenRequest { token: kept.clone() }).await?;
            note(&|told| told.dead.push(kept.clone()));
        }
    }
    Ok(())
}

/// Everything that was ever acknowledged is so.
async fn check(daemon: &Daemon, told: &Told) {
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    for token in &told.live {
        assert!(is_active(&orders, "orders", token).await, "a live token was lost");
    }
    for token in told.dead.iter().chain(&told.spent) {
        assert!(!is_active(&orders, "orders", token).await, "a dead token lives again");
    }
    for token in &told.spent {
        let again = orders.checks().authorize(may(token, "orders:read", "order/1")).await;
        assert!(!again.expect("an answer").into_inner().permitted, "a use was spent twice");
    }
    for task in &told.ended {
        let request = wire::GetTaskRequest { task_id: task.task_id.clone() };
        let shown = refunder.tasks().get_task(request).await.expect("one's own").into_inner().task;
        assert_eq!(shown.expect("a task").state(), wire::TaskState::Ended);
        let refused = issue(daemon, &refunder, task.ask("orders:read", &["order/1"])).await;
        assert_eq!(reason(refused), Reason::TaskEnded);
    }
    let operator = daemon.operator("operator");
    let request = ListLocksRequest { page_size: 1000, ..Default::default() };
    let listed = operator.revocation().list_locks(request).await.expect("listed").into_inner().locks;
    for task in &told.locked {
        let target = selector(Target::Task(task.clone()));
        assert!(listed.iter().any(|lock| lock.selector == target), "a lock was lost");
    }
    if let Some(task) = told.open.last() {
        issue(daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("an open task is open");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_kill() {
    let site = Site::new();
    site.edit("locumd.toml", "level = \"debug\"", "level = \"info\"");
    let mut daemon = Arc::new(Daemon::start(LOCUMD, site).await);
    let told = Arc::new(Mutex::new(Told::default()));
    for kill in 0..KILLS {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let (daemon, told, stop) = (Arc::clone(&daemon), Arc::clone(&told), Arc::clone(&stop));
            clients.push(tokio::spawn(async move { work(&daemon, &told, &stop, client).await }));
        }
        let before = told.lock().expect("whole").spent.len();
        eventually("some work", || {
            let done = told.lock().expect("whole").spent.len() - before;
            std::future::ready((done >= 20 + 7 * kill).then_some(()))
        })
        .await;
        // The moment itself is what varies: no two kills find the writer at the same place.
        tokio::time::sleep(Duration::from_micros(700 * kill as u64)).await;
        daemon.kill_now();
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            within("a client's end", client).await.expect("not cancelled");
        }
        let owned = Arc::get_mut(&mut daemon).expect("every client has let go");
        owned.kill().await;
        owned.up().await;
        let so_far = std::mem::take(&mut *told.lock().expect("whole"));
        check(owned, &so_far).await;
        *told.lock().expect("whole") = so_far;
    }
}

#[tokio::test]
async fn an_orderly_end_loses_nothing_and_verifies() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let request = wire::IssueTokenRequest {
        request_id: "over a restart".to_owned(),
        ..task.ask("orders:read", &["order/1"])
    };
    let first = issue(&daemon, &refunder, request.clone()).await.expect("issued");
    assert!(is_active(&orders, "orders", &first.token).await);
    for round in 0..3 {
        daemon.terminate().await;
        let verify = std::process::Command::new(LOCUMD)
            .args(["journal", "verify"])
            .arg(daemon.site.path("data/journal"))
            .output()
            .expect("ran");
        assert!(verify.status.success(), "{round}: {}", String::from_utf8_lossy(&verify.stderr));
        daemon.up().await;
        assert!(is_active(&daemon.at("services/orders-api"), "orders", &first.token).await);
        let again = issue(&daemon, &daemon.at("agents/refunder"), request.clone()).await.expect("the same");
        assert_eq!(again.jti, first.jti, "a retry is a retry, whatever came between");
    }
}

#[tokio::test]
async fn a_journal_that_was_damaged_is_not_served() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let refunder = daemon.at("agents/refunder");
    for _ in 0..20 {
        begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    }
    daemon.terminate().await;
    let journal = daemon.site.path("data/journal");
    let files = std::fs::read_dir(&journal).expect("a folder").flatten().map(|entry| entry.path());
    let read = files.map(|path| (std::fs::read(&path).expect("readable"), path));
    // The one that was written most; another may be there in advance, all zeros.
    let written = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    let (mut bytes, path) = read.max_by_key(|(bytes, _)| written(bytes)).expect("a segment");
    // In the middle of what was written: neither the head of the file nor its torn tail.
    let middle = written(&bytes) / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&path, bytes).expect("written");
    let (status, said) = Daemon::refused(LOCUMD, &daemon.site, &[]).await;
    assert!(!status.success(), "{said}");
    let verify = std::process::Command::new(LOCUMD).args(["journal", "verify"]).arg(&journal).output();
    assert!(!verify.expect("ran").status.success());
}
