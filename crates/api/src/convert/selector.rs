//! Selectors of the admin API.

use locum_model::limits::SPIFFE_ID_BYTES_MAX;
use locum_model::{Level, PolicyRevision, Selector, SpiffePattern};

use super::id;
use crate::admin::v1 as wire;
use crate::admin::v1::selector::Target;
use crate::violation::Malformed;

const SPIFFE_SCHEME: &str = "spiffe://";

/// One level and one id.
///
/// # Errors
///
/// [`Malformed`] when nothing is named, or the id is not one of its level.
pub fn from_wire(selector: Option<&wire::Selector>, field: &str) -> Result<Selector, Malformed> {
    let target = selector.and_then(|selector| selector.target.as_ref());
    let target = target.ok_or_else(|| Malformed::of(field, "must name one level and one id"))?;
    let at = |level: &str| format!("{field}.{level}");
    match target {
        Target::Token(text) => id::token_from_wire(text, &at("token")).map(Selector::Token),
        Target::Task(text) => id::task_from_wire(text, &at("task")).map(Selector::Task),
        Target::Subject(text) => subject_from_wire(text, &at("subject")).map(Selector::Subject),
        Target::Workload(text) => workload_from_wire(text, &at("workload")),
        Target::Connector(text) => id::name_from_wire(text, &at("connector")).map(Selector::Connector),
        Target::Tenant(text) => id::name_from_wire(text, &at("tenant")).map(Selector::Tenant),
        Target::Owner(text) => id::name_from_wire(text, &at("owner")).map(Selector::Owner),
        Target::Model(text) => id::name_from_wire(text, &at("model")).map(Selector::Model),
        Target::SigningKey(text) => id::key_from_wire(text, &at("signing_key")).map(Selector::SigningKey),
        Target::PolicyRevision(0) => Err(Malformed::of(at("policy_revision"), "must be 1 or more")),
        Target::PolicyRevision(number) => Ok(Selector::PolicyRevision(PolicyRevision(*number))),
    }
}

/// The selector as a message.
pub fn to_wire(selector: &Selector) -> wire::Selector {
    let target = match selector {
        Selector::Token(jti) => Target::Token(jti.to_string()),
        Selector::Task(task) => Target::Task(task.to_string()),
        Selector::Subject(subject) => Target::Subject(subject.clone()),
        Selector::Workload(name) => Target::Workload(name.to_string()),
        Selector::WorkloadPattern(pattern) => Target::Workload(pattern.to_string()),
        Selector::Connector(name) => Target::Connector(name.to_string()),
        Selector::Tenant(name) => Target::Tenant(name.to_string()),
        Selector::Owner(name) => Target::Owner(name.to_string()),
        Selector::Model(name) => Target::Model(name.to_string()),
        Selector::SigningKey(kid) => Target::SigningKey(id::key_to_wire(*kid)),
        Selector::PolicyRevision(PolicyRevision(number)) => Target::PolicyRevision(*number),
    };
    wire::Selector { target: Some(target) }
}

/// As [`from_wire`]; none when there is none.
///
/// # Errors
///
/// [`Malformed`] when it is there and not well formed.
pub fn optional_from_wire(
    selector: Option<&wire::Selector>,
    field: &str,
) -> Result<Option<Selector>, Malformed> {
    selector.map(|selector| from_wire(Some(selector), field)).transpose()
}

/// A selector as people type it: `level=id`, for instance `workload=refunder`.
///
/// # Errors
///
/// [`Malformed`] when there is no such level, or the id is not one of it.
pub fn from_text(text: &str, field: &str) -> Result<Selector, Malformed> {
    let levels = || Level::ALL.map(Level::as_str).join(", ");
    let Some((level, id)) = text.split_once('=') else {
        let shape = format_args!("must be `level=id`, the level one of {}", levels());
        return Err(Malformed::of(field, shape));
    };
    let Some(level) = Level::ALL.into_iter().find(|known| known.as_str() == level) else {
        return Err(Malformed::of(field, format_args!("must begin with one of {}", levels())));
    };
    let own = || id.to_owned();
    let target = match level {
        Level::Token => Target::Token(own()),
        Level::Task => Target::Task(own()),
        Level::Subject => Target::Subject(own()),
        Level::Workload => Target::Workload(own()),
        Level::Connector => Target::Connector(own()),
        Level::Tenant => Target::Tenant(own()),
        Level::Owner => Target::Owner(own()),
        Level::Model => Target::Model(own()),
        Level::SigningKey => Target::SigningKey(own()),
        // What is no number counts as none, and that is refused like none.
        Level::PolicyRevision => Target::PolicyRevision(id.parse().unwrap_or(0)),
    };
    from_wire(Some(&wire::Selector { target: Some(target) }), field)
}

/// The selector as people type it; a key by its `kid`.
pub fn to_text(selector: &Selector) -> String {
    match selector {
        Selector::SigningKey(kid) => format!("{}={}", Level::SigningKey, id::key_to_wire(*kid)),
        other => other.to_string(),
    }
}

/// A registered name or a SPIFFE ID pattern: no name holds a `:`, so the scheme tells them apart.
fn workload_from_wire(text: &str, field: &str) -> Result<Selector, Malformed> {
    if text.starts_with(SPIFFE_SCHEME) {
        let pattern = text.parse::<SpiffePattern>().map_err(|why| Malformed::of(field, why))?;
        Ok(Selector::WorkloadPattern(pattern))
    } else {
        id::name_from_wire(text, field).map(Selector::Workload)
    }
}

/// A subject is compared byte by byte with `sub`; what no token can hold is refused here.
fn subject_from_wire(text: &str, field: &str) -> Result<String, Malformed> {
    let fits = (1..=SPIFFE_ID_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Malformed::of(field, format_args!("must be 1 to {SPIFFE_ID_BYTES_MAX} bytes without controls")))
    }
}

#[cfg(test)]
mod tests {
    use locum_model::{KeyId, TaskId, TokenId};
    use proptest::prelude::*;

    use super::*;

    fn any_selector() -> impl Strategy<Value = Selector> {
        let name = || "[a-z]{1,20}".prop_map(|text| text.parse::<locum_model::Name>().expect("a good name"));
        let pattern = "spiffe://td(/[a-z]{1,4})?/([a-z]{1,4}|\\*|\\*\\*)";
        prop_oneof![
            any::<[u8; 16]>().prop_map(|id| Selector::Token(TokenId(id))),
            any::<u64>().prop_map(|id| Selector::Task(TaskId::from_u64(id))),
            "[^\\p{Cc}]{1,64}".prop_map(Selector::Subject),
            name().prop_map(Selector::Workload),
            pattern.prop_map(|text| Selector::WorkloadPattern(text.parse().expect("a good pattern"))),
            name().prop_map(Selector::Connector),
            name().prop_map(Selector::Tenant),
            name().prop_map(Selector::Owner),
            name().prop_map(Selector::Model),
            any::<[u8; 32]>().prop_map(|kid| Selector::SigningKey(KeyId(kid))),
            (1..=u32::MAX).prop_map(|number| Selector::PolicyRevision(PolicyRevision(number))),
        ]
    }

    #[test]
    fn malformed_selectors_are_refused_and_named() {
        let cases = [
            (Target::Token("AB".into()), "selector.token"),
            (Target::Task("1".into()), "selector.task"),
            (Target::Subject(String::new()), "selector.subject"),
            (Target::Subject("a\nb".into()), "selector.subject"),
            (Target::Subject("a".repeat(2049)), "selector.subject"),
            (Target::Workload(String::new()), "selector.workload"),
            (Target::Workload("Refunder".into()), "selector.workload"),
            (Target::Workload("spiffe://td".into()), "selector.workload"),
            (Target::Workload("spiffe://td/**/a".into()), "selector.workload"),
            (Target::Workload("spiffe://td/a*".into()), "selector.workload"),
            (Target::Workload("SPIFFE://td/a".into()), "selector.workload"),
            (Target::Connector("*".into()), "selector.connector"),
            (Target::Tenant("' or 1=1".into()), "selector.tenant"),
            (Target::Owner("a\u{202e}".into()), "selector.owner"),
            (Target::Model("..".into()), "selector.model"),
            (Target::SigningKey("00".into()), "selector.signing_key"),
            (Target::PolicyRevision(0), "selector.policy_revision"),
        ];
        for (target, field) in cases {
            let refused = from_wire(Some(&wire::Selector { target: Some(target) }), "selector");
            assert_eq!(refused.expect_err("malformed").violations()[0].field, field);
        }
        assert!(from_wire(None, "selector").is_err());
        assert!(from_wire(Some(&wire::Selector { target: None }), "selector").is_err());
    }

    #[test]
    fn a_key_may_be_named_in_hexadecimal() {
        let kid = KeyId([9; 32]);
        let target = Some(Target::SigningKey(kid.to_string()));
        assert_eq!(from_wire(Some(&wire::Selector { target }), "selector"), Ok(Selector::SigningKey(kid)));
    }

    #[test]
    fn a_text_that_is_no_selector_is_refused() {
        for bad in ["", "refunder", "=", "workload=", "=refunder", "workload =refunder", "Workload=refunder"]
            .into_iter()
            .chain(["task=1", "policy-revision=-1", "policy-revision=0", "policy-revision=1e3", "label=a=b"])
            .chain(["signing_key=00", "tenant=a,b", "workload=a\u{202e}b", "subject=", "token=AB"])
        {
            assert!(from_text(bad, "selector").is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_selector_survives_its_text(selector in any_selector()) {
            // A subject is shown escaped; what escaping changes is typed by nobody.
            let plain = !matches!(&selector, Selector::Subject(s) if s.escape_debug().to_string() != *s);
            prop_assume!(plain);
            prop_assert_eq!(from_text(&to_text(&selector), "selector"), Ok(selector));
        }

        #[test]
        fn a_selector_survives(selector in any_selector()) {
            prop_assert_eq!(from_wire(Some(&to_wire(&selector)), "selector"), Ok(selector));
        }
    }
}
