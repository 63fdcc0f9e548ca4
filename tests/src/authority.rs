//! CAs of trust domains, and the certificates that they give.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use ring::digest::{SHA256, digest};

/// The CA of one trust domain.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, as a workload has them.
#[derive(Clone)]
pub struct Identity {
    /// The chain, PEM.
    pub cert_pem: String,
    /// The key, PEM.
    pub key_pem: String,
    /// SHA-256 of the leaf's DER: what a token that is bound to it carries.
    pub sha256: [u8; 32],
}

impl Authority {
    /// A new CA for `trust_domain`.
    ///
    /// # Panics
    ///
    /// When the name is not ASCII.
    pub fn new(trust_domain: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a CA signs itself"))
    }

    /// Its certificate, PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// An X.509-SVID for `spiffe_id`.
    ///
    /// # Panics
    ///
    /// When the id is not ASCII.
    pub fn workload(&self, spiffe_id: &str) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.subject_alt_names = vec![uri(spiffe_id)];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        self.leaf(params)
    }

    /// A server's certificate for `localhost`.
    ///
    /// # Panics
    ///
    /// When the system gives no randomness.
    pub fn localhost(&self) -> Identity {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a DNS name");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.leaf(params)
    }

    fn leaf(&self, mut params: CertificateParams) -> Identity {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.0).expect("signed");
        let sha256 = digest(&SHA256, cert.der()).as_ref().try_into().expect("32 bytes");
        Identity { cert_pem: cert.pem(), key_pem: key.serialize_pem(), sha256 }
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ASCII"))
}
