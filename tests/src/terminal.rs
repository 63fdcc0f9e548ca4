//! [`Terminal`]: a program on a terminal of its own, as a person sits before one.
//!
//! A pseudo-terminal of a given size is its standard input, output and error. Everything that it
//! shows is kept; what a test types arrives as typed.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::wait::eventually;

/// A program on its terminal.
pub struct Terminal {
    keyboard: File,
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Starts `command` on a terminal of so many columns and rows.
    ///
    /// # Panics
    ///
    /// When the system has no terminal to give.
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&controller).expect("granted");
        unlockpt(&controller).expect("unlocked");
        let path = ptsname(&controller, Vec::new()).expect("a name").into_string().expect("ASCII");
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&controller, size).expect("sized");
        let no_control = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).expect("a flag");
        let end = OpenOptions::new().read(true).write(true).custom_flags(no_control).open(path);
        let end = end.expect("its other end");
        let again = || end.try_clone().expect("another descriptor");
        let child = command.stdin(again()).stdout(again()).stderr(again()).spawn().expect("started");
        // The command keeps descriptors of the other end, and only without them there is an end.
        drop((command, end));
        let keyboard = File::from(controller);
        let shown = Arc::default();
        let reader = read(keyboard.try_clone().expect("another descriptor"), Arc::clone(&shown));
        Self { keyboard, child, shown, reader }
    }

    /// Types a text.
    ///
    /// # Panics
    ///
    /// When the terminal is gone.
    pub fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("typed");
    }

    /// Sends a signal to the program.
    ///
    /// # Panics
    ///
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signalled");
    }

    /// Waits until `text` is shown.
    ///
    /// # Panics
    ///
    /// When it is not, for long.
    pub async fn shows(&self, text: &str) {
        eventually(text, || std::future::ready(self.seen().contains(text).then_some(()))).await;
    }

    /// Everything that was shown so far, escapes included.
    pub fn seen(&self) -> String {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// Waits for the program's end: how it ended, and everything that it showed.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub async fn ends(mut self) -> (ExitStatus, String) {
        let ended = || std::future::ready(self.child.try_wait().expect("a child"));
        let status = eventually("the program's end", ended).await;
        while !self.reader.is_finished() {
            tokio::time::sleep(crate::wait::PAUSE).await;
        }
        (status, self.seen())
    }
}

fn read(mut from: File, into: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        // Once the program has closed its end, reading fails: that is the end.
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..count]);
        }
    })
}
