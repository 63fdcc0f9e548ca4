//! SHA-256 (FIPS 180-4), by ring.

use ring::digest::{Context, SHA256, digest};

/// SHA-256 of `bytes`.
pub fn sha256(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    fixed(digest(&SHA256, bytes.as_ref()))
}

/// SHA-256 of `parts` one after another.
///
/// The parts are not delimited: the caller makes them unambiguous, by fixed lengths for instance.
pub fn sha256_of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    fixed(context.finish())
}

/// SHA-256 of bytes that come one after another; the parts are not delimited.
#[derive(Clone)]
pub struct Sha256(Context);

impl Sha256 {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes.
    pub fn finish(self) -> [u8; 32] {
        fixed(self.0.finish())
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows nothing of what was hashed.
impl std::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sha256").finish_non_exhaustive()
    }
}

fn fixed(digest: ring::digest::Digest) -> [u8; 32] {
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sha_256() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(locum_model::KeyId(sha256("abc")).to_string(), abc);
        assert_eq!(sha256_of_parts(&[b"a", b"", b"bc"]), sha256("abc"));
        let mut parts = Sha256::default();
        [&b"a"[..], b"", b"bc"].into_iter().for_each(|part| parts.update(part));
        assert_eq!(parts.finish(), sha256("abc"));
    }
}
