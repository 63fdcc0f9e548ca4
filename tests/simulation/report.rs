//! Telling a failure: what broke, what led to it, and the command that shows it again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use crate::steps::{self, Scenario};
use crate::trace::Aloud;

static LAST_WORDS: Mutex<String> = Mutex::new(String::new());

/// Keeps the end of a trace while the run that it is of comes to a bad end.
pub(crate) fn last_words(tail: String) {
    *LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner) = tail;
}

/// Runs a seed twice; what broke, if anything did.
pub(crate) fn check(scenario: Scenario, seed: u64) -> Result<(), String> {
    let (once, twice) = (one(scenario, seed)?, one(scenario, seed)?);
    if once == twice {
        Ok(())
    } else {
        Err(format!("two runs of one seed differ: {once:016x} and {twice:016x}"))
    }
}

/// Runs a seed once; the hash of its trace.
pub(crate) fn one(scenario: Scenario, seed: u64) -> Result<u64, String> {
    catch_unwind(AssertUnwindSafe(|| steps::run(scenario, seed, Aloud::No))).map_err(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("it broke").to_owned()
    })
}

/// All that there is to say of a seed that failed.
pub(crate) fn failure(scenario: Scenario, seed: u64, broke: &str) -> String {
    let tail = LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let course = match scenario {
        Scenario::Dice => String::new(),
        Scenario::Course(course) => format!("SIM_COURSE='{}' ", course.name),
    };
    format!(
        "{tail}\nseed {seed} broke: {broke}\nshow it again: \
         {course}SIM_SEED={seed} cargo test -p locum-tests --test simulation -- --nocapture replay\n"
    )
}
