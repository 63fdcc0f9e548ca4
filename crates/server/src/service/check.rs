//! `locum.broker.v1.CheckService`.
//!
//! Checks are what is asked most, so the two introspections read their questions from the request's bytes
//! and write their answers as bytes ([`locum_api::check`]): no message stands between, and what a token
//! says is copied once. [`door`] is what the generated service would be.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::Either;
use futures_util::stream;
use hyper::body::Bytes;
use locum_api::broker::v1 as wire;
use locum_api::check::{self as bytes, Active, Answer, Message, Question};
use locum_api::convert::confirmation::{self, presented_from_wire};
use locum_api::convert::id::name_from_wire;
use locum_api::convert::scope::{operation_from_wire, resource_from_wire};
use locum_api::violation::Malformed;
use locum_broker::{ActiveToken, Authorized, Broker, Checked, Checking, Presentation, Refusal};
use locum_model::limits::INTROSPECT_BATCH_MAX;
use locum_model::{Caller, Name, Reason};
use locum_token::dpop;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::asked::{Asked, workload};
use super::show;
use crate::grpc::{Said, one_message};
use crate::metrics::Metrics;

mod door;
mod turns;

use turns::Turns;

/// Room for the answer to one token: most have about 300 bytes.
const ANSWER_BYTES: usize = 384;

/// Checks by backends.
pub(crate) struct Checks {
    broker: Arc<Broker>,
    metrics: Arc<Metrics>,
    turns: Turns,
}

/// The answer to one question: at once, or in turn.
type OneAnswer<T> = Either<Result<T, Status>, Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>>;

/// The answers to the batches of one stream, in order. It ends with the first batch that is refused.
type Answers = Pin<Box<dyn Stream<Item = Result<Answer, Status>> + Send>>;

// === impl Checks ===

impl Checks {
    pub(crate) fn new(broker: Arc<Broker>, metrics: Arc<Metrics>) -> Self {
        Self { broker, metrics, turns: Turns::new() }
    }

    /// The answer at once where no signature has to be verified, else in turn. `tell` makes it of what was found.
    fn introspect_token<T: Send + 'static>(
        self: Arc<Self>,
        asked: Result<Asked<Caller>, Status>,
        message: Bytes,
        tell: fn(&Self, &Asked<Caller>, &Checked) -> T,
    ) -> OneAnswer<T> {
        let asked = match asked {
            Ok(asked) => asked,
            Err(status) => return Either::Left(Err(status)),
        };
        let recognised =
            self.ask(&asked, &message, |checks, name, shown| checks.recognise_token(name, shown));
        if let Some(checked) = recognised.transpose() {
            return Either::Left(checked.map(|checked| tell(&self, &asked, &checked)));
        }
        Either::Right(Box::pin(async move {
            let _turn = self.turns.take().await;
            let checked =
                self.ask(&asked, &message, |checks, name, shown| checks.introspect_token(name, shown))?;
            Ok(tell(&self, &asked, &checked))
        }))
    }

    fn introspect_tokens(
        self: Arc<Self>,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Answers>, Status> {
        let (asked, batches) = workload(request)?;
        let answers = stream::try_unfold((self, asked, batches), async |(checks, asked, mut batches)| {
            let Some(batch) = batches.message().await? else { return Ok(None) };
            let answer = checks.introspect_batch(&asked, batch.bytes()).await?;
            Ok(Some((answer, (checks, asked, batches))))
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
        let authorized =
            self.broker.authorize(&asked.who, &operation, resource.as_ref(), shown, self.turns.take()).await;
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

    /// What `check` finds of the one question that a message is.
    fn ask<C>(
        &self,
        asked: &Asked<Caller>,
        message: &[u8],
        check: impl FnOnce(&mut Checking<'_>, &Name, Presentation<'_>) -> Result<C, Refusal>,
    ) -> Result<C, Status> {
        let question = bytes::question(message).map_err(not_a_question)?;
        let (connector, shown) = (name(asked, &question)?, shown(asked, &question)?);
        let checked =
            self.broker.checking(&asked.who).and_then(|mut checks| check(&mut checks, &connector, shown));
        checked.map_err(|refusal| asked.refuse(refusal))
    }

    fn answered(&self, asked: &Asked<Caller>, checked: &Checked) -> http::Response<Said> {
        one_message(ANSWER_BYTES, |answer| self.tell(asked, checked, answer))
    }

    fn message(&self, asked: &Asked<Caller>, checked: &Checked) -> Answer {
        let mut answer = Vec::with_capacity(ANSWER_BYTES);
        self.tell(asked, checked, &mut answer);
        Answer(answer)
    }

    async fn introspect_batch(&self, asked: &Asked<Caller>, batch: &[u8]) -> Result<Answer, Status> {
        let mut questions = Vec::new();
        let count = bytes::questions(batch, INTROSPECT_BATCH_MAX, &mut questions).map_err(not_a_question)?;
        if count == 0 || count > INTROSPECT_BATCH_MAX {
            let message = format_args!("must have 1 to {INTROSPECT_BATCH_MAX} entries");
            return Err(asked.malformed(Malformed::of("tokens", message)));
        }
        self.broker.expect_checks(questions.iter().map(|question| question.token));
        let begin = || self.broker.checking(&asked.who).map_err(|refusal| asked.refuse(refusal));
        let mut checking = begin()?;
        let mut answer = Vec::with_capacity(count * ANSWER_BYTES);
        // Nearly always the whole batch names the same one.
        let mut connector: Option<(&str, Name)> = None;
        for question in &questions {
            let shown = shown(asked, question)?;
            let named = match connector.take() {
                Some((text, name)) if text == question.connector => name,
                _ => name(asked, question)?,
            };
            let checked = match checking.recognise_token(&named, shown).transpose() {
                Some(checked) => checked,
                None => {
                    let _turn = self.turns.take().await;
                    // Waiting takes time, and the world may have moved.
                    checking = begin()?;
                    checking.introspect_token(&named, shown)
                }
            };
            let checked = checked.map_err(|refusal| asked.refuse(refusal))?;
            bytes::entry(&mut answer, |answer| self.tell(asked, &checked, answer));
            connector = Some((question.connector, named));
        }
        Ok(Answer(answer))
    }

    /// Counts what was found, and writes it down as an answer. That of an inactive token has no bytes: every field
    /// of it has its default.
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
            }
        }
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
