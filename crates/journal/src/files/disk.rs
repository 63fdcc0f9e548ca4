//! [`DiskFiles`]: a directory of the file system, locked for one process.
//!
//! Files are made with mode 0600 and filled with zeros: on a file whose blocks are written, a sync
//! has no metadata to commit and takes two thirds of the time. Links are never followed, and a
//! file whose name is gone fails its next sync.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Statx, StatxFlags, statx};
use rustix::io::Errno;

use super::{FileLayer, OpenFile};

/// The file whose lock says that the directory is in use. Not listed.
const LOCK: &str = "lock";
/// Zeros are written in pieces of this many bytes.
const ZEROS_BYTES: usize = 1 << 20;

/// A directory of the file system. Holds the directory's lock until dropped.
#[derive(Debug)]
pub struct DiskFiles {
    path: PathBuf,
    directory: File,
    _lock: File,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another server has it.
    #[error("`{}` is in use by another server", .0.display())]
    InUse(PathBuf),
    /// The file system refused.
    #[error("`{}` cannot be used", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

struct DiskFile(File);

// === impl DiskFiles ===

impl DiskFiles {
    /// Opens a directory, made with mode 0700 where there is none, and locks it.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when another opener has it, in this process too, or it cannot be used.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DirectoryError> {
        let path = path.as_ref().to_owned();
        let failed = |source| DirectoryError::Io { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
        let directory = File::open(&path).map_err(failed)?;
        let lock = private().create(true).open(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, directory, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse(path)),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

impl FileLayer for DiskFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            // What is not UTF-8 is not ours.
            if let Ok(name) = entry?.file_name().into_string()
                && name != LOCK
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn OpenFile>> {
        let file = DiskFile(private().create_new(true).open(self.path.join(name))?);
        let made = file.grow(bytes).and_then(|()| file.0.sync_all()).and_then(|()| self.sync_dir());
        match made {
            Ok(()) => Ok(Arc::new(file)),
            Err(failed) => {
                // The first error is the one that counts; a file left over is removed at the next start.
                let _ = self.remove(name);
                Err(failed)
            }
        }
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn OpenFile>> {
        Ok(Arc::new(DiskFile(private().open(self.path.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    fn available_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.directory)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// Readable and writable by us alone, and never through a link.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    let no_links = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
    options.read(true).write(true).mode(0o600).custom_flags(no_links.bits().cast_signed());
    options
}

// === impl DiskFile ===

impl DiskFile {
    /// One thing that the system says about the file, and nothing else of it.
    ///
    /// Whoever asks for times too, as `fstat` does, has Linux (6.13 and later) give the next write a time of its own
    /// where it would else keep that of a tick: then every write changes the inode, and a file system without a
    /// journal writes that with every sync. Measured on ext4: 209 µs a flush instead of 144.
    fn said(
        &self,
        what: StatxFlags,
        of: impl FnOnce(&Statx) -> u64,
        of_all: impl FnOnce(&Metadata) -> u64,
    ) -> io::Result<u64> {
        let said = statx(&self.0, "", AtFlags::EMPTY_PATH, what).map(|said| of(&said));
        said_or(said, || Ok(of_all(&self.0.metadata()?)))
    }
}

/// What was said of a file, or where nothing knows the narrow question, what `all` says that knows no other.
///
/// A system that is too old for it is too old for such times; a sandbox that does not know it refuses it.
fn said_or(said: rustix::io::Result<u64>, all: impl FnOnce() -> io::Result<u64>) -> io::Result<u64> {
    match said {
        Ok(said) => Ok(said),
        Err(Errno::NOSYS | Errno::PERM) => all(),
        Err(failed) => Err(failed.into()),
    }
}

impl OpenFile for DiskFile {
    fn len(&self) -> io::Result<u64> {
        self.said(StatxFlags::SIZE, |said| said.stx_size, |meta| meta.len())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], at + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(again) if again.kind() == io::ErrorKind::Interrupted => {}
                Err(failed) => return Err(failed),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn grow(&self, len: u64) -> io::Result<()> {
        let before = self.len()?;
        let zeros =
            vec![0; ZEROS_BYTES.min(usize::try_from(len.saturating_sub(before)).unwrap_or(ZEROS_BYTES))];
        let mut at = before;
        while at < len {
            let piece = zeros.len().min(usize::try_from(len - at).unwrap_or(ZEROS_BYTES));
            if let Err(failed) = self.0.write_all_at(&zeros[..piece], at) {
                self.truncate(before)?;
                return Err(failed);
            }
            at += piece as u64;
        }
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()?;
        // A file that was removed or replaced would take our records with it.
        if self.said(StatxFlags::NLINK, |said| u64::from(said.stx_nlink), |meta| meta.nlink())? == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the file was removed while in use"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_that_knows_no_narrow_question_is_asked_the_broad_one_and_no_other_is() {
        let broad = || Ok(7);
        for unknown in [Errno::NOSYS, Errno::PERM] {
            assert_eq!(said_or(Err(unknown), broad).expect("answered"), 7);
        }
        assert_eq!(said_or(Ok(3), broad).expect("answered"), 3);
        assert_eq!(said_or(Err(Errno::IO), broad).expect_err("broken").raw_os_error(), Some(5));
        let failed = said_or(Err(Errno::PERM), || Err(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(failed.expect_err("refused").kind(), io::ErrorKind::PermissionDenied);
    }

    /// Both say the same of the same file; so neither name is mistaken for another.
    #[test]
    fn the_narrow_question_and_the_broad_one_have_one_answer() {
        let file = DiskFile(tempfile::tempfile().expect("a file without a name"));
        file.0.set_len(4_321).expect("long enough");
        let ask = |what: StatxFlags, of: fn(&Statx) -> u64, of_all: fn(&Metadata) -> u64| {
            let narrow = file.said(what, of, |_| unreachable!("this system knows the question"));
            (narrow.expect("answered"), of_all(&file.0.metadata().expect("answered")))
        };
        assert_eq!(ask(StatxFlags::SIZE, |said| said.stx_size, Metadata::len), (4_321, 4_321));
        assert_eq!(ask(StatxFlags::NLINK, |said| u64::from(said.stx_nlink), Metadata::nlink), (0, 0));
    }
}
