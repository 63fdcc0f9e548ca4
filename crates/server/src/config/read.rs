//! [`Reader`]: takes values out of the layers and gathers every problem on the way.
//!
//! A read that fails notes why and gives `None`; the caller goes on, so that an operator sees
//! everything at once.

use locum_model::limits::{SETTING_BYTES_MAX, SETTINGS_ROWS_MAX};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use config::{Value, ValueKind};

use super::keys;
use super::layers::Layers;
use super::{Problem, Problems, shown};
use super::{parse_duration, written};

/// Reads keys and remembers what was wrong.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    layers: &'a Layers,
    problems: Vec<Problem>,
    #[cfg(test)]
    pub(crate) asked: std::collections::BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(layers: &'a Layers) -> Self {
        Self {
            layers,
            problems: Vec::new(),
            #[cfg(test)]
            asked: std::collections::BTreeSet::new(),
        }
    }

    /// Everything that was wrong.
    pub(crate) fn finish(self) -> Problems {
        Problems::of(self.problems)
    }

    /// Notes a problem at `path`.
    pub(crate) fn refuse<T>(&mut self, path: &str, message: impl Display) -> Option<T> {
        let place = self.layers.place(path);
        self.problems.push(Problem { place, key: path.to_owned(), message: message.to_string() });
        None
    }

    /// How often the table `name` stands.
    pub(crate) fn rows(&mut self, name: &str) -> usize {
        let count = self.layers.config.get_array(name).map_or(0, |rows| rows.len());
        if count > SETTINGS_ROWS_MAX {
            self.refuse::<()>(name, format!("more than {SETTINGS_ROWS_MAX} of them"));
            return 0;
        }
        count
    }

    /// A text, if it is written or has a default.
    pub(crate) fn optional(&mut self, path: &str) -> Option<String> {
        match self.value(path)?.kind {
            ValueKind::String(text) if text.is_empty() => self.refuse(path, "is empty"),
            ValueKind::String(text) if text.len() > SETTING_BYTES_MAX => {
                self.refuse(path, format!("longer than {SETTING_BYTES_MAX} bytes"))
            }
            ValueKind::String(text) if text.contains(char::is_control) => {
                self.refuse(path, "contains control characters")
            }
            ValueKind::String(text) => Some(text),
            _ => self.refuse(path, "must be a text in quotes"),
        }
    }

    /// A text that has to be there.
    pub(crate) fn text(&mut self, path: &str) -> Option<String> {
        if self.value(path).is_none() {
            return self.refuse(path, "is missing");
        }
        self.optional(path)
    }

    /// A text that has to be there, read as a `T`.
    pub(crate) fn parsed<T, E: Display>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(path)?;
        parse(&text).map_or_else(|error| self.refuse(path, error), Some)
    }

    /// An optional text, read as a `T`: `Some(None)` when it is not there.
    pub(crate) fn optional_parsed<T, E: Display>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        if self.value(path).is_none() {
            return Some(None);
        }
        self.parsed(path, parse).map(Some)
    }

    /// One of `words`.
    pub(crate) fn word<T: Copy>(&mut self, path: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(path)?;
        let found = words.iter().find(|(word, _)| *word == text);
        match found {
            Some((_, meaning)) => Some(*meaning),
            None => {
                let known: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
                self.refuse(path, format!("`{}` is none of {}", shown(&text), known.join(", ")))
            }
        }
    }

    /// An absolute path.
    pub(crate) fn path(&mut self, path: &str) -> Option<PathBuf> {
        let text = PathBuf::from(self.text(path)?);
        if text.is_absolute() { Some(text) } else { self.refuse(path, "must be an absolute path") }
    }

    /// An absolute path, where one is written.
    pub(crate) fn optional_path(&mut self, path: &str) -> Option<Option<PathBuf>> {
        if self.value(path).is_none() { Some(None) } else { self.path(path).map(Some) }
    }

    /// A duration within `bounds`.
    pub(crate) fn duration(&mut self, path: &str, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let span = self.parsed(path, parse_duration)?;
        if bounds.contains(&span) {
            return Some(span);
        }
        let (least, most) = (written(*bounds.start()), written(*bounds.end()));
        self.refuse(path, format!("must be between {least} and {most}"))
    }

    /// A whole number within `bounds`.
    pub(crate) fn number(&mut self, path: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let number = match self.value(path).map(|value| value.kind) {
            None => return self.refuse(path, "is missing"),
            Some(ValueKind::I64(number)) => u64::try_from(number).ok(),
            Some(ValueKind::String(text)) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            Some(_) => None,
        };
        match number {
            Some(number) if bounds.contains(&number) => Some(number),
            _ => {
                let message = format!("must be a whole number from {} to {}", bounds.start(), bounds.end());
                self.refuse(path, message)
            }
        }
    }

    /// `true` or `false`, without quotes.
    pub(crate) fn truth(&mut self, path: &str) -> Option<bool> {
        match self.value(path).map(|value| value.kind) {
            Some(ValueKind::Boolean(truth)) => Some(truth),
            None => Some(keys::find(path).is_some_and(|key| key.default == Some("true"))),
            // Defaults are texts.
            Some(ValueKind::String(text))
                if keys::find(path).is_some_and(|key| key.default == Some(text.as_str())) =>
            {
                Some(text == "true")
            }
            Some(_) => self.refuse(path, "must be `true` or `false`"),
        }
    }

    /// A list of texts, or one text.
    pub(crate) fn texts(&mut self, path: &str) -> Option<Vec<String>> {
        match self.value(path).map(|value| value.kind) {
            None => self.refuse(path, "is missing"),
            Some(ValueKind::String(text)) => Some(vec![text]),
            Some(ValueKind::Array(rows)) if rows.len() <= SETTINGS_ROWS_MAX => {
                let texts = rows.into_iter().map(|row| match row.kind {
                    ValueKind::String(text) => Some(text),
                    _ => None,
                });
                texts.collect::<Option<_>>().or_else(|| self.refuse(path, "must be a list of texts"))
            }
            Some(_) => self.refuse(path, "must be a list of texts"),
        }
    }

    /// Whether something is written at `path`.
    pub(crate) fn is_written(&mut self, path: &str) -> bool {
        self.value(path).is_some()
    }

    fn value(&mut self, path: &str) -> Option<Value> {
        debug_assert!(keys::find(path).is_some(), "`{path}` is not in the list of keys");
        #[cfg(test)]
        self.asked.insert(keys::general(path));
        self.layers.config.get::<Value>(path).ok()
    }
}
