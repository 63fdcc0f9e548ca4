//! [`Entropy`]: randomness as an argument.

/// Where randomness comes from: the operating system, or a seed in the simulator.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with randomness fit for secrets.
    ///
    /// # Errors
    ///
    /// [`EntropyFailed`] when the source gave none; the caller then refuses.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyFailed>;
}

/// The source of randomness failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the source of randomness failed")]
pub struct EntropyFailed;
