//! `locumd probe`: asks the server that runs by these settings whether it takes traffic, as `/readyz` says.
//!
//! For engines that run a command inside the container, where there is no shell. One bit comes back and
//! nothing is sent, so whose certificate the server shows does not matter, and is not checked.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

/// How long each step may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The status line and some; no more is read.
const ANSWER_BYTES_MAX: u64 = 512;
const QUESTION: &[u8] = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Why it was not found ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The settings open no HTTPS listener.
    #[error("`server.http` is not set: there is nobody to ask")]
    NoListener,
    /// It cannot be reached.
    #[error("{address}: {cause}")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
    },
    /// It answers, and not with yes.
    #[error("not ready: {0}")]
    Says(String),
}

/// Asks the HTTPS listener at `listener` on this machine; answers with where it was asked.
///
/// # Errors
///
/// [`NotReady`].
pub fn probe(listener: Option<SocketAddr>) -> Result<SocketAddr, NotReady> {
    let address = reachable(listener.ok_or(NotReady::NoListener)?);
    let answer = ask(address).map_err(|cause| NotReady::Unreachable { address, cause })?;
    let status = answer.lines().next().unwrap_or_default();
    if status == "HTTP/1.1 200 OK" {
        Ok(address)
    } else {
        Err(NotReady::Says(status.escape_debug().to_string()))
    }
}

/// Who listens everywhere is asked on loopback.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let tcp = TcpStream::connect_timeout(&address, TIMEOUT)?;
    tcp.set_read_timeout(Some(TIMEOUT))?;
    tcp.set_write_timeout(Some(TIMEOUT))?;
    let mut stream = StreamOwned::new(tls, tcp);
    stream.write_all(QUESTION)?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
        // Closed without a goodbye: what came before it is all there is.
        Err(cause) if cause.kind() != io::ErrorKind::UnexpectedEof => return Err(cause),
        _ => {}
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Believes every certificate whose key signed the handshake.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, leaf, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, leaf, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_listens_everywhere_is_asked_on_loopback() {
        for (listener, asked) in [
            ("0.0.0.0:8444", "127.0.0.1:8444"),
            ("[::]:8444", "[::1]:8444"),
            ("192.0.2.7:8444", "192.0.2.7:8444"),
        ] {
            assert_eq!(reachable(listener.parse().expect("an address")).to_string(), asked);
        }
    }

    #[test]
    fn nobody_there_is_not_ready() {
        assert!(matches!(probe(None), Err(NotReady::NoListener)));
        // Bound and not listening any more: nobody else gets the port meanwhile.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        assert!(matches!(probe(Some(address)), Err(NotReady::Unreachable { .. })));
    }
}
