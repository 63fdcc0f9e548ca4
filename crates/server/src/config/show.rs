//! [`show`]: every key with its value and where that came from.
//!
//! Secrets are paths in the settings. What somebody put in place of a path or an address all the same (a key
//! itself, a password before an `@`) is not shown.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use config::{Value, ValueKind};
use locum_model::limits::SETTINGS_ROWS_MAX;

use super::keys::{KEYS, Key};
use super::layers::Layers;
use super::{Flags, environment, layers};
use super::{Place, Problem, Problems};

/// What is shown in place of something that looks like a secret.
const WITHHELD: &str = "(looks like a secret: not shown)";

/// One key as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// `server.grpc`, or `operator[0].role` counted from 0.
    pub key: String,
    /// As it would be written in TOML; none when the key is optional and nobody wrote it.
    pub value: Option<String>,
    /// Where it came from.
    pub source: Source,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Built in.
    Default,
    /// Nobody wrote it, and nothing holds in its place.
    Unset,
    /// Somebody wrote it.
    Written(Place),
}

/// Every key in the order of the reference file, rows of lists one after another.
///
/// Values are shown, not judged: `locumd check-config` does that.
///
/// # Errors
///
/// [`Problems`]: text that is no TOML, and keys, variables and flags that do not exist.
pub fn show(path: &Path, flags: &Flags) -> Result<Vec<Stated>, Problems> {
    show_text(path, &layers::read_file(path)?, &environment(), flags)
}

pub(super) fn show_text(
    path: &Path,
    text: &str,
    variables: &BTreeMap<String, String>,
    flags: &Flags,
) -> Result<Vec<Stated>, Problems> {
    let layers = layers::join(path, text, variables, flags)?;
    let mut all = Vec::new();
    let mut shown = Vec::new();
    for key in KEYS {
        let Some((list, _)) = key.path.split_once("[]") else {
            all.push(stated(&layers, key, key.path.to_owned()));
            continue;
        };
        // All keys of one row before the next row: the list is taken as a whole at its first key.
        if shown.contains(&list) {
            continue;
        }
        shown.push(list);
        let count = layers.config.get_array(list).map_or(0, |rows| rows.len());
        if count > SETTINGS_ROWS_MAX {
            let message = format!("more than {SETTINGS_ROWS_MAX} of them");
            return Err(Problem::in_file(path, None, list, message).into());
        }
        let of_list =
            || KEYS.iter().filter(|key| key.path.split_once("[]").is_some_and(|(name, _)| name == list));
        for row in 0..count {
            all.extend(
                of_list().map(|key| stated(&layers, key, key.path.replace("[]", &format!("[{row}]")))),
            );
        }
    }
    Ok(all)
}

fn stated(layers: &Layers, key: &Key, path: String) -> Stated {
    let written = layers.written_at(&path);
    // Defaults of rows are put in by the reader, not by a layer.
    let value = layers.config.get::<Value>(&path).ok().map(|value| value.kind);
    let value = value.or_else(|| key.default.map(|default| ValueKind::String(default.to_owned())));
    let value = value.map(|kind| toml(&kind, key));
    let source = match (written, &value) {
        (Some(place), _) => Source::Written(place),
        (None, Some(_)) => Source::Default,
        (None, None) => Source::Unset,
    };
    Stated { key: path, value, source }
}

/// As it would be written. Defaults, variables and flags are texts, also where a number or a truth is meant: what
/// the default is spelled like tells which.
fn toml(kind: &ValueKind, key: &Key) -> String {
    let bare = |text: &str| text == "true" || text == "false" || text.parse::<u64>().is_ok();
    match kind {
        ValueKind::String(text) if looks_like_secret(text) => WITHHELD.to_owned(),
        ValueKind::String(text) if bare(text) && key.default.is_some_and(bare) => text.clone(),
        ValueKind::String(text) => toml::Value::String(text.clone()).to_string(),
        ValueKind::Array(rows) => {
            let rows: Vec<_> = rows.iter().map(|row| toml(&row.kind, key)).collect();
            format!("[{}]", rows.join(", "))
        }
        other => other.to_string(),
    }
}

fn looks_like_secret(text: &str) -> bool {
    let authority = text.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    text.contains("-----BEGIN") || authority.is_some_and(|authority| authority.contains('@'))
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Unset => f.write_str("not set"),
            Self::Written(Place::File(path, Some(line))) => write!(f, "{}:{line}", path.display()),
            Self::Written(Place::File(path, None)) => write!(f, "{}", path.display()),
            Self::Written(Place::Variable(name)) => f.write_str(name),
            Self::Written(Place::Flag(_)) => f.write_str("--set"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/etc/locum/locumd.toml";
    const TEXT: &str = "data_dir = \"/data\"\n\n[server]\ngrpc = \"0.0.0.0:1\"\n\n\
        [[oidc_issuer]]\nissuer = \"https://a.test\"\njwks_file = \"/keys\"\n\n\
        [[operator]]\nname = \"on-call\"\ntenants = [\"a\", \"b\"]\n\n[[operator]]\nname = \"alice\"\n";

    fn rows(text: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let all =
            show_text(Path::new(FILE), text, &owned(variables), &owned(flags)).expect("keys that exist");
        let line = |stated: Stated| {
            (stated.key, format!("{} | {}", stated.value.as_deref().unwrap_or("-"), stated.source))
        };
        all.into_iter().map(line).collect()
    }

    #[test]
    fn each_layer_is_named_and_the_last_one_wins() {
        let variables = [
            ("LOCUM_SERVER__HTTP", "0.0.0.0:2"),
            ("LOCUM_SERVER__GRPC", "0.0.0.0:3"),
            ("LOCUM_JOURNAL__RESERVE_BYTES", "2097152"),
        ];
        let rows = rows(TEXT, &variables, &[("log.level", "debug"), ("server.http", "0.0.0.0:4")]);
        for (key, expected) in [
            ("data_dir", "\"/data\" | /etc/locum/locumd.toml:1"),
            ("server.grpc", "\"0.0.0.0:3\" | LOCUM_SERVER__GRPC"),
            ("server.http", "\"0.0.0.0:4\" | --set"),
            ("server.tls.key_file", "- | not set"),
            ("issuer.rotate_every", "\"24h\" | default"),
            ("log.level", "\"debug\" | --set"),
            ("oidc_issuer[0].issuer", "\"https://a.test\" | /etc/locum/locumd.toml:7"),
            ("oidc_issuer[0].logins", "false | default"),
            ("operator[0].tenants", "[\"a\", \"b\"] | /etc/locum/locumd.toml:12"),
            ("operator[1].name", "\"alice\" | /etc/locum/locumd.toml:15"),
            ("operator[1].role", "- | not set"),
            ("journal.segment_bytes", "67108864 | default"),
            ("journal.reserve_bytes", "2097152 | LOCUM_JOURNAL__RESERVE_BYTES"),
            ("archive.enabled", "true | default"),
        ] {
            assert_eq!(rows.get(key).map(String::as_str), Some(expected), "{key}");
        }
        assert!(!rows.keys().any(|key| key.contains("[]")), "no key without its row");
    }

    #[test]
    fn every_key_is_shown_for_the_full_file() {
        let full = include_str!("../../../../deploy/config/locumd.full.toml");
        let rows = rows(full, &[], &[]);
        for key in KEYS {
            let path = key.path.replace("[]", "[0]");
            assert!(rows.contains_key(&path), "{path}");
        }
    }

    #[test]
    fn what_does_not_exist_is_refused_and_not_shown() {
        let none = BTreeMap::new();
        let refused = show_text(Path::new(FILE), "data_dri = \"/x\"", &none, &none).expect_err("no such key");
        assert!(refused.to_string().starts_with("/etc/locum/locumd.toml:1: `data_dri`"), "{refused}");
    }

    #[test]
    fn what_looks_like_a_secret_is_not_shown() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49";
        for (key, secret) in [("server.tls.key_file", pem), ("issuer.url", "https://me:hunter2@locum.test")] {
            let text = toml::Table::from_iter([(key.to_owned(), toml::Value::String(secret.to_owned()))]);
            let text = text.to_string().replace(&format!("\"{key}\""), key);
            let rows = rows(&text, &[], &[]);
            assert_eq!(rows.get(key).map(String::as_str), Some(format!("{WITHHELD} | {FILE}:1").as_str()));
            assert!(!rows.values().any(|row| row.contains("hunter2") || row.contains("MIGH")));
        }
        assert!(!looks_like_secret("https://locum.acme.test") && !looks_like_secret("spiffe://a/b@c"));
    }
}
