//! [`OsEntropy`]: randomness of the operating system, through ring. The only place that draws it.

use locum_model::{Entropy, EntropyFailed};
use ring::rand::{SecureRandom, SystemRandom};

/// The operating system's randomness.
#[derive(Clone, Debug)]
pub struct OsEntropy(SystemRandom);

impl OsEntropy {
    /// The operating system's source.
    #[expect(clippy::disallowed_methods, reason = "this is the one entropy file")]
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Default for OsEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        self.0.fill(bytes).map_err(|ring::error::Unspecified| EntropyFailed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_all_bytes_and_never_the_same() {
        let (mut one, mut two) = ([0; 32], [0; 32]);
        let entropy = OsEntropy::new();
        entropy.fill(&mut one).expect("the system has randomness");
        entropy.fill(&mut two).expect("the system has randomness");
        assert_ne!(one, two);
        assert!(one[24..].iter().any(|byte| *byte != 0), "the tail is filled too");
    }
}
