//! The closed vocabulary of annotations: a policy's id and what it demands.
//!
//! An annotation that is not in the vocabulary, stands on a forbid where it would mean nothing, or
//! has a value that is not one of its values refuses the policy. So a demand that was misspelt
//! never silently falls away.

use std::time::Duration;

use cedar_policy::{Effect, Policy};
use locum_model::limits::{REASON_TEXT_BYTES_MAX, TOKEN_TTL_MAX, TOKEN_TTL_MIN};
use locum_model::{Name, Obligations};

/// What the annotations of one policy say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How it is called.
    pub(crate) id: Name,
    /// What it demands when it permits; nothing for a forbid.
    pub(crate) obligations: Obligations,
}

/// Why annotations are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTerms {
    #[error("a policy needs an `@id(\"…\")`")]
    IdMissing,
    #[error("`@id`: {0}")]
    Id(locum_model::name::NotAName),
    #[error(
        "unknown annotation `@{0}`; known are `@id`, `@description`, `@ttl_max`, `@single_use`, `@proof_of_possession`, `@justification`"
    )]
    Unknown(String),
    #[error("`@{0}` stands on a forbid; only a permit demands something")]
    OnForbid(String),
    #[error("`@{key}` is {expected}")]
    Value { key: &'static str, expected: String },
}

/// Reads the annotations of `policy`.
///
/// # Errors
///
/// [`NotTerms`] for the first that is not in the vocabulary.
pub(crate) fn terms(policy: &Policy) -> Result<Terms, NotTerms> {
    let id = policy.annotation("id").ok_or(NotTerms::IdMissing)?.parse().map_err(NotTerms::Id)?;
    let mut obligations = Obligations::default();
    let mut annotations: Vec<_> = policy.annotations().collect();
    annotations.sort_unstable();
    for (key, value) in annotations {
        let demands = !matches!(key, "id" | "description");
        read(key, value, &mut obligations)?;
        if demands && policy.effect() == Effect::Forbid {
            return Err(NotTerms::OnForbid(shortened(key)));
        }
    }
    Ok(Terms { id, obligations })
}

fn read(key: &str, value: &str, obligations: &mut Obligations) -> Result<(), NotTerms> {
    match key {
        "id" => {}
        "description" => description(value)?,
        "ttl_max" => obligations.ttl_max = Some(ttl(value)?),
        "single_use" => obligations.single_use = exactly("single_use", "true", value)?,
        "proof_of_possession" => {
            obligations.proof_of_possession = exactly("proof_of_possession", "required", value)?;
        }
        "justification" => obligations.justification = exactly("justification", "required", value)?,
        other => return Err(NotTerms::Unknown(shortened(other))),
    }
    Ok(())
}

fn exactly(key: &'static str, only: &str, value: &str) -> Result<bool, NotTerms> {
    let wrong = || NotTerms::Value { key, expected: format!("`\"{only}\"` or not there") };
    if value == only { Ok(true) } else { Err(wrong()) }
}

fn description(value: &str) -> Result<(), NotTerms> {
    let fits = (1..=REASON_TEXT_BYTES_MAX).contains(&value.len()) && !value.chars().any(char::is_control);
    let expected = || format!("one line of 1 to {REASON_TEXT_BYTES_MAX} bytes");
    if fits { Ok(()) } else { Err(NotTerms::Value { key: "description", expected: expected() }) }
}

/// `60s` or `5m`, within the bounds of any token's life.
fn ttl(value: &str) -> Result<Duration, NotTerms> {
    let read = || {
        let (digits, unit) = match value.strip_suffix('s') {
            Some(digits) => (digits, 1),
            None => (value.strip_suffix('m')?, 60),
        };
        let plain = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let count = digits.parse::<u64>().ok().filter(|_| plain && !digits.starts_with('0'))?;
        Some(Duration::from_secs(count * unit)).filter(|life| (TOKEN_TTL_MIN..=TOKEN_TTL_MAX).contains(life))
    };
    let bounds = (TOKEN_TTL_MIN.as_secs(), TOKEN_TTL_MAX.as_secs());
    let expected = || format!("a life like `\"60s\"` or `\"5m\"`, from {} s to {} s", bounds.0, bounds.1);
    read().ok_or_else(|| NotTerms::Value { key: "ttl_max", expected: expected() })
}

fn shortened(key: &str) -> String {
    key.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_terms(annotations: &str, effect: &str) -> Result<Terms, NotTerms> {
        let text = format!("{annotations} {effect}(principal, action, resource);");
        terms(&Policy::parse(None, text).expect("it parses"))
    }

    #[test]
    fn the_vocabulary_is_read() {
        let all = "@id(\"a.b-1\") @description(\"Why.\") @ttl_max(\"2m\") @single_use(\"true\") \
                   @proof_of_possession(\"required\") @justification(\"required\")";
        let terms = read_terms(all, "permit").expect("good");
        assert_eq!(terms.id.as_str(), "a.b-1");
        let expected = Obligations {
            ttl_max: Some(Duration::from_secs(120)),
            single_use: true,
            proof_of_possession: true,
            justification: true,
        };
        assert_eq!(terms.obligations, expected);
        assert_eq!(read_terms("@id(\"a\")", "forbid").expect("good").obligations, Obligations::default());
    }

    #[test]
    fn whatever_is_not_in_the_vocabulary_is_refused() {
        let cases = [
            ("", "needs an `@id"),
            ("@id", "is not a name"),
            ("@id(\"A b\")", "is not a name"),
            ("@id(\"a\") @ttl(\"60s\")", "unknown annotation `@ttl`"),
            ("@id(\"a\") @Justification(\"required\")", "unknown annotation"),
            ("@id(\"a\") @justification(\"true\")", "`@justification` is"),
            ("@id(\"a\") @justification", "`@justification` is"),
            ("@id(\"a\") @single_use(\"false\")", "`@single_use` is"),
            ("@id(\"a\") @single_use(\"TRUE\")", "`@single_use` is"),
            ("@id(\"a\") @proof_of_possession(\"optional\")", "`@proof_of_possession` is"),
            ("@id(\"a\") @description(\"\")", "`@description` is"),
            ("@id(\"a\") @description(\"a\\nb\")", "`@description` is"),
        ];
        for (annotations, part) in cases {
            let refused = read_terms(annotations, "permit").expect_err(annotations).to_string();
            assert!(refused.contains(part), "{annotations}: {refused}");
        }
        for bad in
            ["", "s", "60", "0s", "01s", "-1s", "+1s", "1.5s", "60 s", "901s", "16m", "1h", "99999s", "６s"]
        {
            let refused = read_terms(&format!("@id(\"a\") @ttl_max(\"{bad}\")"), "permit");
            assert!(matches!(refused, Err(NotTerms::Value { key: "ttl_max", .. })), "{bad}");
        }
        for good in ["1s", "900s", "15m"] {
            assert!(read_terms(&format!("@id(\"a\") @ttl_max(\"{good}\")"), "permit").is_ok(), "{good}");
        }
        let refused =
            read_terms("@id(\"a\") @single_use(\"true\")", "forbid").expect_err("a demand on a forbid");
        assert!(refused.to_string().contains("on a forbid"), "{refused}");
    }
}
