//! [`Grants`]: a scope as it is being written, checked before it goes out.
//!
//! A mistake is kept and told when the scope is used, so that builders read as one sentence.

use locum_model::scope::{Grant, NotAScope, Operation, Resources, Scope};

/// Grants so far, or the first mistake.
#[derive(Clone, Debug)]
pub(crate) struct Grants(Result<Vec<Grant>, NotAScope>);

impl Grants {
    pub(crate) fn new() -> Self {
        Self(Ok(Vec::new()))
    }

    /// Adds an operation on these resources; none means all that the action has.
    pub(crate) fn add<R: AsRef<str>>(&mut self, operation: &str, resources: impl IntoIterator<Item = R>) {
        if let Ok(grants) = &mut self.0 {
            match grant(operation, resources) {
                Ok(grant) => grants.push(grant),
                Err(mistake) => self.0 = Err(mistake),
            }
        }
    }

    /// The whole, checked.
    pub(crate) fn scope(&self) -> Result<Scope, NotAScope> {
        Scope::of(self.0.clone()?)
    }
}

fn grant<R: AsRef<str>>(operation: &str, resources: impl IntoIterator<Item = R>) -> Result<Grant, NotAScope> {
    let operation: Operation = operation.parse()?;
    let patterns: Result<Vec<_>, _> = resources.into_iter().map(|r| r.as_ref().parse()).collect();
    Ok(Grant { operation, resources: Resources::of(patterns?)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_make_a_scope() {
        let mut grants = Grants::new();
        grants.add("orders:refund", ["order/1881", "order/9"]);
        grants.add("orders:read", [""; 0]);
        assert_eq!(grants.scope().expect("a good scope").to_string(), "orders:read orders:refund");
    }

    #[test]
    fn the_first_mistake_is_told() {
        let mut grants = Grants::new();
        grants.add("orders", [""; 0]);
        grants.add("orders:read", ["a//b"]);
        assert_eq!(grants.scope(), Err(NotAScope::Operation("orders".to_owned())));
        assert_eq!(Grants::new().scope(), Err(NotAScope::Empty));
    }
}
