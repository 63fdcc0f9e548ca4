//! [`World`]: what seldom changes: the keys, the eras, the partition. Replaced whole.

use std::collections::HashMap;

use locum_model::event::KeyPurpose;
use locum_model::feed::Key;
use locum_model::{ConnectorNo, KeyId};
use locum_token::VerifyingKey;

use crate::eras::Eras;

/// A pinned state of what seldom changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// Counts the worlds; a token that was verified in another one is verified again.
    pub(crate) number: u64,
    /// The set of keys in force; none before the first.
    pub(crate) keys: Option<KeySet>,
    pub(crate) eras: Eras,
    /// The connector whose partition is followed.
    pub(crate) partition: Option<ConnectorNo>,
}

/// A set of keys that the root signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeySet {
    pub(crate) number: u64,
    by_kid: HashMap<KeyId, (KeyPurpose, VerifyingKey)>,
}

impl KeySet {
    /// The set; none when a key is not what its `kid` names, is there twice, or is a root.
    pub(crate) fn of(number: u64, keys: &[Key]) -> Option<Self> {
        let mut by_kid = HashMap::with_capacity(keys.len());
        for key in keys {
            let verifying = VerifyingKey::new(key.kid, key.algorithm, &key.public_key).ok()?;
            let is_root = key.purpose == KeyPurpose::KeysetRoot;
            if is_root || by_kid.insert(key.kid, (key.purpose, verifying)).is_some() {
                return None;
            }
        }
        Some(Self { number, by_kid })
    }

    /// The key of this `kid`, if it is for this purpose.
    pub(crate) fn key(&self, kid: &KeyId, purpose: KeyPurpose) -> Option<&VerifyingKey> {
        self.by_kid.get(kid).filter(|(of, _)| *of == purpose).map(|(_, key)| key)
    }
}
