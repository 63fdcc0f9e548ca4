//! Verifiers as the admin API shows them.

use std::time::Duration;

use locum_api::admin::v1 as wire;
use locum_api::convert::time::{duration_to_wire, optional_duration_from_wire, timestamp_to_wire};
use locum_api::violation::Malformed;
use locum_broker::{VerifierKey, VerifierView};
use locum_model::limits::REVOKE_WAIT_MAX;
use locum_model::{ConnectorNo, WorkloadNo};

/// How long a revocation waits for the verifiers; not at all when absent.
pub(super) fn wait_of(request: &wire::RevokeRequest) -> Result<Duration, Malformed> {
    let wait = optional_duration_from_wire(request.wait.as_ref(), "wait")?.unwrap_or_default();
    if wait <= REVOKE_WAIT_MAX {
        return Ok(wait);
    }
    Err(Malformed::of("wait", format_args!("must be at most {} s", REVOKE_WAIT_MAX.as_secs())))
}

/// One verifier.
pub(super) fn shown(view: &VerifierView) -> wire::Verifier {
    wire::Verifier {
        workload: view.workload.clone(),
        instance: hex(&view.hello.instance),
        connector: view.connector.clone(),
        version: view.hello.version.clone(),
        connected: view.connected,
        connect_time: Some(timestamp_to_wire(view.connected_since)),
        acknowledged_sequence: view.acknowledged.unwrap_or(0),
        behind: view.behind,
        behind_for: Some(duration_to_wire(view.behind_for)),
        lease_left: Some(duration_to_wire(view.lease_left)),
        tenant: view.tenant.clone(),
    }
}

/// The last verifier of a page, as the token of the next.
pub(super) fn page_to_wire(last: VerifierKey) -> String {
    let VerifierKey { workload, connector, instance, connection } = last;
    format!("{}.{}.{}.{connection}", workload.0, connector.0, hex(&instance))
}

/// The verifier after which a page begins; none for the first page.
pub(super) fn page_from_wire(token: &str, field: &str) -> Result<Option<VerifierKey>, Malformed> {
    if token.is_empty() {
        return Ok(None);
    }
    let mut parts = token.split('.');
    let mut read = || {
        let workload = WorkloadNo(parts.next()?.parse().ok()?);
        let connector = ConnectorNo(parts.next()?.parse().ok()?);
        let instance = parts.next().filter(|digits| digits.len() == 32)?;
        let instance = u128::from_str_radix(instance, 16).ok()?.to_be_bytes();
        let connection = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(VerifierKey { workload, connector, instance, connection })
    };
    read().map(Some).ok_or_else(|| Malformed::of(field, "is not one of ours"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_s_token_comes_back_and_nothing_else_does() {
        let key = VerifierKey {
            workload: WorkloadNo(7),
            connector: ConnectorNo(9),
            instance: [0xab; 16],
            connection: u64::MAX,
        };
        assert_eq!(page_from_wire(&page_to_wire(key), "page_token"), Ok(Some(key)));
        assert_eq!(page_from_wire("", "page_token"), Ok(None));
        for token in [
            "7",
            "7.9",
            "7.9.ab.1",
            "7.9.+bababababababababababababababab.1x",
            "7.9.abababababababababababababababab.1.2",
        ] {
            assert!(page_from_wire(token, "page_token").is_err(), "{token}");
        }
    }
}
