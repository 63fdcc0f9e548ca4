//! `locumd config show`: every key with its value and, where wished, its source.

use std::path::Path;
use std::process::ExitCode;

use locum_server::config::{self, Flags};
use serde_json::{Value, json};

use crate::answer::Format;

/// What stands for a key that nobody wrote and that has no default.
const UNSET: &str = "-";

/// Answers with one key a line: name, value and source, in columns. Programs are told the sources always.
pub(crate) fn run(path: &Path, flags: &Flags, sources: bool, output: Format) -> Result<ExitCode, String> {
    let all = config::show(path, flags).map_err(|problems| problems.to_string())?;
    let width = |of: fn(&config::Stated) -> usize| all.iter().map(of).max().unwrap_or(0);
    let keys = width(|stated| stated.key.chars().count());
    let values = width(|stated| stated.value.as_ref().map_or(UNSET.len(), |value| value.chars().count()));
    let line = |stated: &config::Stated| {
        let value = stated.value.as_deref().unwrap_or(UNSET);
        match sources {
            true => format!("{:keys$}  {value:values$}  {}", stated.key, stated.source),
            false => format!("{:keys$}  {value}", stated.key),
        }
    };
    let document = |stated: &config::Stated| -> Value {
        json!({ "key": stated.key, "value": stated.value, "source": stated.source.to_string() })
    };
    let text = all.iter().map(line).collect::<Vec<_>>().join("\n");
    Ok(output.answer("settings", all.iter().map(document).collect(), &text))
}
