//! States and outcomes of tasks.

use locum_model::event::Outcome;

use crate::broker::v1 as wire;
use crate::violation::Malformed;

/// How a task came out.
///
/// # Errors
///
/// [`Malformed`] for `TASK_OUTCOME_UNSPECIFIED` and for numbers that the contract does not have.
pub fn outcome_from_wire(outcome: i32, field: &str) -> Result<Outcome, Malformed> {
    match wire::TaskOutcome::try_from(outcome) {
        Ok(wire::TaskOutcome::Completed) => Ok(Outcome::Completed),
        Ok(wire::TaskOutcome::Failed) => Ok(Outcome::Failed),
        Ok(wire::TaskOutcome::Cancelled) => Ok(Outcome::Cancelled),
        Ok(wire::TaskOutcome::Unspecified) | Err(_) => {
            Err(Malformed::of(field, "must be completed, failed or cancelled"))
        }
    }
}

/// The outcome as an enum of the contract.
pub fn outcome_to_wire(outcome: Outcome) -> wire::TaskOutcome {
    match outcome {
        Outcome::Completed => wire::TaskOutcome::Completed,
        Outcome::Failed => wire::TaskOutcome::Failed,
        Outcome::Cancelled => wire::TaskOutcome::Cancelled,
    }
}

/// The state that a listing is narrowed to; none for `TASK_STATE_UNSPECIFIED`.
///
/// # Errors
///
/// [`Malformed`] for numbers that the contract does not have.
pub fn state_from_wire(state: i32, field: &str) -> Result<Option<wire::TaskState>, Malformed> {
    match wire::TaskState::try_from(state) {
        Ok(wire::TaskState::Unspecified) => Ok(None),
        Ok(state) => Ok(Some(state)),
        Err(_) => Err(Malformed::of(field, "must be active, ended, lapsed or revoked")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_survives() {
        for outcome in [Outcome::Completed, Outcome::Failed, Outcome::Cancelled] {
            assert_eq!(outcome_from_wire(outcome_to_wire(outcome).into(), "outcome"), Ok(outcome));
        }
    }

    #[test]
    fn numbers_outside_the_contract_are_refused() {
        for number in [i32::MIN, -1, 5, 99, i32::MAX] {
            assert!(outcome_from_wire(number, "outcome").is_err(), "{number}");
            assert!(state_from_wire(number, "state").is_err(), "{number}");
        }
        assert!(outcome_from_wire(0, "outcome").is_err());
        assert_eq!(state_from_wire(0, "state"), Ok(None));
        assert_eq!(state_from_wire(4, "state"), Ok(Some(wire::TaskState::Revoked)));
    }
}
