//! The registered claims of an assertion (RFC 7519 section 4.1), read strictly.
//!
//! Always: an `exp` and an audience that is ours; times are whole seconds that JSON writes exactly;
//! an assertion that would live longer than [`ASSERTION_TTL_MAX`] is refused, however well signed.

use locum_jose::json::{Object, Value};
use locum_model::limits::ASSERTION_TTL_MAX;
use locum_model::limits::{ASSERTION_AUDIENCES_MAX, CLAIM_BYTES_MAX};
use locum_model::{Reason, Timestamp};

use crate::bounds::ISSUER_LEEWAY;
use crate::refusal::Refusal;

/// Largest integer that every JSON reader takes exactly.
const EXACT_MAX: i64 = 1 << 53;

/// A text claim of 1 to [`CLAIM_BYTES_MAX`] bytes; none when it is absent.
pub(crate) fn text<'a>(claims: &'a Object, name: &str) -> Result<Option<&'a str>, Refusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Text(text)) if (1..=CLAIM_BYTES_MAX).contains(&text.len()) => Ok(Some(text)),
        Some(_) => {
            Err(Refusal::invalid(format!("claim `{name}` is no text of 1 to {CLAIM_BYTES_MAX} bytes")))
        }
    }
}

/// Refuses an assertion that is addressed to others alone.
pub(crate) fn check_audience(claims: &Object, ours: &str) -> Result<(), Refusal> {
    let malformed = || Refusal::invalid("claim `aud` is no text and no short list of texts");
    let addressed = match claims.get("aud") {
        None => return Err(Refusal::new(Reason::IdentityAudienceMismatch, "claim `aud` is missing")),
        Some(Value::Text(text)) => text == ours,
        Some(Value::List(all)) => {
            if all.len() > ASSERTION_AUDIENCES_MAX || all.iter().any(|one| one.as_text().is_none()) {
                return Err(malformed());
            }
            all.iter().any(|one| one.as_text() == Some(ours))
        }
        Some(_) => return Err(malformed()),
    };
    let other =
        || Refusal::new(Reason::IdentityAudienceMismatch, "the assertion is addressed to somebody else");
    if addressed { Ok(()) } else { Err(other()) }
}

/// Checks `exp`, `nbf` and `iat` and returns the end, exclusive.
pub(crate) fn check_time(claims: &Object, now: Timestamp) -> Result<Timestamp, Refusal> {
    let expired = |detail: &str| Refusal::new(Reason::IdentityExpired, detail);
    let exp = moment(claims, "exp")?.ok_or_else(|| Refusal::invalid("claim `exp` is missing"))?;
    if now >= exp {
        return Err(expired("the assertion is past its end"));
    }
    let ahead = now.plus(ISSUER_LEEWAY);
    if exp > ahead.plus(ASSERTION_TTL_MAX) {
        return Err(Refusal::invalid("the assertion's end lies further ahead than an assertion may live"));
    }
    for name in ["nbf", "iat"] {
        if moment(claims, name)?.is_some_and(|from| from > ahead) {
            return Err(expired("the assertion is not valid yet"));
        }
    }
    Ok(exp)
}

fn moment(claims: &Object, name: &str) -> Result<Option<Timestamp>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let exact = value.as_integer().filter(|seconds| (0..=EXACT_MAX).contains(seconds));
    let malformed = || Refusal::invalid(format!("claim `{name}` is no whole number of seconds"));
    exact.map(|seconds| Some(Timestamp::from_seconds(seconds))).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use locum_jose::json::parse_object;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn at(seconds: i64) -> i64 {
        NOW.as_seconds() + seconds
    }

    fn object(value: &serde_json::Value) -> Object {
        parse_object(value.to_string().as_bytes()).expect("an object")
    }

    fn time(claims: serde_json::Value) -> Result<Timestamp, Reason> {
        check_time(&object(&claims), NOW).map_err(|refusal| refusal.reason())
    }

    #[test]
    fn the_end_has_no_leeway_and_a_bound() {
        for (exp, expected) in [
            (at(-1), Err(Reason::IdentityExpired)),
            (at(0), Err(Reason::IdentityExpired)),
            (at(1), Ok(())),
            (at(3_600), Ok(())),
            (at(3_605), Ok(())),
            (at(3_606), Err(Reason::IdentityInvalid)),
        ] {
            let end = Ok(Timestamp::from_seconds(exp));
            assert_eq!(time(json!({ "exp": exp })), expected.and(end), "{exp}");
        }
    }

    #[test]
    fn the_beginning_has_five_seconds() {
        for name in ["nbf", "iat"] {
            assert!(time(json!({"exp": at(60), name: at(5)})).is_ok());
            assert_eq!(time(json!({"exp": at(60), name: at(6)})), Err(Reason::IdentityExpired));
            assert_eq!(time(json!({"exp": at(60), name: "soon"})), Err(Reason::IdentityInvalid));
        }
    }

    #[test]
    fn a_time_is_a_whole_number() {
        for hostile in [
            json!("1800000060"),
            json!(1.8e9),
            json!(-1),
            json!(9_007_199_254_740_993_u64),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(null),
            json!(true),
            json!([1]),
            json!({}),
        ] {
            assert_eq!(time(json!({ "exp": hostile })), Err(Reason::IdentityInvalid), "{hostile}");
        }
        assert_eq!(time(json!({})), Err(Reason::IdentityInvalid));
    }

    #[test]
    fn an_audience_is_ours_character_by_character() {
        let ours = "https://locum.acme.test";
        let addressed = |aud: serde_json::Value| {
            let claims = json!({ "aud": aud });
            check_audience(&object(&claims), ours).map_err(|refusal| refusal.reason())
        };
        assert_eq!(addressed(json!(ours)), Ok(()));
        assert_eq!(addressed(json!(["https://other.test", ours])), Ok(()));
        for other in ["", "https://locum.acme.test/", "https://locum.acme", "HTTPS://locum.acme.test", "*"] {
            assert_eq!(addressed(json!(other)), Err(Reason::IdentityAudienceMismatch), "{other}");
            assert_eq!(addressed(json!([other])), Err(Reason::IdentityAudienceMismatch), "{other}");
        }
        assert_eq!(addressed(json!([])), Err(Reason::IdentityAudienceMismatch));
        for bad in [json!(null), json!(1), json!({"a": ours}), json!([ours, 1]), json!(vec![ours; 17])] {
            assert_eq!(addressed(bad.clone()), Err(Reason::IdentityInvalid), "{bad}");
        }
        let missing = check_audience(&Object::default(), ours).map_err(|refusal| refusal.reason());
        assert_eq!(missing, Err(Reason::IdentityAudienceMismatch));
    }
}
