//! Scopes.

use std::collections::BTreeSet;

use locum_model::{Grant, Resources, Scope};

use super::form::{self, grant};
use super::{DecodeError, Stored, all_restored, parsed, required};

impl Stored for Scope {
    type Form = form::Scope;

    fn to_form(&self) -> form::Scope {
        let grant = |(operation, resources): (&locum_model::scope::Operation, &Resources)| form::Grant {
            operation: operation.to_string(),
            resources: Some(resources.to_form()),
        };
        form::Scope { grants: self.grants().map(grant).collect() }
    }

    fn from_form(form: form::Scope) -> Result<Self, DecodeError> {
        let grants: Vec<Grant> = all_restored(form.grants)?;
        Self::of(grants).map_err(|_no_scope| DecodeError::Invalid("scope.grants"))
    }
}

impl Stored for Grant {
    type Form = form::Grant;

    fn to_form(&self) -> form::Grant {
        form::Grant { operation: self.operation.to_string(), resources: Some(self.resources.to_form()) }
    }

    fn from_form(form: form::Grant) -> Result<Self, DecodeError> {
        Ok(Self {
            operation: parsed(&form.operation, "grant.operation")?,
            resources: Resources::from_form(required(form.resources, "grant.resources")?)?,
        })
    }
}

impl Stored for Resources {
    type Form = grant::Resources;

    fn to_form(&self) -> grant::Resources {
        match self {
            Self::All => grant::Resources::All(form::AllResources {}),
            Self::Only(patterns) => {
                let patterns = patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect();
                grant::Resources::Only(form::OnlyResources { patterns })
            }
        }
    }

    fn from_form(form: grant::Resources) -> Result<Self, DecodeError> {
        match form {
            grant::Resources::All(form::AllResources {}) => Ok(Self::All),
            grant::Resources::Only(only) => patterns(&only.patterns, "grant.only.patterns").map(Self::Only),
        }
    }
}

/// A set of resource patterns, none twice.
pub(super) fn patterns(
    texts: &[String],
    field: &'static str,
) -> Result<BTreeSet<locum_model::ResourcePattern>, DecodeError> {
    let mut set = BTreeSet::new();
    for text in texts {
        if !set.insert(parsed(text, field)?) {
            return Err(DecodeError::Repeated(field));
        }
    }
    Ok(set)
}

#[cfg(test)]
pub(super) mod tests {
    use locum_model::scope::Operation;
    use locum_model::{Name, ResourcePattern};
    use proptest::prelude::*;

    use super::super::tests::check_round_trip;
    use super::*;

    pub(crate) fn any_name() -> impl Strategy<Value = Name> {
        "[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?".prop_map(|name| name.parse().expect("a good name"))
    }

    pub(crate) fn any_operation() -> impl Strategy<Value = Operation> {
        (any_name(), any_name()).prop_map(|(connector, action)| Operation { connector, action })
    }

    pub(crate) fn any_pattern() -> impl Strategy<Value = ResourcePattern> {
        r"([A-Za-z0-9_~@:-]{1,10}|\*)(/([A-Za-z0-9_~@:-]{1,10}|\*)){0,3}(/\*\*)?"
            .prop_map(|pattern| pattern.parse().expect("a good pattern"))
    }

    pub(crate) fn any_patterns() -> impl Strategy<Value = BTreeSet<ResourcePattern>> {
        prop::collection::btree_set(any_pattern(), 0..4)
    }

    pub(crate) fn any_scope() -> impl Strategy<Value = Scope> {
        let resources = prop_oneof![Just(Resources::All), any_patterns().prop_map(Resources::Only)];
        prop::collection::btree_map(any_operation(), resources, 1..5).prop_map(|grants| {
            let grant = |(operation, resources)| Grant { operation, resources };
            Scope::of(grants.into_iter().map(grant)).expect("a good scope")
        })
    }

    proptest! {
        #[test]
        fn survives(scope in any_scope()) {
            check_round_trip(&scope);
        }
    }

    #[test]
    fn what_is_missing_never_means_all() {
        let grant = form::Grant { operation: "a:b".into(), resources: None };
        assert_eq!(Grant::from_form(grant), Err(DecodeError::Missing("grant.resources")));
    }

    #[test]
    fn a_scope_that_is_none_is_refused() {
        let line = || form::Grant {
            operation: "a:b".into(),
            resources: Some(grant::Resources::All(form::AllResources {})),
        };
        for (count, good) in [(0, false), (1, true), (2, false)] {
            let form = form::Scope { grants: (0..count).map(|_| line()).collect() };
            assert_eq!(Scope::from_form(form).is_ok(), good, "{count}");
        }
        let twice = ["a/b".to_owned(), "a/b".to_owned()];
        assert_eq!(patterns(&twice, "here"), Err(DecodeError::Repeated("here")));
    }
}
