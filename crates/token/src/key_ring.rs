//! [`KeyRing`]: which keys there are and what each may do: a fold over the key events.
//!
//! A key is *published* before it signs, so that verifiers know it by then; *active* when it
//! signs, one per purpose and algorithm; *superseded* when the next one was activated, verifying
//! what it signed until it is retired. A retired key is gone for good: it never verifies again,
//! and publishing it again is refused.
//!
//! A ring is a snapshot: cheap to clone, and a clone never changes under its reader.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use locum_jose::jwks;
use locum_jose::sign::SigningFailed;
use locum_jose::{PublicKey, SigningKey};
use locum_model::event::{By, KeyMoved, KeyPublished, KeyPurpose};
use locum_model::registry::Algorithm;
use locum_model::{Event, KeyId, Reason, Timestamp};
use zeroize::Zeroizing;

use crate::key_store::KeyStore;
use crate::verifying_key::VerifyingKey;

/// The keys in force.
#[derive(Clone, Debug, Default)]
pub struct KeyRing(Arc<Keys>);

#[derive(Clone, Debug, Default)]
struct Keys {
    /// Ordered, so that everything derived from the ring is the same everywhere.
    by_kid: BTreeMap<KeyId, RingKey>,
    /// INVARIANT: never shrinks, and shares nothing with `by_kid`.
    retired: BTreeSet<KeyId>,
}

/// One key of the ring. `Debug` shows no private byte.
#[derive(Clone, Debug)]
pub struct RingKey {
    verifying: VerifyingKey,
    purpose: KeyPurpose,
    algorithm: Algorithm,
    state: KeyState,
    published_at: Timestamp,
    changed_at: Timestamp,
    private: Option<Arc<SigningKey>>,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyState {
    /// Known to verifiers, signs nothing yet.
    Published,
    /// Signs.
    Active,
    /// Signs nothing new; what it signed still holds.
    Superseded,
}

/// Why a key event does not apply, or no key could be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// No key of this id.
    #[error("no key `{0}`")]
    Unknown(KeyId),
    /// A key of this id is published already.
    #[error("key `{0}` is published already")]
    Repeated(KeyId),
    /// The key was retired; it never comes back.
    #[error("key `{0}` was retired and never comes back")]
    Retired(KeyId),
    /// The key was active before.
    #[error("key `{0}` was superseded and is never activated again")]
    Superseded(KeyId),
    /// The id is not the thumbprint of the public half, or that is no key.
    #[error("`{0}` is not the thumbprint of the public key beside it")]
    Mismatch(KeyId),
    /// The key is active now, verifies, and cannot sign.
    #[error("the private half of active key `{kid}` cannot be loaded")]
    NotLoaded {
        /// Which.
        kid: KeyId,
        /// What the key store said.
        source: io::Error,
    },
    /// The key is not able to sign here, or no randomness was to be had.
    #[error("the key cannot sign")]
    CannotSign(#[source] SigningFailed),
    /// The ring holds the public half alone.
    #[error("the private half of key `{0}` is not here")]
    NoPrivateKey(KeyId),
}

/// A new key: the event that publishes it, and its private half for the key store.
///
/// The order that survives a crash at any point: save, then commit, then apply.
///
/// # Errors
///
/// [`KeyRingError::CannotSign`] when no randomness was to be had.
pub fn generate(
    algorithm: Algorithm,
    purpose: KeyPurpose,
    by: By,
    at: Timestamp,
) -> Result<(KeyPublished, Zeroizing<Vec<u8>>), KeyRingError> {
    let pkcs8 = SigningKey::generate(algorithm).map_err(KeyRingError::CannotSign)?;
    let key = SigningKey::from_pkcs8(algorithm, &pkcs8).map_err(KeyRingError::CannotSign)?;
    let (kid, public_key) = (key.public().thumbprint(), key.public().as_bytes().to_vec());
    Ok((KeyPublished { kid, purpose, algorithm, public_key, by, at }, pkcs8))
}

// === impl KeyRing ===

impl KeyRing {
    /// Folds one event in. Events that are not about keys change nothing.
    ///
    /// A private half that is not in `store` is no error until its key is to sign. A retired key's
    /// private half is deleted from `store`, again on each replay, so that a crash in between
    /// leaves nothing behind; the ring does not wait for that to succeed.
    ///
    /// # Errors
    ///
    /// [`KeyRingError::NotLoaded`] after the event was applied: the key is active but cannot sign.
    /// Any other error leaves the ring as it was.
    pub fn apply(&mut self, event: &Event, store: &dyn KeyStore) -> Result<(), KeyRingError> {
        match event {
            Event::KeyPublished(published) => self.publish(published, store),
            Event::KeyActivated(moved) => self.activate(moved, store),
            Event::KeyRetired(moved) => self.retire(moved, store),
            _ => Ok(()),
        }
    }

    /// The active key of this purpose and algorithm.
    pub fn signer(&self, purpose: KeyPurpose, algorithm: Algorithm) -> Option<&RingKey> {
        self.keys()
            .find(|key| key.state == KeyState::Active && key.purpose == purpose && key.algorithm == algorithm)
    }

    /// The key of this id.
    pub fn key(&self, kid: &KeyId) -> Option<&RingKey> {
        self.0.by_kid.get(kid)
    }

    /// All keys, ordered by id.
    pub fn keys(&self) -> impl Iterator<Item = &RingKey> {
        self.0.by_kid.values()
    }

    /// The JWK set of the token keys (RFC 7517 section 5), those not yet active among them.
    pub fn jwks(&self) -> String {
        jwks::write(self.keys().filter(|key| key.purpose == KeyPurpose::Token).map(RingKey::public))
    }

    fn publish(&mut self, published: &KeyPublished, store: &dyn KeyStore) -> Result<(), KeyRingError> {
        let kid = published.kid;
        if self.0.retired.contains(&kid) {
            return Err(KeyRingError::Retired(kid));
        }
        if self.0.by_kid.contains_key(&kid) {
            return Err(KeyRingError::Repeated(kid));
        }
        let mut key = RingKey::published(published)?;
        // Not an error yet: a key that never becomes active here never has to sign.
        key.private = key.load(store).ok();
        Arc::make_mut(&mut self.0).by_kid.insert(kid, key);
        Ok(())
    }

    fn activate(&mut self, moved: &KeyMoved, store: &dyn KeyStore) -> Result<(), KeyRingError> {
        let key = self.key(&moved.kid).ok_or_else(|| self.absent(moved.kid))?;
        if key.state == KeyState::Superseded {
            return Err(KeyRingError::Superseded(moved.kid));
        }
        let (purpose, algorithm) = (key.purpose, key.algorithm);
        let loaded = key.private.clone().map_or_else(|| key.load(store), Ok);
        for key in Arc::make_mut(&mut self.0).by_kid.values_mut() {
            let rival = key.purpose == purpose && key.algorithm == algorithm;
            let next = match key.state {
                _ if *key.kid() == moved.kid => KeyState::Active,
                KeyState::Active if rival => KeyState::Superseded,
                same => same,
            };
            if next != key.state {
                key.state = next;
                key.changed_at = moved.at;
            }
            if *key.kid() == moved.kid {
                key.private = loaded.as_ref().ok().cloned();
            }
        }
        loaded.map(|_| ()).map_err(|source| KeyRingError::NotLoaded { kid: moved.kid, source })
    }

    fn retire(&mut self, moved: &KeyMoved, store: &dyn KeyStore) -> Result<(), KeyRingError> {
        if self.key(&moved.kid).is_none() {
            return Err(self.absent(moved.kid));
        }
        let keys = Arc::make_mut(&mut self.0);
        keys.by_kid.remove(&moved.kid);
        keys.retired.insert(moved.kid);
        // The ring is what refuses the key; a private half that stays behind signs nothing that holds.
        let _ = store.delete(&moved.kid);
        Ok(())
    }

    fn absent(&self, kid: KeyId) -> KeyRingError {
        if self.0.retired.contains(&kid) { KeyRingError::Retired(kid) } else { KeyRingError::Unknown(kid) }
    }
}

// === impl RingKey ===

impl RingKey {
    /// Its id: the RFC 7638 thumbprint of its public half.
    pub fn kid(&self) -> &KeyId {
        self.verifying.kid()
    }

    /// What it is for.
    pub fn purpose(&self) -> KeyPurpose {
        self.purpose
    }

    /// Its one algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What it may do.
    pub fn state(&self) -> KeyState {
        self.state
    }

    /// Since when verifiers can know it.
    pub fn published_at(&self) -> Timestamp {
        self.published_at
    }

    /// When it came into its state.
    pub fn changed_at(&self) -> Timestamp {
        self.changed_at
    }

    /// Its public half.
    pub fn public(&self) -> &PublicKey {
        self.verifying.public()
    }

    /// Its public half, as tokens are verified with it.
    pub fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Whether the private half is here.
    pub fn can_sign(&self) -> bool {
        self.private.is_some()
    }

    /// The signature over `message`: 64 bytes. The caller minds purpose and state.
    ///
    /// # Errors
    ///
    /// [`KeyRingError::NoPrivateKey`] and [`KeyRingError::CannotSign`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyRingError> {
        let private = self.private.as_ref().ok_or(KeyRingError::NoPrivateKey(*self.kid()))?;
        private.sign(message).map_err(KeyRingError::CannotSign)
    }

    /// The one header of tokens that this key signs, as base64url.
    pub(crate) fn header_text(&self) -> &str {
        self.verifying.header_text()
    }

    fn published(event: &KeyPublished) -> Result<Self, KeyRingError> {
        let verifying = VerifyingKey::new(event.kid, event.algorithm, &event.public_key)
            .or(Err(KeyRingError::Mismatch(event.kid)))?;
        Ok(Self {
            verifying,
            purpose: event.purpose,
            algorithm: event.algorithm,
            state: KeyState::Published,
            published_at: event.at,
            changed_at: event.at,
            private: None,
        })
    }

    /// The private half, where it is there and really is this key's.
    fn load(&self, store: &dyn KeyStore) -> io::Result<Arc<SigningKey>> {
        let pkcs8 = store.load(self.kid())?;
        let key = SigningKey::from_pkcs8(self.algorithm, &pkcs8)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if key.public() == self.public() {
            Ok(Arc::new(key))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the stored key is another key"))
        }
    }
}

// === impl KeyRingError ===

impl KeyRingError {
    /// The code that callers see.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unknown(_) | Self::Retired(_) => Reason::KeyUnknown,
            Self::Superseded(_) => Reason::RequestMalformed,
            Self::Repeated(_)
            | Self::Mismatch(_)
            | Self::NotLoaded { .. }
            | Self::CannotSign(_)
            | Self::NoPrivateKey(_) => Reason::Internal,
        }
    }
}

#[cfg(test)]
mod tests;
