//! What comes from flags, files and standard input: spans, scopes, tokens, confirmations.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;
use std::time::Duration;

use locum_model::TaskId;
use locum_model::limits::TOKEN_BYTES_MAX;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::output::escaped;

/// A span such as `500ms`, `30s`, `5m`, `2h` or `1d`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{}` is not a span such as `500ms`, `30s`, `5m`, `2h` or `1d`", escaped(text));
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let count: u64 = text[..at].parse().ok().ok_or_else(wrong)?;
    let millis = match &text[at..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let span = count.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)?;
    if span.is_zero() { Err(wrong()) } else { Ok(span) }
}

/// `connector:action[=resource,…]` in two parts.
pub(crate) fn scope(text: &str) -> (&str, Vec<&str>) {
    match text.split_once('=') {
        None => (text, Vec::new()),
        Some((operation, resources)) => (operation, resources.split(',').collect()),
    }
}

/// A task's id.
pub(crate) fn task(text: &str) -> Result<TaskId, Failure> {
    text.parse().map_err(|error| Failure::Usage(format!("`{}`: {error}", escaped(text))))
}

/// The token in a file or on standard input, without the white space around it.
pub(crate) fn token(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let limit = u64::try_from(TOKEN_BYTES_MAX).unwrap_or(u64::MAX) + 2;
    match file {
        Some(file) => std::fs::File::open(file)
            .map_err(|error| unreadable(file, &error))?
            .take(limit)
            .read_to_string(&mut text)
            .map_err(|error| unreadable(file, &error))?,
        None => io::stdin().lock().take(limit).read_to_string(&mut text)?,
    };
    let token = Zeroizing::new(text.trim().to_owned());
    match token.len() {
        0 => Err(Failure::Usage("there is no token to read".to_owned())),
        1..=TOKEN_BYTES_MAX => Ok(token),
        _ => Err(Failure::Usage(format!("no token is longer than {TOKEN_BYTES_MAX} bytes"))),
    }
}

/// Says that a file cannot be used.
pub(crate) fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::Usage(format!("`{}`: {error}", escaped(&file.to_string_lossy())))
}

/// Has a person type `expected`; refuses where there is none to ask.
pub(crate) fn confirm(question: &str, expected: &str) -> Result<(), Failure> {
    let (stdin, mut stderr) = (io::stdin(), io::stderr());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return Err(Failure::Usage("nobody is here to confirm: repeat with `--yes`".to_owned()));
    }
    write!(stderr, "{question} ")?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    if answer.trim() == expected {
        return Ok(());
    }
    Err(Failure::Usage("not confirmed: nothing was changed".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit_and_no_sign() {
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000)] {
            assert_eq!(span(text), Ok(Duration::from_millis(millis)));
        }
        for bad in ["", "5", "s", "-1s", "1.5s", "0s", "1e9d", "5 s", "99999999999999999999s", "5\u{202e}s"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_scope_flag_has_an_operation_and_resources() {
        assert_eq!(scope("orders:read"), ("orders:read", vec![]));
        assert_eq!(scope("orders:read=order/1,order/*"), ("orders:read", vec!["order/1", "order/*"]));
    }
}
