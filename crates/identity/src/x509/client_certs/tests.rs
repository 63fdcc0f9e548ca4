//! Whole handshakes in memory: what rustls accepts, and which alert it sends.

use std::sync::{Arc, RwLock};

use locum_model::Timestamp;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Connection, Error, RootCertStore, ServerConfig,
    ServerConnection, SignatureScheme, SupportedProtocolVersion, version,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::client_certs;
use crate::authority::{Authority, NOW, REFUNDER, Svid, domain, self_signed, set_time, trust, uri};
use crate::x509::fields::unix_time;
use crate::{Trust, peer};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// Rustls' clock, stopped.
#[derive(Debug)]
struct Stopped;

impl TimeProvider for Stopped {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(NOW))
    }
}

/// A client that shows what it was given, whoever it belongs to.
#[derive(Debug)]
struct Shows(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// A server whose own certificate comes from an authority that the clients know.
struct Server {
    authority: Authority,
    current: Arc<RwLock<Arc<Trust>>>,
}

type Shook = Result<Vec<CertificateDer<'static>>, (Error, AlertDescription)>;

impl Server {
    fn new(trust: Trust) -> Self {
        let authority = Authority::root("server root");
        Self { authority, current: Arc::new(RwLock::new(Arc::new(trust))) }
    }

    fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.current.read().expect("unpoisoned"))
    }

    fn config(&self, version: &'static SupportedProtocolVersion) -> ServerConfig {
        let current = Arc::clone(&self.current);
        let verifier = client_certs(Arc::new(move || Arc::clone(&current.read().expect("unpoisoned"))));
        let own = self.authority.svid_with("spiffe://acme.test/locum", |params: &mut CertificateParams| {
            params.subject_alt_names.push(SanType::DnsName("locum.test".try_into().expect("ASCII")));
        });
        ServerConfig::builder_with_details(Arc::new(default_provider()), Arc::new(Stopped))
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_client_cert_verifier(verifier)
            .with_single_cert(own.chain, own.key)
            .expect("a server")
    }

    fn client(&self, version: &'static SupportedProtocolVersion, shown: Option<&Svid>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der()).expect("a root");
        let certified = shown.map(|svid| {
            let key = any_supported_type(&svid.key).expect("a key");
            Arc::new(CertifiedKey::new(svid.chain.clone(), key))
        });
        ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(Stopped))
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(Shows(certified)))
    }

    /// The certificates that the server took, or what it said and what the client heard.
    fn shake(&self, version: &'static SupportedProtocolVersion, shown: Option<&Svid>) -> Shook {
        let name = ServerName::try_from("locum.test").expect("a name");
        let client = ClientConnection::new(Arc::new(self.client(version, shown)), name).expect("a client");
        let server = ServerConnection::new(Arc::new(self.config(version))).expect("a server");
        let (mut client, mut server) = (Connection::from(client), Connection::from(server));
        for _ in 0..8 {
            let heard = carry(&mut server, &mut client);
            assert!(heard.is_ok(), "the client refused the server: {heard:?}");
            if let Err(refused) = carry(&mut client, &mut server) {
                return Err((refused, alert(&mut server, &mut client)));
            }
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        Ok(server.peer_certificates().unwrap_or_default().iter().map(|c| c.clone().into_owned()).collect())
    }
}

fn carry(from: &mut Connection, to: &mut Connection) -> Result<(), Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).expect("memory");
    }
    let mut bytes = bytes.as_slice();
    while !bytes.is_empty() {
        to.read_tls(&mut bytes).expect("memory");
        to.process_new_packets()?;
    }
    Ok(())
}

fn alert(server: &mut Connection, client: &mut Connection) -> AlertDescription {
    match carry(server, client) {
        Err(Error::AlertReceived(alert)) => alert,
        other => panic!("no alert but {other:?}"),
    }
}

#[test]
fn a_good_svid_is_accepted_and_becomes_a_peer() {
    let root = Authority::root("acme root");
    let server = Server::new(trust(vec![domain("acme.test", &root)], Vec::new()));
    for version in VERSIONS {
        for svid in [root.svid(REFUNDER), root.below("acme CA").svid(REFUNDER)] {
            let shown = server.shake(version, Some(&svid)).expect("accepted");
            assert_eq!(shown, svid.chain);
            let peer = peer(&server.trust(), &shown, NOW).expect("a peer");
            assert_eq!(peer.spiffe_id().as_str(), REFUNDER);
        }
    }
}

#[test]
fn a_client_without_certificate_is_a_stranger_and_no_error() {
    let root = Authority::root("acme root");
    let server = Server::new(trust(vec![domain("acme.test", &root)], Vec::new()));
    for version in VERSIONS {
        assert_eq!(server.shake(version, None).expect("accepted"), []);
    }
}

#[test]
fn a_bad_certificate_ends_the_handshake_with_its_alert() {
    let (root, other) = (Authority::root("acme root"), Authority::root("other root"));
    let server =
        Server::new(trust(vec![domain("acme.test", &root), domain("other.test", &other)], Vec::new()));
    let with = |edit: fn(&mut CertificateParams)| root.svid_with(REFUNDER, edit);
    let mut junk = root.svid(REFUNDER);
    junk.chain[0] = vec![0x30, 3, 1, 1, 0].into();
    let mut deep = root.below("CA 0");
    (1..6).for_each(|at| deep = deep.below(&format!("CA {at}")));
    let mut stolen = root.svid(REFUNDER);
    stolen.key = root.svid(REFUNDER).key;
    let cases = [
        ("self-signed", self_signed(REFUNDER), AlertDescription::UnknownCA),
        ("expired", with(|p| set_time(p, -600, -1)), AlertDescription::CertificateExpired),
        ("not yet valid", with(|p| set_time(p, 1, 600)), AlertDescription::CertificateExpired),
        (
            "server only",
            with(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            AlertDescription::UnsupportedCertificate,
        ),
        (
            "two URIs",
            with(|p| p.subject_alt_names.push(uri("spiffe://acme.test/admin"))),
            AlertDescription::CertificateUnknown,
        ),
        ("no URI", with(|p| p.subject_alt_names.clear()), AlertDescription::CertificateUnknown),
        (
            "root path",
            with(|p| p.subject_alt_names = vec![uri("spiffe://acme.test")]),
            AlertDescription::CertificateUnknown,
        ),
        ("no key usage", with(|p| p.key_usages.clear()), AlertDescription::CertificateUnknown),
        ("another domain's CA", other.svid(REFUNDER), AlertDescription::UnknownCA),
        ("unknown domain", root.svid("spiffe://unknown.test/a"), AlertDescription::UnknownCA),
        ("seven deep", deep.svid(REFUNDER), AlertDescription::CertificateUnknown),
        ("junk", junk, AlertDescription::BadCertificate),
        ("another's certificate", stolen, AlertDescription::DecryptError),
    ];
    for version in VERSIONS {
        for (name, svid, expected) in &cases {
            let refused = server.shake(version, Some(svid)).expect_err(name);
            assert_eq!(refused.1, *expected, "{name}: {}", refused.0);
        }
    }
}

#[test]
fn the_next_handshake_follows_a_reload() {
    let (old, new) = (Authority::root("old root"), Authority::root("new root"));
    let server = Server::new(trust(vec![domain("acme.test", &old)], Vec::new()));
    let (of_old, of_new) = (old.svid(REFUNDER), new.svid(REFUNDER));
    // One listener's configuration lives through the reload.
    let config = Arc::new(server.config(&version::TLS13));
    let accepted = |svid: &Svid| {
        let name = ServerName::try_from("locum.test").expect("a name");
        let client = Arc::new(server.client(&version::TLS13, Some(svid)));
        let mut client = Connection::from(ClientConnection::new(client, name).expect("a client"));
        let mut server = Connection::from(ServerConnection::new(Arc::clone(&config)).expect("a server"));
        let mut step = || carry(&mut client, &mut server).and_then(|()| carry(&mut server, &mut client));
        (0..8).try_for_each(|_| step()).is_ok()
    };
    assert_eq!((accepted(&of_old), accepted(&of_new)), (true, false));
    let next = trust(vec![domain("acme.test", &new)], Vec::new());
    *server.current.write().expect("unpoisoned") = Arc::new(next);
    assert_eq!((accepted(&of_old), accepted(&of_new)), (false, true));
}

#[test]
fn time_survives_its_two_types() {
    for seconds in [0, 1, NOW.as_seconds()] {
        let now = Timestamp::from_seconds(seconds);
        assert_eq!(super::timestamp(unix_time(now)), now);
    }
    assert_eq!(unix_time(Timestamp::from_seconds(-5)).as_secs(), 0);
}
