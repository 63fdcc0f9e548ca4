//! What comes from flags, files and standard input: spans, scopes, tokens, confirmations.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;
use std::time::Duration;

use locum_model::limits::{REVOKE_WAIT_MAX, TOKEN_BYTES_MAX};
use locum_model::{TaskId, Timestamp};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::output::escaped;

/// Longest answer that is read at a prompt.
const ANSWER_BYTES_MAX: u64 = 4_096;

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

/// A span that a revocation may wait for.
pub(crate) fn wait(text: &str) -> Result<Duration, String> {
    match span(text)? {
        wait if wait <= REVOKE_WAIT_MAX => Ok(wait),
        _ => Err(format!("nothing waits for longer than {}s", REVOKE_WAIT_MAX.as_secs())),
    }
}

/// `connector:action[=resource,…]` in two parts.
pub(crate) fn scope(text: &str) -> (&str, Vec<&str>) {
    match text.split_once('=') {
        None => (text, Vec::new()),
        Some((operation, resources)) => (operation, resources.split(',').collect()),
    }
}

/// The operation in full: an action alone is this connector's.
pub(crate) fn operation(written: &str, connector: &str) -> String {
    if written.contains(':') { written.to_owned() } else { format!("{connector}:{written}") }
}

/// A scope as it is written in a flag; `orders:refund on order/1`, as it is shown, is not that.
pub(crate) fn scope_written(text: &str) -> Result<String, String> {
    if text.contains(char::is_whitespace) {
        return Err(
            "resources follow an equals sign, separated by commas: `orders:refund=order/1881`".to_owned()
        );
    }
    Ok(text.to_owned())
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

/// Refuses where nobody is there to be asked.
pub(crate) fn somebody_is_here() -> Result<(), Failure> {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        return Ok(());
    }
    Err(Failure::Usage("nobody is here to confirm: repeat with `--yes` or `--dry-run`".to_owned()))
}

/// Has a person type one of `expected`, upper or lower case; anything else is a no.
pub(crate) fn confirm(question: &str, expected: &[&str]) -> Result<(), Failure> {
    somebody_is_here()?;
    let mut stderr = io::stderr();
    write!(stderr, "{question} ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().take(ANSWER_BYTES_MAX).read_line(&mut answer)?;
    match expected.iter().any(|one| answer.trim().eq_ignore_ascii_case(one)) {
        true => Ok(()),
        false => Err(Failure::NotConfirmed),
    }
}

/// A moment: RFC 3339, or a span that is so long ago (`10m`).
pub(crate) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let wrong = || {
        Failure::Usage(format!("`{}` is neither a span such as `10m` nor an RFC 3339 time", escaped(text)))
    };
    match span(text) {
        Ok(ago) => Ok(now.minus(ago)),
        Err(_) => text.parse().map_err(|_not_rfc_3339| wrong()),
    }
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
    fn a_wait_has_a_bound() {
        assert_eq!(wait("20s"), Ok(Duration::from_secs(20)));
        for bad in ["21s", "20001ms", "1d", "0s", "5"] {
            assert!(wait(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_moment_is_a_time_or_so_long_ago() {
        let now = Timestamp::from_seconds(1_000_000);
        assert_eq!(moment("10m", now).ok(), Some(Timestamp::from_seconds(999_400)));
        assert_eq!(moment("1970-01-01T00:00:07Z", now).ok(), Some(Timestamp::from_seconds(7)));
        assert_eq!(moment("1970-01-01T01:00:07+01:00", now).ok(), Some(Timestamp::from_seconds(7)));
        for bad in ["", "now", "10", "1970-01-01", "1970-01-01T00:00:07", "-10m", "yesterday\u{1b}"] {
            assert!(moment(bad, now).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_scope_flag_has_an_operation_and_resources() {
        assert_eq!(scope("orders:read"), ("orders:read", vec![]));
        assert_eq!(scope("orders:read=order/1,order/*"), ("orders:read", vec!["order/1", "order/*"]));
        assert_eq!(
            (operation("read", "orders"), operation("mail:read", "orders")),
            ("orders:read".into(), "mail:read".into())
        );
    }
}
