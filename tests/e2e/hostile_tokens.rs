//! The hostile corpus (`locum_tests::hostile`) through every check: the offline verifier, a real `locumd`,
//! and a naive second implementation. All three say the same of each entry, and what its line demands.

mod stage;

use std::sync::Arc;

use locum_api::admin::v1::RotateKeyRequest;
use locum_api::broker::v1 as wire;
use locum_model::registry::Algorithm;
use locum_sdk::Decision;
use locum_tests::hostile::{self, LINES, NOT_OFFERED, SCENES, Shown, Verdict};
use locum_tests::naive::{Defect, Naive};
use locum_tests::work::{begin, grant, introspect, issue, may, now};
use locum_tests::{Daemon, Line, eventually, sockets};

use crate::LOCUMD;
use stage::{LEDGER, ORDERS, Stage, agreed};

/// Lines that are thousands of entries: each goes through the three checks, and no further.
const LONG_LINES: [u8; 2] = [15, 16];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_checks_say_the_same_of_every_entry() {
    let stage = Stage::up(&[]).await;
    for connector in [&ORDERS, &LEDGER] {
        let scene = stage.scene(connector).await;
        let (proofs, corpus) = (scene.proofs(), scene.corpus());
        assert!(corpus.len() > 5_000, "every byte and every bit of a token: {}", corpus.len());
        let wrong = [agreed(&scene, &proofs).await, agreed(&scene, &corpus).await].concat();
        assert!(
            wrong.is_empty(),
            "{} of {}: {:#?}",
            wrong.len(),
            corpus.len(),
            &wrong[..wrong.len().min(20)]
        );
        let figures = scene.offline.figures();
        // What is well signed and for us may be remembered; of the rest, nothing takes a place.
        let kept =
            corpus.iter().filter(|entry| matches!(entry.line, 0 | 13 | 28 | 29)).count() + proofs.len();
        assert!(figures.tokens <= kept && figures.unknown == 0, "{figures:?}");
    }
}

#[test]
fn every_line_of_the_list_has_an_entry() {
    for algorithm in [Algorithm::Es256, Algorithm::Ed25519] {
        let (corpus, _) = stage::made_up(algorithm);
        for (line, what) in LINES {
            let has_entry =
                corpus.iter().any(|entry| entry.line == line && entry.name.starts_with(&format!("{line}: ")));
            let is_a_scene = SCENES.contains(&line);
            let expected = !NOT_OFFERED.contains(&line) || is_a_scene;
            assert_eq!(has_entry || is_a_scene, expected, "{line}: {what}");
        }
        let mut names: Vec<_> = corpus.iter().map(|entry| &entry.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "a name says which entry it was");
    }
    assert!(LINES.iter().map(|(line, _)| *line).eq(1..=29), "the list's numbers, each once");
}

/// The corpus is worth nothing if a check could get it wrong unnoticed.
#[test]
fn every_mistake_of_the_naive_check_is_noticed() {
    let (corpus, right) = stage::made_up(Algorithm::Es256);
    let ends = stage::ends_at(&corpus[0].token);
    assert_eq!(ends - 1, stage::MADE_UP_NOW + 1, "the proofs are fresh");
    let notices = |naive: &Naive| {
        let say = |token: &str, at| naive.check(token, Shown::default(), at);
        let of_bytes = corpus.iter().find(|entry| {
            let said = || naive.check(&entry.token, entry.shown(), ends - 1);
            (entry.is_replay && said() != Verdict::Active) || said() != entry.expected
        });
        let good = &corpus[0].token;
        let deaf = Naive { heard: false, ..naive.clone() };
        let of_scenes = [
            ("21: the end", say(good, ends), Verdict::Inactive),
            ("21: the second before", say(good, ends - 1), Verdict::Active),
            ("26: not heard", deaf.check(good, Shown::default(), ends - 1), Verdict::Unknown),
        ];
        let of_scenes = of_scenes.into_iter().find(|(_, said, expected)| said != expected);
        of_bytes.map(|entry| entry.name.clone()).or(of_scenes.map(|(name, ..)| name.to_owned()))
    };
    assert_eq!(notices(&right), None, "without a mistake there is nothing to notice");
    for defect in Defect::ALL {
        let naive = Naive { defect: Some(defect), proofs: Arc::default(), ..right.clone() };
        assert!(notices(&naive).is_some(), "{defect:?} goes unnoticed");
    }
}

#[tokio::test]
async fn nothing_is_permitted_revoked_or_told_by_a_hostile_token() {
    let stage = Stage::up(&[]).await;
    let scene = stage.scene(&ORDERS).await;
    let (refunder, orders) = (stage.daemon.at("agents/refunder"), stage.daemon.at("services/orders-api"));
    let hostile =
        |entry: &hostile::Entry| entry.expected == Verdict::Inactive && !LONG_LINES.contains(&entry.line);
    // What is shown beside a token is not asked about here.
    for entry in scene.corpus().into_iter().filter(hostile).filter(|entry| entry.token.len() < 16_384) {
        let (name, token) = (&entry.name, &entry.token);
        let answer = introspect(&orders, "orders", token).await.expect(name);
        assert_eq!(answer, wire::IntrospectTokenResponse::default(), "{name}");
        let answer = orders.checks().authorize(may(token, "orders:read", "order/1")).await.expect(name);
        assert_eq!(answer.into_inner(), wire::AuthorizeResponse::default(), "{name}");
        let there = scene.online.authorize(&**token, "orders:read", Some("order/1")).await.expect(name);
        let here = scene.offline.authorize(token, "orders:read", Some("order/1")).await.expect(name);
        assert_eq!((&here, &there), (&Decision::Inactive, &Decision::Inactive), "{name}");
        // What is bound, and what is for another connector, is its holder's to give back.
        if !matches!(entry.line, 23 | 28 | 29) {
            let request = wire::RevokeTokenRequest { token: token.clone() };
            refunder.tokens().revoke_token(request).await.expect("RFC 7009: success");
        }
    }
    let seen = [
        scene.offline.checker().introspect(&*scene.good, "orders").await,
        scene.online.introspect(&*scene.good, "orders").await,
    ];
    let [here, there] = seen.map(|said| said.expect("an answer").expect("none of it hurt the good one"));
    assert_eq!(here, there, "the very same claims");
}

/// Lines 21, 26 and 25, in this order: a key that is gone takes everything with it.
#[tokio::test]
async fn time_silence_and_lost_keys_are_judged_alike() {
    let stage = Stage::up(&[]).await;
    let mut scene = stage.scene(&ORDERS).await;
    // 21: whole seconds on both sides, so that asking before and after says which side it was.
    let short = scene.issue_for(2).await;
    let ends = stage::ends_at(&short);
    loop {
        let before = now();
        let said = scene.ask(&short, None).await;
        let after = now();
        if after < ends {
            assert_eq!(said, [Verdict::Active; 3], "21: {} s before the end", ends - after);
        }
        if before >= ends {
            assert_eq!(said, [Verdict::Inactive; 3], "21: at the end");
            break;
        }
    }
    // 26
    stage.relay.set(Line::Cut);
    eventually("the lease to run out", || {
        std::future::ready(scene.offline.lease_left().is_none().then_some(()))
    })
    .await;
    scene.naive.heard = false;
    for token in [scene.good.clone(), "x".to_owned()] {
        assert_eq!(scene.ask(&token, None).await, [Verdict::Unknown; 3], "26");
    }
    stage.relay.set(Line::Open);
    scene.offline.ready().await;
    scene.naive.heard = true;
    assert_eq!(scene.ask(&scene.good, None).await, [Verdict::Active; 3], "26: heard again");
    // 25
    stage.revoke_key(&hostile::kid_of(&scene.good)).await;
    let gone = || std::future::ready((!scene.offline.believes(&scene.good)).then_some(()));
    eventually("the key's end to be heard", gone).await;
    let kid = hostile::kid_of(&scene.good);
    scene.naive.jwks = eventually("the key to be gone from what is published", async || {
        let jwks = stage.jwks().await;
        (!jwks.to_string().contains(&kid)).then_some(jwks)
    })
    .await;
    for token in [scene.good.clone(), scene.other.clone(), scene.bound.clone()] {
        assert_eq!(scene.ask(&token, Some(scene.certificate)).await, [Verdict::Inactive; 3], "25");
    }
}

/// Lines 5 and 7: whatever a token names, no check asks anybody for keys, neither there nor at the broker. The keys
/// come with the feed, and a `kid` that is not among them is nobody's: so refreshes cannot be too many.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_token_makes_a_check_connect_anywhere() {
    let stage = Stage::up(&[]).await;
    let scene = stage.scene(&ORDERS).await;
    // Everybody who asks has connected before.
    assert_eq!(scene.ask(&scene.good, None).await, [Verdict::Active; 3]);
    let connections = (stage.relay.accepted(), stage.connections().await);
    let naming = |entry: &hostile::Entry| (5..=8).contains(&entry.line) && entry.token.len() < 16_384;
    let corpus: Vec<_> = scene.corpus().into_iter().filter(naming).collect();
    for line in 5..=8 {
        assert!(corpus.iter().any(|entry| entry.line == line), "{line}");
    }
    for entry in &corpus {
        assert_eq!(scene.ask(&entry.token, None).await, [Verdict::Inactive; 3], "{}", entry.name);
    }
    assert!(!stage.is_sprung(), "somebody came for keys to where a token says");
    let after = (stage.relay.accepted(), stage.connections().await);
    assert_eq!(after, connections, "somebody connected to the broker once more");
    assert_eq!(stage.daemon.connections_begun(), Vec::<String>::new(), "the broker begins no connection");
    // What was asked here would tell.
    let came = std::net::TcpStream::connect(stage.trap().trim_start_matches("http://")).expect("it listens");
    assert!(stage.is_sprung() && !stage.is_sprung());
    assert!(!sockets::begun(std::process::id(), &[]).is_empty(), "{came:?}");
    stage.jwks().await;
    assert_eq!(stage.connections().await, connections.1 + 1);
}

/// Line 25: a key that was retired and nothing more, revoked by nobody.
#[tokio::test]
async fn a_retired_key_verifies_nothing() {
    let mut stage = Stage::up(&[]).await;
    let admin = stage.daemon.operator("admin");
    let made = admin.control().rotate_key(RotateKeyRequest::default()).await.expect("made").into_inner();
    let kid = made.key.expect("a key").kid;
    let key = stage.own_key(Algorithm::Es256, &kid);
    let scene = stage.scene(&ORDERS).await;
    let signed = hostile::signed_again(&scene.good, &key);
    assert_eq!(hostile::kid_of(&signed), kid);
    // Published, it counts: nothing but its end makes the difference.
    assert_eq!(scene.ask(&signed, None).await, [Verdict::Active; 3]);
    let (good, certificate) = (scene.good.clone(), scene.certificate);
    drop(scene);
    // Its private half is lost, and so it goes before its time.
    stage.daemon.terminate().await;
    std::fs::remove_file(stage.key_file(&kid)).expect("a file");
    stage.daemon.up().await;
    stage.relay.lead_to(stage.daemon.addresses().grpc.port());
    eventually("the key to be retired", async || {
        let jwks = stage.jwks().await;
        (!jwks.to_string().contains(&kid)).then_some(())
    })
    .await;
    let scene = stage.scene(&ORDERS).await;
    for (token, expected) in [(&signed, Verdict::Inactive), (&good, Verdict::Active)] {
        assert_eq!(scene.ask(token, Some(certificate)).await, [expected; 3], "25");
    }
}

#[tokio::test]
async fn nobody_revokes_somebody_elses_token() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let token = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    for who in ["agents/reader", "services/orders-api", "globex/bot"] {
        let request = wire::RevokeTokenRequest { token: token.clone() };
        daemon.at(who).tokens().revoke_token(request).await.expect("success, whatever it did");
        assert!(introspect(&orders, "orders", &token).await.expect("an answer").active, "{who}");
    }
}

/// Bugs planted in the very daemon and the very verifier: each has to make the corpus fail.
#[cfg(bug_zoo)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn zoo() {
    use locum_model::bug_zoo::{Bug, plant};
    for bug in std::iter::once(None).chain(Bug::OF_TOKENS.into_iter().map(Some)) {
        let name = bug.map_or_else(String::new, |bug| format!("{bug:?}"));
        let stage = Stage::up(&[("PLANTED_BUG", &name)]).await;
        let scene = stage.scene(&ORDERS).await;
        let short = |entry: &hostile::Entry| !LONG_LINES.contains(&entry.line);
        let corpus: Vec<_> =
            scene.proofs().into_iter().chain(scene.corpus().into_iter().filter(short)).collect();
        plant(bug);
        let wrong = agreed(&scene, &corpus).await;
        plant(None);
        assert_eq!(wrong.is_empty(), bug.is_none(), "{bug:?}: {wrong:#?}");
    }
}
