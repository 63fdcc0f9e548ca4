//! The file of contexts: several brokers by name, and which one is meant when nothing is said.
//!
//! TOML below the user's configuration folder, mode 0600, replaced as a whole. It holds addresses and
//! names of files, never a secret. One that others can write is not read: it says whom to trust.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use locum_model::Name;
use toml::{Table, Value};

use crate::failure::Failure;
use crate::input::unreadable;
use crate::output::escaped;

const HEADER: &str = "# Written by `locum context`. Names brokers and files; secrets do not belong here.\n\n";

/// A broker and who we are to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) addr: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) assertion_file: Option<PathBuf>,
}

/// Every context, and the current one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contexts {
    pub(crate) current: Option<Name>,
    pub(crate) places: BTreeMap<Name, Place>,
}

/// Where the file is; none when the user has no folder for it.
pub(crate) fn path(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    folder.map(|folder| folder.join("locum/contexts.toml"))
}

impl Contexts {
    /// Reads the file; nothing is there when it is not.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let meta = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            found => found.map_err(|error| unreadable(path, &error))?,
        };
        let shown = escaped(&path.to_string_lossy());
        if meta.permissions().mode() & 0o022 != 0 {
            let why = format!("`{shown}` can be written by others, and it says whom to trust: make it 0600");
            return Err(Failure::Usage(why));
        }
        let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        Self::parse(&text).map_err(|why| Failure::Usage(format!("`{shown}`: {}", escaped(&why))))
    }

    /// Replaces the file as a whole: whoever reads meanwhile sees the old one or the new one.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let failed = |error: &std::io::Error| unreadable(path, error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(&error))?;
        let draft = path.with_extension(format!("toml.{}", std::process::id()));
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        let written = file.and_then(|mut file| {
            file.write_all(self.text().as_bytes())?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&draft, path)).map_err(|error| {
            // What is left of the draft is of no use; that it cannot be removed adds nothing.
            let _removed = fs::remove_file(&draft);
            failed(&error)
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut file: Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
        let current = match file.remove("current") {
            None => None,
            Some(Value::String(name)) => Some(name_of(&name)?),
            Some(_) => return Err("`current` is no text".to_owned()),
        };
        let mut places = BTreeMap::new();
        if let Some(contexts) = file.remove("context") {
            let Value::Table(contexts) = contexts else { return Err("`context` is no table".to_owned()) };
            for (name, value) in contexts {
                places.insert(name_of(&name)?, place_of(&name, value)?);
            }
        }
        match file.keys().next() {
            Some(unknown) => Err(format!("`{unknown}` is not known here")),
            None => Ok(Self { current, places }),
        }
    }

    fn text(&self) -> String {
        let mut file = Table::new();
        if let Some(current) = &self.current {
            file.insert("current".to_owned(), Value::String(current.to_string()));
        }
        let table = |place: &Place| {
            let members = place.members().into_iter().filter_map(|(key, value)| Some((key, value?)));
            Value::Table(members.map(|(key, value)| (key.to_owned(), Value::String(value))).collect())
        };
        let contexts: Table =
            self.places.iter().map(|(name, place)| (name.to_string(), table(place))).collect();
        file.insert("context".to_owned(), Value::Table(contexts));
        format!("{HEADER}{file}")
    }
}

impl Place {
    /// Each member by its key.
    pub(crate) fn members(&self) -> [(&'static str, Option<String>); 5] {
        let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        [
            ("addr", self.addr.clone()),
            ("ca_file", text(&self.ca_file)),
            ("cert_file", text(&self.cert_file)),
            ("key_file", text(&self.key_file)),
            ("assertion_file", text(&self.assertion_file)),
        ]
    }

    /// Itself, and what `other` says where it says nothing.
    #[must_use]
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            addr: self.addr.or(other.addr),
            ca_file: self.ca_file.or(other.ca_file),
            cert_file: self.cert_file.or(other.cert_file),
            key_file: self.key_file.or(other.key_file),
            assertion_file: self.assertion_file.or(other.assertion_file),
        }
    }
}

fn name_of(text: &str) -> Result<Name, String> {
    text.parse().map_err(|why| format!("`{text}` is no name of a context: {why}"))
}

fn place_of(name: &str, value: Value) -> Result<Place, String> {
    let Value::Table(members) = value else { return Err(format!("`context.{name}` is no table")) };
    let mut place = Place::default();
    for (key, value) in members {
        let Value::String(text) = value else { return Err(format!("`context.{name}.{key}` is no text")) };
        match key.as_str() {
            "addr" => place.addr = Some(text),
            "ca_file" => place.ca_file = Some(text.into()),
            "cert_file" => place.cert_file = Some(text.into()),
            "key_file" => place.key_file = Some(text.into()),
            "assertion_file" => place.assertion_file = Some(text.into()),
            _ => return Err(format!("`context.{name}.{key}` is not known")),
        }
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[test]
    fn a_file_survives_and_is_the_owner_s_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/locum/contexts.toml");
        assert_eq!(Contexts::read(&path).expect("none yet"), Contexts::default());
        let place =
            Place { addr: Some("https://b:1".to_owned()), ca_file: Some("/ca".into()), ..Place::default() };
        let contexts =
            Contexts { current: Some(name("prod")), places: BTreeMap::from([(name("prod"), place)]) };
        contexts.write(&path).expect("written");
        contexts.write(&path).expect("replaced");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(Contexts::read(&path).expect("read"), contexts);
        assert_eq!(
            fs::read_dir(path.parent().expect("a folder")).expect("read").count(),
            1,
            "no draft is left"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).expect("set");
        assert!(Contexts::read(&path).is_err(), "others can write it");
    }

    #[test]
    fn what_is_not_understood_is_refused_and_named() {
        for (text, named) in [
            ("nonsense", ""),
            ("current = 1", "current"),
            ("current = \"No Name\"", "No Name"),
            ("courant = \"a\"", "courant"),
            ("context = 1", "context"),
            ("[context.a]\naddr = 1", "context.a.addr"),
            ("[context.a]\npassword = \"x\"", "context.a.password"),
        ] {
            let why = Contexts::parse(text).expect_err(text);
            assert!(why.contains(named), "{text}: {why}");
        }
    }

    #[test]
    fn the_folder_is_the_users_own() {
        let with = |name: &'static str, value: &'static str| {
            path(move |asked| (asked == name).then(|| PathBuf::from(value)))
        };
        assert_eq!(with("XDG_CONFIG_HOME", "/c"), Some("/c/locum/contexts.toml".into()));
        assert_eq!(with("HOME", "/h/u"), Some("/h/u/.config/locum/contexts.toml".into()));
        assert_eq!(with("XDG_CONFIG_HOME", "relative"), None);
    }
}
