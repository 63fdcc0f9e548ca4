//! [`Screen`]: the terminal while `locum top` has it, given back however it ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, ttyname};
use tokio::net::unix::pipe::Receiver;

use crate::failure::Failure;
use crate::output::{Output, bold};

const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";
/// The size of a terminal that does not tell.
const SIZE_USUAL: (usize, usize) = (80, 24);

/// The other screen of the terminal, without a cursor; keys are not echoed.
pub(super) struct Screen {
    /// Where keys come from, and how it was before; none when standard input is no terminal.
    keys: Option<Keys>,
}

struct Keys {
    /// Opened apart from standard input, which is shared with the shell and has to go on blocking.
    tty: File,
    /// The same, to be waited for: whatever can be polled can be read like a pipe.
    typed: Receiver,
    before: Termios,
}

impl Screen {
    pub(super) fn open() -> Result<Self, Failure> {
        let keys = Keys::open();
        let mut out = io::stdout().lock();
        out.write_all(ENTER)?;
        out.flush()?;
        Ok(Self { keys })
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
            _ => SIZE_USUAL,
        }
    }

    /// Puts these lines in the place of what was there.
    pub(super) fn draw(&self, lines: &[String], output: &Output) -> Result<(), Failure> {
        let has_colours = output.colours(&io::stdout());
        let mut frame = String::from("\x1b[H");
        for (n, line) in lines.iter().enumerate() {
            let is_last = n + 1 == lines.len();
            frame.push_str(&if n == 0 && has_colours { bold(line) } else { line.clone() });
            frame.push_str(if is_last { "\x1b[K" } else { "\x1b[K\r\n" });
        }
        frame.push_str("\x1b[J");
        let mut out = io::stdout().lock();
        out.write_all(frame.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Waits until `q` is typed; for ever where nobody can type.
    pub(super) async fn quit(&self) {
        let Some(keys) = &self.keys else { return std::future::pending().await };
        loop {
            if keys.typed.readable().await.is_err() {
                return;
            }
            let mut typed = [0; 64];
            match keys.typed.try_read(&mut typed) {
                Ok(count) if typed[..count].iter().any(|key| matches!(key, b'q' | b'Q')) => return,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
                // The terminal is gone.
                Ok(0) => return,
                Ok(_) | Err(_) => {}
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Whoever closed the terminal misses nothing. What is told next begins a line, also where there is no other
        // screen to leave.
        let _left = io::stdout()
            .write_all(b"\r\n")
            .and_then(|()| io::stdout().write_all(LEAVE))
            .and_then(|()| io::stdout().flush());
    }
}

impl Keys {
    fn open() -> Option<Self> {
        let path = ttyname(io::stdin(), Vec::new()).ok()?;
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
        let nonblocking =
            i32::try_from(rustix::fs::OFlags::NONBLOCK.bits() | rustix::fs::OFlags::NOCTTY.bits());
        let tty = OpenOptions::new().read(true).custom_flags(nonblocking.ok()?).open(path).ok()?;
        let before = tcgetattr(&tty).ok()?;
        let mut quiet = before.clone();
        // Signals stay: an interrupt ends the view like everything else.
        quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(&tty, OptionalActions::Now, &quiet).ok()?;
        let typed = Receiver::from_file_unchecked(tty.try_clone().ok()?).ok()?;
        Some(Self { tty, typed, before })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that is gone needs no repair.
        let _repaired = tcsetattr(&self.tty, OptionalActions::Now, &self.before);
    }
}
