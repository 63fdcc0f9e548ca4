//! Hostile token bytes: every class answers the same, to the byte, and says nothing.

use locum_api::broker::v1 as wire;
use locum_tests::work::{begin, grant, introspect, issue, may};
use locum_tests::{Daemon, hostile, plain_http};

use crate::LOCUMD;

#[tokio::test]
async fn every_class_gets_the_one_answer() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let good = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    let jwks = plain_http::get(&daemon, "/.well-known/jwks.json", &[]).await.body;
    let dead = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    refunder.tokens().revoke_token(wire::RevokeTokenRequest { token: dead.clone() }).await.expect("revoked");
    let mut all = hostile::tokens(&good, &jwks);
    all.push(("a revoked token", dead));
    for (class, token) in all {
        let answer = introspect(&orders, "orders", &token).await.expect(class);
        assert_eq!(answer, wire::IntrospectTokenResponse::default(), "{class}");
        let answer = orders.checks().authorize(may(&token, "orders:read", "order/1")).await.expect(class);
        assert_eq!(answer.into_inner(), wire::AuthorizeResponse::default(), "{class}");
        refunder.tokens().revoke_token(wire::RevokeTokenRequest { token }).await.expect("RFC 7009: success");
    }
    let answer = introspect(&orders, "orders", &good).await.expect("an answer");
    assert!(answer.active, "none of it hurt the good one");
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
