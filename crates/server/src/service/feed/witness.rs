//! Whether a frame that a follower kept proves that this journal has lost history.
//!
//! A position alone proves nothing: anybody may say one. A frame that a key of this feed signed was made by
//! this broker, and it was made after what it tells had been committed here. So one that is beyond everything that is
//! here shows that the journal was put back. Nobody else can make one, however hostile.

use locum_api::broker::v1::WatchRevocationsResponse;
use locum_api::feed::{decode, signing_input};
use locum_broker::Broker;
use locum_model::event::KeyPurpose;
use locum_model::{KeyId, Position};

/// The position that the frame brought its follower to, where that proves the loss.
pub(super) fn lost_position(broker: &Broker, shown: &WatchRevocationsResponse) -> Option<Position> {
    let said = decode(&shown.payload).ok()?;
    let kid = KeyId(shown.kid.as_ref().try_into().ok()?);
    let (_, keys) = broker.key_set();
    let key = keys.key(&kid).filter(|key| key.purpose() == KeyPurpose::Feed)?;
    key.public().verify(&signing_input(&shown.payload), &shown.signature).ok()?;
    // Read after the frame is here, so that none of this process can be ahead of it.
    let here = broker.feed_position();
    let is_ours = said.issuer == broker.issuer() && said.home == here.home;
    let beyond = (said.epoch, said.sequence) > (here.epoch, here.sequence);
    (is_ours && beyond).then_some(Position { epoch: said.epoch, sequence: said.sequence, ..here })
}
