//! [`Site`]: an installation on disk, with everybody that it believes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::assertion::Asserter;
use crate::authority::{Authority, Identity};

/// The issuer of every token, and the audience of assertions.
pub const ISSUER: &str = "https://locum.acme.test";
/// The OpenID issuer of workloads; its `subject_template` fills in `ns` and `sa`.
pub const PLATFORM: &str = "https://kubernetes.acme.test";
/// The OpenID issuer of people.
pub const LOGIN: &str = "https://login.acme.test";
/// Operators by SPIFFE ID, `spiffe://acme.test/operators/<name>`: name, role, tenants in TOML.
pub const OPERATORS: [(&str, &str, &str); 7] = [
    ("viewer", "viewer", r#""*""#),
    ("operator", "operator", r#""*""#),
    ("approver", "approver", r#""*""#),
    ("policy", "policy", r#""*""#),
    ("admin", "admin", r#""*""#),
    ("acme-operator", "operator", r#"["acme"]"#),
    ("globex-operator", "operator", r#"["globex"]"#),
];

/// An installation. Its files go when it goes.
pub struct Site {
    dir: TempDir,
    /// The CA of `acme.test`, which vouches for the server too.
    pub authority: Authority,
    /// The JWT-SVID keys of `acme.test`.
    pub svids: Asserter,
    /// The OpenID issuer of workloads.
    pub platform: Asserter,
    /// The OpenID issuer of people.
    pub logins: Asserter,
}

impl Site {
    /// A fresh installation with the tests' own registry and policies.
    ///
    /// # Panics
    ///
    /// When the disk does not take it.
    pub fn new() -> Self {
        let site = Self {
            dir: tempfile::tempdir().expect("a directory"),
            authority: Authority::new("acme.test"),
            svids: Asserter::svids(),
            platform: Asserter::openid(),
            logins: Asserter::openid(),
        };
        fs::create_dir(site.path("policies")).expect("made");
        site.put("ca.pem", &site.authority.pem());
        site.put("svids.json", &site.svids.jwks());
        site.put("platform.json", &site.platform.jwks());
        site.put("logins.json", &site.logins.jwks());
        site.put_certificate();
        site.put("registry.toml", include_str!("registry.toml"));
        site.put("policies/all.cedar", include_str!("policies.cedar"));
        site.put("locumd.toml", &site.settings());
        site
    }

    /// A path inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file.
    ///
    /// # Panics
    ///
    /// When the disk does not take it.
    pub fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
        path
    }

    /// Reads a file.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a text")
    }

    /// Changes a file's text; `from` has to stand in it.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.text(name);
        assert!(text.contains(from), "`{from}` does not stand in {name}");
        self.put(name, &text.replace(from, to));
    }

    /// Takes the row of the workload or connector of this name out of the registry.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn unregister(&self, name: &str) {
        let text = self.text("registry.toml");
        let rows: Vec<&str> = text.split("\n[[").collect();
        let named = format!("\nname = \"{name}\"\n");
        let kept: Vec<&str> = rows.iter().filter(|row| !row.contains(&named)).copied().collect();
        assert!(kept.len() < rows.len(), "`{name}` is not registered");
        self.put("registry.toml", &kept.join("\n[["));
    }

    /// A fresh certificate for the server.
    pub fn put_certificate(&self) {
        let Identity { cert_pem, key_pem, .. } = self.authority.localhost();
        self.put("server.pem", &cert_pem);
        self.put("server.key", &key_pem);
    }

    /// The settings file.
    pub fn config(&self) -> PathBuf {
        self.path("locumd.toml")
    }

    /// The folder of all of it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// An assertion of `acme.test` for `spiffe_id`, good for a while from `now`.
    pub fn jwt_svid(&self, spiffe_id: &str, now: i64) -> String {
        let claims = json!({"sub": spiffe_id, "aud": [ISSUER], "exp": now + 300, "iat": now});
        self.svids.sign(&claims)
    }

    /// An assertion of the platform for a service account of namespace `prod`.
    pub fn platform_token(&self, account: &str, now: i64) -> String {
        self.platform.sign(&json!({
            "iss": PLATFORM, "sub": format!("system:serviceaccount:prod:{account}"), "aud": [ISSUER],
            "exp": now + 300, "iat": now, "nbf": now,
            "kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": account}},
        }))
    }

    /// A login of a person.
    pub fn login(&self, subject: &str, now: i64) -> String {
        let claims = json!({"iss": LOGIN, "sub": subject, "aud": ISSUER, "exp": now + 300, "iat": now});
        self.logins.sign(&claims)
    }

    fn settings(&self) -> String {
        let at = |name: &str| self.path(name).display().to_string();
        let mut text = format!(
            "data_dir = \"{data}\"\n\n[server]\ngrpc = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\n\
             [server.tls]\ncert_file = \"{cert}\"\nkey_file = \"{key}\"\n\n\
             [issuer]\nurl = \"{ISSUER}\"\nrotate_every = \"24h\"\npublish_ahead = \"1h\"\n\n\
             [[trust_domain]]\nname = \"acme.test\"\nbundle_file = \"{ca}\"\njwt_keys_file = \"{svids}\"\n\n\
             [[oidc_issuer]]\nissuer = \"{PLATFORM}\"\njwks_file = \"{platform}\"\n\
             subject_template = \"spiffe://k8s.acme.test/ns/{{kubernetes.io.namespace}}/sa/\
             {{kubernetes.io.serviceaccount.name}}\"\n\n\
             [[oidc_issuer]]\nissuer = \"{LOGIN}\"\njwks_file = \"{logins}\"\nlogins = true\n\n\
             [registry]\npath = \"{registry}\"\n\n[policy]\ndir = \"{policies}\"\n\n\
             [telemetry]\nmetrics = \"127.0.0.1:0\"\n\n\
             [journal]\nsegment_bytes = 33554432\nreserve_bytes = 1048576\n\n[log]\nlevel = \"debug\"\n",
            data = at("data"),
            cert = at("server.pem"),
            key = at("server.key"),
            ca = at("ca.pem"),
            svids = at("svids.json"),
            platform = at("platform.json"),
            logins = at("logins.json"),
            registry = at("registry.toml"),
            policies = at("policies"),
        );
        for (name, role, tenants) in OPERATORS {
            text.push_str(&format!(
                "\n[[operator]]\nname = \"{name}\"\nspiffe_id = \"spiffe://acme.test/operators/{name}\"\n\
                 role = \"{role}\"\ntenants = {tenants}\n"
            ));
        }
        text.push_str(&format!(
            "\n[[operator]]\nname = \"alice\"\nissuer = \"{LOGIN}\"\nsubject = \"alice\"\nrole = \"admin\"\n\
             tenants = \"*\"\n"
        ));
        text
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}
