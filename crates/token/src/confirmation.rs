//! Thumbprints: of certificates as they stand in `cnf`, and of subjects as they stand in
//! watermarks.

use locum_jose::digest::{sha256, sha256_of_parts};
use locum_model::{Confirmation, SubjectKey, TenantNo};

/// The confirmation of a client certificate: SHA-256 of its DER (`x5t#S256`, RFC 8705 section 3.1).
pub fn certificate_thumbprint(der: &[u8]) -> Confirmation {
    Confirmation::Certificate(sha256(der))
}

/// The subject of a tenant as a number: the first 128 bits of SHA-256 over the tenant's number
/// (four bytes, big-endian) and the subject.
pub fn subject_key(tenant: TenantNo, subject: &str) -> SubjectKey {
    let digest = sha256_of_parts(&[&tenant.0.to_be_bytes(), subject.as_bytes()]);
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    SubjectKey(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_its_tenants() {
        let key = subject_key(TenantNo(1), "alice");
        assert_eq!(key, subject_key(TenantNo(1), "alice"));
        assert_ne!(key, subject_key(TenantNo(2), "alice"));
        assert_ne!(key, subject_key(TenantNo(1), "alicf"));
        // sha256 of 00000001 and `alice`, pinned: it stands in journals.
        assert_eq!(key.to_string(), PINNED);
    }

    #[test]
    fn a_certificate_is_its_sha_256() {
        assert_eq!(certificate_thumbprint(b"abc"), Confirmation::Certificate(sha256("abc")));
        assert_ne!(certificate_thumbprint(b"abc"), certificate_thumbprint(b"abd"));
    }

    const PINNED: &str = "e99c586685c4a95f29584040c4bf66bc";
}
