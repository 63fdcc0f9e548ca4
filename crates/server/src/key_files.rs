//! [`FileKeyStore`]: private keys as files, `<kid>.pk8` of mode 0600 in a directory of mode 0700.
//!
//! Each file is one PKCS#8 document, written atomically and durable before `save` returns. A
//! directory or file that others may touch is refused: a key that somebody may have read is no key.
//! It knows nothing of rotation; that is the key ring's.

use locum_model::limits::PRIVATE_KEY_BYTES_MAX;
use std::io;
use std::path::{Path, PathBuf};

use locum_model::KeyId;
use locum_token::KeyStore;
use zeroize::Zeroizing;

use crate::private_file;

/// A directory of private keys.
#[derive(Clone, Debug)]
pub struct FileKeyStore {
    dir: PathBuf,
}

// === impl FileKeyStore ===

impl FileKeyStore {
    /// Opens the directory, creating it if it is missing.
    ///
    /// # Errors
    ///
    /// What the system says, with the path; also when others may enter the directory.
    pub fn open(dir: &Path) -> io::Result<Self> {
        private_file::private_dir(dir).map_err(|error| named(dir, &error))?;
        Ok(Self { dir: dir.to_owned() })
    }

    fn at<T>(&self, kid: &KeyId, work: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let path = self.dir.join(format!("{kid}.pk8"));
        work(&path).map_err(|error| named(&path, &error))
    }
}

impl KeyStore for FileKeyStore {
    fn save(&self, kid: &KeyId, pkcs8: &[u8]) -> io::Result<()> {
        self.at(kid, |path| private_file::write(path, pkcs8))
    }

    fn load(&self, kid: &KeyId) -> io::Result<Zeroizing<Vec<u8>>> {
        self.at(kid, |path| {
            let found = private_file::read(path, PRIVATE_KEY_BYTES_MAX)?;
            found.map(Zeroizing::new).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such key"))
        })
    }

    fn delete(&self, kid: &KeyId) -> io::Result<()> {
        self.at(kid, private_file::remove)
    }
}

/// The same kind of error, with the path in front.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keeps_keys_apart_and_forgets_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = FileKeyStore::open(&dir.path().join("keys")).expect("opened");
        let (one, two) = (KeyId([1; 32]), KeyId([2; 32]));
        store.save(&one, b"first").expect("written");
        store.save(&two, b"second").expect("written");
        assert_eq!(store.load(&one).expect("readable").as_slice(), b"first");
        store.delete(&one).expect("removed");
        assert_eq!(store.load(&one).expect_err("gone").kind(), io::ErrorKind::NotFound);
        assert_eq!(store.load(&two).expect("readable").as_slice(), b"second");
    }

    #[test]
    fn refuses_a_key_that_others_may_read_and_names_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = FileKeyStore::open(&dir.path().join("keys")).expect("opened");
        let kid = KeyId([7; 32]);
        store.save(&kid, b"secret").expect("written");
        let path = dir.path().join("keys").join(format!("{kid}.pk8"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        let refused = store.load(&kid).expect_err("others may read it");
        assert!(refused.to_string().contains(&kid.to_string()), "{refused}");
        assert!(refused.to_string().contains("0640"), "{refused}");
    }
}
