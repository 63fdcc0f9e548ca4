//! An in-process broker for the tests: the generated services over an in-memory pipe.
//!
//! It counts what it is asked and answers as it is told. Over a pipe instead of a socket, paused
//! time advances only when nobody has anything left to do.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use locum_api::broker::v1::check_service_server::{CheckService, CheckServiceServer};
use locum_api::broker::v1::task_service_server::{TaskService, TaskServiceServer};
use locum_api::broker::v1::token_service_server::{TokenService, TokenServiceServer};
use locum_api::broker::v1::*;
use locum_sdk::Client;
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Router;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

pub(crate) const LIFE_SECONDS: i64 = 120;
pub(crate) const TASK: &str = "task-1-42";

type News = mpsc::Sender<Result<HoldTaskResponse, Status>>;
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What the fake saw and how it answers.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) started: Vec<StartTaskRequest>,
    pub(crate) issued: Vec<IssueTokenRequest>,
    pub(crate) ended: Vec<EndTaskRequest>,
    pub(crate) renewed: u32,
    pub(crate) signs_of_life: u32,
    pub(crate) authorized: Vec<AuthorizeRequest>,
    /// Answers to the next IssueToken calls instead of a token.
    pub(crate) issue_refusals: VecDeque<Status>,
    /// Answers to the next HoldTask calls instead of a stream.
    pub(crate) hold_refusals: VecDeque<Status>,
    /// The streams that are held, newest last.
    pub(crate) holders: Vec<News>,
    /// The answer to Authorize; none means that the broker is not to be asked.
    pub(crate) authorize: Option<AuthorizeResponse>,
}

/// The fake broker.
#[derive(Clone, Default)]
pub(crate) struct Fake(pub(crate) Arc<Mutex<State>>);

impl Fake {
    /// A fake and a client of it.
    pub(crate) fn start() -> (Self, Client) {
        let fake = Self::default();
        let server = Server::builder()
            .add_service(TaskServiceServer::new(fake.clone()))
            .add_service(TokenServiceServer::new(fake.clone()))
            .add_service(CheckServiceServer::new(fake.clone()));
        (fake, connect(server))
    }

    pub(crate) fn state<T>(&self, of: impl FnOnce(&mut State) -> T) -> T {
        of(&mut self.0.lock())
    }

    /// Tells every holder, and waits until they could have heard.
    pub(crate) async fn tell(&self, state: TaskState) {
        let holders = self.state(|s| s.holders.clone());
        for holder in holders {
            drop(holder.send(Ok(news(state))).await);
        }
    }
}

/// Serves, and makes a client of it. Every connection of the client is a pipe of its own.
pub(crate) fn connect(server: Router) -> Client {
    let (pipes, accepted) = mpsc::unbounded_channel::<DuplexStream>();
    let incoming = tokio_stream::wrappers::UnboundedReceiverStream::new(accepted);
    tokio::spawn(server.serve_with_incoming(incoming.map(Ok::<_, std::io::Error>)));
    let connector = tower::service_fn(move |_: http::Uri| {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let sent = pipes.send(theirs);
        async move {
            match sent {
                Ok(()) => Ok(TokioIo::new(ours)),
                Err(_) => Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)),
            }
        }
    });
    Client::over(Endpoint::from_static("http://fake.invalid").connect_with_connector_lazy(connector))
}

pub(crate) fn news(state: TaskState) -> HoldTaskResponse {
    HoldTaskResponse { state: state.into(), deadline: at(3_600), lapsing: false }
}

pub(crate) fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

pub(crate) fn span(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

pub(crate) fn grant(operation: &str) -> Grant {
    Grant { operation: operation.into(), resources: vec!["order/1881".into()] }
}

pub(crate) fn active() -> ActiveToken {
    ActiveToken {
        jti: "ab".repeat(16),
        subject: "alice".into(),
        client_id: "spiffe://td/refunder".into(),
        audience: "https://orders".into(),
        scope: vec![grant("orders:refund")],
        issue_time: at(1),
        expire_time: at(121),
        task_id: TASK.into(),
        root_task_id: TASK.into(),
        confirmation: None,
        use_limited: false,
        uses_left: 0,
    }
}

fn task(state: TaskState, intent: Option<Intent>) -> Option<Task> {
    Some(Task {
        task_id: TASK.into(),
        state: state.into(),
        intent: intent
            .or_else(|| Some(Intent { purpose: "refund-order".into(), scope: vec![grant("orders:refund")] })),
        workload: "refunder".into(),
        start_time: at(0),
        deadline: at(3_600),
        lease: span(30),
        ..Task::default()
    })
}

#[tonic::async_trait]
impl TaskService for Fake {
    async fn start_task(
        &self,
        request: Request<StartTaskRequest>,
    ) -> Result<Response<StartTaskResponse>, Status> {
        let request = request.into_inner();
        let intent = request.intent.clone();
        self.state(|s| s.started.push(request));
        Ok(Response::new(StartTaskResponse { task: task(TaskState::Active, intent) }))
    }

    type HoldTaskStream = Answers<HoldTaskResponse>;

    async fn hold_task(
        &self,
        request: Request<Streaming<HoldTaskRequest>>,
    ) -> Result<Response<Self::HoldTaskStream>, Status> {
        if let Some(refusal) = self.state(|s| s.hold_refusals.pop_front()) {
            return Err(refusal);
        }
        let (sender, receiver) = mpsc::channel(8);
        drop(sender.send(Ok(news(TaskState::Active))).await);
        self.state(|s| s.holders.push(sender));
        let (mut signs, fake) = (request.into_inner(), self.clone());
        tokio::spawn(async move {
            while let Ok(Some(_)) = signs.message().await {
                fake.state(|s| s.signs_of_life += 1);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn renew_task(&self, _: Request<RenewTaskRequest>) -> Result<Response<RenewTaskResponse>, Status> {
        self.state(|s| s.renewed += 1);
        Ok(Response::new(RenewTaskResponse { lease_until: at(30) }))
    }

    async fn end_task(&self, request: Request<EndTaskRequest>) -> Result<Response<EndTaskResponse>, Status> {
        self.state(|s| s.ended.push(request.into_inner()));
        Ok(Response::new(EndTaskResponse { task: task(TaskState::Ended, None) }))
    }

    async fn get_task(&self, _: Request<GetTaskRequest>) -> Result<Response<GetTaskResponse>, Status> {
        Ok(Response::new(GetTaskResponse { task: task(TaskState::Active, None) }))
    }

    async fn list_tasks(&self, _: Request<ListTasksRequest>) -> Result<Response<ListTasksResponse>, Status> {
        Ok(Response::new(ListTasksResponse::default()))
    }
}

#[tonic::async_trait]
impl TokenService for Fake {
    async fn issue_token(
        &self,
        request: Request<IssueTokenRequest>,
    ) -> Result<Response<IssueTokenResponse>, Status> {
        let request = request.into_inner();
        let scope = request.scope.clone();
        let count = self.state(|s| {
            s.issued.push(request);
            s.issued.len()
        });
        if let Some(refusal) = self.state(|s| s.issue_refusals.pop_front()) {
            return Err(refusal);
        }
        // Long enough for many callers to come meanwhile.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        Ok(Response::new(IssueTokenResponse {
            token: format!("token-{count}"),
            jti: format!("{count:032x}"),
            expire_time: at(LIFE_SECONDS),
            refresh_in: span(LIFE_SECONDS * 2 / 3),
            scope,
            audience: "https://orders".into(),
        }))
    }

    async fn revoke_token(
        &self,
        _: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        Ok(Response::new(RevokeTokenResponse {}))
    }
}

#[tonic::async_trait]
impl CheckService for Fake {
    async fn introspect_token(
        &self,
        request: Request<IntrospectTokenRequest>,
    ) -> Result<Response<IntrospectTokenResponse>, Status> {
        let active_now = request.into_inner().token == "good";
        Ok(Response::new(IntrospectTokenResponse { active: active_now, token: active_now.then(active) }))
    }

    type IntrospectTokensStream = Answers<IntrospectTokensResponse>;

    async fn introspect_tokens(
        &self,
        _: Request<Streaming<IntrospectTokensRequest>>,
    ) -> Result<Response<Self::IntrospectTokensStream>, Status> {
        Err(Status::unimplemented("not in the fake"))
    }

    async fn authorize(
        &self,
        request: Request<AuthorizeRequest>,
    ) -> Result<Response<AuthorizeResponse>, Status> {
        self.state(|s| s.authorized.push(request.into_inner()));
        let answer = self.state(|s| s.authorize.clone());
        answer.map(Response::new).ok_or_else(|| Status::unavailable("draining"))
    }
}
