//! [`HolderSecret`]: the 32 bytes that prove that a caller holds a task.
//!
//! The broker only ever keeps its SHA-256. It is wiped when dropped and does not show in `Debug`.

use std::fmt;

use locum_model::{Entropy, EntropyFailed};
use zeroize::Zeroizing;

/// What opens a task. Whoever has it can ask for the task's tokens and end it.
#[derive(Clone)]
pub struct HolderSecret(Zeroizing<[u8; 32]>);

impl HolderSecret {
    /// A new one.
    pub(crate) fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyFailed> {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// One that was kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, to keep them where nobody else can read them.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn sha256(&self) -> Vec<u8> {
        ring::digest::digest(&ring::digest::SHA256, &*self.0).as_ref().to_vec()
    }

    pub(crate) fn to_wire(&self) -> Vec<u8> {
        self.0.to_vec()
    }
}

impl fmt::Debug for HolderSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HolderSecret(..)")
    }
}
