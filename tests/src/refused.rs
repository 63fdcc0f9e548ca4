//! Reading refusals.

use locum_model::Reason;
use tonic::Status;

/// The reason of a refusal.
///
/// # Panics
///
/// When it was none, or not one of ours.
#[track_caller]
pub fn reason<T>(answer: Result<T, Status>) -> Reason {
    match answer {
        Ok(_) => unexpected("it was not refused"),
        Err(status) => match locum_api::status::reason_of(&status) {
            Some(reason) => reason,
            None => unexpected(&format!("not a refusal of ours: {status:?}")),
        },
    }
}

/// The fields that a refusal complains of.
///
/// # Panics
///
/// When it was none.
#[track_caller]
pub fn fields<T>(answer: Result<T, Status>) -> Vec<String> {
    match answer {
        Ok(_) => unexpected("it was not refused"),
        Err(status) => {
            locum_api::status::violations_of(&status).into_iter().map(|violation| violation.field).collect()
        }
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a test that fails panics, and here is where its failure is told")]
fn unexpected(why: &str) -> ! {
    panic!("{why}")
}
