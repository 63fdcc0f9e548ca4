//! `locum.broker.v1.FeedService`: signed frames for offline verifiers.
//!
//! What all followers of a connector hear is made once: a *partition* has a chain of deltas
//! (`chain`), the newest of which are kept (`ring`), and openings for those who start from nothing
//! (`snapshot`). Together they are its [`Track`]. A follower has its own [`Course`] along it, and its
//! own heartbeats, each for one of its pings (`pings`). None of these wait: the partition's pump (`hub`)
//! and the follower's stream (`follower`) do, and in the simulation a manual clock and a bad network.
//! A stream that nobody reads is ended by the pump (`line`).

mod chain;
mod course;
mod follower;
mod hub;
mod line;
mod pings;
mod press;
mod ring;
mod snapshot;
mod track;
mod witness;

use std::sync::Arc;
use std::time::Duration;

use locum_api::broker::v1 as wire;
use locum_api::broker::v1::feed_service_server::FeedService;
use locum_api::convert::id::{bytes_from_wire, name_from_wire};
use locum_api::violation::Malformed;
use locum_broker::Hello;
use locum_model::limits::VERIFIER_VERSION_BYTES_MAX;
use locum_model::{Caller, Name};
use tonic::{Request, Response, Status, Streaming};

use super::asked::{Asked, workload};
use crate::tasks::Stopping;
use follower::Follower;

pub use chain::{Around, Turned};
pub use course::{Course, Next};
pub use hub::{HistoryLost, Hub};
pub use pings::Ping;
pub use snapshot::Opening;
pub use track::Track;
pub use witness::lost_position;

/// A stream has to say whom it follows within this.
const FIRST_PING: Duration = Duration::from_secs(10);

/// The revocation feed.
pub(crate) struct Feed {
    pub hub: Arc<Hub>,
    pub stopping: Stopping,
}

#[tonic::async_trait]
impl FeedService for Feed {
    type WatchRevocationsStream = line::Reader;

    async fn watch_revocations(
        &self,
        request: Request<Streaming<wire::WatchRevocationsRequest>>,
    ) -> Result<Response<line::Reader>, Status> {
        let (asked, mut pings) = workload(request)?;
        let first = tokio::time::timeout(FIRST_PING, pings.message()).await;
        let first = first.unwrap_or(Ok(None))?.unwrap_or_default();
        let (connector, hello, ping) = read_first(&first).map_err(|malformed| asked.malformed(malformed))?;
        let follower = self.follow(asked, (connector, hello), (pings, ping), first.witness).await?;
        Ok(Response::new(follower.watched()))
    }
}

impl Feed {
    async fn follow(
        &self,
        asked: Asked<Caller>,
        (connector, hello): (Name, Hello),
        (pings, first): (Streaming<wire::WatchRevocationsRequest>, Ping),
        witness: Option<wire::WatchRevocationsResponse>,
    ) -> Result<Follower, Status> {
        let following = self.hub.around.broker.watch_revocations(&asked.who, &connector, hello);
        let following = following.map_err(|refusal| asked.refuse(refusal))?;
        if let Some(witness) = witness {
            self.hub.hear_witness(witness).await.map_err(|reason| asked.refuse(reason.into()))?;
        }
        let share = self.hub.join(following.connector).map_err(|reason| asked.refuse(reason.into()))?;
        let (track, grown) = (Arc::clone(&share.0.track), share.0.grown());
        let course = Course::begin(track, (asked.who.clone(), following.place), first);
        let course = course.map_err(|refusal| asked.refuse(refusal))?;
        let (request_id, stopping) = (asked.request_id.to_string(), self.stopping.clone());
        Ok(Follower { share, course, pings, request_id, stopping, grown, over: false })
    }
}

/// What the first message has to say.
fn read_first(first: &wire::WatchRevocationsRequest) -> Result<(Name, Hello, Ping), Malformed> {
    let connector = name_from_wire(&first.connector, "connector")?;
    let ping = Ping::of(first)?;
    if ping.nonce.is_none() {
        return Err(Malformed::of("nonce", "is required in the first message"));
    }
    let version = &first.version;
    if version.len() > VERIFIER_VERSION_BYTES_MAX
        || !version.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
    {
        let bound = format_args!("must be at most {VERIFIER_VERSION_BYTES_MAX} printable ASCII characters");
        return Err(Malformed::of("version", bound));
    }
    let instance = bytes_from_wire(&first.instance, "instance")?;
    Ok((connector, Hello { instance, version: version.clone() }, ping))
}
