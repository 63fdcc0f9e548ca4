//! `locum.broker.v1.TokenService`.

use std::sync::Arc;

use http::HeaderMap;
use locum_api::broker::v1 as wire;
use locum_api::convert::id::{bytes_from_wire, request_id_from_wire, task_from_wire};
use locum_api::convert::time::{duration_to_wire, optional_duration_from_wire, timestamp_to_wire};
use locum_api::convert::{request, scope};
use locum_api::violation::Malformed;
use locum_broker::{Binding, Broker, Holder, IssueToken, Refusal, ShownProof};
use locum_model::issue_record::RequestKey;
use locum_model::{Caller, Reason};
use tonic::Status;

use super::asked::Asked;
use crate::metrics::Metrics;

mod door;

/// Tokens of the calling workload's tasks.
pub(crate) struct Tokens {
    pub broker: Arc<Broker>,
    pub metrics: Arc<Metrics>,
}

impl Tokens {
    /// What is asked for, by the message and by the proof that came with it.
    fn asked_for(
        &self,
        asked: &Asked<Caller>,
        shown: Result<Option<String>, Refusal>,
        message: &wire::IssueTokenRequest,
    ) -> Result<IssueToken, Status> {
        let mut ask = issue_from_wire(message).map_err(|malformed| asked.malformed(malformed))?;
        if let Some(proof) = shown.map_err(|refusal| asked.refuse(refusal))? {
            if ask.binding == Binding::Required {
                let both = Malformed::of("bind_to_certificate", "a token is bound to one key");
                return Err(asked.malformed(both));
            }
            // Where tokens are issued is what a proof has to be for.
            let uri = format!("{}{}", self.broker.issuer().trim_end_matches('/'), door::ISSUE_TOKEN);
            ask.binding = Binding::ByProof(ShownProof { proof, method: "POST", uri });
        }
        asked.notes.put("locum.task_id", || ask.task.to_string());
        Ok(ask)
    }

    async fn issue_token(
        &self,
        asked: Asked<Caller>,
        ask: IssueToken,
    ) -> Result<wire::IssueTokenResponse, Status> {
        let issued = match self.broker.issue_token(&asked.who, ask).await {
            Ok(issued) => issued,
            Err(refusal) => {
                self.metrics.token_denied(refusal.reason());
                return Err(asked.refuse(refusal));
            }
        };
        self.metrics.token_issued();
        let record = &issued.record;
        asked.notes.put("locum.jti", || record.jti.to_string());
        asked.notes.put("locum.audience", || record.audience.clone());
        let life = record.expires_at.since(record.issued_at);
        Ok(wire::IssueTokenResponse {
            token: issued.token.into_compact(),
            jti: record.jti.to_string(),
            expire_time: Some(timestamp_to_wire(record.expires_at)),
            refresh_in: Some(duration_to_wire(life * 2 / 3)),
            scope: scope::to_wire(&record.scope),
            audience: record.audience.clone(),
        })
    }

    async fn revoke_token(
        &self,
        asked: Asked<Caller>,
        message: wire::RevokeTokenRequest,
    ) -> Result<wire::RevokeTokenResponse, Status> {
        let revoked = self.broker.revoke_token(&asked.who, &message.token).await;
        revoked.map_err(|refusal| asked.refuse(refusal))?;
        Ok(wire::RevokeTokenResponse {})
    }
}

/// The one `dpop` of a request, where there is one (RFC 9449 section 5).
fn shown_proof(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut shown = headers.get_all("dpop").iter();
    match (shown.next().map(|proof| proof.to_str()), shown.next()) {
        (None, _) => Ok(None),
        (Some(Ok(proof)), None) => Ok(Some(proof.to_owned())),
        _ => Err(Refusal::new(Reason::ProofInvalid, "`dpop` stands there once, in plain ASCII")),
    }
}

fn issue_from_wire(message: &wire::IssueTokenRequest) -> Result<IssueToken, Malformed> {
    let request = |id| {
        let mut message = message.clone();
        message.holder_secret.clear();
        RequestKey { id, hash: locum_token::sha256(request::canonical(&message)) }
    };
    Ok(IssueToken {
        task: task_from_wire(&message.task_id, "task_id")?,
        holder: Holder::shown(bytes_from_wire(&message.holder_secret, "holder_secret")?),
        scope: scope::from_wire(&message.scope, "scope")?,
        ttl: optional_duration_from_wire(message.ttl.as_ref(), "ttl")?,
        uses_max: (message.uses_max > 0).then_some(message.uses_max),
        binding: if message.bind_to_certificate { Binding::Required } else { Binding::AsDemanded },
        request: request_id_from_wire(&message.request_id, "request_id")?.map(request),
    })
}
