//! Followers that show what cannot be, ask too much, or are too many.

use locum_api::admin::v1::selector::Target;
use locum_api::broker::v1 as wire;
use locum_api::feed::{acknowledgement_to_wire, decode, encode, signing_input};
use locum_model::feed::{Acknowledgement, Body, Frame};
use locum_model::limits::FOLLOWS_PER_WORKLOAD_MAX;
use locum_model::registry::Algorithm;
use locum_model::{Level, Reason};
use locum_tests::follower::{Follower, hello, open};
use locum_tests::hostile::stranger;
use locum_tests::refused::reason;
use locum_tests::work::{random, revoke};
use locum_tests::{Daemon, Party, Site, plain_http};

use super::end_of;
use crate::LOCUMD;

/// A follower of mail that knows one delta.
async fn brought_on(daemon: &Daemon, mail: &Party) -> Follower {
    let mut follower = Follower::new(daemon, mail, "mail").await.expect("served");
    follower.beat().await;
    let target = Target::Workload("reader".to_owned());
    daemon.operator("operator").revocation().revoke(revoke(target)).await.expect("revoked");
    while !follower.dead.keys().any(|(level, _)| *level == Level::Workload) {
        follower.next().await;
    }
    follower
}

#[tokio::test]
async fn a_position_that_was_never_told_is_refused_and_shouted_about() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let mail = daemon.at("services/mail-api");
    let at = brought_on(&daemon, &mail).await.at;
    let impossible = [
        Acknowledgement { sequence: at.sequence + 1, ..at },
        Acknowledgement { sequence: at.sequence + 1_000, ..at },
        Acknowledgement { sequence: (1 << 48) - 1, ..at },
        Acknowledgement { epoch: at.epoch + 1, ..at },
        Acknowledgement { epoch: u32::MAX, sequence: 1, ..at },
        Acknowledgement { head: [0; 32], ..at },
    ];
    for shown in impossible {
        let acknowledgement = Some(acknowledgement_to_wire(shown));
        let first = wire::WatchRevocationsRequest { acknowledgement, ..hello("mail") };
        let refusal = open(&mail, first).await.map(drop).expect_err("refused");
        assert_eq!(refusal.code(), tonic::Code::OutOfRange, "{shown:?}");
        let head: String = at.head.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(refusal.message().contains(&head) || has_detail(&refusal, &head), "{refusal:?}");
        assert_eq!(reason::<()>(Err(refusal)), Reason::FeedPositionInvalid);
    }
    // The same in the middle of a stream.
    let (pings, mut frames) = open(&mail, hello("mail")).await.expect("served");
    let shown = Acknowledgement { sequence: at.sequence + 7, ..at };
    let acknowledgement = Some(acknowledgement_to_wire(shown));
    let nonce = random::<16>().to_vec();
    pings
        .send(wire::WatchRevocationsRequest { nonce, acknowledgement, ..Default::default() })
        .await
        .expect("room");
    assert_eq!(reason(end_of(&mut frames).await), Reason::FeedPositionInvalid);
    let text = plain_http::metrics(&daemon).await.body;
    assert!(text.contains("locum_feed_history_witnesses_total 7"), "{text}");
    assert!(daemon.log().contains("history was lost or forked"));
}

/// Only what a key of the feed signed proves that history was lost, and only where it is beyond the journal's end.
#[tokio::test]
async fn nobody_stops_a_broker_with_a_witness_that_he_made_up() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let mail = daemon.at("services/mail-api");
    let mut follower = brought_on(&daemon, &mail).await;
    follower.ping().await;
    let good = loop {
        let frame = follower.frames.message().await.expect("no failure").expect("a frame");
        if matches!(decode(&frame.payload).expect("a frame").body, Body::Heartbeat { nonce: Some(_), .. }) {
            break frame;
        }
    };
    let said = decode(&good.payload).expect("a frame");
    let beyond = |sequence: u64, epoch: u32| encode(&Frame { sequence, epoch, ..said.clone() });
    let (next, later) = (beyond(said.sequence + 1_000, said.epoch), beyond(said.sequence, said.epoch + 1));
    let key = stranger(Algorithm::Es256);
    let by_stranger = |payload: &[u8]| wire::WatchRevocationsResponse {
        payload: payload.to_vec().into(),
        kid: key.public().thumbprint().0.to_vec().into(),
        signature: key.sign(&signing_input(payload)).expect("randomness").into(),
    };
    let with = |payload: Vec<u8>| wire::WatchRevocationsResponse { payload: payload.into(), ..good.clone() };
    for witness in [
        good.clone(),
        with(next.clone()),
        with(later),
        by_stranger(&next),
        wire::WatchRevocationsResponse { kid: good.kid.clone(), ..by_stranger(&next) },
        wire::WatchRevocationsResponse { signature: Vec::new().into(), ..with(next) },
        wire::WatchRevocationsResponse { kid: vec![0; 31].into(), ..good.clone() },
        wire::WatchRevocationsResponse::default(),
        with(vec![0xff; 4_096]),
    ] {
        let first = wire::WatchRevocationsRequest { witness: Some(witness), ..hello("mail") };
        let (_pings, mut frames) = open(&mail, first).await.expect("served as anybody");
        frames.message().await.expect("no failure").expect("a frame");
    }
    follower.ping().await;
    follower.beat().await;
    assert!(!daemon.log().contains("put back"));
}

fn has_detail(refusal: &tonic::Status, text: &str) -> bool {
    String::from_utf8_lossy(refusal.details()).contains(text)
}

#[tokio::test]
async fn what_may_be_of_another_time_gets_everything() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let mail = daemon.at("services/mail-api");
    let mut follower = brought_on(&daemon, &mail).await;
    let (at, dead) = (follower.at, follower.dead.clone());
    for shown in [
        Acknowledgement { epoch: 0, ..at },
        Acknowledgement { sequence: 0, ..at },
        Acknowledgement { sequence: 1, head: [9; 32], ..at },
    ] {
        follower.at = shown;
        follower.again(&mail, "mail").await.expect("served");
        assert!(matches!(follower.next().await.body, Body::KeySet { .. }), "before what they sign");
        assert_eq!(follower.next().await.body, Body::Reset, "{shown:?}");
        follower.beat().await;
        assert_eq!((follower.at, &follower.dead), (at, &dead));
    }
}

#[tokio::test]
async fn a_flood_of_pings_makes_only_its_own_pings_late() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let mail = daemon.at("services/mail-api");
    let mut calm = brought_on(&daemon, &mail).await;
    let mut flooding = Follower::new(&daemon, &daemon.at("services/mail-api"), "mail").await.expect("served");
    flooding.beat().await;
    let pings = flooding.pings.clone();
    let flood = tokio::spawn(async move {
        for _ in 0..5_000 {
            let nonce = random::<16>().to_vec();
            let ping = wire::WatchRevocationsRequest { nonce, ..Default::default() };
            if pings.send(ping).await.is_err() {
                return;
            }
        }
    });
    let mut answers = 0;
    while !flood.is_finished() {
        calm.ping().await;
        calm.beat().await;
        // Its answers are read too: it is not slow, it only asks a lot.
        let said = flooding.next().await;
        answers += usize::from(matches!(said.body, Body::Heartbeat { nonce: Some(_), .. }));
    }
    flood.await.expect("done");
    flooding.ping().await;
    flooding.beat().await;
    assert!(answers < 2_500, "pings are answered together: {answers}");
}

#[tokio::test]
async fn followers_of_one_workload_are_counted() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let mut open_streams = Vec::new();
    let parties = [daemon.at("services/mail-api"), daemon.at("services/mail-api")];
    for at in 0..FOLLOWS_PER_WORKLOAD_MAX {
        let connector = if at % 3 == 0 { "wiki" } else { "mail" };
        open_streams.push(open(&parties[at % 2], hello(connector)).await.expect("served"));
    }
    let refusal = open(&parties[0], hello("mail")).await.map(drop);
    assert_eq!(reason(refusal), Reason::QuotaExceeded);
    let text = plain_http::metrics(&daemon).await.body;
    // One snapshot of two frames for each partition, and not one for each follower.
    let made = text.lines().find(|line| line.starts_with("locum_feed_frames_total{kind=\"snapshot\"}"));
    let made: u64 = made.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("counted");
    assert!(made < 100, "{made} frames for {FOLLOWS_PER_WORKLOAD_MAX} followers");
}
