//! Files that hold a token: mode 0600, replaced whole.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Whoever opens the file finds one whole token, the old one or the new one.
pub(crate) fn replace(path: &Path, token: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.next", std::process::id()));
    let next = path.with_file_name(name);
    // What an earlier writer left. In a folder of others it may be a link that they laid: never followed,
    // never written into.
    match fs::remove_file(&next) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    file.write_all(token.as_bytes())?;
    fs::rename(&next, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_others_laid_in_the_way_does_not_get_the_token() {
        let dir = tempfile::tempdir().expect("a folder");
        let (path, theirs) = (dir.path().join("orders"), dir.path().join("theirs"));
        fs::write(&theirs, "").expect("written");
        std::os::unix::fs::symlink(&theirs, dir.path().join(format!("orders.{}.next", std::process::id())))
            .expect("laid");
        replace(&path, "token").expect("written");
        assert_eq!(fs::read_to_string(&theirs).expect("read"), "");
        assert!(fs::symlink_metadata(&path).expect("there").is_file(), "the link is not kept");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_holds_one_whole_token_that_only_its_owner_can_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("orders");
        for token in ["first-and-longer", "second"] {
            replace(&path, token).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("read"), token);
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let left: Vec<_> = fs::read_dir(dir.path()).expect("listed").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
