//! Strict compact JWS over ring: parse, header allow-list, thumbprints, keys, sign and verify.
//!
//! One crate for the server that signs and for the verifier in somebody else's process, so that
//! both hold the same bytes for good. It follows RFC 7515 (JWS), 7517 (JWK), 7518 (algorithms),
//! 7638 (thumbprints) and 8037 (Ed25519), and takes less than they allow: no algorithm without a
//! key of exactly that algorithm, no header member that is not expected, no second spelling of
//! base64url, no member of a JSON object twice.
//!
//! What it deliberately does not know: what a claim means, what time it is, which key is in force.
//!
//! Our own tokens go straight to ring ([`compact::Compact::verify`], [`sign::SigningKey::sign`]).
//! Identity assertions of others go through jsonwebtoken on our [`provider`], behind the same
//! guard ([`assertion::verify`]).
//!
//! Reading order: the bytes ([`base64url`], [`digest`], [`json`]), the keys ([`algorithm`],
//! [`key`], [`jwks`], [`sign`]), the tokens ([`compact`], [`provider`], [`assertion`], [`self_signed`]).

pub mod base64url;
pub mod digest;
pub mod json;

pub mod algorithm;
mod entropy;
pub mod jwks;
pub mod key;
pub mod sign;

pub mod assertion;
pub mod compact;
pub mod provider;
pub mod self_signed;

pub use algorithm::SignatureAlgorithm;
pub use compact::{Compact, Profile};
pub use jwks::JwkSet;
pub use key::PublicKey;
pub use sign::SigningKey;
