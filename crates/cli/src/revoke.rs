//! `locum revoke`: shows what would die, asks, and revokes.

use locum_model::{Selector, Timestamp};
use locum_sdk::admin::{Match, NamedCount, Preview, Revocation};
use serde_json::json;

use crate::args::RevokeArgs;
use crate::clock::{now, relative};
use crate::failure::Failure;
use crate::output::{Output, Sheet, counted, escaped, long, plain};
use crate::selector::shown;
use crate::session::Session;
use crate::{document, input};

/// Up to so many tokens a `y` is enough; more have to be typed as a number.
const TOKENS_BY_Y_MAX: u64 = 10;

/// Runs it.
pub(crate) async fn run(args: RevokeArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    let selector = args.selector.required()?;
    let now = now();
    let before = args.issued_before.as_deref().map(|text| input::moment(text, now)).transpose()?;
    if !args.dry_run && !args.yes {
        input::somebody_is_here()?;
    }
    let admin = session.client()?.admin();
    let preview = admin.preview_revoke(&selector, before).await?;
    if args.dry_run {
        let value = document::of("preview", document::preview(&preview));
        return output.data(value, || summary(&selector, &preview, now, output));
    }
    output.note(&summary(&selector, &preview, now, output));
    if !args.yes {
        let (question, answers) = question(&selector, &preview);
        input::confirm(&question, &answers.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    let wait = args.wait.unwrap_or_default();
    let revocation = admin.revoke_everywhere(&selector, &args.reason, before, wait).await?;
    let value = json!({
        "schema_version": document::SCHEMA_VERSION,
        "preview": document::preview(&preview),
        "revocation": document::revocation(&revocation),
    });
    output.data(value, || done(&selector, &preview, &revocation))?;
    advise(&selector, &revocation, output);
    if args.wait.is_some() { everywhere(&revocation, output) } else { Ok(()) }
}

/// Whether it arrived everywhere, for whoever asked to wait for that.
fn everywhere(revocation: &Revocation, output: &Output) -> Result<(), Failure> {
    if revocation.everywhere {
        output.note("it is everywhere: no verifier takes a dead token for live any more");
        return Ok(());
    }
    if !revocation.missing.is_empty() {
        output.note(&crate::verifier::rows(&revocation.missing, output));
    }
    let missing = match revocation.missing.len() {
        0 => "verifiers that are not shown may not have it yet".to_owned(),
        count => format!("{} may not have it yet", counted(count as u64, "verifier")),
    };
    Err(Failure::Partly(format!("it is in force, and {missing}")))
}

/// What has to be typed: the number, unless it is small; the selector where the number is not known.
fn question(selector: &Selector, preview: &Preview) -> (String, Vec<String>) {
    let tokens = preview.tokens.to_string();
    match (preview.partial, preview.tokens) {
        (true, _) => {
            let text = shown(selector);
            (format!("nobody counted them all; type `{text}` to revoke it:"), vec![text])
        }
        (false, 0..=TOKENS_BY_Y_MAX) => {
            let answers = ["y", "yes"].map(str::to_owned).to_vec();
            ("revoke? [y/N]".to_owned(), answers)
        }
        (false, _) => (format!("type the number of tokens ({tokens}) to revoke them:"), vec![tokens]),
    }
}

fn done(selector: &Selector, preview: &Preview, revocation: &Revocation) -> String {
    let bound = if preview.partial { "at least " } else { "" };
    format!(
        "revoked {}: {bound}{} and {bound}{}, in force since {}",
        shown(selector),
        counted(preview.tokens, "live token"),
        counted(preview.tasks, "live task"),
        revocation.position
    )
}

/// What a revocation does not do by itself.
fn advise(selector: &Selector, revocation: &Revocation, output: &Output) {
    if let Some(until) = revocation.residual_until {
        output.warn(&format!("APIs with JWKS alone may believe tokens until {until}"));
    }
    // A token has no successor of its own, and an old policy set or key decides nothing new.
    let has_no_future =
        matches!(selector, Selector::Token(_) | Selector::PolicyRevision(_) | Selector::SigningKey(_));
    if !has_no_future {
        output.note(&format!(
            "to refuse new ones too: locum lock {} --ttl 1h --reason '…'",
            shell_word(&shown(selector))
        ));
    }
}

/// What would die, for people.
fn summary(selector: &Selector, preview: &Preview, now: Timestamp, output: &Output) -> String {
    let bound = if preview.partial { "at least " } else { "" };
    let mut lines = vec![format!(
        "{}: {bound}{} of {bound}{}",
        shown(selector),
        counted(preview.tokens, "live token"),
        counted(preview.tasks, "live task")
    )];
    lines.extend(covers(&preview.matches));
    if let (Some(oldest), Some(newest)) = (preview.oldest, preview.newest) {
        lines.push(format!("  oldest issued {}, newest {}", relative(oldest, now), relative(newest, now)));
    }
    lines.extend(counts("WORKLOAD", &preview.by_workload, output));
    lines.extend(counts("CONNECTOR", &preview.by_connector, output));
    lines.join("\n")
}

/// What a selector came to, a line each.
pub(crate) fn covers(matches: &[Match]) -> impl Iterator<Item = String> {
    matches.iter().map(|one| {
        let tenant =
            if one.tenant.is_empty() { String::new() } else { format!(" of {}", escaped(&one.tenant)) };
        format!("  covers {} {}{tenant}", escaped(&one.level), escaped(&one.name))
    })
}

fn counts(name: &'static str, counts: &[NamedCount], output: &Output) -> Option<String> {
    let row = |one: &NamedCount| vec![one.count.to_string(), one.name.clone()];
    let sheet = Sheet::new(&[plain("TOKENS"), long(name)], counts.iter().map(row));
    (!counts.is_empty()).then(|| output.sheet(&sheet))
}

/// A text as one word of a shell's command line.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=.:/@%+,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview(tokens: u64, partial: bool) -> Preview {
        Preview {
            matches: vec![],
            tokens,
            tasks: 3,
            by_workload: vec![NamedCount { name: "refunder".into(), count: tokens }],
            by_connector: vec![],
            oldest: None,
            newest: None,
            partial,
        }
    }

    fn refunder() -> Selector {
        Selector::Workload("refunder".parse().expect("a name"))
    }

    #[test]
    fn a_preview_says_how_many_and_whose() {
        let shown = summary(
            &refunder(),
            &preview(12, true),
            Timestamp::from_seconds(0),
            &Output::unparsed(["-ojson".into()]),
        );
        let first = "workload=refunder: at least 12 live tokens of at least 3 live tasks\n";
        assert!(shown.starts_with(first), "{shown}");
        assert!(shown.contains("WORKLOAD") && !shown.contains("CONNECTOR"), "{shown}");
    }

    #[test]
    fn the_more_dies_the_more_has_to_be_typed() {
        for (preview, answer) in [
            (preview(0, false), "y"),
            (preview(10, false), "y"),
            (preview(11, false), "11"),
            (preview(3, true), "workload=refunder"),
        ] {
            let (question, answers) = question(&refunder(), &preview);
            assert_eq!(answers[0], answer, "{question}");
        }
    }

    #[test]
    fn a_hint_can_be_pasted_into_a_shell() {
        for (text, word) in [
            ("workload=refunder", "workload=refunder"),
            ("workload=spiffe://td/a/*", "'workload=spiffe://td/a/*'"),
            ("subject=o'hara; rm", "'subject=o'\\''hara; rm'"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}
