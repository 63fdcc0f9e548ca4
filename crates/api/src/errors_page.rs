//! [`errors_page`]: `docs/reference/errors.md`, rendered from the table.
//!
//! What always holds: the page says what the code does; a test compares them. To write it again:
//! `cargo test -p locum-api -- --ignored write_the_errors_page`.

use std::fmt::Write as _;
use std::time::Duration;

use locum_model::Reason;

use crate::status::{DOMAIN, Public, Retry, code_name, public, public_reason};

const INTRODUCTION: &str = "\
# Errors

Every refusal has one reason. This page lists them all; it is rendered from the table in
`crates/api/src/status.rs` and compared with it by a test.

Over gRPC a refusal is a status with the code below and these details:

| detail | says |
|---|---|
| `google.rpc.ErrorInfo` | the `reason`, under the domain `DOMAIN`; the metadata `detail` holds the particulars, where there are any |
| `google.rpc.BadRequest` | every field that is wrong, by its path, for instance `scope[1].operation` |
| `google.rpc.RetryInfo` | after how long the same call may be tried again |
| `google.rpc.RequestInfo` | the request's id, as the server's log has it |

Over HTTP it is the status and the OAuth 2.0 `error` below. Programs decide by the reason and the code,
never by the message.
";

const TOKENS: &str = "
## Tokens that are not believed

A token that must not be believed is refused in the same words whatever the cause, so that the answer
teaches nothing about it: code, status, error, message and reason are those of `TOKEN_UNKNOWN`. Checks
(`IntrospectToken`, `Authorize`, RFC 7662) answer *inactive* instead. The cause is in the record:
";

/// The page, in Markdown.
pub fn errors_page() -> String {
    let mut page = INTRODUCTION.replace("DOMAIN", DOMAIN);
    page.push_str("\n## Reasons\n\n");
    page.push_str("| reason | gRPC | HTTP | OAuth | try again | message |\n|---|---|---|---|---|---|\n");
    let told = |reason: &Reason| public_reason(*reason) == reason.as_str();
    let (told, hidden): (Vec<Reason>, Vec<Reason>) = Reason::ALL.iter().partition(|reason| told(reason));
    for reason in told {
        line(&mut page, reason, &public(reason));
    }
    page.push_str(TOKENS);
    page.push('\n');
    for reason in hidden {
        writeln!(page, "- `{reason}`").expect("a string takes any text");
    }
    page
}

fn line(page: &mut String, reason: Reason, row: &Public) {
    let retry = match row.retryable {
        Retry::No => "no".to_owned(),
        Retry::Renewed => "with a new proof or token".to_owned(),
        Retry::After(delay) => format!("after {}", seconds(delay)),
    };
    let (code, http, oauth, sentence) = (code_name(row.code), row.http, row.oauth, row.sentence);
    writeln!(page, "| `{reason}` | `{code}` | {http} | `{oauth}` | {retry} | {sentence} |")
        .expect("a string takes any text");
}

fn seconds(delay: Duration) -> String {
    format!("{} s", delay.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/errors.md");

    #[test]
    fn the_page_says_what_the_table_says() {
        let written = std::fs::read_to_string(PATH).expect("docs/reference/errors.md is part of the source");
        let again = "run `cargo test -p locum-api -- --ignored write_the_errors_page`";
        assert!(written == errors_page(), "docs/reference/errors.md is out of date: {again}");
    }

    #[test]
    #[ignore = "rewrites docs/reference/errors.md"]
    fn write_the_errors_page() {
        std::fs::write(PATH, errors_page()).expect("docs/reference can be written");
    }

    #[test]
    fn every_reason_is_on_the_page() {
        let page = errors_page();
        for reason in Reason::ALL {
            assert!(page.contains(&format!("`{reason}`")), "{reason}");
        }
    }
}
