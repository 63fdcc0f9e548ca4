//! `grpc.health.v1.Health`: serving until we are asked to stop.
//!
//! Ours and not the library's, because an open `Watch` of the library's outlives the request to stop
//! and holds up the drain.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::tasks::Stopping;

/// Whether the server as a whole serves: the one service that it knows is the empty name.
#[derive(Debug)]
pub(crate) struct ServerHealth {
    pub stopping: Stopping,
}

type Answers = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

// === impl ServerHealth ===

impl ServerHealth {
    fn status(&self, service: &str) -> Option<ServingStatus> {
        service
            .is_empty()
            .then(|| if self.stopping.is_set() { ServingStatus::NotServing } else { ServingStatus::Serving })
    }
}

#[tonic::async_trait]
impl Health for ServerHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let status = self.status(&request.get_ref().service);
        status
            .map(|status| Response::new(answer(status)))
            .ok_or_else(|| Status::not_found("the empty name alone is known: the server as a whole"))
    }

    type WatchStream = Answers;

    /// The status now, and once more when the server stops; the stream ends then.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Answers>, Status> {
        let now = self.status(&request.get_ref().service).unwrap_or(ServingStatus::ServiceUnknown);
        let mut stopping = self.stopping.clone();
        let at_the_end = async move {
            stopping.wait().await;
            Ok(answer(ServingStatus::NotServing))
        };
        let answers = stream::iter([Ok(answer(now))]).chain(stream::once(at_the_end));
        Ok(Response::new(Box::pin(answers)))
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tasks::Tasks;

    fn ask(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.into() })
    }

    fn told(answer: Option<Result<HealthCheckResponse, Status>>) -> Option<ServingStatus> {
        answer.map(|answer| answer.expect("an answer").status())
    }

    #[tokio::test]
    async fn a_watch_hears_of_the_stop_and_ends() {
        let tasks = Tasks::new();
        let health = ServerHealth { stopping: tasks.stopping() };
        let serving = health.check(ask("")).await.expect("known").into_inner();
        assert_eq!(serving.status(), ServingStatus::Serving);
        let mut watch = health.watch(ask("")).await.expect("a stream").into_inner();
        let mut stranger = health.watch(ask("nobody")).await.expect("a stream").into_inner();
        assert_eq!(told(watch.next().await), Some(ServingStatus::Serving));
        assert_eq!(told(stranger.next().await), Some(ServingStatus::ServiceUnknown));
        tasks.run(async {}, Duration::from_secs(1)).await.expect("stopped");
        assert_eq!(told(watch.next().await), Some(ServingStatus::NotServing));
        assert_eq!(told(watch.next().await), None);
    }

    #[tokio::test]
    async fn an_unknown_name_is_not_found() {
        let health = ServerHealth { stopping: Tasks::new().stopping() };
        let refused = health.check(ask("locum.broker.v1.TaskService")).await.expect_err("unknown");
        assert_eq!(refused.code(), tonic::Code::NotFound);
    }
}
