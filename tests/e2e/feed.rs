//! WatchRevocations: signed, chained frames, keys first, and every revocation where it matters.

mod everywhere;
mod hostile;
mod resume;
mod unread;

use locum_api::admin::v1::selector::Target;
use locum_api::admin::v1::{ReloadRequest, RotateKeyRequest};
use locum_api::broker::v1 as wire;
use locum_model::event::KeyPurpose;
use locum_model::feed::{Body, Frame};
use locum_model::limits::STALENESS_BOUND_DEFAULT;
use locum_model::{Level, Reason};
use locum_tests::follower::{Follower, hello, open};
use locum_tests::refused::{fields, reason};
use locum_tests::wait::within;
use locum_tests::work::{begin, begin_part, grant, issue, revoke};
use locum_tests::{Daemon, Site, plain_http};
use tonic::{Status, Streaming};

use crate::LOCUMD;

/// What ends a stream.
async fn end_of(frames: &mut Streaming<wire::WatchRevocationsResponse>) -> Result<(), Status> {
    loop {
        match within("the stream's end", frames.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(refusal) => return Err(refusal),
        }
    }
}

/// A task's id as it stands in the feed.
fn task_id(text: &str) -> [u8; 16] {
    let id: locum_model::TaskId = text.parse().expect("a task");
    locum_model::Target::Task(id).id_bytes()
}

#[tokio::test]
async fn a_follower_hears_keys_then_all_there_is_then_each_revocation() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, mail) = (daemon.at("agents/refunder"), daemon.at("services/mail-api"));
    let operator = daemon.operator("operator");
    let task = begin(&daemon, &refunder, vec![grant("mail:list", &[])]).await.expect("allowed");
    let issued = issue(&daemon, &refunder, task.ask("mail:list", &["mailbox/1"])).await.expect("issued");
    let before = Target::Workload("reader".to_owned());
    operator.revocation().revoke(revoke(before)).await.expect("revoked");
    let mut follower = Follower::new(&daemon, &mail, "mail").await.expect("served");
    let Body::KeySet { keys, number, .. } = follower.next().await.body else {
        unreachable!("keys come first")
    };
    assert!(number > 0 && keys.iter().all(|key| key.purpose != KeyPurpose::KeysetRoot));
    let jwks = plain_http::get(&daemon, "/.well-known/jwks.json", &[]).await.body;
    for key in keys.iter().filter(|key| key.purpose == KeyPurpose::Token) {
        assert!(jwks.contains(&locum_jose::base64url::kid_text(&key.kid)), "{jwks}");
    }
    let Body::SnapshotPart { part: 0, end: Some(_), entries } = follower.next().await.body else {
        unreachable!("then all there is, in one part")
    };
    assert_eq!((entries.len(), entries[0].level), (1, Level::Workload));
    assert_eq!(follower.beat().await, STALENESS_BOUND_DEFAULT);
    let target = Target::Token(issued.jti.clone());
    let done = operator.revocation().revoke(revoke(target)).await.expect("revoked").into_inner();
    let Frame { body: Body::Delta { entries }, sequence, .. } = follower.next().await else {
        unreachable!("then what is new")
    };
    assert_eq!((entries[0].level, entries.len()), (Level::Token, 1));
    let jti: String = entries[0].id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((jti, format!("1.1.{sequence}")), (issued.jti, done.position));
    assert!(entries[0].drop_after.is_some() && entries[0].below_sequence < sequence);
    refunder.tasks().end_task(task.end()).await.expect("ended");
    follower.hears(Level::Task, task_id(&task.task_id)).await;
    follower.ping().await;
    follower.beat().await;
}

#[tokio::test]
async fn a_task_s_end_goes_only_where_its_tokens_are() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, api) = (daemon.at("agents/refunder"), daemon.at("services/mail-api"));
    let mut mail = Follower::new(&daemon, &api, "mail").await.expect("served");
    let mut wiki = Follower::new(&daemon, &api, "wiki").await.expect("served");
    let scope = || vec![grant("mail:list", &[])];
    let bare = begin(&daemon, &refunder, scope()).await.expect("allowed");
    let root = begin(&daemon, &refunder, scope()).await.expect("allowed");
    let part = begin_part(&daemon, &refunder, &root, scope()).await.expect("allowed");
    issue(&daemon, &refunder, part.ask("mail:list", &["mailbox/1"])).await.expect("issued");
    for task in [&bare, &root] {
        refunder.tasks().end_task(task.end()).await.expect("ended");
    }
    // The task itself has no token, but what is below it has one.
    mail.hears(Level::Task, task_id(&root.task_id)).await;
    let target = Target::Workload("reader".to_owned());
    daemon.operator("operator").revocation().revoke(revoke(target)).await.expect("revoked");
    for follower in [&mut mail, &mut wiki] {
        while !follower.dead.keys().any(|(level, _)| *level == Level::Workload) {
            follower.next().await;
        }
    }
    assert!(wiki.dead.keys().all(|(level, _)| *level != Level::Task), "{:?}", wiki.dead);
    assert!(!mail.dead.contains_key(&(Level::Task, task_id(&bare.task_id))), "no token, nothing to tell");
    // Who comes later hears the same.
    let mut late = Follower::new(&daemon, &api, "mail").await.expect("served");
    late.beat().await;
    assert_eq!(late.dead, mail.dead);
}

/// A token for mail says neither that its task names orders too, nor who owns orders.
#[tokio::test]
async fn what_dies_with_another_connector_is_told_where_its_tokens_are() {
    for target in [Target::Connector("orders".to_owned()), Target::Owner("payments".to_owned())] {
        let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
        let (refunder, api) = (daemon.at("agents/refunder"), daemon.at("services/mail-api"));
        let mail = || grant("mail:list", &[]);
        let both = vec![grant("orders:refund", &["order/*"]), mail()];
        let named = begin(&daemon, &refunder, both).await.expect("allowed");
        let part = begin_part(&daemon, &refunder, &named, vec![mail()]).await.expect("allowed");
        let other = begin(&daemon, &refunder, vec![mail()]).await.expect("allowed");
        for task in [&part, &other] {
            issue(&daemon, &refunder, task.ask("mail:list", &["mailbox/1"])).await.expect("issued");
        }
        let mut follower = Follower::new(&daemon, &api, "mail").await.expect("served");
        follower.beat().await;
        daemon.operator("operator").revocation().revoke(revoke(target)).await.expect("revoked");
        follower.hears(Level::Task, task_id(&named.task_id)).await;
        assert!(!follower.dead.contains_key(&(Level::Task, task_id(&other.task_id))), "it names mail alone");
        // A restart has only the journal to know it from.
        daemon.kill().await;
        daemon.up().await;
        let mut late = Follower::new(&daemon, &daemon.at("services/mail-api"), "mail").await.expect("served");
        late.beat().await;
        assert_eq!(late.dead, follower.dead);
    }
}

#[tokio::test]
async fn a_new_key_is_told_on_an_open_stream() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let mut follower = Follower::new(&daemon, &daemon.at("services/mail-api"), "mail").await.expect("served");
    follower.beat().await;
    let (before, known) = (follower.key_set, follower.keys.len());
    daemon.operator("admin").control().rotate_key(RotateKeyRequest::default()).await.expect("published");
    while follower.key_set == before {
        follower.next().await;
    }
    assert!(follower.key_set > before && follower.keys.len() == known + 1);
    follower.ping().await;
    follower.beat().await;
}

#[tokio::test]
async fn only_backends_follow_and_only_what_they_serve() {
    let daemon = Daemon::shared(LOCUMD);
    for (who, connector) in
        [("services/orders-api", "mail"), ("agents/refunder", "mail"), ("globex/vault-api", "mail")]
    {
        let refusal = open(&daemon.at(who), hello(connector)).await.map(drop);
        assert_eq!(reason(refusal), Reason::ConnectorNotServed, "{who}");
    }
    let mail = daemon.at("services/mail-api");
    let right = || hello("mail");
    for (first, field) in [
        (wire::WatchRevocationsRequest { connector: "Mail!".into(), ..right() }, "connector"),
        (wire::WatchRevocationsRequest { connector: String::new(), ..right() }, "connector"),
        (wire::WatchRevocationsRequest { nonce: vec![0; 15], ..right() }, "nonce"),
        (wire::WatchRevocationsRequest { nonce: vec![], ..right() }, "nonce"),
        (wire::WatchRevocationsRequest { instance: vec![0; 15], ..right() }, "instance"),
        (wire::WatchRevocationsRequest { version: "x".repeat(65), ..right() }, "version"),
        (wire::WatchRevocationsRequest { version: "a\u{1b}[2J".into(), ..right() }, "version"),
    ] {
        assert_eq!(fields(open(&mail, first).await.map(drop)), [field]);
    }
    // Too long; and neither a ping nor an acknowledgement.
    for nonce in [vec![0; 17], vec![]] {
        let (pings, mut frames) = open(&mail, right()).await.expect("served");
        let ping = wire::WatchRevocationsRequest { nonce, ..Default::default() };
        pings.send(ping).await.expect("room");
        assert_eq!(reason(end_of(&mut frames).await), Reason::RequestMalformed);
    }
}

#[tokio::test]
async fn who_serves_a_connector_no_more_hears_no_more_of_it() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let mail = daemon.at("services/mail-api");
    let mut follower = Follower::new(&daemon, &mail, "mail").await.expect("served");
    follower.beat().await;
    daemon.site.unregister("mail-api");
    daemon.operator("admin").control().reload(ReloadRequest {}).await.expect("valid");
    assert_eq!(reason(end_of(&mut follower.frames).await), Reason::ConnectorNotServed);
}
