//! What it takes at least to tell one follower: to encrypt a frame for its connection and to write it.
//!
//! Nobody shares a session's keys, so a server does this once for every follower, whatever else it does.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use locum_tests::Site;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use crate::process::{run_on, thread_cpu};

/// Sessions that are written to in turn, so that none of them is in the nearest cache.
const SESSIONS: usize = 200;
const ROUNDS: usize = 50;

/// The CPU of one thread for `bytes` bytes to one follower, TLS 1.3 over loopback, the write included.
///
/// # Panics
///
/// When the sockets or the site's certificates do not work.
pub fn encrypt_and_write(site: &Site, bytes: usize) -> Duration {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    let (server, client) = (server_config(site), client_config(site));
    let read = std::thread::spawn(move || {
        run_on(Some(1));
        let sessions: Vec<_> = (0..SESSIONS).map(|_| connect(address, &client)).collect();
        drain(sessions, bytes);
    });
    let write = std::thread::spawn(move || {
        run_on(Some(0));
        let mut sessions: Vec<_> = (0..SESSIONS).map(|_| accept(&listener, &server)).collect();
        let frame = vec![7; bytes];
        let began = thread_cpu();
        for _ in 0..ROUNDS {
            for (tcp, tls) in &mut sessions {
                tls.writer().write_all(&frame).expect("room");
                while tls.wants_write() {
                    tls.write_tls(tcp).expect("written");
                }
            }
        }
        thread_cpu() - began
    });
    let spent = write.join().expect("it wrote");
    read.join().expect("it read");
    spent / u32::try_from(SESSIONS * ROUNDS).expect("not many")
}

type Session<T> = (TcpStream, T);

fn connect(address: std::net::SocketAddr, config: &Arc<ClientConfig>) -> Session<ClientConnection> {
    let mut tcp = TcpStream::connect(address).expect("a connection");
    let name = ServerName::try_from("localhost").expect("a DNS name");
    let mut tls = ClientConnection::new(Arc::clone(config), name).expect("a client");
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp).expect("a handshake");
    }
    (tcp, tls)
}

fn accept(listener: &TcpListener, config: &Arc<ServerConfig>) -> Session<ServerConnection> {
    let (mut tcp, _) = listener.accept().expect("accepted");
    tcp.set_nodelay(true).expect("set");
    let mut tls = ServerConnection::new(Arc::clone(config)).expect("a server");
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp).expect("a handshake");
    }
    (tcp, tls)
}

/// Reads what is written, encrypted as it is, until the writers are gone.
fn drain(sessions: Vec<Session<ClientConnection>>, bytes: usize) {
    let mut buffer = vec![0; 4 * bytes];
    let mut open = sessions;
    while !open.is_empty() {
        open.retain_mut(|(tcp, _)| tcp.read(&mut buffer).is_ok_and(|read| read > 0));
    }
}

fn server_config(site: &Site) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(site.path("server.pem")).expect("a file");
    let chain = chain.collect::<Result<_, _>>().expect("PEM");
    let key = PrivateKeyDer::from_pem_file(site.path("server.key")).expect("PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring has TLS 1.3");
    Arc::new(config.with_no_client_auth().with_single_cert(chain, key).expect("a certificate with its key"))
}

fn client_config(site: &Site) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let ca = site.authority.pem();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("a CA");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring has TLS 1.3");
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}
