//! `locum.broker.v1.IdentityService`.

use std::sync::Arc;

use locum_api::Role;
use locum_api::broker::v1 as wire;
use locum_api::broker::v1::identity_service_server::IdentityService;
use locum_api::convert::time::timestamp_to_wire;
use locum_broker::{Broker, Operator, Tenants};
use locum_model::Caller;
use tonic::{Request, Response, Status};

use super::asked::workload;
use super::gate::OperatorRole;

/// Who callers are.
pub(crate) struct Identities {
    pub broker: Arc<Broker>,
}

#[tonic::async_trait]
impl IdentityService for Identities {
    async fn who_am_i(
        &self,
        request: Request<wire::WhoAmIRequest>,
    ) -> Result<Response<wire::WhoAmIResponse>, Status> {
        // The gate leaves these two with an operator's request alone.
        let operator = request.extensions().get::<Operator>().cloned();
        let role = request.extensions().get::<OperatorRole>().copied();
        let (asked, _) = workload(request)?;
        let proof = wire::WhoAmIResponse { issuer: self.broker.issuer().to_owned(), ..of_proof(&asked.who) };
        Ok(Response::new(match (operator, role) {
            (Some(operator), Some(OperatorRole(role))) => of_operator(proof, operator, role),
            _ => self.of_workload(proof, &asked.who),
        }))
    }
}

impl Identities {
    fn of_workload(&self, proof: wire::WhoAmIResponse, caller: &Caller) -> wire::WhoAmIResponse {
        let role = Role::Workload.as_str().to_owned();
        match self.broker.who_am_i(caller) {
            None => wire::WhoAmIResponse { role, ..proof },
            Some(known) => wire::WhoAmIResponse {
                role,
                name: known.name,
                tenants: vec![known.tenant],
                owner: known.owner,
                model: known.model.unwrap_or_default(),
                serves: known.serves,
                ..proof
            },
        }
    }
}

fn of_proof(caller: &Caller) -> wire::WhoAmIResponse {
    let login = caller.login();
    wire::WhoAmIResponse {
        spiffe_id: caller.spiffe_id().map(ToString::to_string).unwrap_or_default(),
        proof_end_time: Some(timestamp_to_wire(caller.expires_at())),
        can_bind: caller.confirmation().is_some(),
        login_issuer: login.map(|login| login.issuer.clone()).unwrap_or_default(),
        login_subject: login.map(|login| login.subject.clone()).unwrap_or_default(),
        ..Default::default()
    }
}

fn of_operator(proof: wire::WhoAmIResponse, operator: Operator, role: Role) -> wire::WhoAmIResponse {
    let (all_tenants, tenants) = match operator.tenants {
        Tenants::All => (true, Vec::new()),
        Tenants::Only(names) => (false, names.iter().map(ToString::to_string).collect()),
    };
    wire::WhoAmIResponse {
        role: role.as_str().to_owned(),
        name: operator.name,
        tenants,
        all_tenants,
        ..proof
    }
}
