//! `locum.broker.v1.CheckService`.
//!
//! Checks are what is asked most, so the two introspections read their questions from the request's bytes
//! and write their answers as bytes ([`locum_api::check`]): no message stands between, and what a token
//! says is copied once. [`CheckDoor`] is what the generated service would be.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use locum_api::broker::v1 as wire;
use locum_api::check::{self as bytes, Active, Answer, Message, Question};
use locum_api::convert::confirmation::{self, presented_from_wire};
use locum_api::convert::id::name_from_wire;
use locum_api::convert::scope::{operation_from_wire, resource_from_wire};
use locum_api::violation::Malformed;
use locum_broker::{ActiveToken, Authorized, Broker, Checked, Presentation};
use locum_model::limits::INTROSPECT_BATCH_MAX;
use locum_model::{Caller, Name, Reason};
use locum_token::dpop;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::asked::{Asked, workload};
use super::show;
use crate::metrics::Metrics;

mod door;

pub(crate) use door::CheckDoorLayer;

/// Room for the answer to one token: most have about 300 bytes.
const ANSWER_BYTES: usize = 384;

/// Checks by backends.
pub(crate) struct Checks {
    pub broker: Arc<Broker>,
    pub metrics: Arc<Metrics>,
}

/// The answers to the batches of one stream, in order. It ends with the first batch that is refused.
pub(crate) struct Answers {
    checks: Arc<Checks>,
    asked: Asked<Caller>,
    batches: Option<Streaming<Message>>,
}

// === impl Checks ===

impl Checks {
    fn introspect_token(&self, request: Request<Message>) -> Result<Response<Answer>, Status> {
        let (asked, message) = workload(request)?;
        let question = bytes::question(message.bytes()).map_err(not_a_question)?;
        let connector = name(&asked, &question)?;
        let shown = shown(&asked, &question)?;
        let checked = self.broker.introspect_token(&asked.who, &connector, shown);
        let checked = checked.map_err(|refusal| asked.refuse(refusal))?;
        let mut answer = Vec::with_capacity(ANSWER_BYTES);
        self.tell(&asked, &checked, &mut answer);
        Ok(Response::new(Answer(answer)))
    }

    fn introspect_tokens(
        self: Arc<Self>,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Answers>, Status> {
        let (asked, batches) = workload(request)?;
        Ok(Response::new(Answers { checks: self, asked, batches: Some(batches) }))
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

    fn introspect_batch(&self, asked: &Asked<Caller>, batch: &[u8]) -> Result<Answer, Status> {
        let mut questions = Vec::new();
        let count = bytes::questions(batch, INTROSPECT_BATCH_MAX, &mut questions).map_err(not_a_question)?;
        if count == 0 || count > INTROSPECT_BATCH_MAX {
            let message = format_args!("must have 1 to {INTROSPECT_BATCH_MAX} entries");
            return Err(asked.malformed(Malformed::of("tokens", message)));
        }
        self.broker.expect_checks(questions.iter().map(|question| question.token));
        let mut checking = self.broker.checking(&asked.who).map_err(|refusal| asked.refuse(refusal))?;
        let mut answer = Vec::with_capacity(count * ANSWER_BYTES);
        // Nearly always the whole batch names the same one.
        let mut connector: Option<(&str, Name)> = None;
        for question in &questions {
            let shown = shown(asked, question)?;
            let named = match connector.take() {
                Some((text, name)) if text == question.connector => name,
                _ => name(asked, question)?,
            };
            let checked =
                checking.introspect_token(&named, shown).map_err(|refusal| asked.refuse(refusal))?;
            bytes::entry(&mut answer, |answer| self.tell(asked, &checked, answer));
            connector = Some((question.connector, named));
        }
        Ok(Answer(answer))
    }

    /// Counts what was found, and writes it down as an answer.
    fn tell(&self, asked: &Asked<Caller>, checked: &Checked, answer: &mut Vec<u8>) {
        match checked {
            Checked::Active(token) => {
                note(asked, "active", None, Some(token));
                self.metrics.check_active();
                write_active(token, answer);
            }
            Checked::Inactive(reason) => {
                note(asked, "inactive", Some(*reason), None);
                self.metrics.check_refused(*reason);
                bytes::write_inactive(answer);
            }
        }
    }
}

// === impl Answers ===

impl Stream for Answers {
    type Item = Result<Answer, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(batches) = &mut self.batches else { return Poll::Ready(None) };
        let Some(batch) = ready!(Pin::new(batches).poll_next(context)) else {
            self.batches = None;
            return Poll::Ready(None);
        };
        let answer = batch.and_then(|batch| self.checks.introspect_batch(&self.asked, batch.bytes()));
        if answer.is_err() {
            self.batches = None;
        }
        Poll::Ready(Some(answer))
    }
}

// === free functions ===

fn name(asked: &Asked<Caller>, question: &Question<'_>) -> Result<Name, Status> {
    name_from_wire(question.connector, "connector").map_err(|malformed| asked.malformed(malformed))
}

fn shown<'q>(asked: &Asked<Caller>, question: &Question<'q>) -> Result<Presentation<'q>, Status> {
    let shown = question.presented().map_err(|malformed| asked.malformed(malformed))?;
    Ok(presentation(question.token, shown))
}

fn presentation<'a>(token: &'a str, shown: confirmation::Presented<'a>) -> Presentation<'a> {
    let confirmation::Presented { certificate, proof } = shown;
    let proof = proof.map(|shown| dpop::Shown { proof: shown.proof, method: shown.method, uri: shown.uri });
    Presentation { token, presented: dpop::Presented { certificate, proof } }
}

/// As the generated service answers bytes that it cannot decode.
fn not_a_question(why: bytes::NotAQuestion) -> Status {
    Status::internal(why.to_string())
}

fn write_active(token: &ActiveToken, answer: &mut Vec<u8>) {
    let says = &token.says;
    let active = Active {
        jti: says.jti(),
        subject: says.subject(),
        client_id: says.client_id(),
        audience: says.audience(),
        issued_at: says.issued_at(),
        expires_at: says.expires_at(),
        task: says.task(),
        root_task: says.root_task(),
        confirmation: says.confirmation(),
        uses_left: token.uses_left,
    };
    bytes::write_active(&active, says.grants(), answer);
}

/// What a trace tells about a check; of a token that is not active, nothing is told.
fn note(asked: &Asked<Caller>, result: &'static str, reason: Option<Reason>, token: Option<&ActiveToken>) {
    asked.notes.put("locum.result", || result);
    if let Some(reason) = reason {
        asked.notes.put("locum.reason", || reason.as_str());
    }
    if let Some(token) = token {
        asked.notes.put("locum.jti", || token.says.jti().to_owned());
        asked.notes.put("locum.task_id", || token.says.task().to_string());
        asked.notes.put("locum.audience", || token.says.audience().to_owned());
    }
}
