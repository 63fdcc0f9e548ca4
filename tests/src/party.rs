//! [`Party`]: somebody who talks to a broker, with the generated clients and the SDK.

use std::time::Duration;

use locum_api::admin::v1::archive_service_client::ArchiveServiceClient;
use locum_api::admin::v1::control_service_client::ControlServiceClient;
use locum_api::admin::v1::inspection_service_client::InspectionServiceClient;
use locum_api::admin::v1::revocation_service_client::RevocationServiceClient;
use locum_api::broker::v1::check_service_client::CheckServiceClient;
use locum_api::broker::v1::feed_service_client::FeedServiceClient;
use locum_api::broker::v1::identity_service_client::IdentityServiceClient;
use locum_api::broker::v1::task_service_client::TaskServiceClient;
use locum_api::broker::v1::token_service_client::TokenServiceClient;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity as Pem};
use tonic::{Request, Status};

use crate::authority::Identity;

/// The transport of every client: a connection, and headers that are shown on each request.
pub type Wire = InterceptedService<Channel, Headers>;

/// Headers of every request.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(AsciiMetadataKey, AsciiMetadataValue)>);

/// Somebody. Clones share the connection.
#[derive(Clone)]
pub struct Party {
    channel: Channel,
    headers: Headers,
    /// SHA-256 of the certificate that is shown; zeros without one.
    pub certificate_sha256: [u8; 32],
}

impl Party {
    /// Somebody on the broker at `port`, whose certificate `ca_pem` vouches for. Connects at the first
    /// request.
    ///
    /// # Panics
    ///
    /// When the PEM is none.
    pub fn new(port: u16, ca_pem: &str, identity: Option<&Identity>) -> Self {
        Self::with_window(port, ca_pem, identity, None)
    }

    /// The same, taking no more than so many bytes that it has not read, on each stream.
    ///
    /// # Panics
    ///
    /// When the PEM is none.
    pub fn with_window(port: u16, ca_pem: &str, identity: Option<&Identity>, window: Option<u32>) -> Self {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca_pem));
        if let Some(identity) = identity {
            tls = tls.identity(Pem::from_pem(&identity.cert_pem, &identity.key_pem));
        }
        let endpoint = Endpoint::from_shared(format!("https://localhost:{port}")).expect("a good address");
        let endpoint = endpoint.tls_config(tls).expect("good PEM").timeout(Duration::from_secs(20));
        let endpoint = endpoint.initial_stream_window_size(window);
        let certificate_sha256 = identity.map_or([0; 32], |identity| identity.sha256);
        Self { channel: endpoint.connect_lazy(), headers: Headers::default(), certificate_sha256 }
    }

    /// The same with one more header on every request.
    ///
    /// # Panics
    ///
    /// When it is no header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = value.parse().expect("a header value");
        self.headers.0.push((AsciiMetadataKey::from_static(name), value));
        self
    }

    /// The same with an assertion on every request.
    #[must_use]
    pub fn bearer(self, assertion: &str) -> Self {
        self.header("authorization", &format!("Bearer {assertion}"))
    }

    /// The bare connection, for requests that no generated client makes.
    pub fn wire(&self) -> Wire {
        InterceptedService::new(self.channel.clone(), self.headers.clone())
    }

    /// Tasks.
    pub fn tasks(&self) -> TaskServiceClient<Wire> {
        TaskServiceClient::new(self.wire())
    }

    /// Tokens.
    pub fn tokens(&self) -> TokenServiceClient<Wire> {
        TokenServiceClient::new(self.wire())
    }

    /// Checks.
    pub fn checks(&self) -> CheckServiceClient<Wire> {
        CheckServiceClient::new(self.wire())
    }

    /// The revocation feed.
    pub fn feed(&self) -> FeedServiceClient<Wire> {
        FeedServiceClient::new(self.wire())
    }

    /// Who one is.
    pub fn identities(&self) -> IdentityServiceClient<Wire> {
        IdentityServiceClient::new(self.wire())
    }

    /// Revocations and locks.
    pub fn revocation(&self) -> RevocationServiceClient<Wire> {
        RevocationServiceClient::new(self.wire())
    }

    /// What is live and what happened.
    pub fn inspection(&self) -> InspectionServiceClient<Wire> {
        InspectionServiceClient::new(self.wire())
    }

    /// Finding things in the record.
    pub fn archive(&self) -> ArchiveServiceClient<Wire> {
        ArchiveServiceClient::new(self.wire())
    }

    /// Keys, policies and the registry.
    pub fn control(&self) -> ControlServiceClient<Wire> {
        ControlServiceClient::new(self.wire())
    }

    /// The SDK over the same connection, without the headers.
    pub fn sdk(&self) -> locum_sdk::Client {
        locum_sdk::Client::over(self.channel.clone())
    }
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in &self.0 {
            request.metadata_mut().append(name.clone(), value.clone());
        }
        Ok(request)
    }
}
