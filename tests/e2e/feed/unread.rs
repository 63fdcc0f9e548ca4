//! Streams that nothing is read of, on connections that live.

use std::time::Duration;

use locum_api::admin::v1::ListVerifiersRequest;
use locum_api::admin::v1::selector::Target;
use locum_model::Reason;
use locum_tests::follower::{Follower, hello, open};
use locum_tests::refused::reason;
use locum_tests::wait::eventually;
use locum_tests::work::revoke;
use locum_tests::{Daemon, Party, Site, plain_http};

use super::end_of;
use crate::LOCUMD;

/// Less than the first frame has: the stream comes to a stand within it.
const NARROW: u32 = 64;
/// Between two frames of somebody who reads slowly: longer than between two looks of the broker.
const SLOWLY: Duration = Duration::from_millis(1_300);

async fn connected(operator: &Party) -> usize {
    let listed = operator.inspection().list_verifiers(ListVerifiersRequest::default()).await;
    let verifiers = listed.expect("listed").into_inner().verifiers;
    verifiers.iter().filter(|verifier| verifier.connected).count()
}

/// Reads one frame after the other, a little at a time, and always has the next one waiting.
async fn read_slowly(mut follower: Follower) -> ! {
    loop {
        follower.ping().await;
        follower.next().await;
        tokio::time::sleep(SLOWLY).await;
    }
}

/// It has room for nothing, so that the broker is never asked what it has to say: its connection answers, its
/// pings come, and still it is ended. Others on the same connection, some of them slow, are not.
#[tokio::test]
async fn who_reads_nothing_is_ended_and_nobody_else_is() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let operator = daemon.operator("operator");
    let narrow = daemon.at_window("services/mail-api", NARROW);
    let mut good = Follower::new(&daemon, &daemon.at("services/mail-api"), "mail").await.expect("served");
    let slow = Follower::new(&daemon, &narrow, "mail").await.expect("served");
    let (pings, mut frames) = open(&narrow, hello("mail")).await.expect("served");
    let slow = tokio::spawn(read_slowly(slow));
    good.beat().await;
    assert_eq!(connected(&operator).await, 3);
    eventually("the end of who reads nothing", || async {
        // Something waits for it all the while.
        let _full = pings.try_send(hello("mail"));
        (connected(&operator).await < 3).then_some(())
    })
    .await;
    assert_eq!(connected(&operator).await, 2);
    let text = plain_http::metrics(&daemon).await.body;
    assert!(text.contains("locum_feed_followers_cut_total 1\n"), "{text}");
    assert!(daemon.log().contains("a follower reads nothing and was cut off"));
    // The others go on: what is revoked now, they hear.
    operator.revocation().revoke(revoke(Target::Workload("reader".to_owned()))).await.expect("revoked");
    while good.dead.is_empty() {
        good.next().await;
    }
    assert!(!slow.is_finished(), "slow, but it reads");
    slow.abort();
    // And whoever comes to read at last hears what became of its stream.
    assert_eq!(reason(end_of(&mut frames).await), Reason::FollowerTooSlow);
}
