//! All services behind the gate.

use std::sync::Arc;

use futures_util::future::Either;
use http::{Request, header};
use hyper::body::Incoming;
use locum_api::admin::v1::archive_service_server::ArchiveServiceServer;
use locum_api::admin::v1::control_service_server::ControlServiceServer;
use locum_api::admin::v1::inspection_service_server::InspectionServiceServer;
use locum_api::admin::v1::revocation_service_server::RevocationServiceServer;
use locum_api::broker::v1::feed_service_server::FeedServiceServer;
use locum_api::broker::v1::identity_service_server::IdentityServiceServer;
use locum_api::broker::v1::task_service_server::TaskServiceServer;
use locum_api::{ERROR_DETAILS_DESCRIPTOR_SET, FILE_DESCRIPTOR_SET};
use locum_broker::Broker;
use locum_model::limits::{GRPC_MESSAGE_BYTES_MAX, HOLDS_PER_WORKLOAD_MAX, POLICY_BYTES_MAX};
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

use super::archive::Archives;
use super::check::Checks;
use super::control::Control;
use super::feed::{Feed, Hub};
use super::gate::{Asking, Gate, Passing};
use super::health::ServerHealth;
use super::identity::Identities;
use super::inspection::Inspection;
use super::revocation::Revocation;
use super::task::Tasks;
use super::token::Tokens;
use crate::accept::Remote;
use crate::grpc::{Answering, Answers};
use crate::holds::Holds;
use crate::http::Readiness;
use crate::metrics::Metrics;
use crate::reload::Reload;
use crate::tasks::Stopping;

/// What the services share.
pub struct Wiring {
    /// The broker.
    pub broker: Arc<Broker>,
    /// For how long the archive keeps entries.
    pub archive_retention: Option<std::time::Duration>,
    /// The partitions of the revocation feed.
    pub feed: Arc<Hub>,
    /// Where things are counted.
    pub metrics: Arc<Metrics>,
    /// Whether we are ready.
    pub readiness: Readiness,
    /// What reads files again.
    pub reload: Arc<Reload>,
    /// Tells streams when to end.
    pub stopping: Stopping,
}

/// Every service, behind the gate.
pub(crate) struct Services {
    gate: Arc<Gate>,
    checks: Arc<Checks>,
    tokens: Arc<Tokens>,
    others: Routes,
}

/// Every service with its guards, behind `gate`.
///
/// # Errors
///
/// When the contract's descriptor set cannot be served by reflection.
pub(crate) fn router(gate: Gate, wiring: Wiring) -> Result<Services, String> {
    let Wiring { broker, feed, archive_retention, metrics, readiness, reload, stopping } = wiring;
    let health = ServerHealth { stopping: stopping.clone() };
    let tasks = Tasks {
        broker: Arc::clone(&broker),
        holds: Holds::new(HOLDS_PER_WORKLOAD_MAX),
        stopping: stopping.clone(),
    };
    let tokens = Tokens { broker: Arc::clone(&broker), metrics: Arc::clone(&metrics) };
    let checks = Checks::new(Arc::clone(&broker), Arc::clone(&metrics));
    let feed = Feed { hub: feed, stopping: stopping.clone() };
    let identities = Identities { broker: Arc::clone(&broker) };
    let revocation =
        Revocation { broker: Arc::clone(&broker), metrics: Arc::clone(&metrics), stopping: stopping.clone() };
    let archives = Archives::new(Arc::clone(&broker), archive_retention, stopping.clone());
    let inspection = Inspection { broker: Arc::clone(&broker), metrics, readiness, stopping };
    let control = Control { broker, reload };
    let most = GRPC_MESSAGE_BYTES_MAX;
    // A policy set is the one message that may be larger; only operators can send it.
    let policies = POLICY_BYTES_MAX + GRPC_MESSAGE_BYTES_MAX;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            // The details of refusals, so that who knows the contract by reflection can read them.
            .register_encoded_file_descriptor_set(ERROR_DETAILS_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = reflection().build_v1().map_err(|cause| cause.to_string())?;
    let v1alpha = reflection().build_v1alpha().map_err(|cause| cause.to_string())?;
    let others = Routes::new(TaskServiceServer::new(tasks).max_decoding_message_size(most))
        .add_service(FeedServiceServer::new(feed).max_decoding_message_size(most))
        .add_service(IdentityServiceServer::new(identities).max_decoding_message_size(most))
        .add_service(RevocationServiceServer::new(revocation).max_decoding_message_size(most))
        .add_service(InspectionServiceServer::new(inspection).max_decoding_message_size(most))
        .add_service(ArchiveServiceServer::new(archives).max_decoding_message_size(most))
        .add_service(ControlServiceServer::new(control).max_decoding_message_size(policies))
        .add_service(HealthServer::new(health))
        .add_service(v1)
        .add_service(v1alpha)
        .prepare();
    Ok(Services { gate: Arc::new(gate), checks: Arc::new(checks), tokens: Arc::new(tokens), others })
}

impl Answers for Services {
    type Account = Passing;

    fn begin(self: &Arc<Self>, request: &Request<Incoming>) -> Passing {
        self.gate.begin(request)
    }

    fn answer(self: &Arc<Self>, remote: &Remote, request: Request<Incoming>, passing: &Passing) -> Answering {
        let asking = passing.asking();
        if !request.headers().contains_key(header::AUTHORIZATION) {
            return self.judged(asking, remote, request);
        }
        // To verify an assertion takes as long as some dozens of checks: others on the connection go on meanwhile.
        let (services, remote) = (Arc::clone(self), remote.clone());
        Answering::Later(Box::pin(async move {
            match services.judged(asking, &remote, request) {
                Answering::Now(response) => response,
                Answering::Later(answer) => answer.await,
            }
        }))
    }
}

impl Services {
    fn judged(&self, asking: Asking, remote: &Remote, request: Request<Incoming>) -> Answering {
        let other = match self.gate.admit(asking, remote, request) {
            Err(refused) => return Answering::now(Err(refused)),
            Ok(admitted) => self.checks.answer(admitted),
        };
        let other = match other {
            Either::Left(answering) => return answering,
            Either::Right(other) => self.tokens.answer(other),
        };
        match other {
            Either::Left(answering) => answering,
            Either::Right(other) => Answering::routed(&self.others, other.generated()),
        }
    }
}
