//! [`Place`]: the temporary directory that the demo lives in, and the settings of its server.
//!
//! In it are the CA's certificate, a certificate and key for the server and for each character
//! (keys with mode 0600), the registry, the policy and the data directory; the CA's key is not. The
//! directory is the user's own (0700) and goes when the value is dropped.

use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use locum_sdk::CertificateFiles;
use locum_sdk::model::Timestamp;
use locum_server::config::{
    Archive, DEMO_TRUST_DOMAIN, Issuer, Journal, Log, LogFormat, LogLevel, Operator, OperatorIdentity, Role,
    Server, Settings, Tenants, TrustDomainFiles,
};
use locum_server::private_file;
use tempfile::TempDir;

use crate::DemoError;
use crate::authority::{Authority, Pair};

const REGISTRY: &str = include_str!("../files/registry.toml");
const POLICY: &str = include_str!("../files/policies/refunds.cedar");
/// The tenant of the registry.
const TENANT: &str = "shop";

/// Any free port of loopback; nothing else is ever listened on.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// What the demo logs, and how.
pub(crate) const LOG: Log = Log { format: LogFormat::Text, level: LogLevel::Warn };

const MIB: u64 = 1024 * 1024;
const MINUTE: Duration = Duration::from_secs(60);

/// Who plays a part: each has its own certificate and its own connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Character {
    /// The plugin that refunds orders.
    Refunder,
    /// The API that orders are refunded at.
    OrdersApi,
    /// The operator on call.
    Operator,
}

/// The directory.
#[derive(Debug)]
pub(crate) struct Place(TempDir);

// === impl Character ===

impl Character {
    const ALL: [Self; 3] = [Self::Refunder, Self::OrdersApi, Self::Operator];

    pub(crate) fn file_stem(self) -> &'static str {
        match self {
            Self::Refunder => "refunder",
            Self::OrdersApi => "orders-api",
            Self::Operator => "operator",
        }
    }

    /// As the registry and the settings know it.
    fn spiffe_id(self) -> String {
        let path = match self {
            Self::Refunder => "agents/refunder",
            Self::OrdersApi => "services/orders-api",
            Self::Operator => "operators/on-call",
        };
        format!("spiffe://{DEMO_TRUST_DOMAIN}/{path}")
    }
}

// === impl Place ===

impl Place {
    /// A new directory with everything in it. The CA ends with this call.
    pub(crate) fn furnish(now: Timestamp) -> Result<Self, DemoError> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("locum-demo-").permissions(Permissions::from_mode(0o700));
        let place = Self(builder.tempdir()?);
        let authority = Authority::new(now)?;
        place.put("ca.pem", &authority.pem())?;
        place.put_pair("server", &authority.server()?)?;
        for character in Character::ALL {
            place.put_pair(character.file_stem(), &authority.svid(&character.spiffe_id())?)?;
        }
        place.put("registry.toml", REGISTRY)?;
        fs::create_dir(place.file("policies"))?;
        place.put("policies/refunds.cedar", POLICY)?;
        Ok(place)
    }

    /// Writes what makes a shell speak as each character to the server at `broker`, and to the sample API at `orders`
    /// as the examples do: `operator.env` and the like, to be read with `.`.
    pub(crate) fn introduce(&self, broker: SocketAddr, orders: SocketAddr) -> io::Result<()> {
        for character in Character::ALL {
            let CertificateFiles { cert_file, key_file } = self.certificate(character);
            let of_file = |name, file: &Path| format!("export {name}={}\n", quoted(&file.to_string_lossy()));
            let mut text = format!("export LOCUM_ADDR=https://{broker}\n");
            text += &of_file("LOCUM_CA_FILE", &self.ca_file());
            text += &of_file("LOCUM_CERT_FILE", &cert_file);
            text += &of_file("LOCUM_KEY_FILE", &key_file);
            text += &format!("export ORDERS_ADDR={orders}\n");
            // What was set before for another broker would say something else.
            text += "unset LOCUM_CONTEXT LOCUM_ASSERTION_FILE\n";
            self.put(&format!("{}.env", character.file_stem()), &text)?;
        }
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.file("ca.pem")
    }

    pub(crate) fn certificate(&self, character: Character) -> CertificateFiles {
        let stem = character.file_stem();
        CertificateFiles {
            cert_file: self.file(&format!("{stem}.pem")),
            key_file: self.file(&format!("{stem}.key")),
        }
    }

    /// Settings for a server that believes this place's CA and lives here.
    pub(crate) fn settings(&self) -> Settings {
        let operator = Operator {
            name: "on-call".parse().expect("a name"),
            identity: OperatorIdentity::Spiffe(Character::Operator.spiffe_id().parse().expect("a SPIFFE ID")),
            role: Role::Operator,
            tenants: Tenants::Only(vec![TENANT.parse().expect("a name")]),
        };
        Settings {
            data_dir: self.file("data"),
            server: Server {
                grpc: LOOPBACK,
                http: Some(LOOPBACK),
                cert_file: self.file("server.pem"),
                key_file: self.file("server.key"),
            },
            issuer: Issuer {
                url: format!("https://{DEMO_TRUST_DOMAIN}"),
                rotate_every: 24 * 60 * MINUTE,
                publish_ahead: 10 * MINUTE,
            },
            trust_domains: vec![TrustDomainFiles {
                name: DEMO_TRUST_DOMAIN.parse().expect("a trust domain"),
                bundle_file: self.ca_file(),
                jwt_keys_file: None,
            }],
            oidc_issuers: Vec::new(),
            registry: self.file("registry.toml"),
            policy_dir: self.file("policies"),
            operators: vec![operator],
            archive: Archive { enabled: true, retention: None },
            journal: Journal { segment_bytes: 32 * MIB, reserve_bytes: MIB },
            metrics: Some(LOOPBACK),
            traces: None,
            log: LOG,
        }
    }

    /// Removes the directory and tells when that is not possible.
    pub(crate) fn clear(self) -> io::Result<()> {
        self.0.close()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> io::Result<()> {
        fs::write(self.file(name), text)
    }

    fn put_pair(&self, stem: &str, pair: &Pair) -> io::Result<()> {
        self.put(&format!("{stem}.pem"), &pair.cert_pem)?;
        private_file::write(&self.file(&format!("{stem}.key")), pair.key_pem.as_bytes())
    }
}

/// As a shell takes it for one word.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files_below(dir: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).expect("listed").map(|entry| entry.expect("an entry").path());
        entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn keys_are_private_and_the_authoritys_is_not_there() {
        let place = Place::furnish(Timestamp::from_seconds(1_795_305_279)).expect("furnished");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(place.path()), 0o700);
        let files = files_below(place.path());
        let keys: Vec<_> = files
            .iter()
            .filter(|file| fs::read_to_string(file).expect("text").contains("PRIVATE KEY"))
            .collect();
        assert_eq!(keys.len(), 1 + Character::ALL.len(), "the server's and the characters': {keys:?}");
        for key in keys {
            assert_eq!(mode(key), 0o600, "{key:?}");
            assert_ne!(key.file_stem(), place.ca_file().file_stem());
        }
        let path = place.path().to_owned();
        place.clear().expect("removed");
        assert!(!path.exists());
    }

    #[test]
    fn a_shell_takes_a_path_for_one_word() {
        for (path, written) in [
            ("/srv/locum-demo-x1/ca.pem", "/srv/locum-demo-x1/ca.pem"),
            ("/srv/my files", "'/srv/my files'"),
            ("/srv/it's $HOME", r"'/srv/it'\''s $HOME'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(path), written);
        }
    }

    #[test]
    fn the_server_listens_on_loopback_alone() {
        let place = Place::furnish(Timestamp::from_seconds(1_795_305_279)).expect("furnished");
        let settings = place.settings();
        let listeners = [Some(settings.server.grpc), settings.server.http, settings.metrics];
        assert!(listeners.iter().flatten().all(|address| address.ip().is_loopback()));
        let domains: Vec<_> = settings.trust_domains.iter().map(|domain| domain.name.to_string()).collect();
        assert_eq!(domains, [DEMO_TRUST_DOMAIN]);
    }
}
