//! Waiting for what will be, with a deadline and without a fixed sleep.

use std::time::Duration;

use tokio::time::Instant;

/// How long anything may take before a test gives up. Generous: machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
pub const PAUSE: Duration = Duration::from_millis(10);

/// Asks again and again until there is an answer.
///
/// # Panics
///
/// When there is none within [`PATIENCE`]; `what` says what was waited for.
pub async fn eventually<T, Asking>(what: &str, mut ask: impl FnMut() -> Asking) -> T
where
    Asking: Future<Output = Option<T>>,
{
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < until, "waited in vain: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a future comes to within [`PATIENCE`].
///
/// # Panics
///
/// When it takes longer.
pub async fn within<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(answer.is_ok(), "took too long: {what}");
    answer.expect("asserted just above")
}
