//! [`FileKeyStore`]: private keys as files, `<kid>.pk8` of mode 0600 in a directory of mode 0700.
//!
//! Each file is one PKCS#8 document, written atomically and durable before `save` returns. A
//! directory or file that others may touch is refused: a key that somebody may have read is no key.
//! It knows nothing of rotation; that is the key ring's.

use std::io;
use std::path::{Path, PathBuf};

use locum_model::KeyId;

use crate::private_file;

/// Largest PKCS#8 document that is read, in bytes. P-256 takes 138, Ed25519 83.
const KEY_BYTES_MAX: usize = 1024;

/// A directory of private keys.
#[derive(Clone, Debug)]
pub struct FileKeyStore {
    dir: PathBuf,
}

/// A key file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("key file `{}`: {cause}", .path.display())]
pub struct KeyFileRefused {
    /// Which file or directory.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub cause: io::Error,
}

impl FileKeyStore {
    /// Opens the directory, creating it if it is missing.
    ///
    /// # Errors
    ///
    /// [`KeyFileRefused`] when it cannot be made or others may enter it.
    pub fn open(dir: &Path) -> Result<Self, KeyFileRefused> {
        private_file::private_dir(dir).map_err(|cause| KeyFileRefused { path: dir.to_owned(), cause })?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Stores the key, durably.
    ///
    /// # Errors
    ///
    /// [`KeyFileRefused`] with what the system said.
    pub fn write(&self, kid: KeyId, pkcs8: &[u8]) -> Result<(), KeyFileRefused> {
        self.at(kid, |path| private_file::write(path, pkcs8))
    }

    /// The key, if it is here.
    ///
    /// # Errors
    ///
    /// [`KeyFileRefused`] also when others may read or write the file.
    pub fn read(&self, kid: KeyId) -> Result<Option<Vec<u8>>, KeyFileRefused> {
        self.at(kid, |path| private_file::read(path, KEY_BYTES_MAX))
    }

    /// Deletes the key; fine when there is none.
    ///
    /// # Errors
    ///
    /// [`KeyFileRefused`] with what the system said.
    pub fn remove(&self, kid: KeyId) -> Result<(), KeyFileRefused> {
        self.at(kid, private_file::remove)
    }

    fn at<T>(&self, kid: KeyId, work: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, KeyFileRefused> {
        let path = self.dir.join(format!("{kid}.pk8"));
        work(&path).map_err(|cause| KeyFileRefused { path, cause })
    }
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
        store.write(one, b"first").expect("written");
        store.write(two, b"second").expect("written");
        assert_eq!(store.read(one).expect("readable").as_deref(), Some(&b"first"[..]));
        store.remove(one).expect("removed");
        assert_eq!(store.read(one).expect("readable"), None);
        assert_eq!(store.read(two).expect("readable").as_deref(), Some(&b"second"[..]));
    }

    #[test]
    fn refuses_a_key_that_others_may_read_and_names_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = FileKeyStore::open(&dir.path().join("keys")).expect("opened");
        let kid = KeyId([7; 32]);
        store.write(kid, b"secret").expect("written");
        let path = dir.path().join("keys").join(format!("{kid}.pk8"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        let refused = store.read(kid).expect_err("others may read it");
        assert!(refused.to_string().contains(&kid.to_string()), "{refused}");
        assert!(refused.to_string().contains("0640"), "{refused}");
    }
}
