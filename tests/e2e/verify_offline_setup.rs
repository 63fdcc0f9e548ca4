//! The offline check as its owner sets it up: several brokers, another clock, a bound for each connector,
//! metrics; and the layer before a gRPC server, online and offline.

use std::future::ready as now;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use locum_api::broker::v1 as wire;
use locum_api::broker::v1::identity_service_client::IdentityServiceClient;
use locum_api::broker::v1::identity_service_server::{IdentityService, IdentityServiceServer};
use locum_api::broker::v1::task_service_client::TaskServiceClient;
use locum_model::Timestamp;
use locum_sdk::{
    CheckAnswer, CheckLayer, Checker, Client, Error, Inactive, Moment, Need, Unknown, VerifiedToken, Verifier,
};
use locum_tests::backend::{options, orders, ready};
use locum_tests::clock::boottime;
use locum_tests::follower::Follower;
use locum_tests::work::{begin, grant, issue, now as seconds_now};
use locum_tests::{Daemon, Line, Relay, Site, eventually};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};

use crate::LOCUMD;

/// A daemon whose `orders` may be answered for so long without hearing from it.
async fn daemon(bound: &str) -> Daemon {
    let site = Site::new();
    let audience = "audience = \"https://orders.acme.test\"";
    site.edit("registry.toml", audience, &format!("{audience}\nstaleness_bound = \"{bound}\""));
    Daemon::start(LOCUMD, site).await
}

/// A token for `order/1`, and the task's end that ends it.
async fn token(daemon: &Daemon) -> (String, wire::EndTaskRequest) {
    let refunder = daemon.at("agents/refunder");
    let task = begin(daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let issued = issue(daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued");
    (issued.token, task.end())
}

#[tokio::test]
async fn another_broker_takes_over_and_nobody_notices() {
    // No lease ends by itself here: whatever ends a token was heard.
    let daemon = daemon("60s").await;
    let port = daemon.addresses().grpc.port();
    let relays = [Relay::to(port).await, Relay::to(port).await];
    let mut both = orders(&daemon, &relays[0]).await;
    both.brokers.push(options(&daemon, "services/orders-api", &relays[1].addr()));
    let verifier = ready(both).await;
    for (cut, left) in [(0, 1), (1, 0)] {
        let (token, end) = token(&daemon).await;
        assert!(matches!(verifier.check(&*token), CheckAnswer::Active(_)));
        relays[cut].set(Line::Cut);
        relays[left].set(Line::Open);
        daemon.at("agents/refunder").tasks().end_task(end).await.expect("ended");
        let heard = || {
            now(match verifier.check(&*token) {
                CheckAnswer::Active(_) => None,
                CheckAnswer::Inactive(inactive) => Some(inactive),
                CheckAnswer::Unknown(unknown) => unreachable!("the lease is long: {unknown}"),
            })
        };
        let inactive = eventually("the end to be heard from the other", heard).await;
        assert!(matches!(inactive, Inactive::Revoked(_)), "{inactive}");
    }
    relays.iter().for_each(|relay| relay.set(Line::Cut));
    let first_and_second = relays.each_ref().map(Relay::addr);
    for addr in first_and_second {
        let named = || now(verifier.trouble().filter(|trouble| trouble.contains(&addr)));
        eventually("the trouble to name its broker", named).await;
    }
}

/// An address behind which another broker answers, one with a record and a root of its own: it vouches for
/// nothing, and the verifier goes back to the one that it is pinned to.
#[tokio::test]
async fn an_address_of_another_broker_is_no_spare() {
    let (daemon, other) = (daemon("2s").await, Daemon::start(LOCUMD, Site::new()).await);
    let (own, foreign) =
        (Relay::to(daemon.addresses().grpc.port()).await, Relay::to(other.addresses().grpc.port()).await);
    let mut both = orders(&daemon, &own).await;
    both.brokers.push(options(&other, "services/orders-api", &foreign.addr()));
    let verifier = ready(both).await;
    let ((live, _), (dead, end)) = (token(&daemon).await, token(&daemon).await);
    let (strange, _) = token(&other).await;
    assert!(matches!(verifier.check(&*dead), CheckAnswer::Active(_)));
    own.set(Line::Cut);
    daemon.at("agents/refunder").tasks().end_task(end).await.expect("ended");
    let pinned = || now(verifier.trouble().filter(|trouble| trouble.contains("is pinned")));
    eventually("the other broker to be named", pinned).await;
    eventually("the lease to run out", || now(verifier.figures().lease_left.is_none().then_some(()))).await;
    for token in [&live, &dead, &strange] {
        assert!(matches!(verifier.check(&**token), CheckAnswer::Unknown(_)), "nobody vouches for it");
    }
    own.set(Line::Open);
    let answer = || now(matches!(verifier.check(&*live), CheckAnswer::Active(_)).then_some(()));
    eventually("the live token to be active again", answer).await;
    for token in [&dead, &strange] {
        assert!(!matches!(verifier.check(&**token), CheckAnswer::Active(_)), "dead, or of nobody");
    }
}

/// The machine's clocks, off by what a test wishes.
#[derive(Default)]
struct Off {
    wall_millis: AtomicI64,
    elapsed_millis: AtomicU64,
}

impl Off {
    fn moment(&self) -> Moment {
        let millis = seconds_now() * 1_000 + self.wall_millis.load(Ordering::Relaxed);
        let slept = Duration::from_millis(self.elapsed_millis.load(Ordering::Relaxed));
        Moment { wall: Timestamp::from_millis(millis), elapsed: boottime() + slept }
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_named_and_one_that_is_set_right_is_believed() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let relay = Relay::to(daemon.addresses().grpc.port()).await;
    let (token, _end) = token(&daemon).await;
    let off = Arc::new(Off::default());
    off.wall_millis.store(120_000, Ordering::Relaxed);
    let clock = Arc::clone(&off);
    let verifier = Verifier::start_by(move || clock.moment(), orders(&daemon, &relay).await).expect("good");
    let told = || now(verifier.trouble().filter(|trouble| trouble.contains("clock")));
    eventually("the clock to be named", told).await;
    let error = verifier.ready(Duration::ZERO).await.expect_err("by that clock nothing can be said");
    let text = error.to_string();
    assert!(matches!(error, Error::Stale(_)) && text.contains("this machine's clock is 1"), "{text}");
    for (wall_millis, ahead) in [(120_000, true), (-120_000, false)] {
        off.wall_millis.store(wall_millis, Ordering::Relaxed);
        let CheckAnswer::Unknown(Unknown::Clock { ahead_millis }) = verifier.check(&*token) else {
            unreachable!("the clock is off by {wall_millis} ms")
        };
        assert!(ahead_millis.abs() > 110_000 && (ahead_millis > 0) == ahead, "{ahead_millis}");
    }
    off.wall_millis.store(0, Ordering::Relaxed);
    verifier.ready(Duration::from_secs(20)).await.expect("the clock is right");
    assert!(matches!(verifier.check(&*token), CheckAnswer::Active(_)));
    eventually("no trouble to be left", || now(verifier.trouble().is_none().then_some(()))).await;
    assert!(verifier.figures().clock_ahead_millis.is_some_and(|ahead| ahead.abs() < 5_000));
}

#[tokio::test]
async fn a_machine_that_slept_knows_nothing_when_it_wakes() {
    let daemon = daemon("30s").await;
    let relay = Relay::to(daemon.addresses().grpc.port()).await;
    let (token, _end) = token(&daemon).await;
    let off = Arc::new(Off::default());
    let clock = Arc::clone(&off);
    let verifier = Verifier::start_by(move || clock.moment(), orders(&daemon, &relay).await).expect("good");
    verifier.ready(Duration::from_secs(20)).await.expect("the feed is heard");
    assert!(matches!(verifier.check(&*token), CheckAnswer::Active(_)));
    off.elapsed_millis.store(600_000, Ordering::Relaxed);
    assert_eq!(verifier.check(&*token), CheckAnswer::Unknown(Unknown::LeaseOver), "the very first answer");
    verifier.ready(Duration::from_secs(20)).await.expect("it hears again");
    assert!(matches!(verifier.check(&*token), CheckAnswer::Active(_)));
}

#[tokio::test]
async fn each_connector_has_its_own_bound() {
    let daemon = daemon("750ms").await;
    let bounds = [("services/orders-api", "orders", 750), ("services/mail-api", "mail", 2_000)];
    for (who, connector, millis) in bounds {
        let mut follower = Follower::new(&daemon, &daemon.at(who), connector).await.expect("served");
        assert_eq!(follower.beat().await, Duration::from_millis(millis), "{connector}");
    }
    let relay = Relay::to(daemon.addresses().grpc.port()).await;
    let verifier = ready(orders(&daemon, &relay).await).await;
    let figures = verifier.figures();
    assert!(figures.lease_left.is_none_or(|left| left <= Duration::from_millis(750)), "{figures:?}");
    let metrics = verifier.metrics();
    assert!(metrics.contains("locum_verifier_feed_sequence{connector=\"orders\",home=\""), "{metrics}");
}

// === the layer before a gRPC server ===

/// Says on whose token it was called.
struct Backend;

#[tonic::async_trait]
impl IdentityService for Backend {
    async fn who_am_i(
        &self,
        request: Request<wire::WhoAmIRequest>,
    ) -> Result<Response<wire::WhoAmIResponse>, Status> {
        let token = request.extensions().get::<VerifiedToken>();
        let token = token.ok_or_else(|| Status::internal("called without a check"))?;
        let spiffe_id = token.client_id().to_owned();
        Ok(Response::new(wire::WhoAmIResponse { spiffe_id, ..wire::WhoAmIResponse::default() }))
    }
}

/// A gRPC server behind the layer: its one method touches the order that a header names.
async fn serve(checker: Checker) -> Channel {
    let rule = |parts: &http::request::Parts| {
        let order = parts.headers.get("x-order")?.to_str().ok()?;
        let operation = "orders:read".parse().expect("an operation");
        let is_served = parts.uri.path() == "/locum.broker.v1.IdentityService/WhoAmI";
        is_served.then(|| Need { operation, resource: Some(format!("order/{order}")) })
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut server = Server::builder().layer(CheckLayer::by_route(checker, rule));
    let server = server.add_service(IdentityServiceServer::new(Backend));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy()
}

fn asking<T: Default>(order: &str, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(T::default());
    request.metadata_mut().insert("x-order", order.parse().expect("a header"));
    if let Some(token) = token {
        let bearer = format!("Bearer {token}").parse().expect("a header");
        request.metadata_mut().insert("authorization", bearer);
    }
    request
}

#[tokio::test]
async fn the_layer_stands_before_a_grpc_server_online_and_offline() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let relay = Relay::to(daemon.addresses().grpc.port()).await;
    let client = Client::connect(&options(&daemon, "services/orders-api", &relay.addr())).expect("good");
    let verifier = ready(orders(&daemon, &relay).await).await;
    let (live, _end) = token(&daemon).await;
    let (dead, end) = token(&daemon).await;
    assert!(matches!(verifier.check(&*dead), CheckAnswer::Active(_)));
    daemon.at("agents/refunder").tasks().end_task(end).await.expect("ended");
    let gone = || now(matches!(verifier.check(&*dead), CheckAnswer::Inactive(_)).then_some(()));
    eventually("the end to be heard", gone).await;
    let ways = [Checker::online(client), Checker::offline(verifier.clone())];
    let servers = [serve(ways[0].clone()).await, serve(ways[1].clone()).await];
    for server in &servers {
        let mut backend = IdentityServiceClient::new(server.clone());
        let told = backend.who_am_i(asking("1", Some(&live))).await.expect("let through").into_inner();
        assert_eq!(told.spiffe_id, "spiffe://acme.test/agents/refunder");
        for (order, token, code) in [
            ("2", Some(&*live), Code::PermissionDenied),
            ("1", Some(&dead), Code::Unauthenticated),
            ("1", Some("x"), Code::Unauthenticated),
            ("1", None, Code::Unauthenticated),
            ("*", Some(&live), Code::PermissionDenied),
        ] {
            let refused = backend.who_am_i(asking(order, token)).await.expect_err("stopped");
            assert_eq!(refused.code(), code, "{order} {token:?}: {refused}");
        }
        // A method that no rule speaks of, whoever asks.
        let mut other = TaskServiceClient::new(server.clone());
        let refused = other.list_tasks(asking("1", Some(&live))).await.expect_err("stopped");
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    }
    relay.set(Line::Cut);
    eventually("the lease to run out", || now(verifier.figures().lease_left.is_none().then_some(()))).await;
    for server in servers {
        let mut backend = IdentityServiceClient::new(server);
        let refused = backend.who_am_i(asking("1", Some(&live))).await.expect_err("nobody knows");
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    }
}
