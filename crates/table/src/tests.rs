//! Tests of the whole table, against a naive second implementation and case by case.

mod expiry;
mod fold;
mod levels;
#[cfg(shuttle)]
mod models;
mod oracle;
mod preview;
mod reap;
mod samples;
mod threads;
mod too_late;
