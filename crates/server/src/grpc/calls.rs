//! [`Calls`]: the requests of one connection, each with a bound on its time and an account of how it ended.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use locum_model::limits::{REQUEST_TIMEOUT, REQUESTS_PER_CONNECTION_MAX};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service as _;

use super::message::Said;
use crate::accept::Remote;
use crate::tasks::RunCalls;

/// What answers the requests of all connections.
pub trait Answers: Send + Sync + 'static {
    /// What is kept of a request until it is answered.
    type Account: Account;

    /// Takes note of a request.
    fn begin(self: &Arc<Self>, request: &Request<Incoming>) -> Self::Account;

    /// Takes a request up. Called where the connection is read: it must not block.
    fn answer(
        self: &Arc<Self>,
        remote: &Remote,
        request: Request<Incoming>,
        account: &Self::Account,
    ) -> Answering;
}

/// Hears how a request ended, whoever ended it: every request ends here exactly once.
pub trait Account: Send + Unpin + 'static {
    /// It was answered with `code`, or its caller went away.
    fn answered(self, code: Code);

    /// It was refused before its answer came.
    fn refused(self, status: &Status);
}

/// An answer, or what becomes one.
pub enum Answering {
    /// There is nothing to wait for.
    Now(Response<Said>),
    /// It is waited for, in a task of its own.
    Later(Pin<Box<dyn Future<Output = Response<Said>> + Send>>),
}

/// Generated services, with nothing before them and nobody who counts.
pub struct Routed(pub Routes);

/// The requests of one connection.
pub(super) struct Calls<A> {
    answers: Arc<A>,
    remote: Remote,
    run: RunCalls,
    places: Arc<Semaphore>,
}

/// One request on its way to its response. The time that a stream takes after its first answer is not bounded
/// here: streams end by lease, by shutdown or by their peer.
pub(super) enum Call<T: Account> {
    Now(Option<Response<Said>>),
    Later {
        answer: Pin<Box<dyn Future<Output = Response<Said>> + Send>>,
        account: Unanswered<T>,
        within: Duration,
        /// Made when it turns out that there is something to wait for.
        late: Option<Pin<Box<Sleep>>>,
        _place: OwnedSemaphorePermit,
    },
}

/// An account that hears, when it is dropped, that its request was given up.
pub(super) struct Unanswered<T: Account>(Option<T>);

// === impl Answering ===

impl Answering {
    /// There is nothing to wait for.
    pub(crate) fn now(answer: Result<Response<Said>, Status>) -> Self {
        Self::Now(answer.unwrap_or_else(Status::into_http))
    }

    /// The answer that comes of `answer`.
    pub(crate) fn later(
        answer: impl Future<Output = Result<Response<Said>, Status>> + Send + 'static,
    ) -> Self {
        // Not an async block: it would hold the future twice.
        Self::Later(Box::pin(answer.map(|answer| answer.unwrap_or_else(Status::into_http))))
    }

    /// The answer of whichever of these generated services a request is for.
    pub(crate) fn routed(routes: &Routes, request: Request<Body>) -> Self {
        Self::generated(routes.clone().call(request).map(|answer| match answer {
            Ok(response) => response,
            Err(never) => match never {},
        }))
    }

    /// The answer of a generated service.
    pub(crate) fn generated(answer: impl Future<Output = Response<Body>> + Send + 'static) -> Self {
        Self::Later(Box::pin(answer.map(|response| response.map(Said::from))))
    }
}

// === impl Routed ===

impl Answers for Routed {
    type Account = ();

    fn begin(self: &Arc<Self>, _request: &Request<Incoming>) {}

    fn answer(self: &Arc<Self>, _remote: &Remote, request: Request<Incoming>, _account: &()) -> Answering {
        Answering::routed(&self.0, request.map(Body::new))
    }
}

impl Account for () {
    fn answered(self, _code: Code) {}

    fn refused(self, _status: &Status) {}
}

// === impl Calls ===

impl<A: Answers> Calls<A> {
    pub(super) fn new(answers: Arc<A>, remote: Remote, run: RunCalls) -> Self {
        let places = Arc::new(Semaphore::new(REQUESTS_PER_CONNECTION_MAX));
        Self { answers, remote, run, places }
    }
}

impl<A: Answers> hyper::service::Service<Request<Incoming>> for Calls<A> {
    type Response = Response<Said>;
    type Error = Infallible;
    type Future = Call<A::Account>;

    fn call(&self, request: Request<Incoming>) -> Call<A::Account> {
        let within = time_for(request.headers());
        let account = self.answers.begin(&request);
        let answering = caught(|| self.answers.answer(&self.remote, request, &account));
        self.call_of(answering, account, within)
    }
}

impl<A> Calls<A> {
    fn call_of<T: Account>(&self, answering: Answering, account: T, within: Duration) -> Call<T> {
        match answering {
            Answering::Now(response) => {
                account.answered(code_of(&response));
                self.run.next_at_once();
                Call::Now(Some(response))
            }
            Answering::Later(answer) => match Arc::clone(&self.places).try_acquire_owned() {
                Ok(place) => {
                    let account = Unanswered(Some(account));
                    Call::Later { answer, account, within, late: None, _place: place }
                }
                Err(_none) => {
                    let busy = Status::resource_exhausted("too many requests at once on this connection");
                    account.refused(&busy);
                    Call::Now(Some(busy.into_http()))
                }
            },
        }
    }
}

// === impl Call ===

impl<T: Account> Future for Call<T> {
    type Output = Result<Response<Said>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(response) => Poll::Ready(Ok(response.take().expect("polled once"))),
            Self::Later { answer, account, within, late, .. } => {
                let polled = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx)));
                if let Poll::Ready(response) = polled.unwrap_or_else(|_panic| Poll::Ready(failed())) {
                    account.take().answered(code_of(&response));
                    return Poll::Ready(Ok(response));
                }
                let late = late.get_or_insert_with(|| Box::pin(tokio::time::sleep(*within)));
                ready!(late.as_mut().poll(cx));
                let status = too_late();
                account.take().refused(&status);
                Poll::Ready(Ok(status.into_http()))
            }
        }
    }
}

// === impl Unanswered ===

impl<T: Account> Unanswered<T> {
    fn take(&mut self) -> T {
        self.0.take().expect("answered once")
    }
}

impl<T: Account> Drop for Unanswered<T> {
    fn drop(&mut self) {
        if let Some(account) = self.0.take() {
            account.answered(Code::Cancelled);
        }
    }
}

// === free functions ===

/// What panics where the connection is read fails that request, and nothing else on the connection.
fn caught(answer: impl FnOnce() -> Answering) -> Answering {
    catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|_panic| Answering::Now(failed()))
}

fn failed() -> Response<Said> {
    Status::internal("this request failed").into_http()
}

/// As it stands in the head: what comes with a body has no refusal there, and a message of ours is none.
fn code_of(response: &Response<Said>) -> Code {
    match response.body() {
        Said::Message(_) | Said::Well => Code::Ok,
        Said::Nothing | Said::Other(_) => {
            Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
        }
    }
}

fn too_late() -> Status {
    Status::deadline_exceeded("the time for this request is over; it may have been carried out")
}

/// How long a request may take until its response: as long as its caller says, and no longer than all.
fn time_for(headers: &HeaderMap) -> Duration {
    let said = headers.get("grpc-timeout").and_then(|said| said.to_str().ok()).and_then(grpc_timeout);
    said.map_or(REQUEST_TIMEOUT, |said| said.min(REQUEST_TIMEOUT))
}

/// A time as gRPC writes it: at most eight digits and a unit. What is written otherwise says nothing.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = &text[..text.len() - unit.len_utf8()];
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(count * 60 * 60)),
        'M' => Some(Duration::from_secs(count * 60)),
        'S' => Some(Duration::from_secs(count)),
        'm' => Some(Duration::from_millis(count)),
        'u' => Some(Duration::from_micros(count)),
        'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::Mutex;

    use super::*;

    /// Writes down how requests ended.
    #[derive(Clone, Default)]
    struct Book(Arc<Mutex<Vec<(&'static str, Code)>>>);

    impl Account for Book {
        fn answered(self, code: Code) {
            self.0.lock().expect("nobody panicked").push(("answered", code));
        }

        fn refused(self, status: &Status) {
            self.0.lock().expect("nobody panicked").push(("refused", status.code()));
        }
    }

    impl Book {
        fn written(&self) -> Vec<(&'static str, Code)> {
            std::mem::take(&mut self.0.lock().expect("nobody panicked"))
        }
    }

    fn calls() -> Calls<()> {
        let remote = Remote::unknown(([127, 0, 0, 1], 1).into());
        Calls {
            answers: Arc::new(()),
            remote,
            run: RunCalls::default(),
            places: Arc::new(Semaphore::new(REQUESTS_PER_CONNECTION_MAX)),
        }
    }

    fn later(answer: impl Future<Output = Response<Said>> + Send + 'static) -> Answering {
        Answering::Later(Box::pin(answer))
    }

    async fn code<T: Account>(call: Call<T>) -> Code {
        let Ok(response) = call.await;
        Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
    }

    #[tokio::test]
    async fn a_call_ends_in_time_whether_or_not_its_answer_comes() {
        let calls = calls();
        let never = calls.call_of(later(pending()), (), Duration::from_millis(5));
        assert_eq!(code(never).await, Code::DeadlineExceeded);
        let soon = async {
            tokio::task::yield_now().await;
            Response::new(Said::Well)
        };
        assert_eq!(code(calls.call_of(later(soon), (), REQUEST_TIMEOUT)).await, Code::Ok);
        let ready = later(ready(Response::new(Said::Well)));
        assert_eq!(
            code(calls.call_of(ready, (), Duration::ZERO)).await,
            Code::Ok,
            "an answer that is there counts"
        );
    }

    #[tokio::test]
    async fn a_connection_has_so_many_calls_that_wait_and_no_more() {
        let calls = calls();
        let one = || calls.call_of(later(pending()), (), REQUEST_TIMEOUT);
        let mut waiting: Vec<Call<()>> = (0..REQUESTS_PER_CONNECTION_MAX).map(|_| one()).collect();
        assert!(waiting.iter().all(|call| matches!(call, Call::Later { .. })));
        assert_eq!(code(one()).await, Code::ResourceExhausted);
        let now = calls.call_of(Answering::Now(Response::new(Said::Well)), (), REQUEST_TIMEOUT);
        assert_eq!(code(now).await, Code::Ok, "what does not wait takes no place");
        waiting.pop();
        assert!(matches!(one(), Call::Later { .. }), "a place comes back");
    }

    #[tokio::test]
    async fn what_fails_where_the_connection_is_read_fails_one_request() {
        let calls = calls();
        let broken = calls.call_of(caught(|| panic!("as a parser might")), (), REQUEST_TIMEOUT);
        assert_eq!(code(broken).await, Code::Internal);
        let good = calls.call_of(caught(|| Answering::Now(Response::new(Said::Well))), (), REQUEST_TIMEOUT);
        assert_eq!(code(good).await, Code::Ok);
    }

    #[tokio::test]
    async fn every_request_ends_on_its_account_once() {
        let (calls, book) = (calls(), Book::default());
        let call = |answering, within| calls.call_of(answering, book.clone(), within);
        let well = || Response::new(Said::Well);
        let denied = || Status::permission_denied("no").into_http();
        for (answering, expected) in [
            (Answering::Now(well()), Code::Ok),
            (Answering::Now(denied()), Code::PermissionDenied),
            (later(ready(well())), Code::Ok),
            (later(ready(denied())), Code::PermissionDenied),
        ] {
            assert_eq!(code(call(answering, REQUEST_TIMEOUT)).await, expected);
            assert_eq!(book.written(), [("answered", expected)]);
        }
        code(call(later(pending()), Duration::from_millis(5))).await;
        assert_eq!(book.written(), [("refused", Code::DeadlineExceeded)]);
        drop(call(later(pending()), REQUEST_TIMEOUT));
        assert_eq!(book.written(), [("answered", Code::Cancelled)], "its caller went away");
        let places: Vec<_> =
            (0..REQUESTS_PER_CONNECTION_MAX).map(|_| call(later(pending()), REQUEST_TIMEOUT)).collect();
        code(call(later(ready(well())), REQUEST_TIMEOUT)).await;
        assert_eq!(book.written(), [("refused", Code::ResourceExhausted)]);
        drop(places);
        assert_eq!(book.written().len(), REQUESTS_PER_CONNECTION_MAX);
        let broken = later(async { panic!("as a handler might") });
        assert_eq!(code(call(broken, REQUEST_TIMEOUT)).await, Code::Internal);
        assert_eq!(book.written(), [("answered", Code::Internal)]);
    }

    #[test]
    fn a_caller_may_ask_for_less_time_and_not_for_more() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().expect("a header value"));
            time_for(&headers)
        };
        assert_eq!(time_for(&HeaderMap::new()), REQUEST_TIMEOUT);
        for (text, expected) in [
            ("1S", Duration::from_secs(1)),
            ("20m", Duration::from_millis(20)),
            ("99999999u", REQUEST_TIMEOUT),
            ("7n", Duration::from_nanos(7)),
            ("0S", Duration::ZERO),
            ("1M", REQUEST_TIMEOUT),
            ("99999999H", REQUEST_TIMEOUT),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        for bad in ["", "S", "1", "1x", "-1S", "+1S", "1 S", "123456789S", "1.5S", "SS"] {
            assert_eq!(of(bad), REQUEST_TIMEOUT, "{bad}");
        }
    }
}
