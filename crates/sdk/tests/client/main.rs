//! The client against a broker in the same process.

mod check;
mod fake;
mod task;
mod tls;
mod token;
