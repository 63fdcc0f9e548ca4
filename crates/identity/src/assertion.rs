//! Bearer assertions: JWT-SVIDs of trust domains and OpenID assertions of issuers.
//!
//! Always, in this order: the length; the form (three parts, one spelling, a header of `alg`,
//! `kid`, `typ`); who claims to have signed it, read from claims that nobody believes yet; the
//! signature, under that one's key of that `kid` with that key's algorithm; then what the claims
//! say. An `iss` that is configured makes it an OpenID assertion, and only then; everything else
//! has to be a JWT-SVID. So a claim can pick who is asked, never who answers.

use locum_jose::assertion::{self as jose, JWT_SVID, NotAsserted};
use locum_jose::json::{self, Object};
use locum_jose::{Compact, Profile};
use locum_model::evidence::Login;
use locum_model::limits::ASSERTION_BYTES_MAX;
use locum_model::{Reason, SpiffeId, Timestamp};

use crate::refusal::{Refusal, Shown};
use crate::trust::{Issuer, Trust};
use keys::Keys;

pub(crate) mod claims;
pub(crate) mod keys;
pub(crate) mod template;

/// The headers of OpenID assertions. Some platforms add their certificate's thumbprint; nothing
/// looks at it. `at+jwt` is not among the types: an access token is no assertion, ours least of all.
const OPENID: Profile = Profile {
    bytes_max: ASSERTION_BYTES_MAX,
    members: &["alg", "kid", "typ", "x5t", "x5t#S256"],
    types: &[None, Some("JWT"), Some("JOSE")],
};

/// What an assertion proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asserted {
    /// The workload; none for a mere login.
    pub(crate) spiffe_id: Option<SpiffeId>,
    /// The login, where an OpenID issuer spoke.
    pub(crate) login: Option<Login>,
    /// Until when, exclusive.
    pub(crate) expires_at: Timestamp,
}

/// Verifies a bearer at `now`.
pub(crate) fn verify(trust: &Trust, bearer: &str, now: Timestamp) -> Result<Asserted, Refusal> {
    let token = Compact::parse(bearer, &OPENID).map_err(Refusal::invalid)?;
    let said = json::parse_object(token.payload()).map_err(Refusal::invalid)?;
    let iss = claims::text(&said, "iss")?;
    match iss.and_then(|iss| trust.issuer(iss).map(|issuer| (iss, issuer))) {
        Some((iss, issuer)) => openid(iss, issuer, &token, now),
        None => jwt_svid(trust, &said, bearer, now),
    }
}

/// An OpenID assertion (OpenID Connect Core section 2; Kubernetes' projected tokens are such).
fn openid(iss: &str, issuer: &Issuer, token: &Compact<'_>, now: Timestamp) -> Result<Asserted, Refusal> {
    let claims = signed_claims(&issuer.keys, token)?;
    // The signed claims are read again by another parser: they must say what picked the key.
    if claims.text("iss") != Some(iss) {
        return Err(Refusal::invalid("claim `iss` reads differently the second time"));
    }
    claims::check_audience(&claims, &issuer.audience)?;
    let expires_at = claims::check_time(&claims, now)?;
    let missing = || Refusal::invalid("claim `sub` is missing");
    let subject = claims::text(&claims, "sub")?.ok_or_else(missing)?.to_owned();
    let spiffe_id = issuer.template.as_ref().map(|template| template.fill(&claims));
    let spiffe_id = spiffe_id.transpose().map_err(Refusal::invalid)?;
    Ok(Asserted { spiffe_id, login: Some(Login { issuer: iss.to_owned(), subject }), expires_at })
}

/// A JWT-SVID (JWT-SVID sections 2 to 5): `sub` is the workload, its trust domain holds the keys.
fn jwt_svid(trust: &Trust, said: &Object, bearer: &str, now: Timestamp) -> Result<Asserted, Refusal> {
    let token = Compact::parse(bearer, &JWT_SVID).map_err(Refusal::invalid)?;
    let spiffe_id = subject(said)?;
    let domain = spiffe_id.trust_domain();
    let keys = trust.domain(domain).and_then(|domain| domain.jwt_keys.as_ref());
    let keys = keys.ok_or_else(|| {
        let detail = format!("trust domain {} has no keys for JWT-SVIDs here", Shown(domain));
        Refusal::new(Reason::IdentityUntrustedIssuer, detail)
    })?;
    let claims = signed_claims(keys, &token)?;
    if subject(&claims)? != spiffe_id {
        return Err(Refusal::invalid("claim `sub` reads differently the second time"));
    }
    claims::check_audience(&claims, trust.audience())?;
    let expires_at = claims::check_time(&claims, now)?;
    Ok(Asserted { spiffe_id: Some(spiffe_id), login: None, expires_at })
}

/// The `sub` of a JWT-SVID. Without one of SPIFFE's form nobody we know can have signed it.
fn subject(claims: &Object) -> Result<SpiffeId, Refusal> {
    let sub = claims.text("sub").ok_or_else(|| Refusal::invalid("claim `sub` is missing or no text"))?;
    sub.parse().map_err(|why| {
        let detail = format!("no configured issuer, and {} is no SPIFFE ID: {why}", Shown(sub));
        Refusal::new(Reason::IdentityUntrustedIssuer, detail)
    })
}

/// The claims under a signature that holds.
fn signed_claims(keys: &Keys, token: &Compact<'_>) -> Result<Object, Refusal> {
    let unknown = || Refusal::invalid(format!("no key of the issuer has `kid` {}", Shown(token.kid())));
    let key = keys.key(token.kid()).ok_or_else(unknown)?;
    jose::verify(token, key).map_err(|problem| match problem {
        NotAsserted::Provider => Refusal::new(Reason::Internal, problem),
        _ => Refusal::invalid(problem),
    })
}

#[cfg(test)]
mod tests;
