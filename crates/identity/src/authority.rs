//! What the tests believe: certificate authorities, SVIDs and issuers made on the spot.
//!
//! Real keys, real certificates, real signatures; only the time is fixed.

use std::time::Duration;

use locum_jose::{SigningKey, base64url, jwks};
use locum_model::registry::Algorithm;
use locum_model::{Reason, Timestamp, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use crate::{DomainOptions, IssuerOptions, IssuerRole, Refusal, Trust, TrustOptions, TrustProblem};

/// The moment of every test.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// What assertions are addressed to.
pub(crate) const AUDIENCE: &str = "https://locum.acme.test";
/// An ordinary workload.
pub(crate) const REFUNDER: &str = "spiffe://acme.test/agents/refunder";

/// A certificate authority, root or intermediate.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Its own certificate and those above it, without the root.
    above: Vec<CertificateDer<'static>>,
}

/// A leaf with its chain and key.
pub(crate) struct Svid {
    /// Leaf first, without the root.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub(crate) key: PrivateKeyDer<'static>,
}

/// Who signs assertions.
pub(crate) struct Signer {
    pub(crate) key: SigningKey,
    pub(crate) kid: String,
}

// === impl Authority ===

impl Authority {
    /// A self-signed root.
    pub(crate) fn root(name: &str) -> Self {
        Self::root_with(name, |_| {})
    }

    /// A self-signed root that is different in some way.
    pub(crate) fn root_with(name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = ca_params(name);
        edit(&mut params);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("a root");
        Self { issuer, above: Vec::new() }
    }

    /// A CA below this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        self.below_with(name, |_| {})
    }

    /// A CA below this one that is different in some way.
    pub(crate) fn below_with(&self, name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = ca_params(name);
        edit(&mut params);
        let issuer = CertifiedIssuer::signed_by(params, key(), &self.issuer).expect("an intermediate");
        let above = [vec![issuer.der().clone()], self.above.clone()].concat();
        Self { issuer, above }
    }

    /// The SVID of `id`.
    pub(crate) fn svid(&self, id: &str) -> Svid {
        self.svid_with(id, |_| {})
    }

    /// The SVID of `id` that is different in some way.
    pub(crate) fn svid_with(&self, id: &str, edit: impl FnOnce(&mut CertificateParams)) -> Svid {
        let mut params = leaf_params(id);
        edit(&mut params);
        let key = key();
        let leaf = params.signed_by(&key, &self.issuer).expect("a leaf").der().clone();
        let chain = [vec![leaf], self.above.clone()].concat();
        Svid { chain, key: PrivateKeyDer::Pkcs8(key.serialize_der().into()) }
    }

    /// Its certificate in PEM.
    pub(crate) fn pem(&self) -> Vec<u8> {
        self.issuer.pem().into_bytes()
    }

    /// Its certificate.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_time(&mut params, -86_400, 86_400);
    params
}

/// What SPIRE puts into an SVID.
pub(crate) fn leaf_params(id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![uri(id)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    set_time(&mut params, -60, 3_600);
    params
}

/// A URI name.
pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ASCII"))
}

/// Validity in seconds from [`NOW`].
pub(crate) fn set_time(params: &mut CertificateParams, not_before: i64, not_after: i64) {
    let at = |seconds: i64| {
        let since_epoch = u64::try_from(NOW.as_seconds() + seconds).expect("after the epoch");
        date_time_ymd(1970, 1, 1) + Duration::from_secs(since_epoch)
    };
    (params.not_before, params.not_after) = (at(not_before), at(not_after));
}

/// A leaf that signed itself.
pub(crate) fn self_signed(id: &str) -> Svid {
    let key = key();
    let leaf = leaf_params(id).self_signed(&key).expect("a leaf").der().clone();
    Svid { chain: vec![leaf], key: PrivateKeyDer::Pkcs8(key.serialize_der().into()) }
}

// === impl Signer ===

impl Signer {
    pub(crate) fn new(algorithm: Algorithm, kid: &str) -> Self {
        let pkcs8 = SigningKey::generate(algorithm).expect("entropy");
        let key = SigningKey::from_pkcs8(algorithm, &pkcs8).expect("our own key");
        Self { key, kid: kid.to_owned() }
    }

    /// Its public key as JWK, with whatever `use`.
    pub(crate) fn jwk(&self, usage: &str) -> Value {
        let set: Value = serde_json::from_str(&jwks::write([self.key.public()])).expect("a set");
        let mut jwk = set["keys"][0].clone();
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!(usage);
        jwk
    }

    /// Its public key as JWK set.
    pub(crate) fn jwks(&self, usage: &str) -> Vec<u8> {
        key_set(&[self.jwk(usage)])
    }

    /// A well-signed assertion with the ordinary header.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({"alg": "ES256", "kid": self.kid, "typ": "JWT"}), &claims.to_string())
    }

    /// A well-signed assertion with any header and any payload.
    pub(crate) fn sign_as(&self, header: &Value, payload: &str) -> String {
        let input = signing_input(header, payload);
        let signature = self.key.sign(input.as_bytes()).expect("a signature");
        format!("{input}.{}", base64url::encode(signature))
    }
}

/// The two parts that a signature covers.
pub(crate) fn signing_input(header: &Value, payload: &str) -> String {
    format!("{}.{}", base64url::encode(header.to_string()), base64url::encode(payload))
}

/// A JWK set of these.
pub(crate) fn key_set(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

// === trust ===

pub(crate) fn domain(name: &str, authority: &Authority) -> DomainOptions {
    DomainOptions {
        name: name.parse::<TrustDomain>().expect("a name"),
        bundle_pem: authority.pem(),
        jwt_keys: None,
    }
}

pub(crate) fn workloads(issuer: &str, signer: &Signer, template: &str) -> IssuerOptions {
    let role = IssuerRole::Workloads { subject_template: template.to_owned() };
    IssuerOptions { issuer: issuer.to_owned(), audience: None, jwks: signer.jwks("sig"), role }
}

pub(crate) fn logins(issuer: &str, signer: &Signer) -> IssuerOptions {
    let jwks = signer.jwks("sig");
    IssuerOptions { issuer: issuer.to_owned(), audience: None, jwks, role: IssuerRole::Logins }
}

pub(crate) fn try_trust(
    domains: Vec<DomainOptions>,
    issuers: Vec<IssuerOptions>,
) -> Result<Trust, TrustProblem> {
    Trust::of(TrustOptions { domains, issuers, audience: AUDIENCE.to_owned() }, NOW)
}

pub(crate) fn trust(domains: Vec<DomainOptions>, issuers: Vec<IssuerOptions>) -> Trust {
    try_trust(domains, issuers).expect("a good configuration")
}

/// The reason of a refusal, once its detail was found fit for a log.
pub(crate) fn reason<T>(result: Result<T, Refusal>) -> Option<Reason> {
    let refusal = result.err()?;
    let detail = refusal.detail();
    assert!(detail.len() <= 512 && detail.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{detail:?}");
    Some(refusal.reason())
}
