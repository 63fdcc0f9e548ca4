//! The program: started without our own proofs, told of signals, awaited.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{self, SignalKind};

use super::token_files::TokenFiles;
use crate::failure::Failure;
use crate::output::escaped;

/// What proves who we are, and where the broker is: not the program's business.
const OURS: [&str; 6] = [
    "LOCUM_ADDR",
    "LOCUM_CA_FILE",
    "LOCUM_CERT_FILE",
    "LOCUM_KEY_FILE",
    "LOCUM_ASSERTION_FILE",
    "LOCUM_CONTEXT",
];

/// Signals that are passed on. A terminal sends INT and QUIT to the program itself.
const PASSED: [(Signal, bool); 6] = [
    (Signal::TERM, false),
    (Signal::HUP, false),
    (Signal::USR1, false),
    (Signal::USR2, false),
    (Signal::INT, true),
    (Signal::QUIT, true),
];

/// Signals that come in for us.
pub(crate) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// From now on they are heard, and none of them ends this process.
    pub(crate) fn hear() -> io::Result<Self> {
        let heard = PASSED
            .iter()
            .map(|(signal, _)| Ok((*signal, unix::signal(SignalKind::from_raw(signal.as_raw()))?)));
        heard.collect::<io::Result<_>>().map(Self)
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (signal, heard) in &mut self.0 {
                if heard.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*signal);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// Starts the program.
///
/// 127 when there is none of that name, 126 when it cannot be run, as shells have it.
pub(crate) fn start(program: &[OsString], task: &str, tokens: &TokenFiles) -> Result<Child, Failure> {
    let (name, arguments) = program.split_first().ok_or_else(|| Failure::Usage("no program".to_owned()))?;
    let mut command = Command::new(name);
    command.args(arguments).env("LOCUM_TASK", task);
    for variable in OURS {
        command.env_remove(variable);
    }
    if let Some(folder) = tokens.folder() {
        command.env("LOCUM_TOKEN_DIR", folder);
    }
    if let Some(file) = tokens.only() {
        command.env("LOCUM_TOKEN_FILE", file);
    }
    command.spawn().map_err(|error| {
        let shown = escaped(&name.to_string_lossy());
        let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        Failure::NotRun { message: format!("`{shown}`: {error}"), code }
    })
}

/// Passes a signal on, unless the terminal has done so already.
pub(crate) fn pass_on(child: &Child, signal: Signal) {
    let by_terminal = PASSED.iter().any(|(passed, terminal)| *passed == signal && *terminal);
    if !(by_terminal && io::stdin().is_terminal()) {
        send(child, signal);
    }
}

/// Sends a signal; a program that is over hears nothing.
pub(crate) fn send(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _over_already = kill_process(pid, signal);
    }
}

/// The exit code as shells have it: 128 and the signal's number for one that was killed.
pub(crate) fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code & 0xff).unwrap_or(1)
}
