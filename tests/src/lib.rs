//! The bench that end-to-end tests stand on: a real `locumd` in its own process, real TLS with CAs
//! made for the purpose, and everybody who talks to it.
//!
//! A [`Site`] is an installation on disk (trust, registry, policies, settings); a [`Daemon`] is the
//! process that runs on it and can be killed, ended, told to reload and started again; a [`Party`]
//! is somebody with an identity and the generated clients. Nothing sleeps a fixed time: whatever
//! takes a while is polled with a deadline ([`eventually`]). Nothing here judges: tests do.
//!
//! Every log line of every process is read, and when a daemon goes, nothing that was told to it as a
//! secret may stand in any of them.

pub mod answering;
pub mod assertion;
pub mod authority;
pub mod backend;
pub mod clock;
pub mod daemon;
pub mod follower;
pub mod history;
pub mod hostile;
pub mod naive;
pub mod party;
pub mod plain_http;
pub mod refused;
pub mod relay;
pub mod site;
pub mod sockets;
pub mod stopped;
pub mod terminal;
pub mod wait;
pub mod work;

pub use answering::Answering;
pub use assertion::Asserter;
pub use authority::{Authority, Identity};
pub use daemon::Daemon;
pub use history::History;
pub use party::Party;
pub use relay::{Line, Relay};
pub use site::Site;
pub use terminal::Terminal;
pub use wait::eventually;
