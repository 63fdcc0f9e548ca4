//! `locum.broker.v1.CheckService`.

use std::pin::Pin;
use std::sync::Arc;

use locum_api::broker::v1 as wire;
use locum_api::broker::v1::check_service_server::CheckService;
use locum_api::convert::confirmation::{self, presented_from_wire};
use locum_api::convert::id::name_from_wire;
use locum_api::convert::scope::{operation_from_wire, resource_from_wire};
use locum_api::violation::Malformed;
use locum_broker::{ActiveToken, Authorized, Broker, Checked, Presentation};
use locum_model::limits::INTROSPECT_BATCH_MAX;
use locum_model::{Caller, Reason};
use locum_token::dpop;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::asked::{Asked, workload};
use super::show;
use crate::metrics::Metrics;

/// Checks by backends.
pub(crate) struct Checks {
    pub broker: Arc<Broker>,
    pub metrics: Arc<Metrics>,
}

#[tonic::async_trait]
impl CheckService for Checks {
    async fn introspect_token(
        &self,
        request: Request<wire::IntrospectTokenRequest>,
    ) -> Result<Response<wire::IntrospectTokenResponse>, Status> {
        let (asked, message) = workload(request)?;
        introspect(&self.broker, &self.metrics, &asked, &message).map(Response::new)
    }

    type IntrospectTokensStream =
        Pin<Box<dyn Stream<Item = Result<wire::IntrospectTokensResponse, Status>> + Send>>;

    async fn introspect_tokens(
        &self,
        request: Request<Streaming<wire::IntrospectTokensRequest>>,
    ) -> Result<Response<Self::IntrospectTokensStream>, Status> {
        let (asked, messages) = workload(request)?;
        let begin = Some((Arc::clone(&self.broker), Arc::clone(&self.metrics), asked, messages));
        let answers = futures_util::stream::unfold(begin, |state| async move {
            let (broker, metrics, asked, mut messages) = state?;
            let batch = match messages.message().await {
                Ok(Some(batch)) => batch,
                Ok(None) => return None,
                Err(status) => return Some((Err(status), None)),
            };
            match introspect_batch(&broker, &metrics, &asked, &batch) {
                Ok(answer) => Some((Ok(answer), Some((broker, metrics, asked, messages)))),
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn authorize(
        &self,
        request: Request<wire::AuthorizeRequest>,
    ) -> Result<Response<wire::AuthorizeResponse>, Status> {
        let (asked, message) = workload(request)?;
        let read = || -> Result<_, Malformed> {
            let operation = operation_from_wire(&message.operation, "operation")?;
            let resource = resource_from_wire(&message.resource, "resource")?;
            let shown = presented_from_wire(message.presented.as_ref(), "presented")?;
            Ok((operation, resource, shown))
        };
        let (operation, resource, shown) = read().map_err(|malformed| asked.malformed(malformed))?;
        let shown = presentation(&message.token, shown);
        let authorized = self.broker.authorize(&asked.who, &operation, resource.as_ref(), shown).await;
        let answer = match authorized.map_err(|refusal| asked.refuse(refusal))? {
            Authorized::Permitted(token) => {
                note(&asked, "active", None, Some(&token));
                self.metrics.check_active();
                wire::AuthorizeResponse {
                    permitted: true,
                    token: Some(show::active(&token)),
                    insufficient_scope: false,
                }
            }
            Authorized::Insufficient(token) => {
                note(&asked, "insufficient", Some(Reason::ScopeInsufficient), Some(&token));
                self.metrics.check_refused(Reason::ScopeInsufficient);
                wire::AuthorizeResponse {
                    permitted: false,
                    token: Some(show::active(&token)),
                    insufficient_scope: true,
                }
            }
            Authorized::Inactive(reason) => {
                note(&asked, "inactive", Some(reason), None);
                self.metrics.check_refused(reason);
                wire::AuthorizeResponse::default()
            }
        };
        Ok(Response::new(answer))
    }
}

fn introspect_batch(
    broker: &Broker,
    metrics: &Metrics,
    asked: &Asked<Caller>,
    batch: &wire::IntrospectTokensRequest,
) -> Result<wire::IntrospectTokensResponse, Status> {
    if batch.tokens.is_empty() || batch.tokens.len() > INTROSPECT_BATCH_MAX {
        let message = format_args!("must have 1 to {INTROSPECT_BATCH_MAX} entries");
        return Err(asked.malformed(Malformed::of("tokens", message)));
    }
    broker.expect_checks(batch.tokens.iter().map(|question| question.token.as_str()));
    let answers: Result<_, Status> =
        batch.tokens.iter().map(|question| introspect(broker, metrics, asked, question)).collect();
    Ok(wire::IntrospectTokensResponse { tokens: answers? })
}

fn introspect(
    broker: &Broker,
    metrics: &Metrics,
    asked: &Asked<Caller>,
    question: &wire::IntrospectTokenRequest,
) -> Result<wire::IntrospectTokenResponse, Status> {
    let connector =
        name_from_wire(&question.connector, "connector").map_err(|malformed| asked.malformed(malformed))?;
    let shown = presented_from_wire(question.presented.as_ref(), "presented")
        .map_err(|malformed| asked.malformed(malformed))?;
    let shown = presentation(&question.token, shown);
    let checked = broker.introspect_token(&asked.who, &connector, shown);
    Ok(match checked.map_err(|refusal| asked.refuse(refusal))? {
        Checked::Active(token) => {
            note(asked, "active", None, Some(&token));
            metrics.check_active();
            wire::IntrospectTokenResponse { active: true, token: Some(show::active(&token)) }
        }
        Checked::Inactive(reason) => {
            note(asked, "inactive", Some(reason), None);
            metrics.check_refused(reason);
            wire::IntrospectTokenResponse { active: false, token: None }
        }
    })
}

fn presentation<'a>(token: &'a str, shown: confirmation::Presented<'a>) -> Presentation<'a> {
    let proof =
        shown.proof.map(|shown| dpop::Shown { proof: &shown.proof, method: &shown.method, uri: &shown.uri });
    Presentation { token, presented: dpop::Presented { certificate: shown.certificate, proof } }
}

/// What a trace tells about a check; of a token that is not active, nothing is told.
fn note(asked: &Asked<Caller>, result: &'static str, reason: Option<Reason>, token: Option<&ActiveToken>) {
    asked.notes.put("locum.result", || result);
    if let Some(reason) = reason {
        asked.notes.put("locum.reason", || reason.as_str());
    }
    if let Some(token) = token {
        asked.notes.put("locum.jti", || token.claims.jti.to_string());
        asked.notes.put("locum.task_id", || token.claims.task().to_string());
        asked.notes.put("locum.audience", || token.claims.audience.clone());
    }
}
