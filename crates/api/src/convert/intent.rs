//! Intents.

use locum_model::Intent;

use super::{id, scope};
use crate::broker::v1 as wire;
use crate::violation::Malformed;

/// The intent of a request.
///
/// # Errors
///
/// [`Malformed`] when it is absent, and with everything that is wrong in it.
pub fn from_wire(intent: Option<&wire::Intent>, field: &str) -> Result<Intent, Malformed> {
    let intent = intent.ok_or_else(|| Malformed::of(field, "is required"))?;
    let purpose = id::name_from_wire(&intent.purpose, &format!("{field}.purpose"));
    let scope = scope::from_wire(&intent.scope, &format!("{field}.scope"));
    let (purpose, scope) = Malformed::both(purpose, scope)?;
    Ok(Intent { purpose, scope })
}

/// The intent as a message.
pub fn to_wire(intent: &Intent) -> wire::Intent {
    wire::Intent { purpose: intent.purpose.to_string(), scope: scope::to_wire(&intent.scope) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::convert::scope::tests::any_scope;

    #[test]
    fn purpose_and_scope_are_reported_together() {
        let bad = wire::Intent { purpose: "Refund order".into(), scope: vec![] };
        let refused = from_wire(Some(&bad), "intent").expect_err("both are wrong");
        let fields: Vec<_> = refused.violations().iter().map(|v| v.field.as_str()).collect();
        assert_eq!(fields, ["intent.purpose", "intent.scope"]);
        assert!(from_wire(None, "intent").is_err());
    }

    proptest! {
        #[test]
        fn an_intent_survives(purpose in "[a-z]{1,20}(-[a-z]{1,20})?", scope in any_scope()) {
            let intent = Intent { purpose: purpose.parse().expect("a good name"), scope };
            prop_assert_eq!(from_wire(Some(&to_wire(&intent)), "intent"), Ok(intent));
        }
    }
}
