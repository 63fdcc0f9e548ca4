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
    }
}
