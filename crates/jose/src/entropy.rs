//! The one place where this crate draws randomness.
//!
//! ring's key generation and ECDSA signing take ring's own sealed source of randomness and no
//! other, so that `locum_model::Entropy` cannot be handed in here. Signatures are therefore never
//! part of a simulation's trace; what is signed is.

use ring::rand::SystemRandom;

/// The operating system's source of randomness.
#[expect(
    clippy::disallowed_methods,
    reason = "ring generates keys and ECDSA nonces from its own sealed trait alone"
)]
pub(crate) fn system() -> SystemRandom {
    SystemRandom::new()
}
