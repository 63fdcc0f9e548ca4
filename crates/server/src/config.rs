//! Configuration: what an operator wrote, as one typed and fully checked value.
//!
//! Layers, each over the one before: built-in defaults, one TOML file, environment variables
//! `LOCUM_SECTION__KEY`, flags. This module and its files are the only place that reads settings
//! or the environment.
//!
//! What always holds: a key or a `LOCUM_` variable that nobody reads is refused, with its place
//! and the reason; every problem is told at once; secrets are paths, never values; what decides
//! whom we believe comes from the file alone, so that no stray variable can weaken it.
//!
//! Bounds of the product are compiled in (`locum_model::limits`) and are no settings.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use locum_model::{Name, SpiffeId, TrustDomain};

mod check;
mod keys;
mod layers;
#[cfg(test)]
mod page;
mod read;
mod sections;
mod show;
mod supervised;

pub use check::{Checked, check, own_certificate, policies, registry, trust_options};
pub use locum_proposal::{NotADuration, Place, Problem, Problems, parse_duration};
pub(crate) use locum_proposal::{line_of, shown, written};
pub use show::{Source, Stated, show};
pub use supervised::{NotifySocket, Supervised, supervised};

/// The demo's trust domain: its CA lives in memory, so nothing served for real may believe it.
pub const DEMO_TRUST_DOMAIN: &str = "demo.invalid";

/// Everything that `locumd` can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the journal, private keys and the clock's mark live.
    pub data_dir: PathBuf,
    /// Listeners.
    pub server: Server,
    /// Who we are to verifiers.
    pub issuer: Issuer,
    /// Whose SVIDs are believed.
    pub trust_domains: Vec<TrustDomainFiles>,
    /// Whose OpenID assertions are believed.
    pub oidc_issuers: Vec<OidcIssuer>,
    /// A registry file, or a directory whose `*.toml` are read in order of name.
    pub registry: PathBuf,
    /// The directory of Cedar policies.
    pub policy_dir: PathBuf,
    /// Who may use the admin API; none closes it.
    pub operators: Vec<Operator>,
    /// The journal.
    pub journal: Journal,
    /// The archive.
    pub archive: Archive,
    /// Where metrics are served, plain HTTP on loopback; none serves none.
    pub metrics: Option<SocketAddr>,
    /// To whom traces are told; none records none.
    pub traces: Option<Traces>,
    /// Logs.
    pub log: Log,
}

/// Listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The gRPC listener.
    pub grpc: SocketAddr,
    /// The HTTPS listener; none opens none.
    pub http: Option<SocketAddr>,
    /// Our own certificate chain, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
}

/// Who we are to verifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The `iss` of tokens: an https URL without query, fragment or final slash.
    pub url: String,
    /// How often a new token key takes over.
    pub rotate_every: Duration,
    /// How long a key is published before it signs; at most half of it is what JWKS may be cached.
    pub publish_ahead: Duration,
}

/// One trust domain and the files that vouch for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDomainFiles {
    /// Its name.
    pub name: TrustDomain,
    /// Its CA certificates, PEM.
    pub bundle_file: PathBuf,
    /// Its JWT-SVID keys, a JWK set.
    pub jwt_keys_file: Option<PathBuf>,
}

/// One OpenID issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcIssuer {
    /// Its `iss`.
    pub issuer: String,
    /// The `aud` of its assertions, where it cannot be ours.
    pub audience: Option<String>,
    /// Its keys, a JWK set.
    pub jwks_file: PathBuf,
    /// What its assertions stand for.
    pub role: OidcRole,
}

/// What an OpenID issuer's assertions stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OidcRole {
    /// Workloads: claims fill segments of this SPIFFE ID.
    Workloads(String),
    /// People's logins.
    Logins,
}

/// Somebody who may use the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// What records call them.
    pub name: Name,
    /// How they prove who they are.
    pub identity: OperatorIdentity,
    /// What they may do.
    pub role: Role,
    /// Where.
    pub tenants: Tenants,
}

/// How an operator proves who they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperatorIdentity {
    /// By a certificate or assertion of this SPIFFE ID.
    Spiffe(SpiffeId),
    /// By a login at an issuer configured with `logins = true`.
    Login {
        /// The `iss`.
        issuer: String,
        /// The `sub`.
        subject: String,
    },
}

/// What an operator may do. The order means nothing: each method names its roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Revokes, locks, unlocks, ends.
    Operator,
    /// Approves.
    Approver,
    /// Proposes registries and policies.
    Policy,
    /// Everything, keys too.
    Admin,
}

/// Where an operator may act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenants {
    /// Everywhere.
    All,
    /// In these tenants.
    Only(Vec<Name>),
}

/// The journal's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Bytes of one segment file.
    pub segment_bytes: u64,
    /// Bytes kept free for revocations when the disk is full.
    pub reserve_bytes: u64,
}

/// The archive: the searchable index over the journal, in `archive` below the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Whether there is one.
    pub enabled: bool,
    /// For how long entries and justifications are kept; for ever where none is set.
    pub retention: Option<Duration>,
}

/// To whom traces are told, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    /// The collector's OTLP/gRPC endpoint: `http` on loopback, `https` elsewhere.
    pub collector: String,
    /// The CA certificates that vouch for it, PEM; for `https` alone.
    pub ca_file: Option<PathBuf>,
    /// Of the requests that belong to no trace of their caller, one in so many is recorded.
    pub one_in: u64,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// In which form.
    pub format: LogFormat,
    /// How much.
    pub level: LogLevel,
}

/// The form of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Failures alone.
    Error,
    /// And what needs attention.
    Warn,
    /// And what happened.
    Info,
    /// And how.
    Debug,
    /// And every step.
    Trace,
}

/// What flags say, by key: `server.grpc` and so on. They stand above every other layer.
pub type Flags = BTreeMap<String, String>;

/// Reads the file at `path` under this process's environment and `flags`.
///
/// # Errors
///
/// [`Problems`]: all of them, each with its place.
pub fn load(path: &Path, flags: &Flags) -> Result<Settings, Problems> {
    let text = layers::read_file(path)?;
    parse(path, &text, &environment(), flags)
}

/// Reads settings out of `text`, called `path` in problems, under `variables` and `flags`.
///
/// # Errors
///
/// [`Problems`]: all of them, each with its place.
pub fn parse(
    path: &Path,
    text: &str,
    variables: &BTreeMap<String, String>,
    flags: &Flags,
) -> Result<Settings, Problems> {
    let layers = layers::join(path, text, variables, flags)?;
    let mut reader = read::Reader::new(&layers);
    let settings = sections::settings(&mut reader);
    let problems = reader.finish();
    settings.filter(|_| problems.is_empty()).ok_or(problems)
}

/// The environment, `LOCUM_` variables alone. Text that is no UTF-8 is passed on with replacement
/// characters, so that it is refused by whoever reads it.
fn environment() -> BTreeMap<String, String> {
    let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (text(name), text(value)))
        .filter(|(name, _)| name.starts_with(keys::PREFIX))
        .collect()
}

#[cfg(test)]
mod tests;
