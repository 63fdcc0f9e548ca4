//! The archive: finds what happened, follows the journal through anything, and holds nobody up.

use locum_api::admin::v1::selector::Target;
use locum_api::admin::v1::{
    AuditDecision, AuditOrder, AuditQuery, ExportAuditRequest, GetArchiveStatusRequest,
    GetArchiveStatusResponse, GetStatusRequest, GetTaskHistoryRequest, PlanRetentionRequest, RecordEntry,
    ReindexArchiveRequest, SearchAuditRequest,
};
use locum_api::broker::v1 as wire;
use locum_model::Reason;
use locum_tests::refused::reason;
use locum_tests::wait::within;
use locum_tests::work::{Held, begin, begin_part, grant, issue, may, revoke, secret, start};
use locum_tests::{Daemon, Party, Site, eventually, plain_http};

use crate::LOCUMD;

const CANARY: &str = "customer 4711 rang twice";

/// Everything that meets `query`, newest first, through small pages.
async fn search(party: &Party, query: AuditQuery) -> Vec<RecordEntry> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = SearchAuditRequest {
            query: Some(query.clone()),
            page_size: 3,
            page_token,
            show_justifications: true,
            ..Default::default()
        };
        let page = party.archive().search_audit(request).await.expect("searched").into_inner();
        assert!(page.entries.len() <= 3);
        all.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

async fn export(party: &Party, after: &str) -> (Vec<RecordEntry>, String) {
    let request = ExportAuditRequest { after_position: after.to_owned(), ..Default::default() };
    let mut stream = party.archive().export_audit(request).await.expect("a stream").into_inner();
    let (mut entries, mut end) = (Vec::new(), String::new());
    while let Some(message) = within("the export", stream.message()).await.expect("no failure") {
        assert!(end.is_empty(), "the end is the last message");
        match message.entry {
            Some(entry) => entries.push(entry),
            None => end = message.end_position,
        }
    }
    (entries, end)
}

async fn status(daemon: &Daemon) -> GetArchiveStatusResponse {
    let asked = daemon.operator("viewer").archive().get_archive_status(GetArchiveStatusRequest {}).await;
    asked.expect("answered").into_inner()
}

/// Once everything that is committed is indexed.
async fn current(daemon: &Daemon) -> GetArchiveStatusResponse {
    eventually("a current archive", || async {
        let status = status(daemon).await;
        (status.open && status.behind == 0 && status.trouble.is_empty()).then_some(status)
    })
    .await
}

fn events(entries: &[RecordEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.event.as_str()).collect()
}

/// A task with a part, tokens, a use, a denial, a revocation, and a neighbour in another tenant.
struct Story {
    root: Held,
    part: Held,
    used: String,
    revoked: String,
    foreign: Held,
}

async fn story(daemon: &Daemon) -> Story {
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let scope = || vec![grant("orders:refund", &["order/*"])];
    daemon.secret(CANARY);
    let request = wire::StartTaskRequest {
        justification: CANARY.to_owned(),
        request_id: "req 1".to_owned(),
        ..start(scope(), &secret(daemon))
    };
    let holder = secret(daemon);
    let request =
        wire::StartTaskRequest { holder_sha256: start(Vec::new(), &holder).holder_sha256, ..request };
    let answer = refunder.tasks().start_task(request).await.expect("allowed").into_inner();
    let root = Held { task_id: answer.task.expect("a task").task_id, secret: holder };
    let part = begin_part(daemon, &refunder, &root, scope()).await.expect("allowed");
    let single = wire::IssueTokenRequest { uses_max: 1, ..part.ask("orders:refund", &["order/7"]) };
    let used = issue(daemon, &refunder, single).await.expect("issued");
    orders.checks().authorize(may(&used.token, "orders:refund", "order/7")).await.expect("an answer");
    issue(daemon, &refunder, part.ask("orders:read", &["order/7"])).await.expect_err("beyond the intent");
    let revoked = issue(daemon, &refunder, part.ask("orders:refund", &["order/8"])).await.expect("issued");
    let operator = daemon.operator("acme-operator");
    operator.revocation().revoke(revoke(Target::Token(revoked.jti.clone()))).await.expect("revoked");
    let bot = daemon.at("globex/bot");
    let foreign = begin(daemon, &bot, vec![grant("vault:open", &[])]).await.expect("allowed");
    Story { root, part, used: used.jti, revoked: revoked.jti, foreign }
}

#[tokio::test]
async fn a_story_is_found_by_each_criterion() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let Story { root, part, used, revoked, foreign } = story(&daemon).await;
    // Denials are summed up for a while; an orderly end writes them down.
    daemon.terminate().await;
    daemon.up().await;
    current(&daemon).await;
    let viewer = daemon.operator("viewer");
    let of = |query: AuditQuery| search(&viewer, query);
    let any = AuditQuery::default;
    let tree = of(AuditQuery { task_id: root.task_id.clone(), ..any() }).await;
    let expected = ["task-started", "task-started", "token-issued", "token-used", "token-issued", "revoked"];
    let mut found = events(&tree);
    found.reverse();
    // Sums come when they come.
    found.retain(|event| !event.ends_with("-summed"));
    assert_eq!(found, expected);
    assert_eq!(events(&tree).iter().filter(|event| **event == "denials-summed").count(), 1);
    let below = of(AuditQuery { task_id: part.task_id.clone(), ..any() }).await;
    assert_eq!(below.len(), tree.len() - 1, "a part does not have its whole");
    let on_token = of(AuditQuery { jti: used.clone(), ..any() }).await;
    let mut on_token = events(&on_token);
    on_token.retain(|event| !event.ends_with("-summed"));
    assert_eq!(on_token, ["token-used", "token-issued"]);
    assert_eq!(events(&of(AuditQuery { jti: revoked.clone(), ..any() }).await), ["revoked", "token-issued"]);
    for workload in ["refunder", "spiffe://acme.test/agents/refunder"] {
        let found = of(AuditQuery { workload: workload.into(), ..any() }).await;
        assert!(found.iter().filter(|entry| entry.task_id == root.task_id).count() >= 1, "{workload}");
        assert!(found.iter().all(|entry| entry.task_id != foreign.task_id), "{workload}");
    }
    let vault = of(AuditQuery { connector: "vault".into(), ..any() }).await;
    assert!(events(&vault).contains(&"task-started"), "{vault:#?}");
    assert!(vault.iter().all(|entry| entry.tenant != "acme"), "{vault:#?}");
    let request = of(AuditQuery { request_id: "req 1".into(), ..any() }).await;
    assert_eq!(
        (events(&request), request[0].task_id.as_str()),
        (vec!["task-started"], root.task_id.as_str())
    );
    assert_eq!(request[0].facts["justification_text"], CANARY);
    let denied = of(AuditQuery { decision: AuditDecision::Denial.into(), ..any() }).await;
    assert_eq!((events(&denied), denied[0].reason.as_str()), (vec!["denials-summed"], "SCOPE_BEYOND_INTENT"));
    let by_reason = of(AuditQuery { reason: "SCOPE_BEYOND_INTENT".into(), ..any() }).await;
    assert_eq!(by_reason, denied);
    assert_eq!(of(AuditQuery { reason: "POLICY_DENIED".into(), ..any() }).await, []);
    let said = of(AuditQuery { text: "A drill".into(), ..any() }).await;
    assert_eq!((events(&said), said[0].jti.as_str()), (vec!["revoked"], revoked.as_str()));
    assert_eq!(of(AuditQuery { text: "drill OR a*".into(), ..any() }).await, [], "no operators in words");
    let by = of(AuditQuery { operator: "acme-operator".into(), ..any() }).await;
    assert_eq!(by, said);
    let globex = of(AuditQuery { tenant: "globex".into(), ..any() }).await;
    assert!(!globex.is_empty() && globex.iter().all(|entry| entry.tenant == "globex"));
    assert_eq!(of(AuditQuery { tenant: "nobody".into(), ..any() }).await, []);
    let kinds = AuditQuery { events: vec!["token-used".into(), "revoked".into()], ..any() };
    assert_eq!(events(&of(kinds).await), ["revoked", "token-used"]);
    let (first, last) = (tree.last().expect("some").time, said[0].time);
    let later = of(AuditQuery { since_time: last, task_id: root.task_id.clone(), ..any() }).await;
    assert!(
        events(&later).contains(&"revoked") && !later.iter().any(|entry| entry.time == first),
        "{later:#?}"
    );
    let until = of(AuditQuery { until_time: first, task_id: root.task_id.clone(), ..any() }).await;
    assert_eq!(until, []);
    for owner_or_model in [
        AuditQuery { owner: request[0].facts["owner"].clone(), ..any() },
        AuditQuery { model: request[0].facts["model"].clone(), ..any() },
    ] {
        let found = of(owner_or_model).await;
        assert!(found.iter().any(|entry| entry.task_id == root.task_id), "{found:#?}");
        assert!(found.iter().all(|entry| entry.task_id != foreign.task_id), "{found:#?}");
    }
}

#[tokio::test]
async fn operators_find_nothing_of_other_tenants() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let Story { root, used, foreign, .. } = story(&daemon).await;
    current(&daemon).await;
    let (acme, globex) = (daemon.operator("acme-operator"), daemon.operator("globex-operator"));
    let all = search(&daemon.operator("viewer"), AuditQuery::default()).await;
    for (operator, tenant, other) in [(&acme, "acme", "globex"), (&globex, "globex", "acme")] {
        let mine = search(operator, AuditQuery::default()).await;
        let expected: Vec<_> = all.iter().filter(|entry| entry.tenant == tenant).cloned().collect();
        assert_eq!(mine, expected);
        assert_eq!(search(operator, AuditQuery { tenant: other.into(), ..Default::default() }).await, []);
        let (exported, _) = export(operator, "").await;
        assert_eq!(exported.len(), mine.len());
    }
    for query in [
        AuditQuery { task_id: root.task_id.clone(), ..Default::default() },
        AuditQuery { jti: used, ..Default::default() },
        AuditQuery { request_id: "req 1".into(), ..Default::default() },
        AuditQuery { text: "a drill".into(), ..Default::default() },
    ] {
        assert_eq!(search(&globex, query.clone()).await, [], "{query:?}");
        assert_ne!(search(&acme, query).await, []);
    }
    assert_eq!(search(&acme, AuditQuery { task_id: foreign.task_id, ..Default::default() }).await, []);
    let plan = PlanRetentionRequest { retention: locum_tests::work::seconds(7 * 86_400) };
    acme.archive().plan_retention(plan).await.expect("a viewer's right");
    let refused = daemon.operator("admin").archive().reindex_archive(ReindexArchiveRequest {}).await;
    refused.expect("an admin of all tenants");
    let refused = acme.archive().reindex_archive(ReindexArchiveRequest {}).await.map(drop);
    assert_eq!(reason(refused), Reason::RoleMissing);
}

#[tokio::test]
async fn it_follows_the_journal_through_kills_and_losses() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let refunder = daemon.at("agents/refunder");
    let mut tasks = Vec::new();
    for _ in 0..5 {
        tasks
            .push(begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed").task_id);
    }
    let archive = daemon.site.path("data/archive");
    let index = archive.join("index.db");
    for loss in ["killed", "removed", "damaged", "another", "removed while it runs"] {
        match loss {
            "removed while it runs" => std::fs::remove_file(&index).expect("removed"),
            _ => daemon.kill().await,
        }
        let wal = archive.join("index.db-wal");
        match loss {
            "removed" => std::fs::remove_dir_all(&archive).expect("removed"),
            "damaged" => {
                std::fs::remove_file(wal).expect("removed");
                std::fs::write(&index, vec![0x5a; 9_000]).expect("written");
            }
            // An index of a journal that went further than ours.
            "another" => {
                let db = rusqlite::Connection::open(&index).expect("opens");
                db.execute("UPDATE reached SET seq = seq + 1000", []).expect("changed");
            }
            _ => {}
        }
        if loss != "removed while it runs" {
            daemon.up().await;
        }
        let refunder = daemon.at("agents/refunder");
        tasks
            .push(begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed").task_id);
        if loss == "removed while it runs" {
            eventually("a new index", || async { index.exists().then_some(()) }).await;
        }
        let status = current(&daemon).await;
        assert_eq!(status.indexed_position, status.position, "{loss}");
        let query = AuditQuery { events: vec!["task-started".into()], ..Default::default() };
        let mut found: Vec<_> =
            search(&daemon.operator("viewer"), query).await.into_iter().map(|entry| entry.task_id).collect();
        found.reverse();
        assert_eq!(found, tasks, "{loss}");
        if loss == "damaged" {
            assert_eq!(status.rebuilds, 1);
            assert!(daemon.log().contains("is damaged: set aside"), "it is told");
            assert!(archive.join("index.db.damaged").exists());
        }
    }
}

#[tokio::test]
async fn an_archive_that_stands_still_holds_nobody_up() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    current(&daemon).await;
    // Somebody holds the file: whatever the archive wants to write waits, and then fails.
    let db = rusqlite::Connection::open(daemon.site.path("data/archive/index.db")).expect("opens");
    db.execute_batch("BEGIN IMMEDIATE").expect("held");
    let Story { root, .. } = story(&daemon).await;
    for _ in 0..50 {
        begin(&daemon, &daemon.at("agents/refunder"), vec![grant("orders:read", &[])])
            .await
            .expect("allowed");
    }
    // Not before it has failed is it told; by then all of the above was done.
    eventually("a warning", || async {
        let status = daemon.operator("viewer").inspection().get_status(GetStatusRequest {}).await;
        let warnings = status.expect("answered").into_inner().warnings;
        warnings.iter().any(|line| line.contains("the archive: ")).then_some(())
    })
    .await;
    eventually("the same in figures", || async {
        let metrics = plain_http::metrics(&daemon).await.body;
        let of = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let behind = of("locum_archive_behind_events ").is_some_and(|count| count != "0");
        (of("locum_archive_up ").as_deref() == Some("0") && behind).then_some(())
    })
    .await;
    // The story is told all the same, from the journal.
    let request = GetTaskHistoryRequest { task_id: root.task_id.clone() };
    let told = daemon.operator("viewer").inspection().get_task_history(request).await.expect("known");
    assert_eq!(events(&told.into_inner().entries).first(), Some(&"task-started"));
    let refunder = daemon.at("agents/refunder");
    refunder.tasks().end_task(root.end()).await.expect("ended, while it stands still");
    db.execute_batch("ROLLBACK").expect("let go");
    current(&daemon).await;
    let query = AuditQuery { task_id: root.task_id, events: vec!["task-ended".into()], ..Default::default() };
    assert_eq!(search(&daemon.operator("viewer"), query).await.len(), 1);
}

#[tokio::test]
async fn a_justification_is_sealed_shown_and_erased() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let Story { root, .. } = story(&daemon).await;
    current(&daemon).await;
    let query =
        AuditQuery { task_id: root.task_id, events: vec!["task-started".into()], ..Default::default() };
    let state = |daemon: &Daemon| {
        let (viewer, query) = (daemon.operator("viewer"), query.clone());
        async move {
            let facts = search(&viewer, query).await.pop().expect("the start").facts;
            (facts["justification"].clone(), facts.get("justification_text").cloned())
        }
    };
    assert_eq!(state(&daemon).await, ("kept".into(), Some(CANARY.into())));
    daemon.terminate().await;
    let holds = |folder: &str| {
        let files = std::fs::read_dir(daemon.site.path(folder)).expect("a folder").flatten();
        let files = files.filter(|entry| entry.path().is_file());
        files
            .map(|file| std::fs::read(file.path()).expect("readable"))
            .any(|bytes| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()))
    };
    for folder in ["data", "data/journal", "data/archive", "data/archive/keys"] {
        assert!(!holds(folder), "{folder}");
    }
    std::fs::write(daemon.site.path("data/other"), CANARY).expect("written");
    assert!(holds("data"), "the search can find");
    daemon.up().await;
    assert_eq!(state(&daemon).await.0, "kept", "over a restart");
    let admin = daemon.operator("admin");
    let mut progress =
        admin.archive().reindex_archive(ReindexArchiveRequest {}).await.expect("begun").into_inner();
    let mut last = None;
    while let Some(told) = within("progress", progress.message()).await.expect("no failure") {
        assert!(told.indexed <= told.total);
        last = Some((told.indexed, told.total));
    }
    assert!(last.is_some_and(|(indexed, total)| indexed == total && total > 0), "{last:?}");
    assert_eq!(state(&daemon).await.0, "kept", "a new index loses no text");
    for key in std::fs::read_dir(daemon.site.path("data/archive/keys")).expect("a folder").flatten() {
        std::fs::remove_file(key.path()).expect("removed");
    }
    assert_eq!(state(&daemon).await, ("erased".into(), None));
    daemon.terminate().await;
    let verify = std::process::Command::new(LOCUMD)
        .args(["journal", "verify"])
        .arg(daemon.site.path("data/journal"))
        .output()
        .expect("ran");
    assert!(verify.status.success(), "the chain still holds: {}", String::from_utf8_lossy(&verify.stderr));
}

#[tokio::test]
async fn an_export_is_whole_and_goes_on_where_it_ended() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    story(&daemon).await;
    current(&daemon).await;
    let viewer = daemon.operator("viewer");
    let (first, end) = export(&viewer, "").await;
    let mut all = search(&viewer, AuditQuery::default()).await;
    all.reverse();
    assert_eq!(positions(&first), positions(&all));
    assert_eq!(export(&viewer, &end).await, (Vec::new(), end.clone()));
    let refunder = daemon.at("agents/refunder");
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let (then, _) = export(&viewer, &end).await;
    assert_eq!((then.len(), then[0].task_id.as_str()), (1, task.task_id.as_str()));
    let request =
        SearchAuditRequest { order: AuditOrder::OldestFirst.into(), page_size: 1000, ..Default::default() };
    let page = viewer.archive().search_audit(request).await.expect("searched").into_inner();
    assert_eq!(page.entries.len(), first.len() + 1);
    for bad in [
        SearchAuditRequest { page_token: "x".into(), ..Default::default() },
        SearchAuditRequest { page_size: 1001, ..Default::default() },
        SearchAuditRequest { order: 9, ..Default::default() },
        asking(AuditQuery { task_id: "task-x".into(), ..Default::default() }),
        asking(AuditQuery { text: "*".into(), ..Default::default() }),
        asking(AuditQuery { reason: "NO_SUCH".into(), ..Default::default() }),
        asking(AuditQuery { workload: "a\u{1b}[2J".into(), ..Default::default() }),
        asking(AuditQuery { events: vec!["x".into(); 17], ..Default::default() }),
    ] {
        assert_eq!(reason(viewer.archive().search_audit(bad).await), Reason::RequestMalformed);
    }
}

fn asking(query: AuditQuery) -> SearchAuditRequest {
    SearchAuditRequest { query: Some(query), ..Default::default() }
}

fn positions(entries: &[RecordEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.position.as_str()).collect()
}

#[tokio::test]
async fn a_story_is_the_same_with_and_without_an_archive() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let Story { root, part, .. } = story(&daemon).await;
    let operator = daemon.operator("acme-operator");
    operator.revocation().revoke(revoke(Target::Connector("orders".to_owned()))).await.expect("revoked");
    operator.revocation().revoke(revoke(Target::Workload("refunder".to_owned()))).await.expect("revoked");
    let mut told = Vec::new();
    for archive in ["", "\n[archive]\nenabled = false\n"] {
        daemon.terminate().await;
        let text = daemon.site.text("locumd.toml");
        daemon.site.put("locumd.toml", &format!("{text}{archive}"));
        daemon.up().await;
        if archive.is_empty() {
            current(&daemon).await;
        } else {
            let refused =
                daemon.operator("viewer").archive().search_audit(SearchAuditRequest::default()).await;
            assert_eq!(reason(refused), Reason::ArchiveUnavailable);
            assert!(!status(&daemon).await.enabled);
        }
        for task in [&root, &part] {
            let request = GetTaskHistoryRequest { task_id: task.task_id.clone() };
            let history = daemon.operator("viewer").inspection().get_task_history(request).await;
            told.push(history.expect("known").into_inner().entries);
        }
    }
    assert_eq!(told[0], told[2]);
    assert_eq!(told[1], told[3]);
    assert!(told[0].len() > 7, "{:?}", events(&told[0]));
}
