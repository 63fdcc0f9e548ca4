//! [`Trust`]: whom we believe, as one immutable value.
//!
//! Always: no two trust domains or issuers can produce the same SPIFFE ID, no key or CA belongs to
//! two of them, and every bundle and key set was read and judged whole. A `Trust` that exists is
//! consistent; one that would not be is a [`TrustProblem`] for the operator, and the old one stays.

use locum_model::limits::{CLAIM_BYTES_MAX, TRUSTED_MAX};
use std::collections::BTreeMap;

use locum_model::limits::AUDIENCE_BYTES_MAX;
use locum_model::spiffe::SpiffePattern;
use locum_model::{Timestamp, TrustDomain};

use crate::assertion::keys::{Keys, KeysProblem};
use crate::assertion::template::{Template, TemplateProblem};
use crate::options::{DomainOptions, IssuerOptions, IssuerRole, TrustOptions};
use crate::refusal::Shown;
use crate::x509::bundle::{Bundle, BundleProblem};

/// Whom we believe. Immutable; a reload makes another.
#[derive(Debug)]
pub struct Trust {
    domains: BTreeMap<String, Domain>,
    issuers: BTreeMap<String, Issuer>,
    audience: String,
}

/// A trust domain whose SVIDs are believed.
#[derive(Debug)]
pub(crate) struct Domain {
    bundle: Bundle,
    pub(crate) jwt_keys: Option<Keys>,
}

/// An issuer whose assertions are believed.
#[derive(Debug)]
pub(crate) struct Issuer {
    /// What its assertions are addressed to.
    pub(crate) audience: String,
    pub(crate) keys: Keys,
    /// How claims become a SPIFFE ID; none for logins.
    pub(crate) template: Option<Template>,
}

/// Why a configuration of trust is refused. Names are escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustProblem {
    /// More than anybody needs.
    #[error("more than {TRUSTED_MAX} trust domains or issuers")]
    TooMany,
    /// An audience is empty or too long.
    #[error("the audience of {of} must be 1 to {AUDIENCE_BYTES_MAX} bytes of printable ASCII")]
    Audience {
        /// Whose.
        of: String,
    },
    /// A trust domain stands twice.
    #[error("trust domain `{0}` stands twice")]
    DomainRepeated(TrustDomain),
    /// A trust bundle is refused.
    #[error("the bundle of trust domain `{domain}` {problem}")]
    Bundle {
        /// Whose.
        domain: TrustDomain,
        /// Why.
        problem: BundleProblem,
    },
    /// Two trust domains have a CA key in common: either could speak for the other.
    #[error("trust domains `{0}` and `{1}` trust the same CA key; each could speak for the other")]
    CaShared(String, String),
    /// An issuer is no https URL.
    #[error("issuer {0} must be an https URL of at most {CLAIM_BYTES_MAX} bytes, without query or fragment")]
    IssuerUrl(String),
    /// An issuer stands twice.
    #[error("issuer {0} stands twice")]
    IssuerRepeated(String),
    /// A JWK set is refused.
    #[error("the keys of {of}: {problem}")]
    Keys {
        /// Whose.
        of: String,
        /// Why.
        problem: KeysProblem,
    },
    /// Two of them have a key in common.
    #[error("{0} and {1} have a key in common; each could speak for the other")]
    KeyShared(String, String),
    /// A subject template is refused.
    #[error("the subject template of issuer {issuer}: {problem}")]
    Template {
        /// Whose.
        issuer: String,
        /// Why.
        problem: TemplateProblem,
    },
    /// Two of them could produce the same SPIFFE ID.
    #[error("`{0}` and `{1}` overlap: two of those who vouch could produce the same SPIFFE ID")]
    Overlap(SpiffePattern, SpiffePattern),
}

// === impl Trust ===

impl Trust {
    /// Reads and judges a configuration at `now`.
    ///
    /// # Errors
    ///
    /// The first [`TrustProblem`] found. Nothing is left out quietly.
    pub fn of(options: TrustOptions, now: Timestamp) -> Result<Self, TrustProblem> {
        if options.domains.len() > TRUSTED_MAX || options.issuers.len() > TRUSTED_MAX {
            return Err(TrustProblem::TooMany);
        }
        let audience = audience(options.audience, || "Locum".to_owned())?;
        let mut domains = BTreeMap::new();
        for domain in options.domains {
            let name = domain.name.clone();
            if domains.insert(name.as_str().to_owned(), Domain::of(domain, now)?).is_some() {
                return Err(TrustProblem::DomainRepeated(name));
            }
        }
        let mut issuers = BTreeMap::new();
        for issuer in options.issuers {
            let name = issuer.issuer.clone();
            if issuers.insert(name.clone(), Issuer::of(issuer, &audience)?).is_some() {
                return Err(TrustProblem::IssuerRepeated(Shown(&name).to_string()));
            }
        }
        let trust = Self { domains, issuers, audience };
        trust.check_disjoint()?;
        Ok(trust)
    }

    /// What JWT-SVIDs are addressed to.
    pub(crate) fn audience(&self) -> &str {
        &self.audience
    }

    /// The trust domain of this name.
    pub(crate) fn domain(&self, name: &str) -> Option<&Domain> {
        self.domains.get(name)
    }

    /// The CAs of the trust domain of this name.
    pub(crate) fn bundle(&self, domain: &str) -> Option<&Bundle> {
        self.domain(domain).map(|domain| &domain.bundle)
    }

    /// The issuer whose `iss` is this, character by character.
    pub(crate) fn issuer(&self, iss: &str) -> Option<&Issuer> {
        self.issuers.get(iss)
    }

    fn check_disjoint(&self) -> Result<(), TrustProblem> {
        for ((a, first), (b, second)) in pairs(&self.domains.iter().collect::<Vec<_>>()) {
            if first.bundle.shares_key(&second.bundle) {
                return Err(TrustProblem::CaShared((*a).clone(), (*b).clone()));
            }
        }
        for ((a, first), (b, second)) in pairs(&self.key_sets()) {
            if first.shares_key(second) {
                return Err(TrustProblem::KeyShared(a.clone(), b.clone()));
            }
        }
        for (first, second) in pairs(&self.prefixes()) {
            if first.overlaps(second) {
                return Err(TrustProblem::Overlap(first.clone(), second.clone()));
            }
        }
        Ok(())
    }

    fn key_sets(&self) -> Vec<(String, &Keys)> {
        let domains = self.domains.iter().filter_map(|(name, domain)| {
            domain.jwt_keys.as_ref().map(|keys| (format!("trust domain `{name}`"), keys))
        });
        let issuers = self.issuers.iter().map(|(name, issuer)| (issuer_named(name), &issuer.keys));
        domains.chain(issuers).collect()
    }

    /// Every SPIFFE ID that each of them could produce.
    fn prefixes(&self) -> Vec<SpiffePattern> {
        let whole = |name: &String| {
            format!("spiffe://{name}/**").parse().expect("a trust domain's name makes a pattern")
        };
        let templates = self.issuers.values().filter_map(|issuer| issuer.template.as_ref());
        self.domains.keys().map(whole).chain(templates.map(|template| template.pattern().clone())).collect()
    }
}

fn pairs<T>(all: &[T]) -> impl Iterator<Item = (&T, &T)> {
    all.iter().enumerate().flat_map(|(at, first)| all[at + 1..].iter().map(move |second| (first, second)))
}

fn issuer_named(name: &str) -> String {
    format!("issuer {}", Shown(name))
}

fn audience(text: String, of: impl Fn() -> String) -> Result<String, TrustProblem> {
    let fits = (1..=AUDIENCE_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(text) } else { Err(TrustProblem::Audience { of: of() }) }
}

// === impl Domain ===

impl Domain {
    fn of(options: DomainOptions, now: Timestamp) -> Result<Self, TrustProblem> {
        let DomainOptions { name, bundle_pem, jwt_keys } = options;
        let bundle = Bundle::of(&name, &bundle_pem, now)
            .map_err(|problem| TrustProblem::Bundle { domain: name.clone(), problem })?;
        let refused = |problem| TrustProblem::Keys { of: format!("trust domain `{name}`"), problem };
        let jwt_keys = jwt_keys.map(|set| Keys::of_domain(&set)).transpose().map_err(refused)?;
        Ok(Self { bundle, jwt_keys })
    }
}

// === impl Issuer ===

impl Issuer {
    fn of(options: IssuerOptions, ours: &str) -> Result<Self, TrustProblem> {
        let IssuerOptions { issuer, audience: own, jwks, role } = options;
        if !is_issuer_url(&issuer) {
            return Err(TrustProblem::IssuerUrl(Shown(&issuer).to_string()));
        }
        let audience = audience(own.unwrap_or_else(|| ours.to_owned()), || issuer_named(&issuer))?;
        let keys = Keys::of_issuer(&jwks)
            .map_err(|problem| TrustProblem::Keys { of: issuer_named(&issuer), problem })?;
        let template = match role {
            IssuerRole::Logins => None,
            IssuerRole::Workloads { subject_template } => {
                let refused =
                    |problem| TrustProblem::Template { issuer: Shown(&issuer).to_string(), problem };
                Some(Template::of(&subject_template).map_err(refused)?)
            }
        };
        Ok(Self { audience, keys, template })
    }
}

/// OpenID Connect Core section 2: https, a host, no query, no fragment. No user either.
fn is_issuer_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else { return false };
    let host = rest.split('/').next().unwrap_or(rest);
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'@' | b'\\' | b'"' | b'<' | b'>');
    let fits = text.len() <= CLAIM_BYTES_MAX && rest.bytes().all(plain);
    fits && !host.is_empty() && !host.starts_with(':') && !host.bytes().any(|b| b.is_ascii_uppercase())
}

#[cfg(test)]
mod tests;
