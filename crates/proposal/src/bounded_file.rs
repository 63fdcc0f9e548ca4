//! Reading from the disk, within bounds. Links are followed, because that is how orchestrators
//! mount files; names that begin with a dot are passed over for the same reason.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Reads a file of at most `bytes_max`.
///
/// # Errors
///
/// What the system says, `FileTooLarge` above `bytes_max`.
pub fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let one_more = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(one_more).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        let text = format!("larger than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// The files of `dir` whose names end like this, in order of name; at most `count_max`.
///
/// # Errors
///
/// What the system says; too many files.
pub fn files_of(dir: &Path, ending: &str, count_max: usize) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default();
        if !name.starts_with(b".") && name.ends_with(ending.as_bytes()) && fs::metadata(&path)?.is_file() {
            files.push(path);
        }
        if files.len() > count_max {
            return Err(io::Error::other(format!("more than {count_max} `*{ending}` files")));
        }
    }
    files.sort();
    Ok(files)
}
