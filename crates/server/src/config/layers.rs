//! The layers joined: defaults, file, variables, flags; and where each value was written.
//!
//! Refuses here: text that is no TOML, keys that do not exist, variables that match no key,
//! variables and flags for keys that only the file may set.

use locum_model::limits::SETTINGS_BYTES_MAX;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Flags;
use super::keys::{self, From, KEYS};
use super::{Place, Problem, Problems, line_of};
use crate::private_file;

/// All layers in one.
#[derive(Debug)]
pub(crate) struct Layers {
    pub(crate) config: Config,
    file: PathBuf,
    /// Line by path, for everything that the file says.
    lines: BTreeMap<String, usize>,
    /// Paths that a variable says.
    variables: BTreeMap<String, String>,
    /// Paths that a flag says.
    flags: Vec<String>,
}

impl Layers {
    /// Where the value of `path` was written; the file as a whole for defaults.
    pub(crate) fn place(&self, path: &str) -> Place {
        let table = || path.rsplit_once('.').and_then(|(table, _)| self.lines.get(table).copied());
        self.written_at(path).unwrap_or_else(|| Place::File(self.file.clone(), table()))
    }

    /// Where the value of `path` was written, by the layer that won; none when nobody wrote it.
    pub(crate) fn written_at(&self, path: &str) -> Option<Place> {
        if self.flags.iter().any(|flag| flag == path) {
            return Some(Place::Flag(path.to_owned()));
        }
        if let Some(variable) = self.variables.get(path) {
            return Some(Place::Variable(variable.clone()));
        }
        self.lines.get(path).map(|line| Place::File(self.file.clone(), Some(*line)))
    }
}

/// The text of a settings file.
pub(crate) fn read_file(path: &Path) -> Result<String, Problems> {
    let refused = |message: String| Problem::in_file(path, None, "", message);
    let bytes = private_file::read_public(path, SETTINGS_BYTES_MAX).map_err(|e| refused(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| refused(format!("not UTF-8: {e}")).into())
}

/// Joins the layers.
pub(crate) fn join(
    path: &Path,
    text: &str,
    variables: &BTreeMap<String, String>,
    flags: &Flags,
) -> Result<Layers, Problems> {
    let (lines, mut problems) = file_lines(path, text)?;
    problems.extend(variables.iter().filter_map(|(name, value)| refused_variable(name, value)));
    problems.extend(flags.keys().filter_map(|key| refused_flag(key)));
    if !problems.is_empty() {
        return Err(Problems::of(problems));
    }
    let config =
        build(text, variables, flags).map_err(|error| Problem::in_file(path, None, "", error.to_string()))?;
    let by_key = |(name, _): (&String, _)| Some((keys::named_by(name)?.path.to_owned(), name.clone()));
    Ok(Layers {
        config,
        file: path.to_owned(),
        lines,
        variables: variables.iter().filter_map(by_key).collect(),
        flags: flags.keys().cloned().collect(),
    })
}

fn build(
    text: &str,
    variables: &BTreeMap<String, String>,
    flags: &Flags,
) -> Result<Config, config::ConfigError> {
    let mut builder = Config::builder();
    for key in KEYS.iter().filter(|key| !key.path.contains("[]")) {
        if let Some(default) = key.default {
            builder = builder.set_default(key.path, default)?;
        }
    }
    let environment = Environment::with_prefix("LOCUM")
        .prefix_separator("_")
        .separator(keys::SEPARATOR)
        .source(Some(variables.clone().into_iter().collect()));
    builder = builder.add_source(File::from_str(text, FileFormat::Toml)).add_source(environment);
    for (key, value) in flags {
        builder = builder.set_override(key, value.as_str())?;
    }
    builder.build()
}

// === what is refused ===

/// The line of every path in the file, and a problem for every key that does not exist.
fn file_lines(path: &Path, text: &str) -> Result<(BTreeMap<String, usize>, Vec<Problem>), Problems> {
    let parsed = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_of(text, span.start));
        Problem::in_file(path, line, "", error.message())
    })?;
    let mut walk = Walk { file: path, text, lines: BTreeMap::new(), problems: Vec::new() };
    walk.table("", parsed.get_ref());
    Ok((walk.lines, walk.problems))
}

struct Walk<'a> {
    file: &'a Path,
    text: &'a str,
    lines: BTreeMap<String, usize>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref();
            let path = if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
            self.value(path, line_of(self.text, key.span().start), value);
        }
    }

    fn value(&mut self, path: String, line: usize, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(inner) if keys::is_table(&path) => self.table(&path, inner),
            DeValue::Array(rows) if keys::is_table(&format!("{path}[]")) => {
                for (at, row) in rows.iter().enumerate() {
                    let line = line_of(self.text, row.span().start);
                    self.value(format!("{path}[{at}]"), line, row);
                }
            }
            _ if keys::find(&path).is_some() => {}
            _ => self.problems.push(Problem::in_file(self.file, Some(line), &path, unknown(&path))),
        }
        self.lines.insert(path, line);
    }
}

fn unknown(path: &str) -> String {
    if keys::is_table(&format!("{}[]", keys::general(path))) {
        return "is a list of tables: write it in double brackets".to_owned();
    }
    if keys::is_table(path) {
        return "is a table, not a value".to_owned();
    }
    "there is no such key".to_owned()
}

fn refused_variable(name: &str, value: &str) -> Option<Problem> {
    let problem = |key: &str, message: &str| {
        Some(Problem {
            place: Place::Variable(name.to_owned()),
            key: key.to_owned(),
            message: message.to_owned(),
        })
    };
    match keys::named_by(name) {
        None if keys::OF_CLIENTS.contains(&name) => None,
        None => problem("", "matches no key that a variable can set"),
        Some(key) if key.from == From::FileAlone => {
            problem(key.path, "decides whom we believe or who we are; only the file may set it")
        }
        Some(key) if value.contains(char::REPLACEMENT_CHARACTER) => problem(key.path, "is not UTF-8"),
        Some(_) => None,
    }
}

fn refused_flag(path: &str) -> Option<Problem> {
    let refused = match keys::find(path) {
        Some(key) if key.from == From::Anywhere => return None,
        Some(_) => "only the file may set it",
        None => "there is no such key",
    };
    Some(Problem { place: Place::Flag(path.to_owned()), key: String::new(), message: refused.to_owned() })
}
