//! A refusal as a gRPC status with standard details (AIP-193, `google/rpc/error_details.proto`), and
//! the way back for clients.
//!
//! What always holds: the message is the table's sentence, then the particulars where callers may
//! have them, escaped and cut; about a token and about inner failures there are never particulars.
//! All of it together stays below the 8 KiB of trailers that common clients accept.

use locum_model::limits::{REFUSAL_DETAIL_BYTES_MAX, VIOLATIONS_MAX};
use std::collections::HashMap;
use std::time::Duration;

use locum_model::Reason;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{Retry, may_explain, public, public_reason};
use crate::violation::{Malformed, Violation, bounded};

/// Who gives the reasons: `google.rpc.ErrorInfo.domain`.
pub const DOMAIN: &str = "locum.dev";

/// The name of the particulars in `google.rpc.ErrorInfo.metadata`.
const DETAIL: &str = "detail";
/// Longest request id that is echoed, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// The refusal as a status.
///
/// `detail` says what in this very request is meant, for instance the missing grant; it is left out
/// where the table's sentence has to do. An empty `request_id` is left out.
pub fn status(reason: Reason, detail: Option<&str>, request_id: &str, violations: &[Violation]) -> Status {
    let row = public(reason);
    let detail = detail.filter(|_| may_explain(reason)).map(|text| bounded(text, REFUSAL_DETAIL_BYTES_MAX));
    let violations = if may_explain(reason) { violations } else { &[] };
    let mut details = ErrorDetails::new();
    let metadata: HashMap<_, _> = detail.iter().map(|text| (DETAIL.to_owned(), text.clone())).collect();
    details.set_error_info(public_reason(reason), DOMAIN, metadata);
    if let Retry::After(delay) = row.retryable {
        details.set_retry_info(Some(delay));
    }
    for violation in violations.iter().take(VIOLATIONS_MAX) {
        details.add_bad_request_violation(&violation.field, &violation.message);
    }
    if !request_id.is_empty() {
        details.set_request_info(bounded(request_id, REQUEST_ID_BYTES_MAX), "");
    }
    let message = detail.map_or_else(|| row.sentence.to_owned(), |text| format!("{}: {text}", row.sentence));
    Status::with_error_details(row.code, message, details)
}

/// The reason of a refusal by Locum; none for a status of somebody else or of a newer version.
///
/// Every cause for not believing a token reads [`Reason::TokenUnknown`].
pub fn reason_of(status: &Status) -> Option<Reason> {
    info_of(status)?.reason.parse().ok()
}

/// The particulars of a refusal by Locum.
pub fn detail_of(status: &Status) -> Option<String> {
    info_of(status)?.metadata.remove(DETAIL)
}

/// The fields that a refusal complains of; none where it complains of no field.
pub fn violations_of(status: &Status) -> Vec<Violation> {
    let request = status.get_details_bad_request();
    let fields = request.into_iter().flat_map(|request| request.field_violations);
    fields.take(VIOLATIONS_MAX).map(|field| Violation::new(field.field, field.description)).collect()
}

/// After how long the same call may be tried again.
pub fn retry_after_of(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

/// The id of the refused request, as the server's log has it.
pub fn request_id_of(status: &Status) -> Option<String> {
    status.get_details_request_info().map(|info| info.request_id)
}

fn info_of(status: &Status) -> Option<tonic_types::ErrorInfo> {
    status.get_details_error_info().filter(|info| info.domain == DOMAIN)
}

impl Malformed {
    /// The refusal as a status that names every wrong field.
    pub fn status(&self, request_id: &str) -> Status {
        status(self.reason(), None, request_id, self.violations())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tonic::Code;

    use super::*;

    #[test]
    fn a_reason_survives_its_status() {
        for reason in Reason::ALL {
            let status = status(*reason, None, "req-1", &[]);
            let told = reason_of(&status).expect("ours");
            assert_eq!(told.as_str(), public_reason(*reason));
            assert_eq!(public(told), public(*reason));
            assert_eq!(request_id_of(&status).as_deref(), Some("req-1"));
            let delay = match public(*reason).retryable {
                Retry::After(delay) => Some(delay),
                Retry::No | Retry::Renewed => None,
            };
            assert_eq!(retry_after_of(&status), delay, "{reason}");
        }
    }

    #[test]
    fn a_token_is_refused_in_the_same_bytes_whatever_the_cause() {
        let refusal = |reason| status(reason, Some("expired 3 s ago"), "r", &[Violation::new("token", "no")]);
        let expected = refusal(Reason::TokenUnknown);
        let causes = Reason::ALL.iter().filter(|reason| public_reason(**reason) == "TOKEN_UNKNOWN");
        for cause in causes {
            let told = refusal(*cause);
            assert_eq!(
                (told.code(), told.message(), told.details()),
                (expected.code(), expected.message(), expected.details())
            );
        }
        assert_eq!(expected.message(), "the token is not active");
        assert_eq!((detail_of(&expected), violations_of(&expected)), (None, vec![]));
    }

    #[test]
    fn inner_failures_are_not_explained() {
        for reason in [Reason::Internal, Reason::JournalUnavailable, Reason::StorageFull] {
            let told = status(reason, Some("/var/lib/locum: EIO"), "r", &[]);
            assert_eq!((told.message(), detail_of(&told)), (public(reason).sentence, None));
        }
    }

    #[test]
    fn particulars_and_fields_reach_the_client() {
        let wrong = [Violation::new("scope[1].operation", "`x` is not `connector:action`")];
        let told = status(Reason::ScopeBeyondIntent, Some("missing `orders:write`"), "", &wrong);
        assert_eq!(told.code(), Code::PermissionDenied);
        assert_eq!(told.message(), "the scope is wider than the task's intent: missing `orders:write`");
        assert_eq!(detail_of(&told).as_deref(), Some("missing `orders:write`"));
        assert_eq!(violations_of(&told), wrong);
        assert_eq!(request_id_of(&told), None);
        let malformed = Malformed::of("lease", "is required").status("r");
        assert_eq!(reason_of(&malformed), Some(Reason::RequestMalformed));
        assert_eq!(violations_of(&malformed)[0].field, "lease");
    }

    #[test]
    fn what_is_not_ours_is_not_read() {
        let mut foreign = ErrorDetails::new();
        foreign.set_error_info("TASK_ENDED", "example.com", HashMap::new());
        let foreign = Status::with_error_details(Code::NotFound, "no", foreign);
        let newer = ErrorDetails::with_error_info("OF_TOMORROW", DOMAIN, HashMap::new());
        let newer = Status::with_error_details(Code::NotFound, "no", newer);
        let broken = Status::with_details(Code::NotFound, "no", vec![0xff; 16].into());
        for status in [foreign, newer, broken, Status::unavailable("connection refused")] {
            assert_eq!(reason_of(&status), None);
        }
    }

    #[test]
    fn the_largest_refusal_fits_into_trailers() {
        let field = "intent.scope[15].resources[7]";
        let wrong = vec![Violation::new(field, "é".repeat(500)); 100];
        let told = status(Reason::RequestMalformed, Some(&"é".repeat(500)), &"é".repeat(500), &wrong);
        let percent_encoded = told.message().len() * 3;
        let base64 = told.details().len().div_ceil(3) * 4;
        assert!(percent_encoded + base64 < 8 * 1024 - 512, "{percent_encoded} + {base64}");
    }

    proptest! {
        #[test]
        fn no_control_character_is_told(detail in any::<String>(), request_id in any::<String>()) {
            let told = status(Reason::PolicyDenied, Some(&detail), &request_id, &[]);
            prop_assert!(!told.message().chars().any(char::is_control));
            prop_assert!(detail_of(&told).is_some());
        }

        #[test]
        fn no_details_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let told = Status::with_details(Code::Unknown, "", bytes.into());
            let _ = (reason_of(&told), detail_of(&told), violations_of(&told), retry_after_of(&told));
        }
    }
}
