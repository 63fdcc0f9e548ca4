//! A server that does nothing: the stack of `locumd` (TLS, HTTP/2 and its guards, tonic, the generated
//! services) with ready answers of real size behind it, and no gate before it.
//!
//! Arguments: the settings file of an installation, and a file with one token. What a call costs here is
//! what the same call costs `locumd` before it does anything of its own.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use locum_api::broker::v1 as wire;
use locum_api::broker::v1::check_service_server::{CheckService, CheckServiceServer};
use locum_api::broker::v1::token_service_server::{TokenService, TokenServiceServer};
use locum_identity::{CurrentTrust, Trust};
use locum_model::Clock as _;
use locum_server::accept::{Accept, AcceptOptions};
use locum_server::clock::SystemClock;
use locum_server::grpc::{self, Routed};
use locum_server::tls::{ClientCertificates, grpc_config};
use locum_server::{config, tasks};
use tokio_stream::{Stream, StreamExt as _};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

/// Ready answers.
#[derive(Clone)]
struct Nothing {
    checked: wire::IntrospectTokenResponse,
    issued: wire::IssueTokenResponse,
}

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let (Some(settings), Some(token)) = (arguments.next(), arguments.next()) else {
        return Err("takes a settings file and a file with a token".into());
    };
    let token = std::fs::read_to_string(token)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(Path::new(&settings), Nothing::of(token)))
}

#[expect(clippy::print_stderr, reason = "says where it listens")]
async fn serve(settings: &Path, nothing: Nothing) -> Result<(), Error> {
    let settings = config::load(settings, &config::Flags::default())?;
    let scratch = tempfile::tempdir()?;
    let now = SystemClock::open(&scratch.path().join("clock"))?.now()?;
    let trust = Trust::of(config::trust_options(&settings)?, now)?;
    let trust = Arc::new(ArcSwap::from_pointee(trust));
    let current: CurrentTrust = Arc::new(move || trust.load_full());
    let own = config::own_certificate(&settings)?;
    let tls = grpc_config(&own, ClientCertificates::Asked(locum_identity::client_certs(current)))?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (accept, incoming) = Accept::new(listener, tls, AcceptOptions::default(), Arc::new(|_attempt| {}));
    let tasks = tasks::Tasks::new();
    tokio::spawn(accept.run(tasks.stopping()));
    eprintln!("{}", serde_json::json!({"message": "listening", "grpc": address.to_string()}));
    let most = locum_model::limits::GRPC_MESSAGE_BYTES_MAX;
    let routes = Routes::new(CheckServiceServer::new(nothing.clone()).max_decoding_message_size(4 * most))
        .add_service(TokenServiceServer::new(nothing).max_decoding_message_size(most));
    grpc::serve(Arc::new(Routed(routes.prepare())), incoming, tasks.stopping()).await?;
    Ok(())
}

impl Nothing {
    fn of(token: String) -> Self {
        let scope = vec![wire::Grant { operation: "orders:read".into(), resources: Vec::new() }];
        let time = Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 });
        let active = wire::ActiveToken {
            jti: "0".repeat(32),
            subject: "spiffe://acme.test/agents/agent-0".into(),
            client_id: "spiffe://acme.test/agents/agent-0".into(),
            audience: "https://orders.acme.test".into(),
            scope: scope.clone(),
            issue_time: time,
            expire_time: time,
            task_id: "t-1-000000000001".into(),
            root_task_id: "t-1-000000000001".into(),
            ..Default::default()
        };
        Self {
            checked: wire::IntrospectTokenResponse { active: true, token: Some(active) },
            issued: wire::IssueTokenResponse {
                token,
                jti: "0".repeat(32),
                expire_time: time,
                refresh_in: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
                scope,
                audience: "https://orders.acme.test".into(),
            },
        }
    }
}

#[tonic::async_trait]
impl CheckService for Nothing {
    async fn introspect_token(
        &self,
        _request: Request<wire::IntrospectTokenRequest>,
    ) -> Result<Response<wire::IntrospectTokenResponse>, Status> {
        Ok(Response::new(self.checked.clone()))
    }

    type IntrospectTokensStream =
        Pin<Box<dyn Stream<Item = Result<wire::IntrospectTokensResponse, Status>> + Send>>;

    async fn introspect_tokens(
        &self,
        request: Request<Streaming<wire::IntrospectTokensRequest>>,
    ) -> Result<Response<Self::IntrospectTokensStream>, Status> {
        let checked = self.checked.clone();
        let answers = request.into_inner().map(move |batch| {
            let tokens = batch?.tokens.iter().map(|_| checked.clone()).collect();
            Ok(wire::IntrospectTokensResponse { tokens })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn authorize(
        &self,
        _request: Request<wire::AuthorizeRequest>,
    ) -> Result<Response<wire::AuthorizeResponse>, Status> {
        Ok(Response::new(wire::AuthorizeResponse::default()))
    }
}

#[tonic::async_trait]
impl TokenService for Nothing {
    async fn issue_token(
        &self,
        _request: Request<wire::IssueTokenRequest>,
    ) -> Result<Response<wire::IssueTokenResponse>, Status> {
        Ok(Response::new(self.issued.clone()))
    }

    async fn revoke_token(
        &self,
        _request: Request<wire::RevokeTokenRequest>,
    ) -> Result<Response<wire::RevokeTokenResponse>, Status> {
        Ok(Response::new(wire::RevokeTokenResponse {}))
    }
}
