//! Tests of the whole crate, by theme.

mod compiling;
mod deciding;
mod demands;
mod generated;
mod samples;
