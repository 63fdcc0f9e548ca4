//! A backend API: each route says what a token must cover, and Locum's client checks it.
//!
//! ```text
//! export LOCUM_ADDR=… LOCUM_CA_FILE=… LOCUM_CERT_FILE=… LOCUM_KEY_FILE=…   # the API's own
//! ORDERS_LISTEN=127.0.0.1:8080 cargo run --bin orders_api
//! ```
//!
//! With `LOCUM_CHECK=offline`, `LOCUM_ISSUER` and `LOCUM_FEED_ROOT` besides, tokens are checked in this
//! process, which follows the revocation feed. Nothing else changes.
//!
//! What to copy from here:
//!
//! 1. The API is a workload like any other: its certificate proves who it is, and the registry says
//!    which connectors it `serves`. It is told about tokens for those alone.
//! 2. One [`CheckLayer`] per route names the operation and the resource that the request touches.
//!    The answers 401, 403 and 503 are the layer's; when the broker cannot be asked, nobody passes.
//! 3. A handler that takes a [`VerifiedToken`] cannot run unchecked: without the layer it answers
//!    500. What the token says about the caller is for the API's own log.
//!
//! It speaks plain HTTP, so that the example stays small: listen on loopback, or put TLS before it.

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::request::Parts;
use axum::routing::{get, post};
use locum_sdk::{CheckLayer, Checker, VerifiedToken};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    let listen = setting("ORDERS_LISTEN", "127.0.0.1:8080");
    let checker = Checker::from_env("orders", &setting("ORDERS_AUDIENCE", "https://orders.acme.test"))?;
    checker.ready(Duration::from_secs(10)).await?;
    let reads = CheckLayer::operation(checker.clone(), "orders:read")?.resource(order);
    let refunds = CheckLayer::operation(checker, "orders:refund")?.resource(order);
    let routes = Router::new()
        .route("/orders/{id}", get(show).layer(reads))
        .route("/orders/{id}/refund", post(refund).layer(refunds));

    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, routes).await?;
    Ok(())
}

/// The resource of a request: `/orders/1881/refund` touches `order/1881`. Without one, only a token
/// for all resources would pass.
fn order(request: &Parts) -> Option<String> {
    let id = request.uri.path().strip_prefix("/orders/")?.split('/').next()?;
    Some(format!("order/{id}"))
}

async fn show(Path(id): Path<String>, token: VerifiedToken) -> String {
    format!("order {id}: 2 items, paid (shown to {})", token.client_id())
}

async fn refund(Path(id): Path<String>, token: VerifiedToken) -> String {
    println!("order {id} refunded: token {}, {}", token.jti(), token.task());
    format!("order {id} refunded")
}
