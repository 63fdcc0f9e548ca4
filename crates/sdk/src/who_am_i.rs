//! [`Identity`]: who the broker takes the caller for.

use locum_api::broker::v1 as wire;
use locum_api::broker::v1::identity_service_client::IdentityServiceClient;
use locum_model::Timestamp;

use crate::client::{Client, Repeat};
use crate::error::Error;
use crate::untrusted::bounded;
use crate::wire::required_time;

/// Who the broker takes the caller for, by the proof that it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The SPIFFE ID that was proved; empty where a login was and no template maps it.
    pub spiffe_id: String,
    /// `workload`, or an operator's role.
    pub role: String,
    /// The registered name; empty for a workload that is not registered.
    pub name: String,
    /// The tenants: one for a workload, those reached for an operator.
    pub tenants: Vec<String>,
    /// An operator of all tenants.
    pub all_tenants: bool,
    /// The workload's owner.
    pub owner: String,
    /// The workload's model; empty where it has none.
    pub model: String,
    /// The connectors that the workload serves.
    pub serves: Vec<String>,
    /// When the proof ends.
    pub proof_end_time: Timestamp,
    /// Tokens can be bound to the key that was proved.
    pub can_bind: bool,
    /// The login's OpenID issuer; empty where the proof was none.
    pub login_issuer: String,
    /// The login's subject.
    pub login_subject: String,
    /// The issuer of tokens, as they name it.
    pub issuer: String,
}

impl Client {
    /// Who the broker takes this caller for.
    ///
    /// # Errors
    ///
    /// When the proof is not believed or the broker cannot be reached.
    pub async fn who_am_i(&self) -> Result<Identity, Error> {
        let answer = self.ask(Repeat::Safe, wire::WhoAmIRequest {}, |channel, request| async move {
            IdentityServiceClient::new(channel).who_am_i(request).await
        });
        let answer = answer.await?;
        let texts = |texts: Vec<String>| texts.iter().map(|text| bounded(text)).collect();
        Ok(Identity {
            spiffe_id: bounded(&answer.spiffe_id),
            role: bounded(&answer.role),
            name: bounded(&answer.name),
            tenants: texts(answer.tenants),
            all_tenants: answer.all_tenants,
            owner: bounded(&answer.owner),
            model: bounded(&answer.model),
            serves: texts(answer.serves),
            proof_end_time: required_time(answer.proof_end_time)?,
            can_bind: answer.can_bind,
            login_issuer: bounded(&answer.login_issuer),
            login_subject: bounded(&answer.login_subject),
            issuer: bounded(&answer.issuer),
        })
    }
}
