//! `locumd demo`: a server, a plugin, an API and an operator tell the story of a token.
//!
//! Needs nothing but this process: a development CA in memory, the trust domain `demo.invalid`,
//! loopback and free ports only, a temporary directory that is removed at the end. Everything else
//! is the real thing: the real server over mTLS, and SDK clients with their own certificates and
//! connections. Nobody is paid in shortcuts: no step reaches into the broker.
//!
//! Reading order: [`Stage`] (what runs), [`tell`] (what happens), [`run`] (the command).

use std::io::{self, Write};
use std::process::ExitCode;

use locum_server::clock::WallClock;
use locum_server::logging;
use locum_server::serve::NotStarted;
use locum_server::tasks::Fatal;
use tokio::signal::unix::{Signal, SignalKind, signal};

mod authority;
mod http_call;
mod orders_api;
mod place;
mod stage;
mod story;
mod telling;

pub use place::Character;
pub use stage::Stage;
pub use story::{Step, tell};

/// How to tell the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line a step, for people.
    Text,
    /// One object when the story is over.
    Json,
}

/// What to do when the story is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// End.
    End,
    /// Stay up until interrupted.
    Stay,
}

/// What the demo was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How to tell the story.
    pub format: Format,
    /// What to do when it is over.
    pub afterwards: Afterwards,
}

/// Where the demo writes.
pub struct Streams<'a> {
    /// The story; in [`Format::Json`] nothing but the object.
    pub data: &'a mut dyn Write,
    /// What to try next, where the story is JSON.
    pub notes: &'a mut dyn Write,
}

/// The demo could not be given, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Files or streams.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The server did not come up.
    #[error("the server did not come up: {0}")]
    Server(#[from] Box<NotStarted>),
    /// A client could not be made.
    #[error("a client could not be made: {0}")]
    Client(#[from] locum_sdk::Error),
    /// Server or API ended by themselves.
    #[error(transparent)]
    Stopped(#[from] Fatal),
    /// A signal came first.
    #[error("interrupted before the story was over")]
    Interrupted,
    /// The system.
    #[error("{0}")]
    System(String),
}

/// Gives the demo. Call it once, at the beginning of a process: it directs the process's logs.
///
/// Fails without an error when a step of the story failed: the story says which.
///
/// # Errors
///
/// [`DemoError`]; the temporary directory is removed all the same.
pub fn run(options: Options, streams: Streams<'_>) -> Result<ExitCode, DemoError> {
    let system = |cause: &dyn std::fmt::Display| DemoError::System(cause.to_string());
    logging::install(place::LOG).map_err(|cause| system(&cause))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(perform(options, streams))
}

async fn perform(options: Options, streams: Streams<'_>) -> Result<ExitCode, DemoError> {
    // Listened to from the beginning: a signal that comes early ends the demo in order, too.
    let mut stop = Interruption::new()?;
    let stage = Stage::open(&WallClock).await?;
    let told = tokio::select! {
        told = narrate(&stage, options, streams) => told,
        () = stop.heard() => Err(DemoError::Interrupted),
    };
    let over = match (&told, options.afterwards) {
        (Ok(_), Afterwards::Stay) => stage.close(stop.heard()).await,
        _ => stage.close(async {}).await,
    };
    let told = told?;
    over?;
    Ok(if told == Told::WasFine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    WasFine,
    WentWrong,
}

async fn narrate(stage: &Stage, options: Options, streams: Streams<'_>) -> Result<Told, DemoError> {
    let Streams { data, notes } = streams;
    let mut written = Ok(());
    let mut number = 0;
    if options.format == Format::Text {
        writeln!(data, "{}", telling::HEADING)?;
    }
    let mut told = |step: &Step| {
        number += 1;
        if options.format == Format::Text && written.is_ok() {
            written = writeln!(data, "{}", telling::line(number, step)).and_then(|()| data.flush());
        }
    };
    let steps = tell(stage, &WallClock, &mut told).await;
    written?;
    if options.format == Format::Json {
        writeln!(data, "{}", telling::document(&steps))?;
    }
    if options.afterwards == Afterwards::Stay {
        let next = telling::next_steps(stage);
        match options.format {
            Format::Text => writeln!(data, "{next}")?,
            Format::Json => writeln!(notes, "{next}")?,
        }
    }
    data.flush()?;
    let fine = steps.iter().all(|step| step.outcome.is_ok());
    Ok(if fine { Told::WasFine } else { Told::WentWrong })
}

/// SIGINT or SIGTERM.
struct Interruption {
    interrupt: Signal,
    terminate: Signal,
}

impl Interruption {
    fn new() -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate })
    }

    async fn heard(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests;
