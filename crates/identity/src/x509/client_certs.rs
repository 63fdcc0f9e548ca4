//! [`client_certs`]: what rustls asks when a client connects.
//!
//! Offers client authentication and does not require it: whoever shows nothing is a stranger who
//! needs a bearer. Whoever shows a certificate that is not believed gets an alert. Each handshake
//! asks for the current [`Trust`], so that a reload needs no new listener.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::chain;
use super::fields::timestamp;
use crate::trust::Trust;

/// Where the trust of this moment comes from.
pub type CurrentTrust = Arc<dyn Fn() -> Arc<Trust> + Send + Sync>;

/// A verifier of client certificates that follows `current`.
pub fn client_certs(current: CurrentTrust) -> Arc<dyn ClientCertVerifier> {
    let algorithms = ring::default_provider().signature_verification_algorithms;
    Arc::new(ClientCerts { current, algorithms })
}

struct ClientCerts {
    current: CurrentTrust,
    algorithms: WebPkiSupportedAlgorithms,
}

// === impl ClientCerts ===

impl fmt::Debug for ClientCerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCerts").finish_non_exhaustive()
    }
}

impl ClientCertVerifier for ClientCerts {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: a hint would tell strangers whom we trust, and clients have one SVID anyway.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let trust = (self.current)();
        chain::verify(&trust, end_entity, intermediates, timestamp(now))?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
