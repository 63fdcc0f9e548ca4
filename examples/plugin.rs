//! A plugin: refunds one order, with a credential for each call and none afterwards.
//!
//! ```text
//! locumd demo                          # prints the variables below, for the plugin
//! export LOCUM_ADDR=… LOCUM_CA_FILE=… LOCUM_CERT_FILE=… LOCUM_KEY_FILE=…
//! ORDERS_ADDR=127.0.0.1:8080 cargo run --bin plugin -- 1881
//! ```
//!
//! What to copy from here:
//!
//! 1. Open a task for the bounded piece of work and declare the most that it will do. Policy
//!    decides now, before anything is touched.
//! 2. Get a token per call, for that call alone, through a `TokenSource`: it keeps a token while it
//!    is good and renews it in time. Tokens never go into a variable of the environment, a prompt
//!    or a log.
//! 3. End the task and say how it came out. From then on its tokens are dead everywhere, copies
//!    included. A plugin that crashes instead loses its lease, which comes to the same.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::error::Error;
use std::process::ExitCode;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use locum_sdk::{Client, Outcome, Task, Token};
use tokio::net::TcpStream;

type Failure = Box<dyn Error>;

#[tokio::main]
async fn main() -> ExitCode {
    let order = std::env::args().nth(1).unwrap_or_else(|| "1881".to_owned());
    match work(&order).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // What Locum refuses says why, and what would help. Programs decide by `Error::reason`.
            match failure.downcast_ref::<locum_sdk::Error>().and_then(locum_sdk::Error::reason) {
                Some(reason) => eprintln!("refused: {reason}: {failure}"),
                None => eprintln!("{failure}"),
            }
            ExitCode::FAILURE
        }
    }
}

async fn work(order: &str) -> Result<(), Failure> {
    let orders_addr = std::env::var("ORDERS_ADDR")?;
    let client = Client::from_env()?;
    let resource = format!("order/{order}");
    let task = client
        .task("refund-order")
        .scope("orders:read", [&resource])
        .scope("orders:refund", [&resource])
        .justification("the customer sent it back")
        .start()
        .await?;
    println!("{} started", task.id());

    // The task ends in both cases, with the truth about how it came out.
    let done = refund(&task, &orders_addr, order).await;
    let outcome = if done.is_ok() { Outcome::Completed } else { Outcome::Failed };
    let view = task.end(outcome).await?;
    println!("{} {}", view.task, view.state.as_str());
    done
}

/// Looks at the order, then refunds it: two calls, two tokens, neither good for the other call.
async fn refund(task: &Task, orders_addr: &str, order: &str) -> Result<(), Failure> {
    let resource = format!("order/{order}");
    let reads = task.token("orders").scope("orders:read", [&resource]).source()?;
    let refunds = task.token("orders").scope("orders:refund", [&resource]).source()?;

    // `apply` calls once more with a new token when the API refused the first.
    let path = format!("/orders/{order}");
    let shown = reads.apply(|token| call(orders_addr, Method::GET, path.clone(), token)).await??;
    println!("{}", told(shown).await?);
    let path = format!("/orders/{order}/refund");
    let refunded = refunds.apply(|token| call(orders_addr, Method::POST, path.clone(), token)).await??;
    println!("{}", told(refunded).await?);
    Ok(())
}

/// One HTTP request with the token. Your HTTP library does this; `token.header()` is what it needs.
async fn call(
    addr: &str,
    method: Method,
    path: String,
    token: Token,
) -> Result<Response<hyper::body::Incoming>, Failure> {
    let stream = TokioIo::new(TcpStream::connect(addr).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, addr)
        .header(AUTHORIZATION, token.header())
        .body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?)
}

/// What a good answer says; anything else is an error.
async fn told(answer: Response<hyper::body::Incoming>) -> Result<String, Failure> {
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&body).trim().to_owned();
    if status.is_success() { Ok(text) } else { Err(format!("the orders API answered {status}").into()) }
}
