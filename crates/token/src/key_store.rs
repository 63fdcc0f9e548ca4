//! [`KeyStore`]: where private keys rest, and its in-memory fake.
//!
//! Private keys never enter the journal: events carry public halves, the store holds the rest
//! under the same `kid`.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use locum_model::KeyId;
use zeroize::Zeroizing;

/// Keeps private keys, as PKCS#8 by `kid`, readable by the server alone.
pub trait KeyStore: Send + Sync {
    /// Keeps a key; durable on return. Saving the same key again changes nothing.
    ///
    /// # Errors
    ///
    /// Whatever the medium says; the key is then not to be used.
    fn save(&self, kid: &KeyId, pkcs8: &[u8]) -> io::Result<()>;

    /// The key of this `kid`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when there is none, else whatever the medium says.
    fn load(&self, kid: &KeyId) -> io::Result<Zeroizing<Vec<u8>>>;

    /// Forgets the key; durable on return. One that is not there is forgotten already.
    ///
    /// # Errors
    ///
    /// Whatever the medium says; the key may then still be there.
    fn delete(&self, kid: &KeyId) -> io::Result<()>;
}

/// A key store in memory, for tests and for the demo: nothing outlives it.
#[derive(Default)]
pub struct MemoryKeyStore(Mutex<BTreeMap<KeyId, Zeroizing<Vec<u8>>>>);

// === impl MemoryKeyStore ===

impl MemoryKeyStore {
    fn keys(&self) -> MutexGuard<'_, BTreeMap<KeyId, Zeroizing<Vec<u8>>>> {
        // Each operation is one map operation: a panic elsewhere leaves no half of one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyStore for MemoryKeyStore {
    fn save(&self, kid: &KeyId, pkcs8: &[u8]) -> io::Result<()> {
        self.keys().insert(*kid, Zeroizing::new(pkcs8.to_vec()));
        Ok(())
    }

    fn load(&self, kid: &KeyId) -> io::Result<Zeroizing<Vec<u8>>> {
        self.keys().get(kid).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn delete(&self, kid: &KeyId) -> io::Result<()> {
        self.keys().remove(kid);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_there_from_save_to_delete() {
        let (store, kid) = (MemoryKeyStore::default(), KeyId([7; 32]));
        let absent = || store.load(&kid).map_err(|error| error.kind()).err();
        assert_eq!(absent(), Some(io::ErrorKind::NotFound));
        store.save(&kid, b"key").expect("memory");
        store.save(&kid, b"key").expect("again");
        assert_eq!(store.load(&kid).expect("saved").as_slice(), b"key");
        assert!(store.load(&KeyId([8; 32])).is_err());
        store.delete(&kid).expect("memory");
        store.delete(&kid).expect("again");
        assert_eq!(absent(), Some(io::ErrorKind::NotFound));
    }
}
