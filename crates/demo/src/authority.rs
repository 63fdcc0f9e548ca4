//! [`Authority`]: a development CA of the trust domain `demo.invalid`, in memory.
//!
//! Its key is never written anywhere and is gone when the value is dropped. Certificates live a
//! day. SVIDs follow X509-SVID section 5.2 as SPIRE fills it in. Nothing served for real believes
//! this trust domain.

use std::time::Duration;

use locum_sdk::model::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

/// How far certificates are dated back, and how long they live.
const BACKDATE: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// The CA.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    now: Timestamp,
}

/// A certificate and its key, both PEM.
pub(crate) struct Pair {
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
}

impl Authority {
    /// A new CA, valid from `now`.
    pub(crate) fn new(now: Timestamp) -> Result<Self, rcgen::Error> {
        let mut params = dated(now);
        params.distinguished_name.push(DnType::CommonName, "Locum demo CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?, now })
    }

    /// Its certificate, PEM.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server's certificate for loopback.
    pub(crate) fn server(&self) -> Result<Pair, rcgen::Error> {
        let mut params = dated(self.now);
        let loopback = std::net::Ipv4Addr::LOCALHOST.into();
        params.subject_alt_names =
            vec![SanType::DnsName("localhost".try_into()?), SanType::IpAddress(loopback)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// The SVID of a workload or an operator.
    pub(crate) fn svid(&self, spiffe_id: &str) -> Result<Pair, rcgen::Error> {
        let mut params = dated(self.now);
        params.subject_alt_names = vec![SanType::URI(spiffe_id.try_into()?)];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Pair, rcgen::Error> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        Ok(Pair { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
    }
}

fn dated(now: Timestamp) -> CertificateParams {
    let at = |moment: Timestamp| date_time_ymd(1970, 1, 1) + moment.since(Timestamp::default());
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (at(now.minus(BACKDATE)), at(now.plus(LIFE)));
    params
}
