//! `locum.broker.v1.FeedService`: signed frames for offline verifiers.
//!
//! A stream begins with the set of keys under the root, then a snapshot of everything in force,
//! then deltas as they are committed and a heartbeat for every ping. Frames are numbered without
//! gaps and chained by hash within the stream; a restart of the broker goes on with larger journal
//! positions, and the follower starts from a new snapshot.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use locum_api::broker::v1 as wire;
use locum_api::broker::v1::feed_service_server::FeedService;
use locum_api::convert::id::{name_from_wire, optional_bytes_from_wire};
use locum_api::feed::{encode, encode_entry, signing_input};
use locum_broker::{Broker, FeedEntry, Following};
use locum_model::event::KeyPurpose;
use locum_model::feed::{Body, Entry, Frame, Key, SnapshotEnd};
use locum_model::limits::{FEED_ENTRIES_PER_FRAME, FEED_FOLLOWERS_MAX, STALENESS_BOUND_DEFAULT};
use locum_model::registry::Algorithm;
use locum_model::{Caller, Clock, Reason};
use locum_token::KeyRing;
use tokio::sync::broadcast::error::RecvError;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::asked::workload;
use crate::holds::{Holds, Place};
use crate::tasks::Stopping;

/// A silent stream hears a heartbeat without a nonce this often, and is ended if its caller may not
/// follow any more. It extends no lease.
const FOLLOWER_CHECK: Duration = Duration::from_secs(5);

/// The revocation feed.
pub(crate) struct Feed {
    pub broker: Arc<Broker>,
    pub clock: Arc<dyn Clock>,
    pub places: Holds,
    pub stopping: Stopping,
}

type FrameStream = Pin<Box<dyn Stream<Item = Result<wire::WatchRevocationsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl FeedService for Feed {
    type WatchRevocationsStream = FrameStream;

    async fn watch_revocations(
        &self,
        request: Request<Streaming<wire::WatchRevocationsRequest>>,
    ) -> Result<Response<FrameStream>, Status> {
        let (asked, mut pings) = workload(request)?;
        let first = pings.message().await?.unwrap_or_default();
        let connector =
            name_from_wire(&first.connector, "connector").map_err(|malformed| asked.malformed(malformed))?;
        let nonce = optional_bytes_from_wire(&first.nonce, "nonce")
            .map_err(|malformed| asked.malformed(malformed))?;
        if self.broker.status().followers >= FEED_FOLLOWERS_MAX {
            return Err(locum_api::status::status(Reason::QuotaExceeded, None, &asked.request_id, &[]));
        }
        let following = self.broker.watch_revocations(&asked.who, &connector);
        let following = following.map_err(|refusal| asked.refuse(refusal))?;
        let place = self
            .places
            .take(following.workload)
            .ok_or_else(|| locum_api::status::status(Reason::QuotaExceeded, None, &asked.request_id, &[]))?;
        let (number, keys) = self.broker.key_set();
        let opening = opening(number, &keys, &following, nonce)
            .ok_or_else(|| locum_api::status::status(Reason::Internal, None, &asked.request_id, &[]))?;
        let follower = Follower {
            frames: Framer::new(&self.broker, Arc::clone(&self.clock), &following),
            ready: opening.into_iter(),
            told: number,
            _place: place,
            following,
            pings,
            stopping: self.stopping.clone(),
            caller: asked.who,
            request_id: asked.request_id,
            over: false,
        };
        Ok(Response::new(Box::pin(futures_util::stream::unfold(follower, Follower::step))))
    }
}

/// What every follower hears first: keys, everything in force, a sign of life. `None` without a root.
fn opening(number: u64, keys: &KeyRing, following: &Following, nonce: Option<[u8; 16]>) -> Option<Vec<Body>> {
    let entries: Vec<Entry> = following.snapshot.iter().map(entry_of).collect();
    let hashed: Vec<u8> = entries.iter().flat_map(encode_entry).collect();
    let end = SnapshotEnd { count: entries.len() as u64, entries_sha256: locum_token::sha256(&hashed) };
    let parts = entries.chunks(FEED_ENTRIES_PER_FRAME).collect::<Vec<_>>();
    let count = parts.len().max(1);
    let mut bodies = vec![key_set(number, keys)?];
    for part in 0..count {
        bodies.push(Body::SnapshotPart {
            part: part as u32,
            end: (part + 1 == count).then_some(end),
            entries: parts.get(part).map(|entries| entries.to_vec()).unwrap_or_default(),
        });
    }
    bodies.push(heartbeat(nonce, number));
    Some(bodies)
}

fn heartbeat(nonce: Option<[u8; 16]>, key_set: u64) -> Body {
    Body::Heartbeat { nonce, key_set, lease: STALENESS_BOUND_DEFAULT }
}

/// The keys that count: everything published but the root itself, which signs the set.
fn key_set(number: u64, keys: &KeyRing) -> Option<Body> {
    let key = |key: &locum_token::RingKey| Key {
        kid: *key.kid(),
        purpose: key.purpose(),
        algorithm: key.algorithm(),
        public_key: key.public().as_bytes().to_vec(),
    };
    let counted = keys.keys().filter(|key| key.purpose() != KeyPurpose::KeysetRoot);
    let root = key(keys.signer(KeyPurpose::KeysetRoot, Algorithm::Es256)?);
    Some(Body::KeySet { number, keys: counted.map(key).collect(), root })
}

fn entry_of(entry: &FeedEntry) -> Entry {
    Entry {
        level: entry.target.level(),
        id: entry.target.id_bytes(),
        below_sequence: entry.below.sequence,
        drop_after: entry.drop_after,
    }
}

/// One follower's stream.
struct Follower {
    frames: Framer,
    ready: std::vec::IntoIter<Body>,
    following: Following,
    pings: Streaming<wire::WatchRevocationsRequest>,
    stopping: Stopping,
    caller: Caller,
    request_id: String,
    over: bool,
    /// The number of the last set of keys that was sent.
    told: u64,
    _place: Place,
}

impl Follower {
    async fn step(mut self) -> Option<(Result<wire::WatchRevocationsResponse, Status>, Self)> {
        if self.over {
            return None;
        }
        let body = match self.ready.next() {
            Some(body) => Ok(body),
            None => self.next_body().await?,
        };
        let body = body.and_then(|body| {
            let may_go_on = self.frames.broker.may_follow(&self.caller, self.frames.partition);
            if may_go_on { Ok(body) } else { Err(Reason::ConnectorNotServed) }
        });
        let frame = match body {
            Ok(body) => self.frames.frame(body),
            Err(reason) => Err(reason),
        };
        let answer = frame.map_err(|reason| {
            self.over = true;
            locum_api::status::status(reason, None, &self.request_id, &[])
        });
        Some((answer, self))
    }

    /// What there is to say next; `None` when the stream is to end without a word.
    async fn next_body(&mut self) -> Option<Result<Body, Reason>> {
        let (number, keys) = self.frames.broker.key_set();
        if number != self.told {
            self.told = number;
            return Some(key_set(number, &keys).ok_or(Reason::Internal));
        }
        tokio::select! {
            biased;
            () = self.stopping.wait() => None,
            () = tokio::time::sleep(FOLLOWER_CHECK) => {
                Some(Ok(heartbeat(None, self.told)))
            }
            delta = self.following.deltas.recv() => Some(match delta {
                Ok(delta) => {
                    self.frames.sequence = delta.position.sequence;
                    Ok(Body::Delta { entries: delta.entries.iter().map(entry_of).collect() })
                }
                Err(RecvError::Lagged(_)) => Err(Reason::FollowerTooSlow),
                Err(RecvError::Closed) => return None,
            }),
            ping = self.pings.message() => match ping {
                Ok(Some(ping)) => Some(match ping.nonce.try_into() {
                    Ok(nonce) => Ok(heartbeat(Some(nonce), self.told)),
                    Err(_not_16_bytes) => Err(Reason::RequestMalformed),
                }),
                Ok(None) | Err(_) => None,
            },
        }
    }
}

/// Numbers, chains and signs the frames of one stream.
struct Framer {
    broker: Arc<Broker>,
    clock: Arc<dyn Clock>,
    home: u16,
    epoch: u32,
    partition: locum_model::ConnectorNo,
    sequence: u64,
    previous: [u8; 32],
}

impl Framer {
    fn new(broker: &Arc<Broker>, clock: Arc<dyn Clock>, following: &Following) -> Self {
        Self {
            broker: Arc::clone(broker),
            clock,
            home: following.position.home,
            epoch: following.position.epoch,
            partition: following.connector.number,
            sequence: following.position.sequence,
            previous: [0; 32],
        }
    }

    fn frame(&mut self, body: Body) -> Result<wire::WatchRevocationsResponse, Reason> {
        let purpose = match body {
            Body::KeySet { .. } => KeyPurpose::KeysetRoot,
            _ => KeyPurpose::Feed,
        };
        let is_link = matches!(body, Body::Delta { .. });
        let payload = encode(&Frame {
            issuer: self.broker.issuer().into(),
            home: self.home,
            epoch: self.epoch,
            partition: self.partition,
            sequence: self.sequence,
            previous: self.previous,
            server_time: self.clock.now().map_err(|_unsettled| Reason::ClockUnsettled)?,
            body,
        });
        if is_link {
            self.previous = locum_token::sha256(&payload);
        }
        let keys = self.broker.key_ring();
        let key = keys.signer(purpose, Algorithm::Es256).ok_or(Reason::Internal)?;
        let signature = key.sign(&signing_input(&payload)).map_err(|cause| {
            tracing::error!(%cause, "a frame could not be signed");
            Reason::Internal
        })?;
        Ok(wire::WatchRevocationsResponse { payload, kid: key.kid().0.to_vec(), signature })
    }
}
