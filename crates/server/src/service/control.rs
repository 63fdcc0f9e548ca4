//! `locum.admin.v1.ControlService`.

use std::sync::Arc;

use locum_api::admin::v1 as wire;
use locum_api::admin::v1::control_service_server::ControlService;
use locum_api::convert::key::{algorithm_or_default_from_wire, algorithm_to_wire, purpose_to_wire};
use locum_api::convert::time::timestamp_to_wire;
use locum_api::violation::Malformed;
use locum_broker::{Broker, KeyView};
use locum_model::Reason;
use locum_model::event::PolicyText;
use locum_model::limits::POLICIES_MAX;
use locum_token::KeyState;
use tonic::{Request, Response, Status};

use super::asked::operator;
use crate::reload::{NotReloaded, Reload};

/// Keys, policies and the registry.
pub(crate) struct Control {
    pub broker: Arc<Broker>,
    pub reload: Arc<Reload>,
}

#[tonic::async_trait]
impl ControlService for Control {
    async fn list_keys(
        &self,
        request: Request<wire::ListKeysRequest>,
    ) -> Result<Response<wire::ListKeysResponse>, Status> {
        operator(request)?;
        Ok(Response::new(wire::ListKeysResponse { keys: self.broker.list_keys().iter().map(key).collect() }))
    }

    async fn rotate_key(
        &self,
        request: Request<wire::RotateKeyRequest>,
    ) -> Result<Response<wire::RotateKeyResponse>, Status> {
        let (asked, message) = operator(request)?;
        let algorithm = algorithm_or_default_from_wire(&message.algorithm, "algorithm")
            .map_err(|malformed| asked.malformed(malformed))?;
        let rotated = self.broker.rotate_key(&asked.who, algorithm).await;
        let (new, activate_at) = rotated.map_err(|refusal| asked.refuse(refusal))?;
        Ok(Response::new(wire::RotateKeyResponse {
            key: Some(key(&new)),
            activate_time: Some(timestamp_to_wire(activate_at)),
        }))
    }

    async fn check_policy(
        &self,
        request: Request<wire::CheckPolicyRequest>,
    ) -> Result<Response<wire::CheckPolicyResponse>, Status> {
        let (asked, message) = operator(request)?;
        if message.files.is_empty() || message.files.len() > POLICIES_MAX {
            let bound = format_args!("must have 1 to {POLICIES_MAX} entries");
            return Err(asked.malformed(Malformed::of("files", bound)));
        }
        let texts = message.files.into_iter().map(|file| PolicyText { name: file.name, text: file.text });
        let texts: Vec<_> = texts.collect();
        Ok(Response::new(match self.broker.check_policy(&texts) {
            Ok(count) => {
                let policies = u32::try_from(count).unwrap_or(u32::MAX);
                wire::CheckPolicyResponse { valid: true, problems: Vec::new(), policies }
            }
            Err(problems) => {
                let problem = |problem: &locum_policy::PolicyProblem| wire::PolicyProblem {
                    file: problem.file.clone(),
                    line: problem.line as u32,
                    column: problem.column as u32,
                    message: problem.message.clone(),
                };
                let problems = problems.iter().map(problem).collect();
                wire::CheckPolicyResponse { valid: false, problems, policies: 0 }
            }
        }))
    }

    async fn reload(
        &self,
        request: Request<wire::ReloadRequest>,
    ) -> Result<Response<wire::ReloadResponse>, Status> {
        let (asked, _message) = operator(request)?;
        asked.who.needs_all().map_err(|refusal| asked.refuse(refusal))?;
        match self.reload.files(asked.who.by()).await {
            Ok(activated) => Ok(Response::new(wire::ReloadResponse {
                registry_revision: activated.registry.0,
                policy_revision: activated.policy.0,
                changes: activated.changes,
            })),
            Err(NotReloaded::Registry(cause)) => {
                Err(asked.refuse(locum_broker::Refusal::new(Reason::RegistryInvalid, cause)))
            }
            Err(NotReloaded::Policy(cause)) => {
                Err(asked.refuse(locum_broker::Refusal::new(Reason::PolicyInvalid, cause)))
            }
            Err(NotReloaded::Refused(refusal)) => Err(asked.refuse(refusal)),
        }
    }
}

fn key(key: &KeyView) -> wire::Key {
    let state = match key.state {
        KeyState::Published => "published",
        KeyState::Active => "active",
        KeyState::Superseded => "superseded",
    };
    wire::Key {
        kid: locum_token::kid_text(&key.kid),
        purpose: purpose_to_wire(key.purpose).into(),
        algorithm: algorithm_to_wire(key.algorithm).into(),
        state: state.into(),
        publish_time: Some(timestamp_to_wire(key.published_at)),
        state_time: Some(timestamp_to_wire(key.changed_at)),
    }
}
