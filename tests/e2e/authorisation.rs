//! Every RPC by every role, through real certificates, against the one table of methods and roles.

use http_body_util::{BodyExt as _, Full};
use locum_api::Role;
use locum_api::roles::{self, METHODS};
use locum_model::Reason;
use locum_tests::wait::within;
use locum_tests::{Daemon, Party, Site};
use prost::bytes::Bytes;
use tonic::{Code, Status};
use tower::{Service as _, ServiceExt as _};

use crate::LOCUMD;

/// One empty message, whatever the method: enough to get past the gate, and for no more.
async fn call(party: &Party, method: &str) -> Status {
    let body = Full::new(Bytes::from_static(&[0, 0, 0, 0, 0]));
    let body = tonic::body::Body::new(body.map_err(|never| match never {}));
    let request = http::Request::builder()
        .method("POST")
        .uri(method)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .expect("a request");
    let mut wire = party.wire();
    let wire = wire.ready().await.expect("connected");
    let response = within(method, wire.call(request)).await.expect("an answer");
    if let Some(status) = Status::from_header_map(response.headers()) {
        return status;
    }
    // Past the gate. Streams that go on have said enough with their headers.
    Status::ok("past the gate")
}

#[tokio::test]
async fn every_method_by_every_role() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let who = |role: Role| match role {
        Role::Anonymous => daemon.party(None),
        Role::Workload => daemon.at("agents/refunder"),
        Role::Viewer => daemon.operator("viewer"),
        Role::Operator => daemon.operator("operator"),
        Role::Approver => daemon.operator("approver"),
        Role::Policy => daemon.operator("policy"),
        Role::Admin => daemon.operator("admin"),
    };
    let mut tried = 0;
    for role in Role::ALL {
        let party = who(role);
        for (method, allowed) in METHODS {
            let status = call(&party, method).await;
            let reason = locum_api::status::reason_of(&status);
            let seen = format!("{method} by {}: {status:?}", role.as_str());
            let gate = [Reason::RoleMissing, Reason::IdentityMissing, Reason::WorkloadUnregistered];
            match role {
                role if allowed.contains(&role) => {
                    assert!(reason.is_none_or(|reason| !gate.contains(&reason)), "{seen}");
                    assert_ne!(status.code(), Code::Unauthenticated, "{seen}");
                    // Of the health service's methods not all are there.
                    assert!(status.code() != Code::Unimplemented || method.starts_with("/grpc."), "{seen}");
                }
                Role::Anonymous => {
                    assert_eq!(status.code(), Code::Unauthenticated, "{seen}");
                    assert_eq!(reason, Some(Reason::IdentityMissing), "{seen}");
                }
                _ => {
                    assert_eq!(status.code(), Code::PermissionDenied, "{seen}");
                    assert_eq!(reason, Some(Reason::RoleMissing), "{seen}");
                    assert!(status.message().ends_with(&roles::told(allowed)), "{seen}");
                }
            }
            tried += 1;
        }
    }
    assert_eq!(tried, METHODS.len() * Role::ALL.len());
}

#[tokio::test]
async fn what_is_not_in_the_table_is_not_there_for_anybody() {
    let daemon = Daemon::shared(LOCUMD);
    for party in [daemon.operator("admin"), daemon.at("agents/refunder"), daemon.party(None)] {
        for method in [
            "/locum.broker.v1.TaskService/Nothing",
            "/locum.broker.v1.TaskService/starttask",
            "/locum.broker.v2.TaskService/StartTask",
            "/locum.admin.v1.ControlService",
            "/grpc.channelz.v1.Channelz/GetServers",
            "/",
        ] {
            assert_eq!(call(&party, method).await.code(), Code::Unimplemented, "{method}");
        }
    }
}

#[tokio::test]
async fn without_operators_the_admin_services_are_closed() {
    let site = Site::new();
    let text = site.text("locumd.toml");
    let (before, _operators) = text.split_once("\n[[operator]]").expect("operators");
    site.put("locumd.toml", before);
    let daemon = Daemon::start(LOCUMD, site).await;
    for (method, _) in METHODS.iter().filter(|(method, _)| method.starts_with("/locum.admin.")) {
        for party in [daemon.operator("admin"), daemon.at("agents/refunder")] {
            let status = call(&party, method).await;
            assert_eq!(locum_api::status::reason_of(&status), Some(Reason::RoleMissing), "{method}");
        }
    }
}
