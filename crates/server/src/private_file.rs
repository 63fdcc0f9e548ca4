//! Files that only the service may read or write: written whole or not at all.
//!
//! [`write()`] replaces atomically (temporary file, `fsync`, rename, `fsync` of the directory), so
//! that a crash leaves the old content or the new. [`read()`] refuses symbolic links, anything but
//! plain files, files that others may touch, and files above a bound. Neither creates directories.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Any right of group or others.
const OPEN_TO_OTHERS: u32 = 0o077;
/// Any right of others, and writing by the group.
const BEYOND_GROUP_READ: u32 = 0o027;
/// Creates `dir` with mode 0700 if it is missing; refuses one that others may enter.
///
/// # Errors
///
/// What the system says, or `PermissionDenied` when others may enter.
pub fn private_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a directory"));
    }
    refuse_mode(found.mode(), OPEN_TO_OTHERS)
}

/// Replaces the file at `path` by `bytes`, mode 0600; durable when it returns.
///
/// # Errors
///
/// What the system says; the old content is then still there.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no directory"))?;
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync_dir(dir)
}

/// Reads the file at `path`; `None` when there is none.
///
/// # Errors
///
/// What the system says, `PermissionDenied` when others may read or write it, `FileTooLarge`
/// above `bytes_max`.
pub fn read(path: &Path, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).expect("O_NOFOLLOW is one low bit");
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
    }
    refuse_mode(found.mode(), OPEN_TO_OTHERS)?;
    read_bounded(file, bytes_max).map(Some)
}

/// Reads a secret that somebody else laid down, a mounted private key for example, links followed.
///
/// Its group may read it, as mounts of orchestrators need; nobody else may, and only its owner
/// may write.
///
/// # Errors
///
/// What the system says, `PermissionDenied` when too many may touch it, `FileTooLarge` above
/// `bytes_max`.
pub fn read_secret(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    refuse_mode(file.metadata()?.mode(), BEYOND_GROUP_READ)?;
    read_bounded(file, bytes_max)
}

/// Reads a public file such as a certificate or a policy, links followed, up to `bytes_max`.
///
/// # Errors
///
/// What the system says, `FileTooLarge` above `bytes_max`.
pub fn read_public(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    read_bounded(File::open(path)?, bytes_max)
}

/// Removes the file at `path`, durably; fine when there is none.
///
/// # Errors
///
/// What the system says.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => path.parent().map_or(Ok(()), sync_dir),
    }
}

fn read_bounded(file: File, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let one_more = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(one_more).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        let text = format!("larger than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

fn refuse_mode(mode: u32, forbidden: u32) -> io::Result<()> {
    if mode & forbidden == 0 {
        return Ok(());
    }
    let text = format!("mode {:04o} lets others in", mode & 0o7777);
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).expect("it exists").mode() & 0o777
    }

    #[test]
    fn writes_privately_and_reads_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("inner");
        private_dir(&path).expect("made");
        private_dir(&path).expect("already there");
        assert_eq!(mode_of(&path), 0o700);
        let file = path.join("a.key");
        assert_eq!(read(&file, 10).expect("readable"), None);
        write(&file, b"one").expect("written");
        write(&file, b"two").expect("replaced");
        assert_eq!(mode_of(&file), 0o600);
        assert_eq!(read(&file, 3).expect("readable"), Some(b"two".to_vec()));
        assert_eq!(fs::read_dir(&path).expect("listed").count(), 1, "no temporary file stays");
        remove(&file).expect("removed");
        remove(&file).expect("already gone");
        assert_eq!(read(&file, 3).expect("readable"), None);
    }

    #[test]
    fn a_leftover_of_a_crash_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("a.new"), b"torn").expect("written");
        write(&dir.path().join("a.key"), b"whole").expect("written");
        assert_eq!(read(&dir.path().join("a.key"), 10).expect("readable"), Some(b"whole".to_vec()));
    }

    #[test]
    fn refuses_what_others_may_touch_links_and_large_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("a.key");
        write(&file, b"secret").expect("written");
        let link = dir.path().join("link");
        symlink(&file, &link).expect("linked");
        assert!(read(&link, 10).is_err(), "a link is refused");
        assert_eq!(read(&file, 5).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
        for mode in [0o640, 0o604, 0o620, 0o660, 0o644] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("set");
            let refused = read(&file, 10).expect_err("others may touch it");
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{mode:o}");
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("set");
        assert_eq!(private_dir(dir.path()).expect_err("open").kind(), io::ErrorKind::PermissionDenied);
    }
}
