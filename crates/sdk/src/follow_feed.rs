//! The loop that follows the revocation feed: one stream at a time, over the brokers in turn.
//!
//! When to ping, when to leave a stream, what is believed and for how long: all of that is decided in
//! `locum-verifier`. Here are the streams themselves; nothing here can extend a lease.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use locum_api::broker::v1 as wire;
use locum_api::broker::v1::feed_service_client::FeedServiceClient;
use locum_api::feed;
use locum_model::feed::{Entry, Frame};
use locum_model::{EntropyFailed, Reason};
use locum_verifier::{Codec, Due, Onward, Pace, SignedFrame, Unknown};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::client::Client;
use crate::entropy::jitter;
use crate::error::Error;
use crate::untrusted::bounded;
use crate::verifier::Followed;

const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// A stream has to be there within this.
const OPENING_MAX: Duration = Duration::from_secs(5);
/// Pings that wait to be sent.
const PINGS_MAX: usize = 16;

/// The contract's wire, with errors that are fit for a log.
struct Wire;

/// Who this verifier is, to the brokers.
type Instance = [u8; 16];

/// Why a stream ended.
enum Ended {
    /// The broker, the network or the frames are not as they should be.
    Trouble(String),
    /// The position that was shown is not one of the broker's history: it is shown no more.
    PositionRefused(String),
}

/// Follows the feed for as long as the task lives.
pub(crate) async fn run(followed: Arc<Followed>, brokers: Vec<Client>) {
    let mut instance = [0; 16];
    while brokers[0].entropy().fill(&mut instance).is_err() {
        tell(&followed, "no randomness for the verifier's id");
        sleep(PAUSE_MAX).await;
    }
    let (mut pauses, mut resume, mut kept) = (Pauses::new(), true, None);
    for (broker, options) in brokers.iter().zip(&followed.options.brokers).cycle() {
        let leases_before = *followed.leases.borrow();
        let mut stream = Stream::new(&followed, broker, (instance, resume), kept.take());
        let ended = match stream.follow().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        let (trouble, goes_on) = match ended {
            Ended::Trouble(trouble) => (trouble, true),
            Ended::PositionRefused(trouble) => {
                tracing::error!(%trouble, "the broker's history is not the one that this verifier followed");
                (trouble, false)
            }
        };
        resume = goes_on;
        kept = stream.kept;
        // Of several, whose trouble it is.
        match brokers.len() {
            1 => tell(&followed, &trouble),
            _ => tell(&followed, &format!("{}: {trouble}", bounded(&options.addr))),
        }
        let has_answered = *followed.leases.borrow() > leases_before;
        sleep(jitter(broker.entropy(), pauses.next(has_answered))).await;
    }
}

/// The pauses between streams, before jitter.
struct Pauses(Duration);

impl Pauses {
    fn new() -> Self {
        Self(PAUSE_FIRST)
    }

    /// Twice the one before, up to the longest; short again after a stream that gave a lease.
    fn next(&mut self, has_answered: bool) -> Duration {
        let pause = if has_answered { PAUSE_FIRST } else { self.0 };
        self.0 = (pause * 2).min(PAUSE_MAX);
        pause
    }
}

fn tell(followed: &Followed, trouble: &str) {
    let mut known = followed.trouble.lock();
    if known.as_deref() != Some(trouble) {
        tracing::warn!(connector = %followed.options.connector, %trouble, "the revocation feed is interrupted");
        *known = Some(trouble.to_owned());
    }
}

/// One stream.
struct Stream<'a> {
    followed: &'a Followed,
    broker: &'a Client,
    instance: Instance,
    resume: bool,
    /// The newest frame that gave a lease: what the broker signed, nobody can have made up.
    kept: Option<wire::WatchRevocationsResponse>,
    pace: Pace,
}

impl<'a> Stream<'a> {
    fn new(
        followed: &'a Followed,
        broker: &'a Client,
        (instance, resume): (Instance, bool),
        kept: Option<wire::WatchRevocationsResponse>,
    ) -> Self {
        Self { followed, broker, instance, resume, kept, pace: Pace::begin(followed.now().elapsed) }
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, Ended> {
        let (pings, queue) = mpsc::channel(PINGS_MAX);
        self.followed.core.begin_stream();
        let mut first = self.ping()?;
        first.connector.clone_from(&self.followed.options.connector);
        first.version.clone_from(&self.followed.options.version);
        first.instance = self.instance.to_vec();
        first.witness.clone_from(&self.kept);
        if !self.resume {
            first.acknowledgement = None;
        }
        let _ = pings.try_send(first);
        let mut frames = self.open(queue).await?;
        self.pace.opened(self.followed.now().elapsed);
        loop {
            let now = self.followed.now().elapsed;
            if self.pace.is_silent(now) {
                return Err(Ended::Trouble("the broker is silent".to_owned()));
            }
            let pause = match self.pace.due(now) {
                Due::Nothing(pause) => pause,
                // A full queue means that earlier ones still wait; the next one says more.
                Due::Ping => {
                    let _ = pings.try_send(self.ping()?);
                    continue;
                }
                Due::Acknowledgement => {
                    if let Some(shown) = self.acknowledgement() {
                        let _ = pings.try_send(shown);
                    }
                    continue;
                }
            };
            match timeout(pause, frames.message()).await {
                Err(_due) => {}
                Ok(Ok(Some(frame))) => self.take(&frame)?,
                Ok(Ok(None)) => return Err(Ended::Trouble("the broker ended the stream".to_owned())),
                Ok(Err(status)) => return Err(Error::of(&status).into()),
            }
        }
    }

    async fn open(
        &self,
        queue: mpsc::Receiver<wire::WatchRevocationsRequest>,
    ) -> Result<Streaming<wire::WatchRevocationsResponse>, Ended> {
        let request = self.broker.signed(ReceiverStream::new(queue)).await?;
        let mut service = FeedServiceClient::new(self.broker.channel());
        match timeout(OPENING_MAX, service.watch_revocations(request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(Error::of(&status).into()),
            Err(_) => Err(Error::TimedOut(OPENING_MAX).into()),
        }
    }

    fn ping(&mut self) -> Result<wire::WatchRevocationsRequest, Ended> {
        let (mut nonce, mut draw) = ([0; 16], [0]);
        self.broker.entropy().fill(&mut nonce)?;
        self.broker.entropy().fill(&mut draw)?;
        let now = self.followed.now();
        let ping = self.followed.core.ping(nonce, now);
        self.pace.pinged(now.elapsed, draw[0]);
        Ok(wire::WatchRevocationsRequest {
            nonce: ping.nonce.to_vec(),
            acknowledgement: ping.acknowledgement.map(feed::acknowledgement_to_wire),
            ..wire::WatchRevocationsRequest::default()
        })
    }

    /// How far the verifier is; none where it cannot tell.
    fn acknowledgement(&mut self) -> Option<wire::WatchRevocationsRequest> {
        self.pace.acknowledged(self.followed.now().elapsed);
        let shown = self.followed.core.acknowledgement()?;
        Some(wire::WatchRevocationsRequest {
            acknowledgement: Some(feed::acknowledgement_to_wire(shown)),
            ..wire::WatchRevocationsRequest::default()
        })
    }

    fn take(&mut self, frame: &wire::WatchRevocationsResponse) -> Result<(), Ended> {
        let signed = SignedFrame { payload: &frame.payload, kid: &frame.kid, signature: &frame.signature };
        let now = self.followed.now();
        match self.pace.took(self.followed.core.apply(&Wire, signed, now), now.elapsed) {
            Onward::Stay => {}
            Onward::Leased => {
                self.kept = Some(frame.clone());
                self.report_lease();
            }
            Onward::PassedOver(refused) => tracing::debug!(%refused, "a frame of the feed was passed over"),
            Onward::Leave(refused) => {
                let why = bounded(&refused.to_string());
                return Err(Ended::Trouble(format!("a frame of the feed was refused: {why}")));
            }
        }
        Ok(())
    }

    fn report_lease(&self) {
        let trouble = match self.followed.core.lack(self.followed.now()) {
            Some(clock @ Unknown::Clock { .. }) => Some(clock.to_string()),
            _ => None,
        };
        match trouble {
            Some(trouble) => tell(self.followed, &trouble),
            None => *self.followed.trouble.lock() = None,
        }
        self.followed.leases.send_modify(|leases| *leases += 1);
    }
}

// === impl Ended ===

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        match error.reason() {
            Some(Reason::FeedPositionInvalid) => Self::PositionRefused(error.to_string()),
            _ => Self::Trouble(error.to_string()),
        }
    }
}

impl From<EntropyFailed> for Ended {
    fn from(error: EntropyFailed) -> Self {
        Self::Trouble(error.to_string())
    }
}

// === impl Wire ===

impl Codec for Wire {
    type Error = Described;

    fn decode(&self, payload: &[u8]) -> Result<Frame, Described> {
        feed::Wire.decode(payload).map_err(|error| Described(error.to_string()))
    }

    fn encode_entry(&self, entry: &Entry) -> Vec<u8> {
        feed::Wire.encode_entry(entry)
    }
}

/// What is wrong with a payload, fit for a log.
struct Described(String);

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bounded(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_are_short_again_after_a_lease() {
        let mut pauses = Pauses::new();
        let mut millis = |has_answered| pauses.next(has_answered).as_millis();
        let grown: Vec<_> = (0..8).map(|_| millis(false)).collect();
        assert_eq!(grown, [50, 100, 200, 400, 800, 1_600, 3_000, 3_000]);
        assert_eq!([millis(true), millis(false), millis(true)], [50, 100, 50]);
    }
}
