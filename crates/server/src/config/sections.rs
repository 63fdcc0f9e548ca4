//! The sections: from keys to [`Settings`], each value checked, and all of them against each other.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use locum_model::limits::{
    ARCHIVE_RETENTION_MAX, ARCHIVE_RETENTION_MIN, AUDIENCE_BYTES_MAX, TRACE_ONE_IN_MAX,
};
use locum_model::{Name, SpiffeId, TrustDomain};

use super::read::Reader;
use super::shown;
use super::{
    Archive, DEMO_TRUST_DOMAIN, Issuer, Journal, Log, LogFormat, LogLevel, OidcIssuer, OidcRole, Operator,
    OperatorIdentity, Role, Server, Settings, Tenants, Traces, TrustDomainFiles,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MIB: u64 = 1024 * 1024;

/// Reads everything. `None` only together with a problem in the reader.
pub(crate) fn settings(r: &mut Reader<'_>) -> Option<Settings> {
    // Every section is read before the first `?`, so that all problems are found.
    let data_dir = r.path("data_dir");
    let (server, issuer) = (server(r), issuer(r));
    let trust_domains = trust_domains(r);
    let oidc_issuers = oidc_issuers(r);
    let (registry, policy_dir) = (r.path("registry.path"), r.path("policy.dir"));
    let operators = operators(r);
    if let (Some(operators), Some(domains), Some(issuers)) = (&operators, &trust_domains, &oidc_issuers) {
        check_operators(r, operators, domains, issuers);
    }
    let (journal, archive, log) = (journal(r), archive(r), log(r));
    let (metrics, traces) = (metrics(r), traces(r));
    Some(Settings {
        data_dir: data_dir?,
        server: server?,
        issuer: issuer?,
        trust_domains: trust_domains?,
        oidc_issuers: oidc_issuers?,
        registry: registry?,
        policy_dir: policy_dir?,
        operators: operators?,
        journal: journal?,
        archive: archive?,
        metrics: metrics?,
        traces: traces?,
        log: log?,
    })
}

fn server(r: &mut Reader<'_>) -> Option<Server> {
    let grpc = r.parsed("server.grpc", address);
    let http = r.optional_parsed("server.http", address);
    let (cert_file, key_file) = (r.path("server.tls.cert_file"), r.path("server.tls.key_file"));
    if let (Some(grpc), Some(Some(http))) = (grpc, http)
        && grpc == http
        && grpc.port() != 0
    {
        r.refuse::<()>("server.http", "is the same address as `server.grpc`");
    }
    Some(Server { grpc: grpc?, http: http?, cert_file: cert_file?, key_file: key_file? })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let explain = |_not| format!("`{}` is not an address and port, for instance `0.0.0.0:8443`", shown(text));
    text.parse().map_err(explain)
}

fn issuer(r: &mut Reader<'_>) -> Option<Issuer> {
    let url = r.parsed("issuer.url", https_url);
    let rotate_every = r.duration("issuer.rotate_every", Duration::from_secs(3600)..=90 * DAY);
    let publish_ahead = r.duration("issuer.publish_ahead", MINUTE..=7 * DAY);
    if let (Some(rotate), Some(ahead)) = (rotate_every, publish_ahead)
        && ahead >= rotate
    {
        r.refuse::<()>("issuer.publish_ahead", "must be shorter than `issuer.rotate_every`");
    }
    Some(Issuer { url: url?, rotate_every: rotate_every?, publish_ahead: publish_ahead? })
}

/// RFC 8414 section 2: https, no query, no fragment. No final slash, so that it is compared easily.
fn https_url(text: &str) -> Result<String, &'static str> {
    let rest = text.strip_prefix("https://").ok_or("must begin with `https://`")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&b);
    if text.len() > AUDIENCE_BYTES_MAX {
        return Err("is too long to fit into a token");
    }
    if !rest.bytes().all(plain) {
        return Err("must have a host and a path alone: no user, query, fragment or other characters");
    }
    if rest.is_empty() || rest.starts_with(['/', ':']) || rest.ends_with('/') {
        return Err("must have a host and no final slash");
    }
    Ok(text.to_owned())
}

fn trust_domains(r: &mut Reader<'_>) -> Option<Vec<TrustDomainFiles>> {
    let rows: Vec<_> = (0..r.rows("trust_domain")).map(|at| trust_domain(r, at)).collect();
    let rows: Vec<_> = rows.into_iter().collect::<Option<_>>()?;
    refuse_repeated(r, "trust_domain", "name", rows.iter().map(|row: &TrustDomainFiles| &row.name));
    Some(rows)
}

fn trust_domain(r: &mut Reader<'_>, at: usize) -> Option<TrustDomainFiles> {
    let name_key = format!("trust_domain[{at}].name");
    let name = r.parsed(&name_key, str::parse::<TrustDomain>);
    if name.as_ref().is_some_and(|name| name.as_str() == DEMO_TRUST_DOMAIN) {
        r.refuse::<()>(&name_key, "is the demo's trust domain and is never served");
    }
    let bundle_file = r.path(&format!("trust_domain[{at}].bundle_file"));
    let jwt_keys_file = r.optional_path(&format!("trust_domain[{at}].jwt_keys_file"));
    Some(TrustDomainFiles { name: name?, bundle_file: bundle_file?, jwt_keys_file: jwt_keys_file? })
}

fn oidc_issuers(r: &mut Reader<'_>) -> Option<Vec<OidcIssuer>> {
    let rows: Vec<_> = (0..r.rows("oidc_issuer")).map(|at| oidc_issuer(r, at)).collect();
    let rows: Vec<_> = rows.into_iter().collect::<Option<_>>()?;
    refuse_repeated(r, "oidc_issuer", "issuer", rows.iter().map(|row: &OidcIssuer| &row.issuer));
    Some(rows)
}

fn oidc_issuer(r: &mut Reader<'_>, at: usize) -> Option<OidcIssuer> {
    let key = |name: &str| format!("oidc_issuer[{at}].{name}");
    let issuer = r.parsed(&key("issuer"), |text| {
        if text.starts_with("https://") { Ok(text.to_owned()) } else { Err("must begin with `https://`") }
    });
    let audience = r.optional(&key("audience"));
    let jwks_file = r.path(&key("jwks_file"));
    let template = r.optional(&key("subject_template"));
    if template.as_ref().is_some_and(|text| text.starts_with(&format!("spiffe://{DEMO_TRUST_DOMAIN}/"))) {
        r.refuse::<()>(&key("subject_template"), "lies in the demo's trust domain, which is never served");
    }
    let role = match (template, r.truth(&key("logins"))?) {
        (Some(template), false) => Some(OidcRole::Workloads(template)),
        (None, true) => Some(OidcRole::Logins),
        (Some(_), true) => {
            r.refuse(&key("logins"), "excludes `subject_template`: an issuer is for one or the other")
        }
        (None, false) => r.refuse(&key("subject_template"), "is missing, and `logins` is not `true`"),
    };
    Some(OidcIssuer { issuer: issuer?, audience, jwks_file: jwks_file?, role: role? })
}

fn operators(r: &mut Reader<'_>) -> Option<Vec<Operator>> {
    let rows: Vec<_> = (0..r.rows("operator")).map(|at| operator(r, at)).collect();
    let rows: Vec<Operator> = rows.into_iter().collect::<Option<_>>()?;
    refuse_repeated(r, "operator", "name", rows.iter().map(|row| &row.name));
    let mut seen = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        if let Some(first) = seen.insert(&row.identity, at) {
            r.refuse::<()>(
                &format!("operator[{at}].name"),
                format!("is the same identity as `operator[{first}]`"),
            );
        }
    }
    Some(rows)
}

fn operator(r: &mut Reader<'_>, at: usize) -> Option<Operator> {
    let key = |name: &str| format!("operator[{at}].{name}");
    let name = r.parsed(&key("name"), str::parse::<Name>);
    let identity = operator_identity(r, at);
    let roles = [
        ("viewer", Role::Viewer),
        ("operator", Role::Operator),
        ("approver", Role::Approver),
        ("policy", Role::Policy),
        ("admin", Role::Admin),
    ];
    let role = r.word(&key("role"), &roles);
    let tenants = tenants(r, &key("tenants"));
    Some(Operator { name: name?, identity: identity?, role: role?, tenants: tenants? })
}

fn operator_identity(r: &mut Reader<'_>, at: usize) -> Option<OperatorIdentity> {
    let key = |name: &str| format!("operator[{at}].{name}");
    let written = ["spiffe_id", "issuer", "subject"].map(|name| r.is_written(&key(name)));
    match written {
        [true, false, false] => {
            r.parsed(&key("spiffe_id"), str::parse::<SpiffeId>).map(OperatorIdentity::Spiffe)
        }
        [false, true, true] => {
            let (issuer, subject) = (r.text(&key("issuer")), r.text(&key("subject")));
            Some(OperatorIdentity::Login { issuer: issuer?, subject: subject? })
        }
        _ => r.refuse(&key("spiffe_id"), "either `spiffe_id`, or `issuer` and `subject`, are needed"),
    }
}

fn tenants(r: &mut Reader<'_>, path: &str) -> Option<Tenants> {
    let texts = r.texts(path)?;
    if texts == ["*"] {
        return Some(Tenants::All);
    }
    if texts.is_empty() {
        return r.refuse(path, "names no tenant; `\"*\"` means all of them");
    }
    let names: Result<Vec<Name>, _> = texts.iter().map(|text| text.parse()).collect();
    names.map_or_else(|error| r.refuse(path, error), |names| Some(Tenants::Only(names)))
}

/// An operator whom nobody vouches for could never come in: a mistake that is better told now.
fn check_operators(
    r: &mut Reader<'_>,
    operators: &[Operator],
    domains: &[TrustDomainFiles],
    issuers: &[OidcIssuer],
) {
    for (at, operator) in operators.iter().enumerate() {
        match &operator.identity {
            OperatorIdentity::Spiffe(id) => {
                let within = |text: &str| text.starts_with(&format!("spiffe://{}/", id.trust_domain()));
                let known = domains.iter().any(|domain| domain.name.as_str() == id.trust_domain())
                    || issuers
                        .iter()
                        .any(|row| matches!(&row.role, OidcRole::Workloads(text) if within(text)));
                if !known {
                    r.refuse::<()>(
                        &format!("operator[{at}].spiffe_id"),
                        "lies in no trust domain of this file",
                    );
                }
            }
            OperatorIdentity::Login { issuer, .. } => {
                if !issuers.iter().any(|row| row.issuer == *issuer && row.role == OidcRole::Logins) {
                    let message = "is no `[[oidc_issuer]]` with `logins = true` of this file";
                    r.refuse::<()>(&format!("operator[{at}].issuer"), message);
                }
            }
        }
    }
}

fn journal(r: &mut Reader<'_>) -> Option<Journal> {
    // A segment has to hold the largest event and its frame.
    let segment_bytes = r.number("journal.segment_bytes", 32 * MIB..=1024 * MIB);
    let reserve_bytes = r.number("journal.reserve_bytes", MIB..=1024 * MIB);
    Some(Journal { segment_bytes: segment_bytes?, reserve_bytes: reserve_bytes? })
}

fn archive(r: &mut Reader<'_>) -> Option<Archive> {
    let enabled = r.truth("archive.enabled");
    let retention = match r.is_written("archive.retention") {
        true => r.duration("archive.retention", ARCHIVE_RETENTION_MIN..=ARCHIVE_RETENTION_MAX).map(Some),
        false => Some(None),
    };
    Some(Archive { enabled: enabled?, retention: retention? })
}

fn metrics(r: &mut Reader<'_>) -> Option<Option<SocketAddr>> {
    r.optional_parsed("telemetry.metrics", |text| {
        let at = address(text)?;
        let refused = "must be on loopback: metrics are served without TLS".to_owned();
        if at.ip().is_loopback() { Ok(at) } else { Err(refused) }
    })
}

fn traces(r: &mut Reader<'_>) -> Option<Option<Traces>> {
    let collector = r.optional_parsed("telemetry.otlp", collector_url);
    let ca_file = r.optional_path("telemetry.otlp_ca_file");
    let one_in = r.number("telemetry.trace_one_in", 1..=TRACE_ONE_IN_MAX);
    let (collector, ca_file) = (collector?, ca_file?);
    match (collector.as_deref().map(|url| url.starts_with("https:")), &ca_file) {
        (Some(true), None) => r.refuse("telemetry.otlp_ca_file", "is missing: `telemetry.otlp` is https"),
        (Some(false) | None, Some(_)) => {
            r.refuse("telemetry.otlp_ca_file", "needs a `telemetry.otlp` that is https")
        }
        (Some(_), _) => Some(Some(Traces { collector: collector?, ca_file, one_in: one_in? })),
        (None, None) => one_in.map(|_| None),
    }
}

/// An endpoint of OTLP over gRPC: scheme, host and port, nothing behind them and no password before.
fn collector_url(text: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("`{}` {why}", shown(text)));
    let (scheme, authority) = text.split_once("://").unwrap_or_default();
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if !matches!(scheme, "http" | "https") || !authority.chars().all(plain) {
        return Err("must be like `https://collector.acme.test:4317`".to_owned());
    }
    let (host, port) = authority.rsplit_once(':').unwrap_or_default();
    if host.is_empty() || port.parse::<u16>().is_err() {
        return wrong("has no host and port");
    }
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    if scheme == "http" && !(host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())) {
        return wrong("must be https, or on loopback: spans name workloads and what they did");
    }
    Ok(format!("{scheme}://{authority}"))
}

fn log(r: &mut Reader<'_>) -> Option<Log> {
    let format = r.word("log.format", &[("json", LogFormat::Json), ("text", LogFormat::Text)]);
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    let level = r.word("log.level", &levels);
    Some(Log { format: format?, level: level? })
}

fn refuse_repeated<T: Ord + Display>(
    r: &mut Reader<'_>,
    table: &str,
    key: &str,
    values: impl Iterator<Item = T>,
) {
    let mut seen = BTreeMap::new();
    for (at, value) in values.enumerate() {
        let text = shown(&value.to_string());
        if let Some(first) = seen.insert(value, at) {
            r.refuse::<()>(
                &format!("{table}[{at}].{key}"),
                format!("`{text}` is already `{table}[{first}]`"),
            );
        }
    }
}
