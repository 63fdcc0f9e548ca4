//! [`Press`]: makes signed frames of one partition.

use std::sync::Arc;

use locum_api::broker::v1::WatchRevocationsResponse;
use locum_api::feed::{encode, signing_input};
use locum_broker::FeedEntry;
use locum_model::event::KeyPurpose;
use locum_model::feed::{Body, Entry, Frame, Key};
use locum_model::registry::Algorithm;
use locum_model::{Clock, ConnectorNo, Reason};
use locum_token::{KeyRing, RingKey};

use super::ring::Place;

/// What every frame of a partition has in common.
pub(super) struct Press {
    pub issuer: String,
    pub home: u16,
    pub epoch: u32,
    pub partition: ConnectorNo,
    pub clock: Arc<dyn Clock>,
}

/// A set of keys, and its number.
#[derive(Clone)]
pub(super) struct KeySet {
    pub number: u64,
    pub keys: KeyRing,
}

// === impl Press ===

impl Press {
    /// A signed frame: by the root for a set of keys, by the feed's key for all else.
    pub(super) fn frame(
        &self,
        keys: &KeySet,
        place: Place,
        body: Body,
    ) -> Result<WatchRevocationsResponse, Reason> {
        let purpose = match body {
            Body::KeySet { .. } => KeyPurpose::KeysetRoot,
            _ => KeyPurpose::Feed,
        };
        let payload = encode(&Frame {
            issuer: self.issuer.clone(),
            home: self.home,
            epoch: self.epoch,
            partition: self.partition,
            sequence: place.sequence,
            previous: place.head,
            server_time: self.clock.now().map_err(|_unsettled| Reason::ClockUnsettled)?,
            body,
        });
        let failed = |cause: &dyn std::fmt::Display| {
            tracing::error!(%cause, "a frame could not be signed");
            Reason::Internal
        };
        let key = keys.keys.signer(purpose, Algorithm::Es256).ok_or_else(|| failed(&"no key signs"))?;
        let signature = key.sign(&signing_input(&payload)).map_err(|cause| failed(&cause))?;
        let kid = key.kid().0.to_vec();
        Ok(WatchRevocationsResponse { payload: payload.into(), kid: kid.into(), signature: signature.into() })
    }

    /// The frame of a set of keys.
    pub(super) fn key_set(&self, keys: &KeySet, place: Place) -> Result<WatchRevocationsResponse, Reason> {
        self.frame(keys, place, keys.body().ok_or(Reason::Internal)?)
    }
}

// === impl KeySet ===

impl KeySet {
    /// Everything published but the root, which signs it. None without a root.
    fn body(&self) -> Option<Body> {
        let root = key_of(self.keys.signer(KeyPurpose::KeysetRoot, Algorithm::Es256)?);
        let counted = self.keys.keys().filter(|key| key.purpose() != KeyPurpose::KeysetRoot);
        Some(Body::KeySet { number: self.number, keys: counted.map(key_of).collect(), root })
    }

    /// Whether every key of the feed that is in `before` counts still.
    pub(super) fn keeps_feed_keys_of(&self, before: &Self) -> bool {
        let mut feed = before.keys.keys().filter(|key| key.purpose() == KeyPurpose::Feed);
        feed.all(|key| self.keys.key(key.kid()).is_some())
    }
}

fn key_of(key: &RingKey) -> Key {
    Key {
        kid: *key.kid(),
        purpose: key.purpose(),
        algorithm: key.algorithm(),
        public_key: key.public().as_bytes().to_vec(),
    }
}

pub(super) fn entry_of(entry: &FeedEntry) -> Entry {
    Entry {
        level: entry.target.level(),
        id: entry.target.id_bytes(),
        below_sequence: entry.below.sequence,
        drop_after: entry.drop_after,
    }
}
