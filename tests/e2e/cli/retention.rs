//! The archive's retention through a running server: told, announced, done, and told again.
//!
//! The shortest retention is a week and its notice a day, and no clock of a test runs so fast. So the archive,
//! which is no truth, is made older on disk while the server is down. The journal is never touched: its bytes
//! are compared, and what it holds is indexed anew in the end.

use std::path::{Path, PathBuf};

use locum_api::broker::v1::StartTaskRequest;
use locum_tests::eventually;
use locum_tests::work::{grant, secret, start};
use rusqlite::Connection;
use serde_json::Value;

use super::{Desk, OPERATOR, REFUNDER};

const ADMIN: &str = "operators/admin";
const CANARY: &str = "customer 4711 rang twice";
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1_000;

/// Everything that the archive holds happened so many days earlier.
fn age(archive: &Path, days: i64) {
    let index = Connection::open(archive.join("index.db")).expect("an index");
    let by = days * DAY_MILLIS;
    for (table, columns) in
        [("entries", &["at"][..]), ("spans", &["earliest", "latest"]), ("notices", &["since"])]
    {
        for column in columns {
            index.execute(&format!("UPDATE {table} SET {column} = {column} - {by}"), []).expect("aged");
        }
    }
}

/// The segments' whole content, in order of name.
fn journal(data: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(data.join("journal")).expect("a journal");
    let mut files: Vec<_> =
        files.map(|file| file.expect("a file").path()).filter(|path| path.is_file()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("bytes"))).collect()
}

/// The keys of justifications, by the day that each is for.
fn keys(archive: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(archive.join("keys")).expect("keys");
    files.map(|file| file.expect("a file").path()).collect()
}

/// Makes each key one of a day that is long past; what it sealed today it opens no more, and neither does the test.
fn age_keys(archive: &Path) {
    for key in keys(archive) {
        let name = key.file_name().and_then(|name| name.to_str()).expect("a name");
        let (tenant, _) = name.split_once('-').expect("a tenant and a day");
        std::fs::rename(&key, key.with_file_name(format!("{tenant}-2020-01-01.key"))).expect("renamed");
    }
}

async fn current(desk: &Desk) {
    eventually("a current archive", || async {
        (desk.says(OPERATOR, &["audit", "status", "--field", "behind"]) == "0").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_too_old_is_told_then_announced_then_gone_and_the_journal_has_it_still() {
    let mut desk = Desk::new().await;
    desk.daemon.secret(CANARY);
    let begin = ["task", "start", "refund-order", "--scope", "orders:read", "--justification", CANARY];
    let task = desk.says(REFUNDER, &begin);
    desk.says(OPERATOR, &["revoke", &format!("task={task}"), "--reason", "INC-412", "--yes"]);
    current(&desk).await;
    let found = |desk: &Desk| desk.says(OPERATOR, &["audit", "search", "--task", &task, "--field", "event"]);
    let before = found(&desk);
    assert_eq!(before, "revoked\ntask-started");
    let told =
        desk.says(OPERATOR, &["audit", "search", "--task", &task, "--with-justifications", "-o", "json"]);
    assert!(told.contains(CANARY), "its text is kept: {told}");

    // Forty days later, with a retention of thirty.
    desk.daemon.terminate().await;
    let (data, archive) = (desk.daemon.site.path("data"), desk.daemon.site.path("data/archive"));
    age(&archive, 40);
    assert_eq!(keys(&archive).len(), 1, "one tenant gave a reason, on one day");
    age_keys(&archive);
    let settings = desk.daemon.site.text("locumd.toml") + "\n[archive]\nretention = \"30d\"\n";
    desk.daemon.site.put("locumd.toml", &settings);
    let untouched = journal(&data);
    desk.daemon.up().await;
    current(&desk).await;
    let plan = desk.document(OPERATOR, &["audit", "retention", "--dry-run"])["retention"].clone();
    assert!(plan["entries"].as_u64().is_some_and(|entries| entries >= 2), "{plan}");
    assert_eq!(plan["retention_days"], 30);
    eventually("the notice", || async {
        desk.daemon.log().contains("retention is shorter than it was").then_some(())
    })
    .await;
    assert_eq!(found(&desk), before, "nothing goes before a day has passed");
    assert_eq!(keys(&archive).len(), 1, "the key neither");
    let status = |desk: &Desk| desk.document(OPERATOR, &["audit", "status"])["archive"].clone();
    assert_eq!(status(&desk)["forgotten"].as_array().map(Vec::len), Some(0), "nor is it said to have gone");

    // Another day and an hour.
    desk.daemon.terminate().await;
    age(&archive, 2);
    desk.daemon.up().await;
    eventually("what is too old to be gone", || async { found(&desk).is_empty().then_some(()) }).await;
    assert!(desk.daemon.log().contains("the archive forgot what was too old"), "the log says what went");
    eventually("the key of the text to be gone", || async { keys(&archive).is_empty().then_some(()) }).await;
    let plan = desk.document(OPERATOR, &["audit", "retention", "--dry-run"])["retention"].clone();
    assert_eq!(plan["entries"], 0, "{plan}");
    let gone = status(&desk)["forgotten"][0].clone();
    assert!(gone["entries"].as_u64().is_some_and(|entries| entries >= 2), "{gone}");
    assert_eq!((gone["keys"].as_u64(), gone["retention_days"].as_u64()), (Some(1), Some(30)), "{gone}");
    assert!(desk.says(OPERATOR, &["audit", "status"]).contains("1 key,"), "people are told too");
    assert_eq!(desk.says(OPERATOR, &["audit", "search", "--text", "INC-412", "-o", "name"]), "");

    // The truth is where it was: no byte of it went, and the index is made of it anew.
    for (path, bytes) in &untouched {
        let now = std::fs::read(path).expect("still there");
        let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        assert!(now.starts_with(&bytes[..written]), "{} was changed", path.display());
    }
    assert_eq!(
        desk.document(OPERATOR, &["audit", "show", &task])["entries"].as_array().map(Vec::len),
        Some(2)
    );
    let reindexed: Value = desk.document(ADMIN, &["audit", "reindex"]);
    assert!(reindexed["reindexed"]["total"].as_u64().is_some_and(|total| total > 2), "{reindexed}");
    assert_eq!(found(&desk), before);
    let told =
        desk.says(OPERATOR, &["audit", "search", "--task", &task, "--with-justifications", "-o", "json"]);
    assert!(!told.contains(CANARY), "nothing brings the text back: {told}");
    assert_eq!(status(&desk)["forgotten"][0], gone, "an index that is made anew has not forgotten what went");
}

#[tokio::test]
async fn a_request_is_found_by_the_id_that_its_caller_gave_it() {
    let desk = Desk::new().await;
    desk.busy(REFUNDER, 1);
    let request = StartTaskRequest {
        request_id: "order-1881/try-1".to_owned(),
        ..start(vec![grant("orders:read", &["order/1"])], &secret(&desk.daemon))
    };
    let started = desk.daemon.at(REFUNDER).tasks().start_task(request).await.expect("allowed").into_inner();
    current(&desk).await;
    let search = |id: &str| desk.says(OPERATOR, &["audit", "search", "--request-id", id, "--field", "task"]);
    assert_eq!(search("order-1881/try-1"), started.task.expect("a task").task_id);
    assert_eq!(search("order-1881/try-2"), "");
}
