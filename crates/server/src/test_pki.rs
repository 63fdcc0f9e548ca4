//! Certificates for tests: a CA, servers for `localhost`, clients with a SPIFFE ID.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A CA of its own.
pub(crate) struct Pki {
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
    ca_der: CertificateDer<'static>,
}

/// TLS 1.3 alone.
const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// What a client connects with.
pub(crate) struct ClientOptions<'a> {
    pub(crate) versions: &'a [&'static SupportedProtocolVersion],
    pub(crate) protocols: &'a [&'a [u8]],
    pub(crate) certificate: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
}

impl Default for ClientOptions<'_> {
    fn default() -> Self {
        Self { versions: TLS13, protocols: &[b"h2"], certificate: None }
    }
}

impl Pki {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("params");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![SanType::URI("spiffe://acme.test".try_into().expect("ascii"))];
        let ca = params.self_signed(&key).expect("signed");
        Self { ca_pem: ca.pem(), ca_der: ca.der().clone(), issuer: Issuer::new(params, key) }
    }

    pub(crate) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Writes a fresh server certificate for `localhost` into `dir`.
    pub(crate) fn write_server(&self, dir: &Path) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("params");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let cert = params.signed_by(&key, &self.issuer).expect("signed");
        let (cert_file, key_file) = (dir.join("server.pem"), dir.join("server.key"));
        fs::write(&cert_file, cert.pem()).expect("written");
        fs::write(&key_file, key.serialize_pem()).expect("written");
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).expect("set");
        (cert_file, key_file)
    }

    /// A client certificate for `spiffe_id`.
    pub(crate) fn client(&self, spiffe_id: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("params");
        params.subject_alt_names = vec![SanType::URI(spiffe_id.try_into().expect("ascii"))];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let cert = params.signed_by(&key, &self.issuer).expect("signed");
        let der = PrivateKeyDer::try_from(key.serialize_der()).expect("pkcs8");
        (cert.der().clone(), der)
    }

    /// A client that believes this CA.
    pub(crate) fn client_config(&self, options: ClientOptions<'_>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca_der.clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(options.versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match options.certificate {
            Some((cert, key)) => builder.with_client_auth_cert(vec![cert], key).expect("usable"),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = options.protocols.iter().map(|p| p.to_vec()).collect();
        Arc::new(config)
    }
}
