//! Who follows the revocation feed (`locum.admin.v1.InspectionService`).

use std::time::Duration;

use locum_api::admin::v1 as wire;
use locum_api::admin::v1::inspection_service_client::InspectionServiceClient;
use locum_api::convert::time::optional_duration_from_wire;
use locum_model::Timestamp;

use crate::admin::Admin;
use crate::admin::page::{Page, page_size};
use crate::client::Repeat;
use crate::error::Error;
use crate::untrusted::bounded;
use crate::wire::required_time;

/// A verifier that follows the revocation feed, or is gone and may still answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    /// The workload that it is.
    pub workload: String,
    /// What it chose when it started, as 32 hexadecimal digits.
    pub instance: String,
    /// The connector whose partition it follows.
    pub connector: String,
    /// The tenant.
    pub tenant: String,
    /// What it says that it is; may be empty.
    pub version: String,
    /// Whether its stream is open.
    pub connected: bool,
    /// When its stream was opened.
    pub connect_time: Timestamp,
    /// The journal sequence that it says it was brought to; 0 before its first word.
    pub acknowledged_sequence: u64,
    /// Positions between that and the newest entry of its partition; 0 when it has everything.
    pub behind: u64,
    /// For how long the first entry that it lacks has been out; never told too short.
    pub behind_for: Duration,
    /// How long it may answer at most, unless it pings again.
    pub lease_left: Duration,
}

impl Admin {
    /// Lists the verifiers by workload, connector and instance; `page` is empty for the first page.
    ///
    /// # Errors
    ///
    /// When the broker refuses the caller or cannot be reached.
    pub async fn list_verifiers(&self, size: u32, page: &str) -> Result<Page<Verifier>, Error> {
        let message = wire::ListVerifiersRequest { page_size: page_size(size), page_token: page.to_owned() };
        let answer = self.client.ask(Repeat::Safe, message, |channel, request| async move {
            InspectionServiceClient::new(channel).list_verifiers(request).await
        });
        let answer = answer.await?;
        let items: Result<_, _> = answer.verifiers.into_iter().map(verifier).collect();
        Ok(Page { items: items?, next: answer.next_page_token })
    }
}

/// A verifier as the broker tells of it.
pub(crate) fn verifier(shown: wire::Verifier) -> Result<Verifier, Error> {
    let span = |span: Option<prost_types::Duration>| {
        let read = optional_duration_from_wire(span.as_ref(), "span").ok().flatten();
        read.ok_or(Error::Unexpected("a verifier's span is missing or malformed"))
    };
    Ok(Verifier {
        workload: bounded(&shown.workload),
        instance: bounded(&shown.instance),
        connector: bounded(&shown.connector),
        tenant: bounded(&shown.tenant),
        version: bounded(&shown.version),
        connected: shown.connected,
        connect_time: required_time(shown.connect_time)?,
        acknowledged_sequence: shown.acknowledged_sequence,
        behind: shown.behind,
        behind_for: span(shown.behind_for)?,
        lease_left: span(shown.lease_left)?,
    })
}
