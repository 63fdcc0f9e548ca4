//! The selector: the one way to say what list, revoke, lock and unlock apply to.
//!
//! Typed as `level=id` (`workload=refunder`, `task=task-1-42`), or with the flag of the level. Either
//! way it is parsed before anything is sent, and shown as `level=id`, so that what is shown can be typed.

use clap::Args;
use locum_model::Selector;
use locum_sdk::admin::{parse_selector, selector_text};

use crate::failure::Failure;
use crate::output::escaped;

/// What a command applies to, or a listing is narrowed to: at most one of these.
#[derive(Args, Clone, Debug, Default)]
#[group(multiple = false)]
#[command(next_help_heading = "Selector, one of")]
pub(crate) struct SelectorArgs {
    /// `LEVEL=ID`, for instance `workload=refunder` or `task=task-1-42`; the levels are the flags below.
    #[arg(value_name = "SELECTOR", help_heading = "Arguments")]
    selector: Option<String>,
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
    policy_revision: Option<String>,
}

impl SelectorArgs {
    /// The one selector that has to be named.
    pub(crate) fn required(&self) -> Result<Selector, Failure> {
        let missing =
            "name what it applies to, for instance `workload=refunder` (see `locum help selectors`)";
        self.optional()?.ok_or_else(|| Failure::Usage(missing.to_owned()))
    }

    /// The selector, where one is named.
    pub(crate) fn optional(&self) -> Result<Option<Selector>, Failure> {
        let flags = [
            ("token", &self.token),
            ("task", &self.task),
            ("subject", &self.subject),
            ("workload", &self.workload),
            ("connector", &self.connector),
            ("tenant", &self.tenant),
            ("owner", &self.owner),
            ("model", &self.model),
            ("signing-key", &self.signing_key),
            ("policy-revision", &self.policy_revision),
        ];
        let by_flag = flags.iter().find_map(|(level, id)| Some(format!("{level}={}", id.as_ref()?)));
        let text = self.selector.clone().or(by_flag);
        text.map(|text| Ok(parse_selector(&text)?)).transpose()
    }
}

/// A selector for people and machines: what can be typed, with nothing in it that steers a terminal.
pub(crate) fn shown(selector: &Selector) -> String {
    escaped(&selector_text(selector))
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
        probe.selector.required().ok().map(|selector| shown(&selector))
    }

    #[test]
    fn words_and_flags_name_the_same_and_can_be_typed_again() {
        let jti = "ab".repeat(16);
        for (level, id) in [
            ("token", jti.as_str()),
            ("task", "task-1-42"),
            ("subject", "alice"),
            ("subject", "a=b"),
            ("workload", "refunder"),
            ("workload", "spiffe://td/a/*"),
            ("connector", "orders"),
            ("tenant", "acme"),
            ("owner", "payments"),
            ("model", "m-1"),
            ("signing-key", &"A".repeat(43)),
            ("policy-revision", "7"),
        ] {
            let (flag, words) = (format!("--{level}"), format!("{level}={id}"));
            assert_eq!(check(&[&flag, id]).as_deref(), Some(words.as_str()));
            assert_eq!(check(&[&words]).as_deref(), Some(words.as_str()));
        }
        assert_eq!(
            check(&["--signing-key", &"0".repeat(64)]),
            Some(format!("signing-key={}", "A".repeat(43)))
        );
    }

    #[test]
    fn exactly_one_and_of_its_own_shape() {
        for bad in [
            &[][..],
            &["--task", "task-1-42", "--tenant", "acme"],
            &["task=task-1-42", "--tenant", "acme"],
            &["task=task-1-42", "tenant=acme"],
            &["refunder"],
            &["Workload=refunder"],
            &["--task", "42"],
            &["--token", "AB"],
            &["--workload", "Refunder"],
            &["--workload", "spiffe://td/**/a"],
            &["--subject", ""],
            &["--signing-key", "x"],
            &["--policy-revision", "0"],
            &["--policy-revision", "seven"],
            &["--connector", "o\u{202e}rders"],
        ] {
            assert_eq!(check(bad), None, "{bad:?}");
        }
    }
}
