//! A mark in the data directory: its journal has lost history, and nobody is served from it until an
//! operator accepts it as a restored copy.
//!
//! Made when a follower of the feed proves the loss (decision 33), read before anything else at a start, and
//! taken off by `locumd journal accept-restore`.

use std::io;
use std::path::{Path, PathBuf};

use crate::private_file;

/// The mark's name, in the data directory.
const NAME: &str = "quarantined";
/// Longest reason that is read back, in bytes.
const BYTES_MAX: usize = 1024;

/// Where a data directory's mark is.
#[derive(Clone, Debug)]
pub(crate) struct Quarantine(PathBuf);

// === impl Quarantine ===

impl Quarantine {
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self(data_dir.join(NAME))
    }

    /// Makes the mark, durable on return.
    pub(crate) fn impose(&self, why: &str) -> io::Result<()> {
        private_file::write(&self.0, why.as_bytes())
    }

    /// Why nobody may be served; none without a mark.
    pub(crate) fn reason(&self) -> io::Result<Option<String>> {
        let read = private_file::read(&self.0, BYTES_MAX)?;
        Ok(read.map(|why| String::from_utf8_lossy(&why).into_owned()))
    }

    /// Takes the mark off, if there is one.
    pub(crate) fn lift(&self) -> io::Result<()> {
        match self.reason()? {
            Some(_) => private_file::remove(&self.0),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_stays_until_it_is_lifted() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("data");
        private_file::private_dir(&data).expect("made");
        let mark = Quarantine::of(&data);
        assert_eq!(mark.reason().expect("readable"), None);
        mark.lift().expect("nothing to lift");
        for why in ["one", "another"] {
            mark.impose(why).expect("written");
            assert_eq!(Quarantine::of(&data).reason().expect("readable").as_deref(), Some(why));
        }
        mark.lift().expect("lifted");
        assert_eq!(mark.reason().expect("readable"), None);
    }
}
