//! The offline check of a journal's directory. Takes its lock, changes nothing.

use std::path::{Path, PathBuf};

use locum_journal::{Damage, DirectoryError, DiskFiles};
pub use locum_journal::{Progress, Report};

/// Why a journal was not found good.
#[derive(Debug, thiserror::Error)]
pub enum NotGood {
    /// There is no such directory.
    #[error("`{}` is no directory", .0.display())]
    NoDirectory(PathBuf),
    /// It cannot be opened; a broker may be running on it.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// It is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// Checks every segment and snapshot; tells `show` of each file that was found good.
///
/// # Errors
///
/// [`NotGood`] with the first damage.
pub fn verify(dir: &Path, show: &mut dyn FnMut(Progress)) -> Result<Report, NotGood> {
    // Opening makes a directory where there is none; a check must not.
    if !dir.is_dir() {
        return Err(NotGood::NoDirectory(dir.to_owned()));
    }
    let files = DiskFiles::open(dir)?;
    Ok(locum_journal::verify(&files, show)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_directory_is_not_made() {
        let dir = tempfile::tempdir().expect("a directory");
        let gone = dir.path().join("gone");
        assert!(matches!(verify(&gone, &mut |_| {}), Err(NotGood::NoDirectory(_))));
        assert!(!gone.exists());
    }

    #[test]
    fn a_segment_of_garbage_is_damage() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("segment-000000000000001"), b"not a segment").expect("written");
        let said = verify(dir.path(), &mut |_| {}).expect_err("damaged").to_string();
        assert!(said.contains("`segment-000000000000001` is damaged"), "{said}");
    }
}
