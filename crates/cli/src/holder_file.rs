//! Where holder secrets are kept between calls: one file per task, readable by its owner alone.
//!
//! The content is the secret in unpadded base64url and a line feed. A file that a person names is never
//! overwritten, and none is read when others may read it too. Where nothing is named, each broker has a
//! folder of its own, by its address: two brokers give their tasks the same ids.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use locum_model::TaskId;
use locum_sdk::HolderSecret;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::input::unreadable;
use crate::output::escaped;

/// The longest name of a broker's folder; file systems take 255 bytes.
const FOLDER_CHARS_MAX: usize = 200;

/// Where the secret of a task of the broker at `addr` is when nothing else is said.
pub(crate) fn default_path(addr: &str, task: TaskId) -> Result<PathBuf, Failure> {
    folder_of("tasks").map(|folder| folder.join(folder_name(addr)).join(format!("{task}.holder")))
}

/// `https://locum.internal:8443/` as the name of a folder, `locum.internal_8443`.
fn folder_name(addr: &str) -> String {
    let host = addr.split_once("://").map_or(addr, |(_, host)| host).trim_end_matches('/');
    let kept = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let dotted = |c: char| if c == '.' { c } else { kept(c) };
    // No name of a folder begins with a dot.
    host.chars()
        .take(FOLDER_CHARS_MAX)
        .enumerate()
        .map(|(n, c)| if n == 0 { kept(c) } else { dotted(c) })
        .collect()
}

/// The folder for what is kept of one kind, below a place that is this user's alone.
pub(crate) fn folder_of(kind: &str) -> Result<PathBuf, Failure> {
    folder(|name| std::env::var_os(name).map(PathBuf::from)).map(|folder| folder.join(kind))
}

fn folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Failure> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    if let Some(runtime) = absolute("XDG_RUNTIME_DIR") {
        return Ok(runtime.join("locum"));
    }
    match absolute("HOME") {
        Some(home) => Ok(home.join(".local/state/locum")),
        None => Err(Failure::Usage(
            "neither `XDG_RUNTIME_DIR` nor `HOME` is set: name `--holder-file`".to_owned(),
        )),
    }
}

/// Writes a secret to the place of its own ([`default_path`]). What is there already is the secret of a
/// broker that is gone: one that lives gives no id twice.
pub(crate) fn write_own(path: &Path, secret: &HolderSecret) -> Result<(), Failure> {
    remove(path)?;
    write(path, secret)
}

/// Writes a secret to a new file with mode 0600.
pub(crate) fn write(path: &Path, secret: &HolderSecret) -> Result<(), Failure> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
        made.map_err(|error| unreadable(parent, &error))?;
    }
    let text = Zeroizing::new(format!("{}\n", URL_SAFE_NO_PAD.encode(secret.expose())));
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| unreadable(path, &error))
}

/// Reads a secret, from a file that nobody else can read; `unsaid` is the flag that would have named it, where it
/// was looked for in its usual place.
pub(crate) fn read(path: &Path, unsaid: Option<&str>) -> Result<HolderSecret, Failure> {
    let shown = escaped(&path.to_string_lossy());
    let meta = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::Usage(format!(
            "the task's holder secret is not in `{shown}`: only who started the task has it, until it is ended{}",
            unsaid.map(|flag| format!("; `{flag}` names another place")).unwrap_or_default()
        )),
        _ => unreadable(path, &error),
    })?;
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(Failure::Usage(format!(
            "`{shown}` can be read by others: make it 0600, or start a new task"
        )));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| unreadable(path, &error))?);
    let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok().map(Zeroizing::new);
    let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
    bytes
        .map(HolderSecret::from_bytes)
        .ok_or_else(|| Failure::Usage(format!("`{shown}` holds no holder secret")))
}

/// Removes a secret that opens nothing any more; one that is gone already is fine.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unreadable(path, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_survives_its_file_and_only_a_private_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b/task-1-1.holder");
        let secret = HolderSecret::from_bytes([7; 32]);
        write(&path, &secret).expect("written");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path, None).expect("read").expose(), secret.expose());
        assert!(write(&path, &secret).is_err(), "never overwritten");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        assert!(read(&path, None).is_err(), "others can read it");
        remove(&path).expect("removed");
        let missing = |unsaid| read(&path, unsaid).expect_err("gone").to_string();
        let (named, usual) = (missing(None), missing(Some("--holder-file")));
        assert!(named.contains("holder secret") && !named.contains("--holder-file"), "it was named: {named}");
        assert!(usual.ends_with("`--holder-file` names another place"), "{usual}");
        remove(&path).expect("gone already");
    }

    #[test]
    fn each_broker_has_a_folder_and_no_address_leaves_it() {
        for (addr, name) in [
            ("https://locum.internal:8443", "locum.internal_8443"),
            ("https://locum.internal:8443/", "locum.internal_8443"),
            ("https://[::1]:8443", "___1__8443"),
            ("https://../../etc", "_._.._etc"),
            ("..", "_."),
            ("https://a/b", "a_b"),
        ] {
            assert_eq!(folder_name(addr), name, "{addr}");
        }
        assert_eq!(folder_name(&"x".repeat(999)).len(), FOLDER_CHARS_MAX);
    }

    #[test]
    fn a_secret_of_a_broker_that_is_gone_is_no_obstacle() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("localhost_8443/task-1-1.holder");
        for byte in [1, 2] {
            let secret = HolderSecret::from_bytes([byte; 32]);
            write_own(&path, &secret).expect("written");
            assert_eq!(read(&path, None).expect("read").expose(), secret.expose());
        }
    }

    #[test]
    fn what_is_no_secret_is_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        for content in ["", "hush", &"A".repeat(42), &"A".repeat(44), "\u{0}"] {
            let path = folder.path().join("x.holder");
            fs::write(&path, content).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
            let error = read(&path, None).expect_err("not a secret").to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn the_folder_is_the_users_own() {
        let with = |name: &'static str, value: &'static str| {
            folder(move |asked| (asked == name).then(|| PathBuf::from(value))).ok()
        };
        assert_eq!(with("XDG_RUNTIME_DIR", "/run/u"), Some("/run/u/locum".into()));
        assert_eq!(with("HOME", "/home/u"), Some("/home/u/.local/state/locum".into()));
        assert_eq!(with("HOME", "relative"), None);
    }
}
