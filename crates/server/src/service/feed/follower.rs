//! [`Follower`]: one stream: it waits for frames and pings, and sends what its [`Course`] says.

use std::sync::Arc;
use std::time::Duration;

use locum_api::broker::v1::{WatchRevocationsRequest, WatchRevocationsResponse};
use locum_broker::Refusal;
use locum_model::Reason;
use tokio::sync::watch;
use tonic::{Status, Streaming};

use super::course::{Course, Next};
use super::hub::{Share, State, Watched};
use super::line::{self, Reader};
use super::pings::Ping;
use crate::tasks::Stopping;

/// How often a stream that waits for something long is asked all the same: it is not the one that is slow.
const ASKED_AGAIN: Duration = Duration::from_secs(1);

/// One follower's stream.
pub(super) struct Follower {
    pub share: Share,
    pub course: Course,
    pub pings: Streaming<WatchRevocationsRequest>,
    pub request_id: String,
    pub stopping: Stopping,
    pub grown: watch::Receiver<State>,
    pub over: bool,
}

/// What a turn came to.
enum Turn {
    Say(WatchRevocationsResponse),
    Again,
    /// Without a word: the follower is gone, or the process stops.
    End,
}

// === impl Follower ===

impl Follower {
    /// Its frames, as long as somebody reads them: the partition's pump ends a stream that nobody does.
    pub(super) fn watched(self) -> Reader {
        let (shared, workload) = (Arc::clone(&self.share.0), self.course.workload());
        let request_id = self.request_id.clone();
        let (reader, watch) = line::line(Box::pin(futures_util::stream::unfold(self, Self::step)));
        shared.watch(Watched { watch, workload, request_id });
        reader
    }

    /// The next frame of the stream.
    async fn step(mut self) -> Option<(Result<WatchRevocationsResponse, Status>, Self)> {
        if self.over {
            return None;
        }
        loop {
            match self.turn().await {
                Ok(Turn::Say(frame)) => return Some((Ok(frame), self)),
                Ok(Turn::Again) => {}
                Ok(Turn::End) => return None,
                Err(status) => {
                    self.over = true;
                    return Some((Err(status), self));
                }
            }
        }
    }

    async fn turn(&mut self) -> Result<Turn, Status> {
        // Seen before the chain is looked at, so that no growth is missed.
        if *self.grown.borrow_and_update() == State::Closed {
            return if self.stopping.is_set() { Ok(Turn::End) } else { Err(self.refuse(Reason::Internal)) };
        }
        match self.course.step().map_err(|reason| self.refuse(reason))? {
            Next::Say(frame) => Ok(Turn::Say(frame)),
            Next::Open => {
                let opening = patiently(self.share.0.opening()).await;
                let opening = opening.map_err(|reason| self.refuse(reason))?;
                self.course.open(&opening);
                Ok(Turn::Again)
            }
            Next::Wait => self.wait().await,
        }
    }

    async fn wait(&mut self) -> Result<Turn, Status> {
        let (may_hear, patience) = (self.course.may_hear(), self.course.patience());
        tokio::select! {
            biased;
            () = self.stopping.wait() => Ok(Turn::End),
            // The sender lives as long as the share.
            _ = self.grown.changed() => Ok(Turn::Again),
            // Losing the future loses nothing.
            ping = self.pings.message(), if may_hear => match ping {
                Ok(Some(ping)) => {
                    let ping = Ping::of(&ping).map_err(|malformed| malformed.status(&self.request_id))?;
                    self.course.hear(ping).map_err(|refusal| refused(&refusal, &self.request_id))?;
                    Ok(Turn::Again)
                }
                Ok(None) | Err(_) => Ok(Turn::End),
            },
            () = tokio::time::sleep(patience) => Ok(Turn::Again),
        }
    }

    fn refuse(&self, reason: Reason) -> Status {
        locum_api::status::status(reason, None, &self.request_id, &[])
    }
}

/// Waits, and wakes now and then: who waits for us is not taken for one who does not read.
async fn patiently<T>(waiting: impl Future<Output = T>) -> T {
    tokio::pin!(waiting);
    loop {
        tokio::select! {
            done = &mut waiting => return done,
            () = tokio::time::sleep(ASKED_AGAIN) => {}
        }
    }
}

/// A refusal as the follower hears it.
fn refused(refusal: &Refusal, request_id: &str) -> Status {
    tracing::info!(request_id, reason = %refusal.reason(), detail = refusal.detail(), "refused");
    let detail = Some(refusal.detail()).filter(|detail| !detail.is_empty());
    locum_api::status::status(refusal.reason(), detail, request_id, &[])
}
