//! Tests of the whole crate, by theme.

mod compiling;
mod deciding;
mod demands;
mod diffing;
mod explaining;
mod generated;
mod repeating;
mod samples;
