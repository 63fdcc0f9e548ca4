//! What the settings point at: certificates, bundles, key sets, registry, policies.
//!
//! [`check`] reads it all and tells every problem at once; the server's start and its reloads use
//! the same readers, one by one. Nothing here keeps or changes anything.

use locum_model::limits::TRUST_FILE_BYTES_MAX;
use std::path::Path;

use locum_identity::{DomainOptions, IssuerOptions, IssuerRole, Trust, TrustOptions};
use locum_model::event::PolicyText;
use locum_model::registry::Proposal;
use locum_model::{Clock, ClockUnsettled, Name};

use super::{Flags, OidcRole, Problem, Problems, Settings, Tenants};
use crate::private_file;
use crate::tls::OwnCertificate;

/// Everything that the settings say and point at, read and found well.
#[derive(Debug)]
pub struct Checked {
    /// The settings.
    pub settings: Settings,
    /// The registry as proposed.
    pub registry: Proposal,
    /// The policies as written.
    pub policies: Vec<PolicyText>,
    /// Whom to believe.
    pub trust: Trust,
}

/// Reads settings and everything they point at.
///
/// # Errors
///
/// [`Problems`]: all of them. What cannot be judged because something before it is broken is left
/// out, nothing else.
pub fn check(path: &Path, flags: &Flags, clock: &dyn Clock) -> Result<Checked, Problems> {
    let settings = super::load(path, flags)?;
    let mut found = Problems::default();
    let registry = keep(&mut found, registry(&settings));
    let policies = keep(&mut found, policies(&settings));
    if let Some(registry) = &registry {
        keep(&mut found, registry_holds(&settings, registry));
    }
    if let Some(policies) = &policies {
        keep(&mut found, policies_compile(&settings, policies));
    }
    let trust = keep(&mut found, trust(&settings, clock));
    keep(&mut found, own_certificate(&settings));
    if let Some(traces) = &settings.traces {
        keep(&mut found, crate::traces::endpoint(traces));
    }
    if let Some(registry) = &registry {
        keep(&mut found, operators_fit(path, &settings, registry));
    }
    match (registry, policies, trust) {
        (Some(registry), Some(policies), Some(trust)) if found.is_empty() => {
            Ok(Checked { settings, registry, policies, trust })
        }
        _ => Err(found),
    }
}

fn keep<T>(found: &mut Problems, result: Result<T, Problems>) -> Option<T> {
    result.map_err(|problems| *found = std::mem::take(found).and(problems)).ok()
}

/// Our own certificate.
///
/// # Errors
///
/// [`Problems`] with the file.
pub fn own_certificate(settings: &Settings) -> Result<OwnCertificate, Problems> {
    let (cert, key) = (&settings.server.cert_file, &settings.server.key_file);
    OwnCertificate::load(cert, key)
        .map_err(|refused| Problem::in_file(refused.path(), None, "", refused.cause()).into())
}

/// The registry as proposed: one file, or all `*.toml` of a directory in order of name.
///
/// # Errors
///
/// [`Problems`]: all of them, each with file, line and key.
pub fn registry(settings: &Settings) -> Result<Proposal, Problems> {
    locum_proposal::read_registry(&settings.registry)
}

/// Whether the registry would come into force where nothing is yet.
fn registry_holds(settings: &Settings, registry: &Proposal) -> Result<(), Problems> {
    let one = |line: String| Problem::in_file(&settings.registry, None, "", line);
    locum_model::check_registry(registry).map_err(|lines| Problems::of(lines.into_iter().map(one).collect()))
}

/// Whether the policies would come into force.
fn policies_compile(settings: &Settings, policies: &[PolicyText]) -> Result<(), Problems> {
    let one = |problem: locum_policy::PolicyProblem| {
        let line = Some(problem.line).filter(|line| *line > 0);
        Problem::in_file(&settings.policy_dir.join(&problem.file), line, "", problem.message)
    };
    match locum_policy::compile(policies) {
        Ok(_set) => Ok(()),
        Err(refused) => Err(Problems::of(refused.into_iter().map(one).collect())),
    }
}

/// The policies as written.
///
/// # Errors
///
/// [`Problems`]: all of them.
pub fn policies(settings: &Settings) -> Result<Vec<PolicyText>, Problems> {
    locum_proposal::read_policies(&settings.policy_dir)
}

/// Bundles and key sets, read but not judged: for [`Trust::of`].
///
/// # Errors
///
/// [`Problems`]: all files that cannot be read.
pub fn trust_options(settings: &Settings) -> Result<TrustOptions, Problems> {
    let mut found = Problems::default();
    let read = |path: &Path| {
        private_file::read_public(path, TRUST_FILE_BYTES_MAX)
            .map_err(|error| Problems::from(Problem::in_file(path, None, "", error.to_string())))
    };
    let mut domains = Vec::new();
    for domain in &settings.trust_domains {
        let bundle_pem = keep(&mut found, read(&domain.bundle_file));
        let jwt_keys = domain.jwt_keys_file.as_deref().and_then(|path| keep(&mut found, read(path)));
        domains.extend(bundle_pem.map(|bundle_pem| DomainOptions {
            name: domain.name.clone(),
            bundle_pem,
            jwt_keys,
        }));
    }
    let mut issuers = Vec::new();
    for row in &settings.oidc_issuers {
        let role = match &row.role {
            OidcRole::Workloads(template) => IssuerRole::Workloads { subject_template: template.clone() },
            OidcRole::Logins => IssuerRole::Logins,
        };
        let (issuer, audience) = (row.issuer.clone(), row.audience.clone());
        issuers.extend(keep(&mut found, read(&row.jwks_file)).map(|jwks| IssuerOptions {
            issuer,
            audience,
            jwks,
            role,
        }));
    }
    // INVARIANT: a file that is missing is a problem, never a shorter list of whom to believe.
    if found.is_empty() {
        Ok(TrustOptions { domains, issuers, audience: settings.issuer.url.clone() })
    } else {
        Err(found)
    }
}

fn trust(settings: &Settings, clock: &dyn Clock) -> Result<Trust, Problems> {
    let options = trust_options(settings)?;
    let whole = |message: String| Problems::from(Problem::in_file(Path::new("trust"), None, "", message));
    let now = clock.now().map_err(|unsettled: ClockUnsettled| whole(unsettled.to_string()))?;
    Trust::of(options, now).map_err(|problem| whole(problem.to_string()))
}

/// An operator of a tenant that does not exist is a mistake.
fn operators_fit(path: &Path, settings: &Settings, registry: &Proposal) -> Result<(), Problems> {
    let mut problems = Vec::new();
    for (at, operator) in settings.operators.iter().enumerate() {
        let Tenants::Only(tenants) = &operator.tenants else { continue };
        let unknown = |name: &&Name| !registry.tenants.contains(*name);
        problems.extend(tenants.iter().filter(unknown).map(|name| {
            let message = format!("`{name}` is no tenant of the registry");
            Problem::in_file(path, None, &format!("operator[{at}].tenants"), message)
        }));
    }
    if problems.is_empty() { Ok(()) } else { Err(Problems::of(problems)) }
}
