//! TLS of our own listeners: TLS 1.3 alone, no resumption, certificates that change while running.
//!
//! What always holds: a connection is a full handshake, so a client certificate that is no longer
//! believed cannot come back on a session ticket (no tickets, no session storage, no early data).
//! A certificate that cannot be loaded leaves the one in force. Whom to believe is not decided
//! here: the verifier of client certificates is passed in.
//!
//! Follows RFC 8446 (TLS 1.3) and RFC 7301 (ALPN).

use locum_model::limits::{OWN_CHAIN_CERTIFICATES_MAX, PEM_BYTES_MAX};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::private_file;

/// ALPN of HTTP/2.
pub const ALPN_H2: &[u8] = b"h2";
/// ALPN of HTTP/1.1.
pub const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Whether clients are asked for a certificate.
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// Asked, and judged by this verifier; it also says whether one is mandatory.
    Asked(Arc<dyn ClientCertVerifier>),
    /// Not asked: public documents.
    NotAsked,
}

/// Our own certificate and key, reloadable. Clones share one content.
#[derive(Clone, Debug)]
pub struct OwnCertificate {
    cert_file: PathBuf,
    key_file: PathBuf,
    current: Arc<ArcSwap<CertifiedKey>>,
}

/// Our own certificate could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateRefused {
    /// The system refused.
    #[error("`{}`: {}", .path.display(), self.cause())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Not PEM of what it should be.
    #[error("`{}`: {}", .path.display(), self.cause())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: rustls_pki_types::pem::Error,
    },
    /// No certificate, or too many.
    #[error("`{}`: {}", .path.display(), self.cause())]
    Chain {
        /// Which file.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// Certificate and key do not belong together, or their kind is not supported.
    #[error("`{}`: {}", .path.display(), self.cause())]
    Unusable {
        /// The key file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: rustls::Error,
    },
}

// === impl CertificateRefused ===

impl CertificateRefused {
    /// Which file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Pem { path, .. }
            | Self::Chain { path, .. }
            | Self::Unusable { path, .. } => path,
        }
    }

    /// Why, without the path.
    pub fn cause(&self) -> String {
        match self {
            Self::Io { cause, .. } => cause.to_string(),
            Self::Pem { cause, .. } => cause.to_string(),
            Self::Chain { count, .. } => {
                format!("1 to {OWN_CHAIN_CERTIFICATES_MAX} certificates are expected, {count} found")
            }
            Self::Unusable { cause, .. } => cause.to_string(),
        }
    }
}

// === impl OwnCertificate ===

impl OwnCertificate {
    /// Loads the chain (leaf first) and its private key, both in PEM.
    ///
    /// # Errors
    ///
    /// [`CertificateRefused`]; also when others may read the key file.
    pub fn load(cert_file: &Path, key_file: &Path) -> Result<Self, CertificateRefused> {
        let current = Arc::new(ArcSwap::from_pointee(load(cert_file, key_file)?));
        Ok(Self { cert_file: cert_file.to_owned(), key_file: key_file.to_owned(), current })
    }

    /// Loads both files again; new handshakes use them at once.
    ///
    /// # Errors
    ///
    /// [`CertificateRefused`]; the certificate in force stays.
    pub fn reload(&self) -> Result<(), CertificateRefused> {
        self.current.store(Arc::new(load(&self.cert_file, &self.key_file)?));
        Ok(())
    }

    /// The leaf in force, DER.
    pub fn leaf(&self) -> CertificateDer<'static> {
        self.current.load().cert.first().cloned().expect("a loaded chain has at least one certificate")
    }
}

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn load(cert_file: &Path, key_file: &Path) -> Result<CertifiedKey, CertificateRefused> {
    let io_refused = |path: &Path, cause| CertificateRefused::Io { path: path.to_owned(), cause };
    let pem_refused = |path: &Path, cause| CertificateRefused::Pem { path: path.to_owned(), cause };
    let pem = private_file::read_public(cert_file, PEM_BYTES_MAX).map_err(|e| io_refused(cert_file, e))?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|cause| pem_refused(cert_file, cause))?;
    if chain.is_empty() || chain.len() > OWN_CHAIN_CERTIFICATES_MAX {
        return Err(CertificateRefused::Chain { path: cert_file.to_owned(), count: chain.len() });
    }
    let pem = private_file::read_secret(key_file, PEM_BYTES_MAX).map_err(|e| io_refused(key_file, e))?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|cause| pem_refused(key_file, cause))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|cause| CertificateRefused::Unusable { path: key_file.to_owned(), cause })
}

/// TLS of the gRPC port: HTTP/2 alone.
///
/// # Errors
///
/// When the provider has no TLS 1.3, which ring has.
pub fn grpc_config(
    own: &OwnCertificate,
    clients: ClientCertificates,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    config(own, clients, &[ALPN_H2])
}

/// TLS of the HTTPS port: HTTP/2 or HTTP/1.1.
///
/// # Errors
///
/// When the provider has no TLS 1.3, which ring has.
pub fn https_config(
    own: &OwnCertificate,
    clients: ClientCertificates,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    config(own, clients, &[ALPN_H2, ALPN_HTTP1])
}

fn config(
    own: &OwnCertificate,
    clients: ClientCertificates,
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, rustls::Error> {
    // Ours by name: the process-wide default belongs to whoever embeds us.
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match clients {
        ClientCertificates::Asked(verifier) => builder.with_client_cert_verifier(verifier),
        ClientCertificates::NotAsked => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(own.clone()));
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::test_pki::Pki;

    #[test]
    fn reloads_and_keeps_the_old_one_when_the_new_one_is_bad() {
        let dir = tempfile::tempdir().expect("a directory");
        let pki = Pki::new();
        let (cert, key) = pki.write_server(dir.path());
        let own = OwnCertificate::load(&cert, &key).expect("loaded");
        let first = own.leaf();
        pki.write_server(dir.path());
        own.reload().expect("reloaded");
        let second = own.leaf();
        assert_ne!(first, second);
        fs::write(&cert, "no pem").expect("written");
        assert!(matches!(own.reload(), Err(CertificateRefused::Chain { count: 0, .. })));
        assert_eq!(own.leaf(), second, "the one in force stays");
    }

    #[test]
    fn refuses_foreign_keys_and_keys_open_to_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let other = tempfile::tempdir().expect("a directory");
        let pki = Pki::new();
        let (cert, key) = pki.write_server(dir.path());
        let (_, foreign_key) = pki.write_server(other.path());
        assert!(matches!(
            OwnCertificate::load(&cert, &foreign_key),
            Err(CertificateRefused::Unusable { .. })
        ));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("set");
        let refused = OwnCertificate::load(&cert, &key).expect_err("open to others");
        assert!(refused.to_string().contains("0644"), "{refused}");
        assert!(matches!(
            OwnCertificate::load(&dir.path().join("none"), &key),
            Err(CertificateRefused::Io { .. })
        ));
    }
}
