//! [`TrustOptions`]: what the operator configures, as bytes and names.
//!
//! Whoever reads files fills these in; nothing here is checked yet (see [`Trust::of`](crate::Trust::of)).

use locum_model::TrustDomain;

/// Everything that may vouch for a caller.
#[derive(Clone, Debug)]
pub struct TrustOptions {
    /// The trust domains whose SVIDs are believed. Each owns every SPIFFE ID in it.
    pub domains: Vec<DomainOptions>,
    /// The OpenID issuers whose assertions are believed.
    pub issuers: Vec<IssuerOptions>,
    /// What assertions must be addressed to: Locum's own issuer URL.
    pub audience: String,
}

/// One trust domain.
#[derive(Clone, Debug)]
pub struct DomainOptions {
    /// Its name.
    pub name: TrustDomain,
    /// Its CA certificates, in PEM; nothing else may stand in there.
    pub bundle_pem: Vec<u8>,
    /// Its JWT-SVID keys, a JWK set (RFC 7517 section 5); without it no JWT-SVID is believed.
    pub jwt_keys: Option<Vec<u8>>,
}

/// One OpenID issuer, a Kubernetes API server for example.
#[derive(Clone, Debug)]
pub struct IssuerOptions {
    /// Its `iss`, an https URL; compared character by character.
    pub issuer: String,
    /// The `aud` that its assertions carry where it cannot be Locum's own, as with ID tokens.
    pub audience: Option<String>,
    /// Its keys, a JWK set (RFC 7517 section 5).
    pub jwks: Vec<u8>,
    /// What its assertions stand for.
    pub role: IssuerRole,
}

/// What an issuer's assertions stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerRole {
    /// Workloads: claims are mapped to a SPIFFE ID.
    Workloads {
        /// Such as `spiffe://k8s.acme.test/ns/{kubernetes.io.namespace}/sa/{kubernetes.io.serviceaccount.name}`.
        ///
        /// A path segment is a literal or one `{claim}` path, whose value fills exactly that segment.
        subject_template: String,
    },
    /// People: a login with an issuer and a subject, without a SPIFFE ID.
    Logins,
}
