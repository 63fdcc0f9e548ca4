//! Whether a frame that a follower kept proves that this journal has lost history.
//!
//! A position alone proves nothing: anybody may say one. A frame that a key of this feed signed was made by
//! this broker, and it was made after what it tells had been committed here. So one that is beyond everything that is
//! here shows that the journal was put back, and so does one that names a batch which is not here: what was put
//! back may have gone on, and have other events under the same numbers. Nobody else can make one, however hostile.

use locum_api::broker::v1::WatchRevocationsResponse;
use locum_api::feed::{decode, signing_input};
use locum_broker::Broker;
#[cfg(bug_zoo)]
use locum_model::bug_zoo::{Bug, is_planted};
use locum_model::event::KeyPurpose;
use locum_model::feed::Body;
use locum_model::{KeyId, Position};

/// The newest position that the frame tells of, where that proves the loss. Reads the journal.
pub fn lost_position(broker: &Broker, shown: &WatchRevocationsResponse) -> Option<Position> {
    let said = decode(&shown.payload).ok()?;
    let kid = KeyId(shown.kid.as_ref().try_into().ok()?);
    let (_, keys) = broker.key_set();
    let key = keys.key(&kid).filter(|key| key.purpose() == KeyPurpose::Feed)?;
    key.public().verify(&signing_input(&shown.payload), &shown.signature).ok()?;
    // Read after the frame is here, so that none of this process can be ahead of it.
    let here = broker.feed_position();
    if said.issuer != broker.issuer() || said.home != here.home || said.epoch < here.epoch {
        return None;
    }
    let batch = match said.body {
        Body::Heartbeat { journal, .. } if said.epoch == here.epoch => journal,
        _ => None,
    };
    let beyond = (said.epoch, said.sequence) > (here.epoch, here.sequence);
    #[cfg(bug_zoo)]
    let batch = batch.filter(|_| !is_planted(Bug::FeedWitnessOfPositionAlone));
    let lost = beyond || batch.is_some_and(|batch| broker.lacks(&batch));
    let sequence = batch.map_or(said.sequence, |batch| said.sequence.max(batch.sequence));
    lost.then_some(Position { epoch: said.epoch, sequence, ..here })
}
