//! [`Checker`]: whether a token that somebody presented may be believed.
//!
//! *Online* every check is a question to the broker, and sees every revocation that was committed
//! before it. *Offline* it is answered in this process by a [`Verifier`]. The answers are the same;
//! when nobody can answer it is an [`Error`], and an error is no permission.

use std::time::Duration;

use locum_api::broker::v1 as wire;
use locum_api::broker::v1::check_service_client::CheckServiceClient;
use locum_model::ResourcePattern;
use locum_model::limits::{PROOF_BYTES_MAX, PROOF_URI_BYTES_MAX, TOKEN_BYTES_MAX};
use locum_model::scope::Operation;
use locum_verifier::dpop::{self, Presented, Shown};

use crate::client::{Client, Repeat};
use crate::clock::moment;
use crate::error::Error;
use crate::options::{Options, environment};
use crate::untrusted::bounded;
use crate::verified_token::VerifiedToken;
use crate::verifier::{Answer, Unknown, Verifier};
use crate::verifier_options::VerifierOptions;

/// Checks tokens for a backend. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Checker(Way);

/// Who answers.
#[derive(Clone, Debug)]
enum Way {
    Online(Client),
    Offline { verifier: Verifier, otherwise: Option<Client> },
}

/// SHA-256 of the DER of the certificate that the presenter showed on its connection.
///
/// The backend puts it into the request's extensions where it ends TLS itself. Never take it from
/// a header of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresentedCertificate(pub [u8; 32]);

/// What somebody presented: a token, and the certificate of the connection or the proof of a key where there
/// was one.
#[derive(Clone, Copy)]
pub struct Presentation<'a> {
    token: &'a str,
    certificate: Option<PresentedCertificate>,
    proof: Option<Shown<'a>>,
}

/// Whether an action may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may; a use was spent where uses are limited.
    Permitted(Box<VerifiedToken>),
    /// The token is good but does not cover it: answer 403.
    Insufficient,
    /// The token must not be believed: answer 401.
    Inactive,
}

impl PresentedCertificate {
    /// The thumbprint of a certificate (`x5t#S256`).
    pub fn of_der(certificate: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

impl<'a> Presentation<'a> {
    /// A token that came without a client certificate.
    pub fn bearer(token: &'a str) -> Self {
        Self { token, certificate: None, proof: None }
    }

    /// Adds the certificate that the presenter showed.
    #[must_use]
    pub fn with_certificate(mut self, certificate: PresentedCertificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Adds the DPoP proof (RFC 9449) that came with the token: the value of the one `DPoP` header, the
    /// request's method, and its URI without query as the backend knows itself, `https://orders.test/order/1`
    /// for example. The host is never taken from the request. Each proof is good for one check.
    #[must_use]
    pub fn with_proof(mut self, proof: &'a str, method: &'a str, uri: &'a str) -> Self {
        self.proof = Some(Shown { proof, method, uri });
        self
    }

    fn presented(&self) -> Option<wire::Presented> {
        let proof = self.proof.map(|shown| wire::PresentedProof {
            proof: shown.proof.to_owned(),
            method: shown.method.to_owned(),
            uri: shown.uri.to_owned(),
        });
        let certificate_sha256 = self.certificate.map(|certificate| certificate.0.to_vec());
        let nothing = proof.is_none() && certificate_sha256.is_none();
        let certificate_sha256 = certificate_sha256.unwrap_or_default();
        (!nothing).then_some(wire::Presented { certificate_sha256, proof })
    }

    /// Whether the proof, if there is one, holds by itself for this request and this token.
    pub(crate) fn proof_holds(&self) -> bool {
        self.proof.is_none_or(|shown| dpop::check(&shown, Some(self.token), moment().wall).is_ok())
    }

    /// A question whose proof was seen cannot be asked again.
    fn repeat(&self) -> Repeat {
        if self.proof.is_some() { Repeat::Never } else { Repeat::Safe }
    }

    pub(crate) fn token(&self) -> &'a str {
        self.token
    }

    /// The same for the offline check.
    pub(crate) fn proved(&self) -> Presented<'a> {
        Presented { certificate: self.certificate.map(|certificate| certificate.0), proof: self.proof }
    }

    /// Longer input is no token, or proves nothing, whatever is in it; it is not even sent.
    fn is_too_long(&self) -> bool {
        let proof_is = |shown: Shown<'_>| {
            shown.proof.len() > PROOF_BYTES_MAX
                || shown.uri.len() > PROOF_URI_BYTES_MAX
                || shown.proof.is_empty()
        };
        self.token.len() > TOKEN_BYTES_MAX || self.proof.is_some_and(proof_is)
    }
}

impl<'a> From<&'a str> for Presentation<'a> {
    fn from(token: &'a str) -> Self {
        Self::bearer(token)
    }
}

impl Checker {
    /// A checker that asks the broker; see [`Checker::online`].
    pub fn new(client: Client) -> Self {
        Self::online(client)
    }

    /// A checker for one connector as the environment describes it, so that one setting decides how tokens
    /// are checked: `LOCUM_CHECK` is `online` (also when it is not set) or `offline`.
    ///
    /// Online it reads [`Options::from_env`]. Offline it reads [`VerifierOptions::from_env`], follows the
    /// feed from now on (see [`Checker::ready`]), and asks a broker about those tokens that only an online
    /// check can answer for.
    ///
    /// # Errors
    ///
    /// [`Error::Options`], naming what is missing or malformed.
    pub fn from_env(connector: &str, audience: &str) -> Result<Self, Error> {
        Self::from_lookup(connector, audience, environment)
    }

    fn from_lookup(
        connector: &str,
        audience: &str,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let value = |name: &str| lookup(name).filter(|value| !value.is_empty());
        match value("LOCUM_CHECK").as_deref() {
            None | Some("online") => Ok(Self::online(Client::connect(&Options::from_lookup(lookup)?)?)),
            Some("offline") => {
                let options = VerifierOptions::from_lookup(connector, audience, &lookup)?;
                let asked = match value("LOCUM_ADDR") {
                    Some(_) => Client::connect(&Options::from_lookup(&lookup)?)?,
                    None => Client::connect(&options.brokers[0])?,
                };
                Ok(Self::offline(Verifier::start(options)?).or_ask(asked))
            }
            Some(other) => {
                let shown = bounded(other);
                Err(Error::Options(format!("`LOCUM_CHECK` is `online` or `offline`, not `{shown}`")))
            }
        }
    }

    /// Waits until tokens can be answered for. Online that is at once: the broker is asked when somebody
    /// presents a token.
    ///
    /// # Errors
    ///
    /// As [`Verifier::ready`].
    pub async fn ready(&self, patience: Duration) -> Result<(), Error> {
        match self.verifier() {
            Some(verifier) => verifier.ready(patience).await,
            None => Ok(()),
        }
    }

    /// What answers in this process; none online. For metrics.
    pub fn verifier(&self) -> Option<&Verifier> {
        match &self.0 {
            Way::Online(_) => None,
            Way::Offline { verifier, .. } => Some(verifier),
        }
    }

    /// A checker that asks the broker, as a workload that is registered as serving the connectors it
    /// will name.
    pub fn online(client: Client) -> Self {
        Self(Way::Online(client))
    }

    /// A checker that answers in this process, for the one connector that the verifier follows.
    ///
    /// Tokens whose uses are counted are *unknown* to it; see [`Checker::or_ask`].
    pub fn offline(verifier: Verifier) -> Self {
        Self(Way::Offline { verifier, otherwise: None })
    }

    /// Asks the broker about those tokens that only an online check can answer for. Changes nothing for
    /// a checker that is online already.
    #[must_use]
    pub fn or_ask(self, client: Client) -> Self {
        match self.0 {
            Way::Online(_) => self,
            Way::Offline { verifier, .. } => Self(Way::Offline { verifier, otherwise: Some(client) }),
        }
    }

    /// Whether a token for `connector` is active now. Spends nothing; none means inactive, whatever the
    /// cause.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `CONNECTOR_NOT_SERVED` or `CLOCK_UNSETTLED`; [`Error::Unreachable`]
    /// or [`Error::TimedOut`] when the broker could not be asked; offline [`Error::Stale`], and
    /// [`Error::Malformed`] for a connector that the verifier does not follow. Treat every error as no.
    pub async fn introspect<'a>(
        &self,
        presented: impl Into<Presentation<'a>>,
        connector: &str,
    ) -> Result<Option<VerifiedToken>, Error> {
        let presentation = presented.into();
        match &self.0 {
            Way::Online(client) => ask_to_introspect(client, presentation, connector).await,
            Way::Offline { verifier, otherwise } => {
                match (offline(verifier, presentation, connector)?, otherwise) {
                    (Offline::Active(token), _) => Ok(Some(*token)),
                    (Offline::Inactive, _) => Ok(None),
                    (Offline::OnlineOnly, Some(client)) => {
                        ask_to_introspect(client, presentation, connector).await
                    }
                    (Offline::OnlineOnly, None) => Err(verifier.stale(Unknown::OnlineOnly)),
                }
            }
        }
    }

    /// Whether `operation` may be done to `resource` now. Spends one use where uses are limited, so the
    /// broker is asked once and not repeated.
    ///
    /// # Errors
    ///
    /// As [`Checker::introspect`], and `JOURNAL_UNAVAILABLE`. Treat every error as no.
    pub async fn authorize<'a>(
        &self,
        presented: impl Into<Presentation<'a>>,
        operation: &str,
        resource: Option<&str>,
    ) -> Result<Decision, Error> {
        let presentation = presented.into();
        let (verifier, otherwise) = match &self.0 {
            Way::Online(client) => return ask_to_authorize(client, presentation, operation, resource).await,
            Way::Offline { verifier, otherwise } => (verifier, otherwise),
        };
        let (wanted, on) = (operation.parse::<Operation>()?, resource.map(one_resource).transpose()?);
        match (offline(verifier, presentation, wanted.connector.as_str())?, otherwise) {
            (Offline::Active(token), _) if token.allows(&wanted, on.as_ref()) => {
                Ok(Decision::Permitted(token))
            }
            (Offline::Active(_), _) => Ok(Decision::Insufficient),
            (Offline::Inactive, _) => Ok(Decision::Inactive),
            (Offline::OnlineOnly, Some(client)) => {
                ask_to_authorize(client, presentation, operation, resource).await
            }
            (Offline::OnlineOnly, None) => Err(verifier.stale(Unknown::OnlineOnly)),
        }
    }
}

// === offline ===

/// What an offline check came to.
enum Offline {
    Active(Box<VerifiedToken>),
    Inactive,
    OnlineOnly,
}

fn offline(verifier: &Verifier, presentation: Presentation<'_>, connector: &str) -> Result<Offline, Error> {
    if connector != verifier.connector() {
        let followed = verifier.connector();
        let shown = bounded(connector);
        return Err(Error::Malformed(format!("this verifier follows `{followed}`, not `{shown}`")));
    }
    match verifier.check(presentation) {
        Answer::Active(claims) => Ok(Offline::Active(Box::new(VerifiedToken::of_claims(&claims)))),
        Answer::Inactive(inactive) => {
            tracing::debug!(%inactive, "a token was refused");
            Ok(Offline::Inactive)
        }
        Answer::Unknown(Unknown::OnlineOnly) => Ok(Offline::OnlineOnly),
        Answer::Unknown(unknown) => Err(verifier.stale(unknown)),
    }
}

fn one_resource(text: &str) -> Result<ResourcePattern, Error> {
    let resource = text.parse::<ResourcePattern>().ok().filter(ResourcePattern::is_exact);
    resource.ok_or_else(|| Error::Malformed("the resource has to be one, not a pattern".to_owned()))
}

// === online ===

async fn ask_to_introspect(
    client: &Client,
    presentation: Presentation<'_>,
    connector: &str,
) -> Result<Option<VerifiedToken>, Error> {
    if presentation.is_too_long() {
        return Ok(None);
    }
    let message = wire::IntrospectTokenRequest {
        token: presentation.token.to_owned(),
        connector: connector.to_owned(),
        presented: presentation.presented(),
    };
    let answer = client.ask(presentation.repeat(), message, |channel, request| async move {
        CheckServiceClient::new(channel).introspect_token(request).await
    });
    match answer.await? {
        wire::IntrospectTokenResponse { active: true, token: Some(token) } => {
            VerifiedToken::from_wire(token).map(Some)
        }
        wire::IntrospectTokenResponse { active: false, .. } => Ok(None),
        _ => Err(Error::Unexpected("an active token without claims")),
    }
}

async fn ask_to_authorize(
    client: &Client,
    presentation: Presentation<'_>,
    operation: &str,
    resource: Option<&str>,
) -> Result<Decision, Error> {
    if presentation.is_too_long() {
        return Ok(Decision::Inactive);
    }
    let message = wire::AuthorizeRequest {
        token: presentation.token.to_owned(),
        operation: operation.to_owned(),
        resource: resource.unwrap_or_default().to_owned(),
        presented: presentation.presented(),
    };
    let answer = client.ask(Repeat::Never, message, |channel, request| async move {
        CheckServiceClient::new(channel).authorize(request).await
    });
    match answer.await? {
        wire::AuthorizeResponse { permitted: true, token: Some(token), insufficient_scope: false } => {
            Ok(Decision::Permitted(Box::new(VerifiedToken::from_wire(token)?)))
        }
        wire::AuthorizeResponse { permitted: true, .. } => {
            Err(Error::Unexpected("a permission without claims"))
        }
        wire::AuthorizeResponse { insufficient_scope: true, .. } => Ok(Decision::Insufficient),
        wire::AuthorizeResponse { .. } => Ok(Decision::Inactive),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "p6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6c";

    fn read(authority: &str, changes: &[(&str, &str)]) -> Result<Checker, Error> {
        let set = [
            ("LOCUM_ADDR", "https://localhost:1"),
            ("LOCUM_CA_FILE", authority),
            ("LOCUM_ISSUER", "https://locum.test"),
            ("LOCUM_FEED_ROOT", ROOT),
        ];
        let all = [&set, changes].concat();
        let find = |name: &str| all.iter().rev().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Checker::from_lookup("orders", "https://orders.test", find)
    }

    #[tokio::test]
    async fn one_setting_decides_where_tokens_are_checked() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let authority = rcgen::CertificateParams::default().self_signed(&key).expect("signed");
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), authority.pem()).expect("written");
        let path = file.path().to_str().expect("plain");
        for (set, is_offline) in
            [(None, false), (Some(""), false), (Some("online"), false), (Some("offline"), true)]
        {
            let changes: Vec<_> = set.map(|set| ("LOCUM_CHECK", set)).into_iter().collect();
            let checker = read(path, &changes).expect("all there");
            assert_eq!(checker.verifier().is_some(), is_offline, "{set:?}");
        }
        read(path, &[("LOCUM_FEED_ROOT", "")]).expect("nothing of the feed is needed online");
        let several = [("LOCUM_ADDR", ""), ("LOCUM_FEED_ADDRS", "https://localhost:1,https://localhost:2")];
        read(path, &[&several[..], &[("LOCUM_CHECK", "offline")]].concat()).expect("the first is asked");
        for (changes, named) in [
            (&[("LOCUM_CHECK", "Offline")][..], "LOCUM_CHECK"),
            (&[("LOCUM_CHECK", "offline"), ("LOCUM_FEED_ROOT", "")], "LOCUM_FEED_ROOT"),
            (&[("LOCUM_CHECK", "offline"), ("LOCUM_ADDR", "")], "LOCUM_ADDR"),
            (&[("LOCUM_ADDR", "")], "LOCUM_ADDR"),
        ] {
            let error = read(path, changes).expect_err("not that").to_string();
            assert!(error.contains(named), "{named}: {error}");
        }
    }
}
