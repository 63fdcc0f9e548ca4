//! [`Output`]: data to standard output, everything else to standard error.
//!
//! Always holds: nothing reaches a terminal unescaped, whoever wrote it; a JSON document stands on
//! one line and has a `schema_version`.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
pub(crate) use locum_sdk::escaped;
use serde_json::Value;

use crate::args::{Format, Global};
use crate::failure::Failure;

/// Where and how to print.
pub(crate) struct Output {
    format: Format,
    colour: Colour,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colour {
    Never,
    OnTerminals,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        let refused = global.no_color || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self { format: global.output, colour: if refused { Colour::Never } else { Colour::OnTerminals } }
    }

    /// For failures before the command line is understood.
    pub(crate) fn json() -> Self {
        Self { format: Format::Json, colour: Colour::Never }
    }

    /// Prints the document, or what `people` makes for people.
    pub(crate) fn data(&self, document: Value, people: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.line(&document.to_string()),
            Format::Table => self.line(&people()),
        }
    }

    fn line(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        if !text.is_empty() {
            writeln!(out, "{text}")?;
        }
        out.flush()?;
        Ok(())
    }

    /// Tells people something that is not data. That nobody listens is no failure.
    pub(crate) fn note(&self, text: &str) {
        let _told = writeln!(io::stderr(), "{text}");
    }

    /// Tells an error: its document, or its message.
    pub(crate) fn error(&self, document: &Value) {
        let message = document["error"]["message"].as_str().unwrap_or_default();
        let coloured = self.colour == Colour::OnTerminals && io::stderr().is_terminal();
        let mark = if coloured { "\u{1b}[1;31merror:\u{1b}[0m" } else { "error:" };
        match self.format {
            Format::Json => self.note(&document.to_string()),
            Format::Table => self.note(&format!("{mark} {}", escaped(message))),
        }
        if self.format == Format::Table
            && let Some(id) = document["error"]["request_id"].as_str()
        {
            self.note(&format!("request id: {}", escaped(id)));
        }
    }
}

/// A table without lines; cells are escaped here, so that no caller can forget it.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if !header.is_empty() {
        table.set_header(header);
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| escaped(cell)).collect::<Vec<_>>());
    }
    table.trim_fmt()
}

/// Whether a command line that is not understood asks for JSON.
pub(crate) fn wants_json(args: impl IntoIterator<Item = OsString>) -> bool {
    let args: Vec<String> = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let joined = args.iter().any(|arg| matches!(arg.as_str(), "-ojson" | "-o=json" | "--output=json"));
    joined || args.windows(2).any(|pair| matches!(pair[0].as_str(), "-o" | "--output") && pair[1] == "json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cannot_steer_a_terminal() {
        let shown = table(&["NAME"], [vec!["a\u{1b}[2J\u{202e}b".to_owned()]]);
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
        assert!(shown.contains("\\u{1b}"), "{shown:?}");
    }

    #[test]
    fn the_asked_format_is_found_in_a_bad_command_line() {
        let asks = |line: &str| wants_json(line.split(' ').map(OsString::from));
        for line in ["locum -o json x", "locum x --output=json", "locum -ojson", "locum x --output json"] {
            assert!(asks(line), "{line}");
        }
        assert!(!asks("locum json -o table"));
    }
}
