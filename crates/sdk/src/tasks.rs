//! The one place where this crate starts something in the background.
//!
//! What is started here belongs to a [`Task`](crate::Task): its hold, and its end when the guard
//! was dropped; or to a [`Verifier`](crate::Verifier): the stream that it follows. Outside a runtime nothing is started; the caller is told by `None`.

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// Starts `work` on the current runtime.
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
    let runtime = Handle::try_current().ok()?;
    Some(runtime.spawn(work).abort_handle())
}
