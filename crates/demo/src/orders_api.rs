//! The sample API: two routes over orders, each behind the SDK's [`CheckLayer`].
//!
//! To the broker it is a client like any other, with its own certificate. To its callers it speaks
//! plain HTTP, which is right on loopback alone: everywhere else an API ends TLS before it reads a
//! token.

use axum::Router;
use axum::extract::Path;
use axum::http::request::Parts;
use axum::routing::{get, post};
use locum_sdk::{CheckLayer, Checker, Client, Error, VerifiedToken};
use tokio::net::TcpListener;

/// The routes and what each demands.
pub(crate) fn routes(client: Client) -> Result<Router, Error> {
    let checker = Checker::new(client);
    let demand =
        |operation: &str| Ok::<_, Error>(CheckLayer::operation(checker.clone(), operation)?.resource(order));
    Ok(Router::new()
        .route("/orders/{id}", get(show).layer(demand("orders:read")?))
        .route("/orders/{id}/refund", post(refund).layer(demand("orders:refund")?)))
}

/// Serves until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    let served = axum::serve(listener, routes).with_graceful_shutdown(stop).await;
    served.map_err(|error| error.to_string())
}

/// `/orders/1881/refund` touches `order/1881`.
fn order(request: &Parts) -> Option<String> {
    let id = request.uri.path().strip_prefix("/orders/")?.split('/').next()?;
    Some(format!("order/{id}"))
}

async fn show(token: VerifiedToken, Path(id): Path<String>) -> String {
    format!("order {id}: 2 items, paid; shown for {}\n", token.task())
}

async fn refund(token: VerifiedToken, Path(id): Path<String>) -> String {
    format!("order {id} refunded for {}\n", token.task())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_order() {
        for (path, expected) in [
            ("/orders/1881/refund", Some("order/1881")),
            ("/orders/1881", Some("order/1881")),
            ("/orders/", Some("order/")),
            ("/other/1881", None),
        ] {
            let request = axum::http::Request::builder().uri(path).body(()).expect("a request");
            assert_eq!(order(&request.into_parts().0).as_deref(), expected, "{path}");
        }
    }
}
