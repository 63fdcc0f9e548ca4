//! What a program is going to need: scopes for the task, a token for each connector.

use crate::args::ExecArgs;
use crate::failure::Failure;
use crate::input;
use crate::output::escaped;

/// One thing that the program may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// `connector:action`.
    pub(crate) operation: String,
    /// On which resources; all when empty.
    pub(crate) resources: Vec<String>,
}

impl Need {
    /// The connector of the operation.
    pub(crate) fn connector(&self) -> &str {
        self.operation.split(':').next().unwrap_or_default()
    }
}

/// The needs, and the connectors that get a token each, in the order in which they were named.
pub(crate) fn plan(args: &ExecArgs) -> Result<(Vec<Need>, Vec<String>), Failure> {
    let needs: Vec<Need> = args
        .scopes
        .iter()
        .map(|scope| {
            let (operation, resources) = input::scope(scope);
            let operation = match &args.connectors[..] {
                [one] => input::operation(operation, one),
                _ if operation.contains(':') => operation.to_owned(),
                _ => {
                    let shown = escaped(scope);
                    return Err(Failure::Usage(format!(
                        "`{shown}`: name the connector, as `connector:action`"
                    )));
                }
            };
            Ok(Need { operation, resources: resources.into_iter().map(str::to_owned).collect() })
        })
        .collect::<Result<_, _>>()?;
    let mut connectors = args.connectors.clone();
    if connectors.is_empty() {
        connectors.extend(needs.iter().map(|need| need.connector().to_owned()));
    }
    let mut seen = std::collections::HashSet::new();
    connectors.retain(|name| seen.insert(name.clone()));
    if let Some(idle) = connectors.iter().find(|name| needs.iter().all(|need| need.connector() != *name)) {
        return Err(Failure::Usage(format!("no `--scope` says what may be done at `{}`", escaped(idle))));
    }
    if args.token_file.is_some() && connectors.len() != 1 {
        return Err(Failure::Usage("`--token-file` is for one connector: a token is for one".to_owned()));
    }
    Ok((needs, connectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(connectors: &[&str], scopes: &[&str], file: bool) -> ExecArgs {
        ExecArgs {
            purpose: "refund-order".to_owned(),
            connectors: connectors.iter().map(ToString::to_string).collect(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            justification: String::new(),
            deadline: None,
            ttl: None,
            token_file: file.then(|| "token".into()),
            bind_to_certificate: false,
            program: vec!["true".into()],
        }
    }

    #[test]
    fn every_connector_gets_one_token() {
        let (needs, connectors) =
            plan(&args(&[], &["orders:read", "mail:send", "orders:refund=a,b"], false)).expect("a plan");
        assert_eq!(connectors, ["orders", "mail"]);
        assert_eq!(needs[2].resources, ["a", "b"]);
        let (needs, connectors) = plan(&args(&["orders"], &["refund=order/1"], true)).expect("a plan");
        assert_eq!(
            (needs[0].operation.as_str(), &connectors[..]),
            ("orders:refund", &["orders".to_owned()][..])
        );
    }

    #[test]
    fn a_plan_that_cannot_work_is_refused_before_a_task_is_started() {
        for (connectors, scopes, file) in [
            (&["orders", "mail"][..], &["read"][..], false),
            (&[], &["read"], false),
            (&["orders", "mail"], &["orders:read"], false),
            (&[], &["orders:read", "mail:send"], true),
        ] {
            assert!(plan(&args(connectors, scopes, file)).is_err(), "{connectors:?} {scopes:?}");
        }
    }
}
