//! [`SystemEntropy`]: the operating system's randomness, for holder secrets, request ids and jitter.
//!
//! The only file of this crate that draws randomness; everything else takes an [`Entropy`].

use locum_model::{Entropy, EntropyFailed};
use ring::rand::{SecureRandom, SystemRandom};

/// The operating system's randomness through ring.
pub(crate) struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where this crate meets the system's randomness"
    )]
    pub(crate) fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        if self.0.fill(bytes).is_ok() { Ok(()) } else { Err(EntropyFailed) }
    }
}

/// A fresh request id: 32 hexadecimal digits.
pub(crate) fn request_id(entropy: &dyn Entropy) -> Result<String, EntropyFailed> {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// A span between half of `span` and all of it, so that many clients do not come back at once.
///
/// Without randomness it is the whole span: jitter is a courtesy, not a safety.
pub(crate) fn jitter(entropy: &dyn Entropy, span: std::time::Duration) -> std::time::Duration {
    let mut byte = [u8::MAX; 1];
    let share = if entropy.fill(&mut byte).is_ok() { u32::from(byte[0]) } else { 255 };
    span / 2 + span / 2 * share / 255
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Fixed(u8);

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
            bytes.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn jitter_stays_between_half_and_whole() {
        let span = Duration::from_secs(8);
        assert_eq!(jitter(&Fixed(0), span), Duration::from_secs(4));
        assert_eq!(jitter(&Fixed(255), span), span);
    }

    #[test]
    fn ids_differ_and_fit() {
        let system = SystemEntropy::new();
        let (one, two) = (request_id(&system).expect("entropy"), request_id(&system).expect("entropy"));
        assert_ne!(one, two);
        assert!(one.len() == 32 && one.bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
