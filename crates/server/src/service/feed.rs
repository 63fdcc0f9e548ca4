//! `locum.broker.v1.FeedService`: signed frames for offline verifiers.
//!
//! What all followers of a connector hear is made once: a *partition* has a chain of deltas
//! ([`chain`]), the newest of which are kept ([`ring`]), and openings for those who start from nothing
//! ([`snapshot`]). Its pump takes what the fold has published ([`hub`]). A follower has its own place
//! in all this ([`follower`]), and its own heartbeats, each for one of its pings ([`pings`]).

mod chain;
mod follower;
mod hub;
mod pings;
mod press;
mod ring;
mod snapshot;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use locum_api::broker::v1 as wire;
use locum_api::broker::v1::feed_service_server::FeedService;
use locum_api::convert::id::{bytes_from_wire, name_from_wire};
use locum_api::violation::Malformed;
use locum_broker::Hello;
use locum_model::limits::VERIFIER_VERSION_BYTES_MAX;
use locum_model::{Caller, Name, Reason};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::asked::{Asked, workload};
use crate::tasks::Stopping;
use follower::{Follower, Where, witness};
use pings::{Ping, Pings};

pub use chain::Around;
pub use hub::Hub;

/// A stream has to say whom it follows within this.
const FIRST_PING: Duration = Duration::from_secs(10);

/// The revocation feed.
pub(crate) struct Feed {
    pub hub: Arc<Hub>,
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
        let first = tokio::time::timeout(FIRST_PING, pings.message()).await;
        let first = first.unwrap_or(Ok(None))?.unwrap_or_default();
        let (connector, hello, ping) = read_first(&first).map_err(|malformed| asked.malformed(malformed))?;
        let follower = self.follow(asked, connector, hello, (pings, ping)).await?;
        Ok(Response::new(Box::pin(futures_util::stream::unfold(follower, Follower::step))))
    }
}

impl Feed {
    async fn follow(
        &self,
        asked: Asked<Caller>,
        connector: Name,
        hello: Hello,
        (pings, first): (Streaming<wire::WatchRevocationsRequest>, Ping),
    ) -> Result<Follower, Status> {
        let around = self.hub.around.clone();
        let following = around.broker.watch_revocations(&asked.who, &connector, hello);
        let following = following.map_err(|refusal| asked.refuse(refusal))?;
        let refuse = |reason| locum_api::status::status(reason, None, &asked.request_id, &[]);
        let share = self.hub.join(following.connector).map_err(refuse)?;
        let shown = first.acknowledgement;
        let begun = match share.0.begin(shown).await {
            Ok(begun) => begun,
            Err(Reason::FeedPositionInvalid) => {
                return Err(shown.map_or_else(
                    || refuse(Reason::Internal),
                    |shown| witness(&around, &share, &shown, &asked.request_id),
                ));
            }
            Err(reason) => return Err(refuse(reason)),
        };
        let at = Where::begin(begun, shown.is_some(), &share).map_err(refuse)?;
        let mut follower = Follower {
            pings: Pings::new(pings, around.clock.elapsed()),
            grown: share.0.grown(),
            around,
            share,
            place: following.place,
            caller: asked.who,
            request_id: asked.request_id,
            stopping: self.stopping.clone(),
            at,
        };
        follower.hear(first)?;
        Ok(follower)
    }
}

/// What the first message has to say.
fn read_first(first: &wire::WatchRevocationsRequest) -> Result<(Name, Hello, Ping), Malformed> {
    let connector = name_from_wire(&first.connector, "connector")?;
    let ping = Ping::of(first)?;
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
