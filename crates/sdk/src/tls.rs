//! The client's side of TLS: TLS 1.3 with ring, the authorities of one file, ALPN `h2`.
//!
//! Always holds: ring is passed explicitly, so a default provider of the host process is neither
//! used nor set; the platform's authorities are not trusted; sessions are not resumed, so that a
//! rotated certificate is the one that the broker sees.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::options::{CertificateFiles, Options};

/// Why files do not make a TLS configuration. Names files, never their content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TlsFilesError {
    #[error("cannot read `{0}`: {1}")]
    Unreadable(String, String),
    #[error("`{0}` holds no PEM certificate")]
    NoCertificate(String),
    #[error("`{0}` holds no PEM private key")]
    NoKey(String),
    #[error("`{0}` holds a certificate that cannot be an authority: {1}")]
    BadAuthority(String, String),
    #[error("certificate and key do not fit: {0}")]
    BadPair(String),
}

/// Reads the files that `options` name and makes the configuration of a new connection.
pub(crate) fn configuration(options: &Options) -> Result<ClientConfig, TlsFilesError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring's provider has suites for TLS 1.3")
        .with_root_certificates(authorities(&options.ca_file)?);
    let mut config = match &options.certificate {
        None => builder.with_no_client_auth(),
        Some(CertificateFiles { cert_file, key_file }) => builder
            .with_client_auth_cert(certificates(cert_file)?, private_key(key_file)?)
            .map_err(|error| TlsFilesError::BadPair(error.to_string()))?,
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn authorities(file: &Path) -> Result<RootCertStore, TlsFilesError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(file)? {
        store
            .add(certificate)
            .map_err(|error| TlsFilesError::BadAuthority(shown(file), error.to_string()))?;
    }
    Ok(store)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFilesError> {
    let text = read(file)?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match parsed {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsFilesError::NoCertificate(shown(file))),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsFilesError> {
    let text = zeroize::Zeroizing::new(read(file)?);
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(_) => Err(TlsFilesError::NoKey(shown(file))),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsFilesError> {
    std::fs::read(file).map_err(|error| TlsFilesError::Unreadable(shown(file), error.to_string()))
}

fn shown(file: &Path) -> String {
    file.to_string_lossy().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ca: &str, pair: Option<(&str, &str)>) -> Result<ClientConfig, TlsFilesError> {
        let folder = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).expect("written");
            file
        };
        let mut options = Options::new("https://b:1", put("ca.pem", ca));
        if let Some((cert, key)) = pair {
            options = options.certificate(put("cert.pem", cert), put("key.pem", key));
        }
        configuration(&options)
    }

    #[test]
    fn only_h2_over_tls_13_and_no_resumption() {
        let made = rcgen::generate_simple_self_signed(vec!["b".to_owned()]).expect("a certificate");
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let config = check(&cert, Some((&cert, &key))).expect("good files");
        assert_eq!(config.alpn_protocols, vec![b"h2".to_vec()]);
        assert!(config.client_auth_cert_resolver.has_certs());
        assert!(!check(&cert, None).expect("good files").client_auth_cert_resolver.has_certs());
    }

    #[test]
    fn bad_files_are_named_and_their_content_is_not() {
        let made = rcgen::generate_simple_self_signed(vec!["b".to_owned()]).expect("a certificate");
        let other = rcgen::generate_simple_self_signed(vec!["b".to_owned()]).expect("a certificate");
        let (cert, key) = (made.cert.pem(), other.signing_key.serialize_pem());
        assert!(matches!(check("", None), Err(TlsFilesError::NoCertificate(_))));
        assert!(matches!(check(&cert, Some((&cert, "hush"))), Err(TlsFilesError::NoKey(_))));
        let mismatch = check(&cert, Some((&cert, &key))).expect_err("another certificate's key");
        assert!(matches!(mismatch, TlsFilesError::BadPair(_)), "{mismatch}");
        let absent = configuration(&Options::new("https://b:1", "/nowhere/ca.pem")).expect_err("no file");
        assert!(absent.to_string().contains("/nowhere/ca.pem"));
    }
}
