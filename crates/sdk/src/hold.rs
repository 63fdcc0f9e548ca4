//! Holding a task: the stream that keeps its lease, and what takes its place while it is gone.
//!
//! One loop per [`Task`](crate::Task). While the stream is open it sends a sign of life every third
//! of the lease and listens. When the stream is lost the lease is renewed by a call instead, and
//! the stream is opened again after a pause with jitter. The loop ends when the task is over.

use std::time::Duration;

use locum_api::broker::v1 as wire;
use locum_api::broker::v1::task_service_client::TaskServiceClient;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::ending::Ending;
use crate::entropy::jitter;
use crate::error::Error;
use crate::task_handle::TaskHandle;
use crate::wire::TaskState;

const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Signs of life that may wait to be sent; more would only repeat them.
const SIGNS_QUEUED: usize = 2;

/// Holds the task until it is over.
pub(crate) async fn run(handle: TaskHandle) {
    let beat = handle.lease() / 3;
    let mut pause = PAUSE_FIRST;
    while handle.ending().is_none() {
        if follow(&handle, beat).await == Followed::Heard {
            pause = PAUSE_FIRST;
        }
        if handle.ending().is_some() {
            return;
        }
        // A refusal that concerns the task itself ends the loop through the handle; any other
        // failure is met by trying again, for as long as the guard lives.
        drop(handle.renew().await);
        sleep(jitter(handle.client().entropy(), pause).min(beat)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Whether a stream came to life before it was lost.
#[derive(Debug, PartialEq, Eq)]
enum Followed {
    Heard,
    Silent,
}

/// Follows one stream until it is lost or the task is over.
async fn follow(handle: &TaskHandle, beat: Duration) -> Followed {
    let (signs, queue) = mpsc::channel(SIGNS_QUEUED);
    let Ok(mut news) = handle.learn(open(handle, queue, &signs).await) else {
        return Followed::Silent;
    };
    let mut followed = Followed::Silent;
    let mut beats = interval(beat.max(Duration::from_millis(100)));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = beats.tick() => {
                // A full queue means that earlier signs still wait: this one adds nothing.
                let _queued = signs.try_send(sign(handle));
            }
            heard = news.message() => match heard {
                Ok(Some(said)) => {
                    followed = Followed::Heard;
                    if let Some(ending) = ending_of(said.state()) {
                        handle.over(ending);
                        return followed;
                    }
                }
                Ok(None) => return followed,
                Err(status) => {
                    drop(handle.learn::<()>(Err(Error::of(&status))));
                    return followed;
                }
            }
        }
    }
}

async fn open(
    handle: &TaskHandle,
    queue: mpsc::Receiver<wire::HoldTaskRequest>,
    signs: &mpsc::Sender<wire::HoldTaskRequest>,
) -> Result<Streaming<wire::HoldTaskResponse>, Error> {
    let client = handle.client();
    let _queued = signs.try_send(sign(handle));
    let request = client.signed(ReceiverStream::new(queue)).await?;
    let mut service = TaskServiceClient::new(client.channel());
    // Only the opening has a deadline; the stream stays for as long as the task.
    match timeout(client.timeout(), service.hold_task(request)).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(Error::of(&status)),
        Err(_) => Err(Error::TimedOut(client.timeout())),
    }
}

fn sign(handle: &TaskHandle) -> wire::HoldTaskRequest {
    wire::HoldTaskRequest { task_id: handle.id().to_string(), holder_secret: handle.secret().to_wire() }
}

fn ending_of(state: wire::TaskState) -> Option<Ending> {
    match TaskState::from_wire(state)? {
        TaskState::Active => None,
        TaskState::Ended => Some(Ending::Ended),
        TaskState::Lapsed => Some(Ending::Lapsed),
        TaskState::Revoked => Some(Ending::Revoked),
    }
}
