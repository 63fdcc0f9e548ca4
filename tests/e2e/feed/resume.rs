//! After a break: just what was missed, or everything; never a gap.

use locum_api::admin::v1::selector::Target;
use locum_api::broker::v1::RevokeTokenRequest;
use locum_model::feed::Body;
use locum_model::{Level, Reason};
use locum_tests::follower::{Follower, hello, open};
use locum_tests::refused::reason;
use locum_tests::work::{begin, grant, issue, revoke};
use locum_tests::{Daemon, Site, plain_http};

use super::{end_of, task_id};
use crate::LOCUMD;

#[tokio::test]
async fn a_short_break_costs_only_what_was_missed() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (mail, operator) = (daemon.at("services/mail-api"), daemon.operator("operator"));
    let mut follower = Follower::new(&daemon, &mail, "mail").await.expect("served");
    follower.beat().await;
    // From the anchor on, and from a delta on; with nothing missed, and with something.
    for (turn, names) in [&[][..], &["reader"], &[], &["refunder", "reader"]].into_iter().enumerate() {
        for name in names {
            let target = Target::Workload((*name).to_owned());
            operator.revocation().revoke(revoke(target)).await.expect("revoked");
        }
        follower.again(&mail, "mail").await.expect("served");
        let Body::KeySet { .. } = follower.next().await.body else { unreachable!("keys come first") };
        follower.beat().await;
        assert_eq!((follower.snapshots, follower.resets), (1, 0), "turn {turn}");
    }
    assert_eq!(follower.dead.len(), 2);
    let mut fresh = Follower::new(&daemon, &mail, "mail").await.expect("served");
    fresh.beat().await;
    assert_eq!(fresh.dead, follower.dead);
}

#[tokio::test]
async fn a_restart_goes_on_with_the_sequence_and_with_everything_in_force() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, mail) = (daemon.at("agents/refunder"), daemon.at("services/mail-api"));
    let mut follower = Follower::new(&daemon, &mail, "mail").await.expect("served");
    let task = begin(&daemon, &refunder, vec![grant("mail:list", &[])]).await.expect("allowed");
    issue(&daemon, &refunder, task.ask("mail:list", &["mailbox/1"])).await.expect("issued");
    refunder.tasks().end_task(task.end()).await.expect("ended");
    let target = Target::Workload("reader".to_owned());
    daemon.operator("operator").revocation().revoke(revoke(target)).await.expect("revoked");
    let ended = (Level::Task, task_id(&task.task_id));
    while follower.dead.len() < 2 {
        follower.next().await;
    }
    for turn in 1..=2 {
        let (at, dead) = (follower.at, follower.dead.clone());
        daemon.kill().await;
        daemon.up().await;
        let (mail, operator) = (daemon.at("services/mail-api"), daemon.operator("operator"));
        follower.again(&mail, "mail").await.expect("served");
        assert!(matches!(follower.next().await.body, Body::KeySet { .. }), "before what they sign");
        assert_eq!(follower.next().await.body, Body::Reset, "the chain of the process before is gone");
        follower.beat().await;
        assert_eq!((follower.resets, follower.snapshots), (turn, turn + 1));
        assert!(follower.at.epoch == at.epoch && follower.at.sequence >= at.sequence, "it goes on");
        // Somebody who knows nothing hears all of it: the ended task too, in the one partition.
        let mut fresh = Follower::new(&daemon, &mail, "mail").await.expect("served");
        fresh.beat().await;
        assert_eq!(fresh.dead, dead);
        assert!(fresh.dead.contains_key(&ended));
        let mut wiki = Follower::new(&daemon, &mail, "wiki").await.expect("served");
        wiki.beat().await;
        assert!(!wiki.dead.contains_key(&ended));
        let target = Target::Workload("refunder".to_owned());
        operator.revocation().revoke(revoke(target)).await.expect("revoked");
        let before = follower.at.sequence;
        while follower.at.sequence == before {
            follower.next().await;
        }
        assert!(follower.at.sequence > at.sequence, "and never gives a number twice");
    }
}

/// Tokens that are dead when the broker restarts: several snapshots' worth of small batches.
const DEAD: usize = 150;

/// A broker that starts again serves nobody before it can tell its followers all that is dead: whoever is the
/// first to be served, a follower is served as well, and hears everything.
#[tokio::test]
async fn a_restart_serves_the_feed_with_the_first_answer() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let mut refunder = daemon.at("agents/refunder");
    let task = begin(&daemon, &refunder, vec![grant("mail:list", &[])]).await.expect("allowed");
    for _ in 0..DEAD {
        let token =
            issue(&daemon, &refunder, task.ask("mail:list", &["mailbox/1"])).await.expect("issued").token;
        refunder.tokens().revoke_token(RevokeTokenRequest { token }).await.expect("revoked");
    }
    let mut follower = Follower::new(&daemon, &daemon.at("services/mail-api"), "mail").await.expect("served");
    follower.beat().await;
    assert_eq!(follower.dead.len(), DEAD);
    for _ in 0..3 {
        // Dead by the word of a broker that tells nobody any more.
        let token =
            issue(&daemon, &refunder, task.ask("mail:list", &["mailbox/1"])).await.expect("issued").token;
        refunder.tokens().revoke_token(RevokeTokenRequest { token }).await.expect("revoked");
        daemon.kill().await;
        daemon.up().await;
        let mail = daemon.at("services/mail-api");
        refunder = daemon.at("agents/refunder");
        let first = hello("mail");
        let (issued, opened) = tokio::join!(
            issue(&daemon, &refunder, task.ask("mail:list", &["mailbox/1"])),
            open(&mail, first)
        );
        issued.expect("issued");
        opened.expect("served as soon as anybody is");
        let (dead, sequence) = (follower.dead.len(), follower.at.sequence);
        follower.again(&mail, "mail").await.expect("served");
        follower.beat().await;
        assert_eq!(follower.dead.len(), dead + 1, "what it missed");
        assert!(follower.at.sequence > sequence, "the sequence goes on");
    }
}

/// Workloads in the fleet: a revocation of all is one large frame.
const FLEET: usize = 400;

fn fleet() -> Site {
    let site = Site::new();
    let mut registry = site.text("registry.toml");
    for number in 0..FLEET {
        registry.push_str(&format!(
            "\n[[workload]]\ntenant = \"acme\"\nname = \"fleet-{number}\"\n\
             identity = \"spiffe://acme.test/fleet/{number}\"\nkind = \"agent\"\nowner = \"support\"\n"
        ));
    }
    site.put("registry.toml", &registry);
    site
}

/// A stream that reads nothing while the ring goes by is ended; one that reads notices nothing; and
/// whoever comes back after that long starts from a snapshot.
#[tokio::test]
async fn who_reads_too_slowly_is_cut_and_nobody_else_is() {
    let daemon = Daemon::start(LOCUMD, fleet()).await;
    let (mail, operator) = (daemon.at("services/mail-api"), daemon.operator("operator"));
    let narrow = daemon.narrow("services/mail-api");
    let mut slow = Follower::new(&daemon, &narrow, "mail").await.expect("served");
    let mut gone = Follower::new(&daemon, &mail, "mail").await.expect("served");
    let mut quick = Follower::new(&daemon, &mail, "mail").await.expect("served");
    for follower in [&mut slow, &mut gone, &mut quick] {
        follower.beat().await;
    }
    let old = gone.at;
    // It takes some and then none any more; what it took is forgotten below.
    for _ in 0..120 {
        let all = Target::Workload("spiffe://acme.test/fleet/*".to_owned());
        operator.revocation().revoke(revoke(all)).await.expect("revoked");
        let before = quick.at.sequence;
        while quick.at.sequence == before {
            quick.next().await;
        }
    }
    quick.ping().await;
    quick.beat().await;
    assert_eq!((quick.snapshots, quick.resets, quick.dead.len()), (1, 0, FLEET), "it heard every link");
    assert_eq!(reason(end_of(&mut slow.frames).await), Reason::FollowerTooSlow);
    gone.at = old;
    gone.again(&mail, "mail").await.expect("served");
    assert!(matches!(gone.next().await.body, Body::KeySet { .. }), "before what they sign");
    assert_eq!(gone.next().await.body, Body::Reset);
    gone.beat().await;
    assert_eq!((gone.at, gone.dead), (quick.at, quick.dead));
    let text = plain_http::metrics(&daemon).await.body;
    assert!(text.contains("locum_feed_followers_cut_total 1\n"), "{text}");
}

/// V1: so many who read nothing cost what the ring and their windows cost; those who read notice nothing; and
/// whoever goes on to read hears that it was too slow, not what a ring has long forgotten.
#[tokio::test]
async fn a_crowd_that_reads_nothing_costs_bounded_memory() {
    const CROWD: usize = 100;
    let daemon = Daemon::start(LOCUMD, fleet()).await;
    let (mail, operator) = (daemon.at("services/mail-api"), daemon.operator("operator"));
    let mut quick = Follower::new(&daemon, &mail, "mail").await.expect("served");
    quick.beat().await;
    let before = daemon.resident_bytes();
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let narrow = daemon.narrow("services/mail-api");
        let stream = open(&narrow, hello("mail")).await.expect("served");
        crowd.push((narrow, stream));
    }
    for _ in 0..120 {
        let all = Target::Workload("spiffe://acme.test/fleet/*".to_owned());
        operator.revocation().revoke(revoke(all)).await.expect("revoked");
        let heard = quick.at.sequence;
        while quick.at.sequence == heard {
            quick.next().await;
        }
    }
    let grown = daemon.resident_bytes().saturating_sub(before);
    assert!(grown <= 64 << 20, "{grown} bytes for {CROWD} who read nothing");
    quick.ping().await;
    quick.beat().await;
    assert_eq!((quick.snapshots, quick.resets, quick.dead.len()), (1, 0, FLEET), "it heard every link");
    for (_, (_, frames)) in &mut crowd {
        assert_eq!(reason(end_of(frames).await), Reason::FollowerTooSlow);
    }
    let text = plain_http::metrics(&daemon).await.body;
    assert!(text.contains(&format!("locum_feed_followers_cut_total {CROWD}\n")), "{text}");
}
