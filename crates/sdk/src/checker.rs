//! [`Checker`]: asks the broker about a token that somebody presented. Online: every check is a
//! question, and sees every revocation that was committed before it.
//!
//! When the broker cannot be asked the answer is an [`Error`], and an error is no permission.

use locum_api::broker::v1 as wire;
use locum_api::broker::v1::check_service_client::CheckServiceClient;
use locum_model::limits::TOKEN_BYTES_MAX;

use crate::client::{Client, Repeat};
use crate::error::Error;
use crate::verified_token::VerifiedToken;

/// Checks tokens for a backend. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Checker(Client);

/// SHA-256 of the DER of the certificate that the presenter showed on its connection.
///
/// The backend puts it into the request's extensions where it ends TLS itself. Never take it from
/// a header of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresentedCertificate(pub [u8; 32]);

/// What somebody presented: a token, and the certificate of the connection where there was one.
#[derive(Clone, Copy)]
pub struct Presentation<'a> {
    token: &'a str,
    certificate: Option<PresentedCertificate>,
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
        Self { token, certificate: None }
    }

    /// Adds the certificate that the presenter showed.
    #[must_use]
    pub fn with_certificate(mut self, certificate: PresentedCertificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    fn presented(&self) -> Option<wire::Presented> {
        self.certificate.map(|certificate| wire::Presented { certificate_sha256: certificate.0.to_vec() })
    }

    /// Longer input is no token, whatever is in it; it is not even sent.
    fn is_too_long(&self) -> bool {
        self.token.len() > TOKEN_BYTES_MAX
    }
}

impl<'a> From<&'a str> for Presentation<'a> {
    fn from(token: &'a str) -> Self {
        Self::bearer(token)
    }
}

impl Checker {
    /// A checker for a workload that is registered as serving the connectors it will name.
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    /// Asks whether a token for `connector` is active now. Spends nothing; none means inactive,
    /// whatever the cause.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `CONNECTOR_NOT_SERVED` or `CLOCK_UNSETTLED`; [`Error::Unreachable`]
    /// or [`Error::TimedOut`] when the broker could not be asked. Treat every error as no.
    pub async fn introspect<'a>(
        &self,
        presented: impl Into<Presentation<'a>>,
        connector: &str,
    ) -> Result<Option<VerifiedToken>, Error> {
        let presentation = presented.into();
        if presentation.is_too_long() {
            return Ok(None);
        }
        let message = wire::IntrospectTokenRequest {
            token: presentation.token.to_owned(),
            connector: connector.to_owned(),
            presented: presentation.presented(),
        };
        let answer = self.0.ask(Repeat::Safe, message, |channel, request| async move {
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

    /// Asks whether `operation` may be done to `resource` now. Spends one use where uses are
    /// limited, so it is asked once and not repeated.
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
        if presentation.is_too_long() {
            return Ok(Decision::Inactive);
        }
        let message = wire::AuthorizeRequest {
            token: presentation.token.to_owned(),
            operation: operation.to_owned(),
            resource: resource.unwrap_or_default().to_owned(),
            presented: presentation.presented(),
        };
        let answer = self.0.ask(Repeat::Never, message, |channel, request| async move {
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
}
