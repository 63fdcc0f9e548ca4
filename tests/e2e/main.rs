//! End to end: every flow against a real `locumd`, one file each, named like the RPC or the flow.

/// The binary under test, built from the sources of `locumd` together with these tests.
const LOCUMD: &str = env!("CARGO_BIN_EXE_locumd-under-test");

/// The command line under test, likewise.
const LOCUM: &str = env!("CARGO_BIN_EXE_locum-under-test");

/// A backend that checks offline and tells every answer.
const ANSWERING: &str = env!("CARGO_BIN_EXE_answering-under-test");

mod start_task;
mod stop;

mod hold_task;
mod renew_task;

mod end_task;

mod issue_token;

mod introspect_token;

mod authorize;

mod revoke;

mod lock;

mod list_tokens;

mod who_am_i;

mod keys;

mod feed;

mod verify_offline;

mod verify_offline_faults;

mod verify_offline_outage;

mod verify_offline_setup;

mod reload;

mod record;

mod archive;

mod identity;

mod hostile_tokens;

mod dpop;

mod authorisation;

mod grpc_edge;

mod config;

mod metrics;

mod traces;

mod restart;

mod restore;

mod cli;

mod every_command;

mod supervision;
