//! The selector flags: exactly one of ten, parsed into a [`Selector`] before anything is sent.

use clap::Args;
use locum_model::{KeyId, PolicyRevision, Selector, SpiffePattern};

use crate::failure::Failure;
use crate::output::escaped;

/// What a command applies to.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct SelectorArgs {
    /// One token by its `jti`.
    #[arg(long, value_name = "JTI")]
    token: Option<String>,
    /// One task and everything below it.
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// Everything on behalf of one subject.
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// One workload by its name, or all that a SPIFFE ID pattern meets.
    #[arg(long, value_name = "NAME|PATTERN")]
    workload: Option<String>,
    /// One connector.
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    /// One tenant.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Everything that one owner answers for.
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Everything behind which one model stands.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Everything signed with one key, by its `kid`.
    #[arg(long, value_name = "KID")]
    signing_key: Option<String>,
    /// Everything that one policy revision allowed.
    #[arg(long, value_name = "NUMBER")]
    policy_revision: Option<u32>,
}

impl SelectorArgs {
    /// The one selector that was named.
    pub(crate) fn selector(&self) -> Result<Selector, Failure> {
        if let Some(text) = &self.token {
            return parsed(text, "--token").map(Selector::Token);
        }
        if let Some(text) = &self.task {
            return parsed(text, "--task").map(Selector::Task);
        }
        if let Some(text) = &self.subject {
            return subject(text);
        }
        if let Some(text) = &self.workload {
            return workload(text);
        }
        if let Some(text) = &self.connector {
            return parsed(text, "--connector").map(Selector::Connector);
        }
        if let Some(text) = &self.tenant {
            return parsed(text, "--tenant").map(Selector::Tenant);
        }
        if let Some(text) = &self.owner {
            return parsed(text, "--owner").map(Selector::Owner);
        }
        if let Some(text) = &self.model {
            return parsed(text, "--model").map(Selector::Model);
        }
        if let Some(text) = &self.signing_key {
            return signing_key(text).map(Selector::SigningKey);
        }
        match self.policy_revision {
            Some(number) if number > 0 => Ok(Selector::PolicyRevision(PolicyRevision(number))),
            _ => Err(Failure::Usage("`--policy-revision` counts from 1".to_owned())),
        }
    }
}

fn parsed<T>(text: &str, flag: &str) -> Result<T, Failure>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| Failure::Usage(format!("`{flag}`: {error}")))
}

fn subject(text: &str) -> Result<Selector, Failure> {
    if text.is_empty() {
        return Err(Failure::Usage("`--subject` is empty".to_owned()));
    }
    Ok(Selector::Subject(text.to_owned()))
}

fn workload(text: &str) -> Result<Selector, Failure> {
    if text.starts_with("spiffe://") {
        return parsed::<SpiffePattern>(text, "--workload").map(Selector::WorkloadPattern);
    }
    parsed(text, "--workload").map(Selector::Workload)
}

/// A `kid` as it stands in a token (unpadded base64url), or as 64 hexadecimal digits.
fn signing_key(text: &str) -> Result<KeyId, Failure> {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok();
    let encoded = encoded.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(KeyId);
    let wrong = || Failure::Usage(format!("`--signing-key`: `{}` is not a kid", escaped(text)));
    encoded.or_else(|| text.parse().ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Probe {
        #[command(flatten)]
        selector: SelectorArgs,
    }

    fn check(args: &[&str]) -> Option<String> {
        let probe = Probe::try_parse_from([&["probe"], args].concat()).ok()?;
        probe.selector.selector().ok().map(|selector| selector.to_string())
    }

    #[test]
    fn exactly_one_selector_of_its_own_shape() {
        let jti = "ab".repeat(16);
        let hex = "0".repeat(64);
        for (args, shown) in [
            (vec!["--token", &jti], format!("token={jti}")),
            (vec!["--task", "task-1-42"], "task=task-1-42".to_owned()),
            (vec!["--subject", "alice"], "subject=alice".to_owned()),
            (vec!["--workload", "refunder"], "workload=refunder".to_owned()),
            (vec!["--workload", "spiffe://td/a/*"], "workload=spiffe://td/a/*".to_owned()),
            (vec!["--connector", "orders"], "connector=orders".to_owned()),
            (vec!["--tenant", "acme"], "tenant=acme".to_owned()),
            (vec!["--owner", "payments"], "owner=payments".to_owned()),
            (vec!["--model", "m-1"], "model=m-1".to_owned()),
            (vec!["--signing-key", &"A".repeat(43)], format!("signing-key={hex}")),
            (vec!["--signing-key", &hex], format!("signing-key={hex}")),
            (vec!["--policy-revision", "7"], "policy-revision=7".to_owned()),
        ] {
            assert_eq!(check(&args), Some(shown), "{args:?}");
        }
        for bad in [
            &[][..],
            &["--task", "task-1-42", "--tenant", "acme"],
            &["--task", "42"],
            &["--token", "AB"],
            &["--workload", "Refunder"],
            &["--workload", "spiffe://td/**/a"],
            &["--subject", ""],
            &["--signing-key", "x"],
            &["--policy-revision", "0"],
            &["--connector", "o\u{202e}rders"],
        ] {
            assert_eq!(check(bad), None, "{bad:?}");
        }
    }
}
