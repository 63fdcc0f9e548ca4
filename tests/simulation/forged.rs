//! Frames of strangers: signed by a key that counts, and yet nothing that this broker says to this verifier.
//!
//! A broker of another issuer, home, epoch or connector would sign such frames, or one of a later version.
//! Whatever a verifier makes of one, it must come to nothing; and what it does not understand ends its answers
//! until it has heard everything anew.

use locum_api::broker::v1::feed_payload::Body;
use locum_api::broker::v1::{FeedPayload, WatchRevocationsResponse};
use locum_api::feed::signing_input;
use locum_model::event::KeyPurpose;
use locum_model::registry::Algorithm;
use prost::Message;

use crate::run::Run;
use crate::station::Down;

/// In what a frame is not what the broker said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strange {
    Issuer,
    Home,
    Epoch,
    Partition,
    Version,
    Level,
}

impl Strange {
    pub(crate) const ALL: [Self; 6] =
        [Self::Issuer, Self::Home, Self::Epoch, Self::Partition, Self::Version, Self::Level];
}

impl Run {
    /// Shows a stranger's frame right before the one that it was made of; whether there is such a frame.
    pub(crate) fn show_strange(&mut self, at: usize, place: usize, strange: Strange) -> bool {
        let Some(Down::Frame(frame)) = self.line(at).and_then(|line| line.down.get(place)).cloned() else {
            return false;
        };
        let Some(forged) = self.forge(at, &frame, strange) else { return false };
        if let Some(line) = self.line(at) {
            line.down.insert(place, Down::Strange(forged, strange));
        }
        self.trace.say(format_args!("  to {at}: a frame of another {strange:?}"));
        true
    }

    /// The same frame but for one thing; none when that would be a frame to follow: the keys are those of
    /// all connectors and epochs, and a snapshot may lead to another one.
    fn forge(
        &self,
        at: usize,
        frame: &WatchRevocationsResponse,
        strange: Strange,
    ) -> Option<WatchRevocationsResponse> {
        let mut payload = FeedPayload::decode(&frame.payload[..]).ok()?;
        let body = payload.body.as_mut()?;
        let leads_nowhere = matches!(body, Body::Delta(_) | Body::Heartbeat(_));
        match strange {
            Strange::Issuer => payload.issuer.push('/'),
            Strange::Home if leads_nowhere || self.feed.stations[at].is_pinned => payload.home += 1,
            Strange::Epoch if leads_nowhere => payload.epoch ^= 1,
            Strange::Partition if leads_nowhere => payload.partition ^= 1,
            Strange::Version => payload.version += 1,
            Strange::Level => match body {
                Body::Delta(delta) => delta.entries.first_mut()?.level = 99,
                Body::SnapshotPart(part) => part.entries.first_mut()?.level = 99,
                _ => return None,
            },
            Strange::Home | Strange::Epoch | Strange::Partition => return None,
        }
        let purpose = match payload.body {
            Some(Body::KeySet(_)) => KeyPurpose::KeysetRoot,
            _ => KeyPurpose::Feed,
        };
        let (_, keys) = self.broker.key_set();
        let key = keys.signer(purpose, Algorithm::Es256)?;
        let payload = payload.encode_to_vec();
        let signature = key.sign(&signing_input(&payload)).expect("a key that signs");
        let kid = key.kid().0.to_vec();
        Some(WatchRevocationsResponse {
            payload: payload.into(),
            kid: kid.into(),
            signature: signature.into(),
        })
    }
}
