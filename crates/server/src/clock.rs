//! [`SystemClock`]: the time of this machine, and the only place that reads it.
//!
//! What always holds: time never goes back, over restarts too; a step of the wall clock beyond
//! [`STEP_MAX`], measured against BOOTTIME, gives no time at all until the clock is sane again or
//! an operator settles it, so that one wild step cannot move the high-water mark. BOOTTIME counts
//! suspend, which `Instant` does not.
//!
//! What it cannot know: whether the whole disk was rolled back, and how long the machine was off.
//! After a boot the wall clock is believed unless it lies behind the high-water mark.
//!
//! [`ClockJudge`] is the whole logic and takes readings as arguments.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use locum_model::{Clock, ClockUnsettled, Timestamp};
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

pub use judge::{Believed, ClockJudge, Mark, Reading, STEP_MAX};

use crate::private_file;

mod judge;

/// Where Linux tells one boot from another.
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";
/// A mark file is one line.
const MARK_BYTES_MAX: usize = 256;
/// First word of a mark file.
const MARK_FORMAT: &str = "locum-clock-v1";

/// The machine's clock, joined with its high-water file.
#[derive(Debug)]
pub struct SystemClock {
    judge: Mutex<ClockJudge>,
    believed: Believed,
    boot: String,
    path: PathBuf,
}

/// The wall clock as it stands, for offline checks. A broker uses [`SystemClock`].
#[derive(Clone, Copy, Debug)]
pub struct WallClock;

/// The high-water file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ClockFileRefused {
    /// The system refused.
    #[error("clock file `{}`: {cause}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It is damaged. Guessing could bring expired tokens back.
    #[error("clock file `{}` is damaged; remove it only if the machine's time is right", .0.display())]
    Damaged(PathBuf),
}

// === impl SystemClock ===

impl SystemClock {
    /// Opens the clock with the high-water file at `path`; none means a first start.
    ///
    /// # Errors
    ///
    /// [`ClockFileRefused`] when the file cannot be read, is open to others, or is damaged.
    pub fn open(path: &Path) -> Result<Self, ClockFileRefused> {
        let refused = |cause| ClockFileRefused::Io { path: path.to_owned(), cause };
        let boot = fs::read_to_string(BOOT_ID_FILE).map_err(refused)?.trim().to_owned();
        let mark = match private_file::read(path, MARK_BYTES_MAX).map_err(refused)? {
            Some(bytes) => {
                Some(decode(&bytes, &boot).ok_or_else(|| ClockFileRefused::Damaged(path.to_owned()))?)
            }
            None => None,
        };
        let believed = if mark.is_some() { Believed::Mark } else { Believed::FirstReading };
        let judge = Mutex::new(ClockJudge::new(mark, read_clocks()));
        Ok(Self { judge, believed, boot, path: path.to_owned() })
    }

    /// Time is no earlier than `newest`, the time of the newest event in the journal: it does not go
    /// back behind that even where the file is older or gone.
    pub fn raise(&self, newest: Timestamp) {
        self.judge.lock().raise(newest, self.believed, read_clocks());
    }

    /// Writes the high-water mark, durably. To be called every few seconds and at shutdown.
    ///
    /// # Errors
    ///
    /// [`ClockFileRefused::Io`]; the older mark is then still there.
    pub fn persist(&self) -> Result<(), ClockFileRefused> {
        let mark = self.judge.lock().mark();
        let text = encode(mark, &self.boot);
        private_file::write(&self.path, text.as_bytes())
            .map_err(|cause| ClockFileRefused::Io { path: self.path.clone(), cause })
    }

    /// An operator's word that the wall clock is right now: ends an unsettled time.
    ///
    /// Time still does not go back: behind the high-water mark it stands still.
    pub fn settle(&self) {
        self.judge.lock().settle(read_clocks());
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Result<Timestamp, ClockUnsettled> {
        // Read under the lock: otherwise an older reading could follow a newer one.
        let mut judge = self.judge.lock();
        judge.judge(read_clocks())
    }

    fn elapsed(&self) -> Duration {
        since_boot()
    }
}

/// CLOCK_MONOTONIC, in which a supervisor orders what it is told (`sd_notify(3)`); decides nothing here.
pub fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The wall clock in nanoseconds since the Unix epoch, by which collectors order spans; decides nothing here.
pub(crate) fn wall_nanos() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    let nanos = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    u64::try_from(nanos).unwrap_or(0)
}

impl Clock for WallClock {
    fn now(&self) -> Result<Timestamp, ClockUnsettled> {
        Ok(read_clocks().realtime)
    }

    fn elapsed(&self) -> Duration {
        since_boot()
    }
}

fn read_clocks() -> Reading {
    let real = clock_gettime(ClockId::Realtime);
    let millis = real.tv_sec.saturating_mul(1000).saturating_add(real.tv_nsec / 1_000_000);
    Reading { realtime: Timestamp::from_millis(millis), boottime: since_boot() }
}

fn since_boot() -> Duration {
    let boot = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(boot.tv_sec).unwrap_or(0), u32::try_from(boot.tv_nsec).unwrap_or(0))
}

// === the mark as one line ===

/// `locum-clock-v1 <high> <anchor realtime> <anchor boottime> <boot id>`, all in milliseconds.
fn encode(mark: Mark, boot: &str) -> String {
    let Mark { high, anchor } = mark;
    let (real, since_boot) = anchor.map_or((0, 0), |a| (a.realtime.as_millis(), a.boottime.as_millis()));
    format!("{MARK_FORMAT} {} {real} {since_boot} {boot}\n", high.as_millis())
}

/// The mark; its anchor only where it was taken in this very boot.
fn decode(bytes: &[u8], boot: &str) -> Option<Mark> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let parts: Vec<_> = text.split(' ').collect();
    let [MARK_FORMAT, high, real, since_boot, at_boot] = parts[..] else { return None };
    let high = Timestamp::from_millis(high.parse().ok()?);
    let realtime = Timestamp::from_millis(real.parse().ok()?);
    let boottime = Duration::from_millis(since_boot.parse().ok()?);
    let anchor = (at_boot == boot).then_some(Reading { realtime, boottime });
    Some(Mark { high, anchor })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(dir: &Path) -> SystemClock {
        SystemClock::open(&dir.join("clock")).expect("opened")
    }

    #[test]
    fn time_passes_and_survives_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let clock = opened(dir.path());
        let first = clock.now().expect("settled");
        assert!(first > Timestamp::from_seconds(1_700_000_000), "the wall clock is real: {first}");
        clock.persist().expect("written");
        let again = opened(dir.path());
        assert!(again.now().expect("settled") >= first);
        assert!(again.elapsed() >= clock.elapsed() - Duration::from_secs(1));
    }

    #[test]
    fn a_mark_far_in_the_future_gives_no_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("clock");
        let ahead = opened(dir.path()).now().expect("settled").plus(Duration::from_secs(3600));
        let mark = Mark { high: ahead, anchor: None };
        private_file::write(&path, encode(mark, "another-boot").as_bytes()).expect("written");
        let clock = opened(dir.path());
        assert_eq!(clock.now(), Err(ClockUnsettled));
        clock.settle();
        assert_eq!(clock.now(), Ok(ahead), "settled, and not back behind the mark");
    }

    #[test]
    fn the_journal_holds_time_where_the_file_is_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let ahead = opened(dir.path()).now().expect("settled").plus(Duration::from_secs(20));
        let clock = SystemClock::open(&dir.path().join("none")).expect("opened");
        clock.raise(ahead);
        assert_eq!(clock.now(), Ok(ahead));
    }

    #[test]
    fn damaged_marks_refuse_the_start() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("clock");
        for text in ["", "\n", "locum-clock-v1 1 2 3", "locum-clock-v2 1 2 3 b\n", "locum-clock-v1 x 2 3 b\n"]
        {
            private_file::write(&path, text.as_bytes()).expect("written");
            let refused = SystemClock::open(&path).expect_err(text);
            assert!(matches!(refused, ClockFileRefused::Damaged(_)), "{text:?}: {refused}");
        }
    }

    #[test]
    fn marks_read_back_as_written() {
        let anchor = Reading { realtime: Timestamp::from_millis(5), boottime: Duration::from_millis(9) };
        let mark = Mark { high: Timestamp::from_millis(7), anchor: Some(anchor) };
        assert_eq!(decode(encode(mark, "b").as_bytes(), "b"), Some(mark));
        assert_eq!(decode(encode(mark, "b").as_bytes(), "c"), Some(Mark { anchor: None, ..mark }));
    }
}
