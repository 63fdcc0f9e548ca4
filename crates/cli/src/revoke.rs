//! `locum revoke`: shows what would die, asks, and revokes.

use std::io::{self, IsTerminal};

use locum_model::Selector;
use locum_sdk::admin::{NamedCount, Preview, Revocation};
use serde_json::json;

use crate::args::RevokeArgs;
use crate::clock::{now, relative};
use crate::failure::Failure;
use crate::output::{Output, escaped, table};
use crate::session::Session;
use crate::{document, input};

/// Runs it.
pub(crate) async fn run(args: RevokeArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let selector = args.selector.selector()?;
    if !args.dry_run && !args.yes && !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "nobody is here to confirm: repeat with `--yes` or `--dry-run`".to_owned(),
        ));
    }
    let admin = session.client()?.admin();
    let preview = admin.preview_revoke(&selector, None).await?;
    if args.dry_run {
        let value = document::of("preview", document::preview(&preview));
        return output.data(value, || summary(&selector, &preview));
    }
    output.note(&summary(&selector, &preview));
    if !args.yes {
        let count = preview.tokens.to_string();
        input::confirm(&format!("type the number of tokens ({count}) to revoke them:"), &count)?;
    }
    let revocation = admin.revoke(&selector, &args.reason, None).await?;
    if let Some(until) = revocation.residual_until {
        output.note(&format!(
            "backends that check by signature alone may still believe tokens until {until} ({})",
            relative(until, now())
        ));
    }
    let value = json!({
        "schema_version": document::SCHEMA_VERSION,
        "preview": document::preview(&preview),
        "revocation": document::revocation(&revocation),
    });
    output.data(value, || done(&selector, &revocation))
}

fn done(selector: &Selector, revocation: &Revocation) -> String {
    format!("revoked {}, in force since {}", escaped(&selector.to_string()), revocation.position)
}

/// What would die, for people.
fn summary(selector: &Selector, preview: &Preview) -> String {
    let bound = if preview.partial { "at least " } else { "" };
    let mut lines = vec![format!(
        "{}: {bound}{} live tokens of {bound}{} live tasks",
        escaped(&selector.to_string()),
        preview.tokens,
        preview.tasks
    )];
    for one in &preview.matches {
        let tenant = if one.tenant.is_empty() { String::new() } else { format!(" of {}", one.tenant) };
        lines.push(format!("  covers {} {}{tenant}", one.level, one.name));
    }
    if let (Some(oldest), Some(newest)) = (preview.oldest, preview.newest) {
        let now = now();
        lines.push(format!("  issued {} to {}", relative(oldest, now), relative(newest, now)));
    }
    lines.extend(counts("WORKLOAD", &preview.by_workload));
    lines.extend(counts("CONNECTOR", &preview.by_connector));
    lines.join("\n")
}

fn counts(name: &str, counts: &[NamedCount]) -> Option<String> {
    let row = |one: &NamedCount| vec![one.name.clone(), one.count.to_string()];
    (!counts.is_empty()).then(|| table(&[name, "TOKENS"], counts.iter().map(row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_says_how_many_and_whose() {
        let preview = Preview {
            matches: vec![],
            tokens: 12,
            tasks: 3,
            by_workload: vec![NamedCount { name: "refunder".into(), count: 12 }],
            by_connector: vec![],
            oldest: None,
            newest: None,
            partial: true,
        };
        let shown = summary(&Selector::Workload("refunder".parse().expect("a name")), &preview);
        assert!(
            shown.starts_with("workload=refunder: at least 12 live tokens of at least 3 live tasks"),
            "{shown}"
        );
        assert!(shown.contains("WORKLOAD") && !shown.contains("CONNECTOR"), "{shown}");
    }
}
