//! The client against a broker in the same process.

mod admin;
mod check;
mod fake;
mod task;
mod tls;
mod token;
