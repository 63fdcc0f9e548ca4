//! What a supervisor asks of the process, by the variables of `sd_notify(3)` and
//! `sd_watchdog_enabled(3)`. They say where to report and how often; they set nothing else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::Problems;
use super::{Place, Problem, shown};

/// The variables.
const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// The shortest watchdog that is obeyed. A third of it has to be longer than the half second in which
/// an idle writer turns once, or a healthy process would be killed.
const WATCHDOG_MIN: Duration = Duration::from_secs(3);

/// Where to report and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supervised {
    /// The datagram socket of whoever supervises; none when nobody does.
    pub socket: Option<NotifySocket>,
    /// Who hears no sign of life for so long restarts us. At least 3 s.
    pub watchdog: Option<Duration>,
}

/// The address of a supervisor's datagram socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifySocket {
    /// A file.
    Path(PathBuf),
    /// A name in Linux' abstract namespace, written `@name`.
    Abstract(Vec<u8>),
}

/// What this process's environment says.
///
/// # Errors
///
/// [`Problems`] with each variable that makes no sense.
pub fn supervised() -> Result<Supervised, Problems> {
    let named = [SOCKET, WATCHDOG, WATCHDOG_PID].map(|name| Some((name, std::env::var_os(name)?)));
    read(&named.into_iter().flatten().collect(), std::process::id())
}

fn read(variables: &BTreeMap<&str, OsString>, own_pid: u32) -> Result<Supervised, Problems> {
    let socket = variables.get(SOCKET).filter(|value| !value.is_empty()).map(socket).transpose()?;
    let for_us = match variables.get(WATCHDOG_PID) {
        Some(_) => number(variables, WATCHDOG_PID)? == Some(u64::from(own_pid)),
        None => true,
    };
    let watchdog = number(variables, WATCHDOG)?.map(Duration::from_micros).filter(|_| for_us);
    if watchdog.is_some_and(|span| span < WATCHDOG_MIN) {
        return Err(problem(WATCHDOG, format!("is less than {} s", WATCHDOG_MIN.as_secs())));
    }
    Ok(Supervised { socket, watchdog })
}

fn socket(value: &OsString) -> Result<NotifySocket, Problems> {
    use std::os::unix::ffi::OsStrExt;
    match value.as_bytes() {
        [b'@', name @ ..] if !name.is_empty() => Ok(NotifySocket::Abstract(name.to_owned())),
        [b'/', ..] => Ok(NotifySocket::Path(value.into())),
        _ => Err(problem(SOCKET, "is neither an absolute path nor an abstract name".to_owned())),
    }
}

fn number(variables: &BTreeMap<&str, OsString>, name: &str) -> Result<Option<u64>, Problems> {
    let Some(value) = variables.get(name) else { return Ok(None) };
    let text = value.to_string_lossy();
    let number = text.parse().map_err(|_not| problem(name, format!("`{}` is no number", shown(&text))))?;
    Ok(Some(number))
}

fn problem(name: &str, message: String) -> Problems {
    Problem { place: Place::Variable(name.to_owned()), key: String::new(), message }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 77;

    fn check(variables: &[(&'static str, &str)]) -> Result<Supervised, String> {
        let variables = variables.iter().map(|(name, value)| (*name, OsString::from(value))).collect();
        read(&variables, OWN).map_err(|problems| problems.to_string())
    }

    #[test]
    fn nobody_supervises_where_nothing_is_said() {
        assert_eq!(check(&[]), Ok(Supervised::default()));
        assert_eq!(check(&[(SOCKET, "")]), Ok(Supervised::default()));
    }

    #[test]
    fn sockets_are_paths_or_abstract_names() {
        let socket = |value| check(&[(SOCKET, value)]).map(|told| told.socket.expect("a socket"));
        assert_eq!(socket("/run/notify"), Ok(NotifySocket::Path("/run/notify".into())));
        assert_eq!(socket("@a/b"), Ok(NotifySocket::Abstract(b"a/b".to_vec())));
        for bad in ["run/notify", "@", "vsock:2:1234"] {
            assert!(socket(bad).expect_err(bad).contains("NOTIFY_SOCKET: is neither"), "{bad}");
        }
    }

    #[test]
    fn a_watchdog_is_ours_unless_it_names_somebody_else() {
        let watchdog = |variables| check(variables).map(|told| told.watchdog);
        let half_minute = Some(Duration::from_secs(30));
        assert_eq!(watchdog(&[(WATCHDOG, "30000000")]), Ok(half_minute));
        assert_eq!(watchdog(&[(WATCHDOG, "30000000"), (WATCHDOG_PID, "77")]), Ok(half_minute));
        assert_eq!(watchdog(&[(WATCHDOG, "30000000"), (WATCHDOG_PID, "78")]), Ok(None));
        for (value, said) in [("2999999", "is less than 3 s"), ("-1", "is no number"), ("", "is no number")] {
            let refused = check(&[(WATCHDOG, value)]).expect_err(value);
            assert!(refused.starts_with("WATCHDOG_USEC: ") && refused.ends_with(said), "{refused}");
        }
    }
}
