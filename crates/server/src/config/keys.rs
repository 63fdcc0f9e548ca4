//! Every key there is, with its default and from where it may come.
//!
//! The one list: what is not here is refused wherever it is written, the reader may ask for
//! nothing else, and `deploy/config/locumd.full.toml` is compared with it.

/// First letters of our environment variables.
pub(crate) const PREFIX: &str = "LOCUM_";
/// Between section and key in a variable's name.
pub(crate) const SEPARATOR: &str = "__";

/// From where a key may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// File, environment or flag: it changes where we listen or what we write.
    Anywhere,
    /// The file alone: it changes whom we believe, who we are or what was decided before.
    FileAlone,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Its path; `[]` after the name of a table that may stand many times.
    pub(crate) path: &'static str,
    /// What holds when it is not written, as it would be written.
    pub(crate) default: Option<&'static str>,
    /// From where it may come.
    pub(crate) from: From,
}

const fn file(path: &'static str, default: Option<&'static str>) -> Key {
    Key { path, default, from: From::FileAlone }
}

const fn open(path: &'static str, default: Option<&'static str>) -> Key {
    Key { path, default, from: From::Anywhere }
}

/// Every key, in the order of the reference file.
pub(crate) const KEYS: &[Key] = &[
    file("data_dir", Some("/var/lib/locum")),
    open("server.grpc", Some("127.0.0.1:8443")),
    open("server.http", None),
    open("server.tls.cert_file", None),
    open("server.tls.key_file", None),
    file("issuer.url", None),
    file("issuer.rotate_every", Some("24h")),
    file("issuer.publish_ahead", Some("1h")),
    file("trust_domain[].name", None),
    file("trust_domain[].bundle_file", None),
    file("trust_domain[].jwt_keys_file", None),
    file("oidc_issuer[].issuer", None),
    file("oidc_issuer[].audience", None),
    file("oidc_issuer[].jwks_file", None),
    file("oidc_issuer[].subject_template", None),
    file("oidc_issuer[].logins", Some("false")),
    file("registry.path", Some("/etc/locum/registry.toml")),
    file("policy.dir", Some("/etc/locum/policies")),
    file("operator[].name", None),
    file("operator[].spiffe_id", None),
    file("operator[].issuer", None),
    file("operator[].subject", None),
    file("operator[].role", None),
    file("operator[].tenants", None),
    open("journal.segment_bytes", Some("67108864")),
    open("journal.reserve_bytes", Some("16777216")),
    file("archive.enabled", Some("true")),
    file("archive.retention", None),
    open("telemetry.metrics", None),
    open("telemetry.otlp", None),
    open("telemetry.otlp_ca_file", None),
    open("telemetry.trace_one_in", Some("1")),
    open("log.format", Some("json")),
    open("log.level", Some("info")),
];

/// Variables by which clients are told where the broker is; they say nothing to a server, and may
/// stand in the same shell.
pub(crate) const OF_CLIENTS: [&str; 5] =
    ["LOCUM_ADDR", "LOCUM_CA_FILE", "LOCUM_CERT_FILE", "LOCUM_KEY_FILE", "LOCUM_ASSERTION_FILE"];

/// The key of this path; `operator[3].role` is looked up as `operator[].role`.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == general(path))
}

/// Whether `path` is a table that holds keys, `server.tls` for example.
pub(crate) fn is_table(path: &str) -> bool {
    let general = general(path);
    KEYS.iter().any(|key| {
        key.path
            .strip_prefix(general.as_str())
            .is_some_and(|rest| rest.starts_with('.') || rest.starts_with("[]"))
    })
}

/// The path with the numbers taken out: `operator[3].role` becomes `operator[].role`.
pub(crate) fn general(path: &str) -> String {
    let mut general = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        inside = match c {
            '[' => true,
            ']' => false,
            _ => inside,
        };
        if !inside || c == '[' {
            general.push(c);
        }
    }
    general
}

/// The variable of a key: `server.tls.cert_file` is `LOCUM_SERVER__TLS__CERT_FILE`.
pub(crate) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', SEPARATOR).to_ascii_uppercase())
}

/// The key that a variable names, whatever may be done with it.
pub(crate) fn named_by(variable_name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| !key.path.contains("[]") && variable(key.path) == variable_name)
}
