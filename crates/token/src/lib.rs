//! Tokens: claims in and out, the ring of keys and its rotation, the JWK set.
//!
//! A token is an `at+jwt` (RFC 9068) of exactly one spelling: the same record gives the same
//! payload, and [`verify()`] takes nothing that [`sign()`] would not have written. Only a live issue
//! record is signed, and only with the key that the record names.
//!
//! What it deliberately does not know: whether a token is in the table or revoked, what a task's
//! state is, whose audience the reader is, what policy says, what time it is.
//!
//! Reading order: the keys ([`key_store`], [`key_ring`]), what a token says ([`claims`]), and the
//! two directions ([`sign`](mod@sign), [`verify`](mod@verify)); [`jti`] finds a token's id without
//! reading it, [`recognised`] reads what was judged before. Beside them [`dpop`]: that a presenter has the key which a
//! token is bound to.

pub mod key_ring;
pub mod key_store;
pub mod verifying_key;

pub mod claims;
pub mod confirmation;
mod header;
mod locum_claim;
mod payload;
mod places;

pub mod dpop;

pub mod jti;
pub mod recognised;
pub mod sign;
pub mod verify;

pub use claims::Claims;
pub use confirmation::{certificate_thumbprint, subject_key};
pub use jti::jti_of;
pub use key_ring::{KeyRing, KeyRingError, KeyState, RingKey, generate};
pub use key_store::{KeyStore, MemoryKeyStore};
pub use locum_jose::base64url::{kid_text, parse_kid};
pub use locum_jose::digest::{sha256, sha256_of_parts};
pub use recognised::Recognised;
pub use sign::{Draft, SignError, sign};
pub use verify::{Refusal, read, verify, verify_by};
pub use verifying_key::VerifyingKey;

#[cfg(test)]
mod sample;
