//! [`Output`]: data to standard output, everything else to standard error.
//!
//! Always holds: nothing reaches a terminal unescaped, whoever wrote it; a JSON document stands on
//! one line and has a `schema_version`; colours are for terminals alone.

use std::cell::Cell;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

pub(crate) use locum_sdk::escaped;
use serde_json::Value;

use crate::exit;
use crate::failure::Failure;

mod counted;
mod field;
mod fold;
mod format;
mod lines;
mod sheet;

pub(crate) use counted::counted;
pub(crate) use fold::folded;
pub(crate) use format::Format;
pub(crate) use lines::harmless;
pub(crate) use sheet::{Sheet, facts, long, plain, table, wide};

/// The width of a terminal that does not tell.
const WIDTH_USUAL: u16 = 80;

/// Where and how to print.
pub(crate) struct Output {
    format: Format,
    field: Option<String>,
    colour: Colour,
    /// Whether the terminal knows no escapes.
    is_dumb: bool,
    has_progress: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colour {
    Never,
    OnTerminals,
}

impl Output {
    pub(crate) fn new(format: Format, field: Option<String>) -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_dumb = set("TERM").is_some_and(|term| term == "dumb");
        let refused = is_dumb || set("NO_COLOR").is_some();
        Self {
            format,
            field,
            colour: if refused { Colour::Never } else { Colour::OnTerminals },
            is_dumb,
            has_progress: Cell::default(),
        }
    }

    /// The same in black and white.
    pub(crate) fn without_colours(self) -> Self {
        Self { colour: Colour::Never, ..self }
    }

    /// For what is told before the command line is understood.
    pub(crate) fn unparsed(args: impl IntoIterator<Item = OsString>) -> Self {
        Self::new(if wants_json(args) { Format::Json } else { Format::Table }, None)
    }

    /// Prints the document, a part of it, or what `people` makes for people.
    pub(crate) fn data(&self, document: Value, people: impl FnOnce() -> String) -> Result<(), Failure> {
        if let Some(path) = &self.field {
            return lines::items(document).iter().try_for_each(|item| self.line(&field::of(item, path)?));
        }
        match self.format {
            Format::Json => self.line(&lines::harmless(&document)),
            Format::Jsonl => {
                lines::documents(document).iter().try_for_each(|one| self.line(&lines::harmless(one)))
            }
            Format::Name => lines::names(document)?.iter().try_for_each(|name| self.line(&escaped(name))),
            // Only `token request` is let through with the others, and it makes its text itself.
            Format::Table
            | Format::Wide
            | Format::File
            | Format::Header
            | Format::EnvFile
            | Format::CredentialProcess
            | Format::ExecCredential => {
                if lines::is_empty_listing(&document) {
                    self.note("there is nothing to show");
                }
                self.line(&people())
            }
        }
    }

    /// Prints a text that is the same in every format: a completion script, a help page.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        self.line(text)
    }

    fn line(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        if !text.is_empty() {
            writeln!(out, "{text}")?;
        }
        out.flush()?;
        Ok(())
    }

    /// A listing as people see it, within the terminal's width; `-o wide` and pipes have no end.
    pub(crate) fn sheet(&self, sheet: &Sheet) -> String {
        let width = self.width();
        let text = sheet.text(self.is_wide(), width);
        match text.split_once('\n') {
            Some((header, rows)) if self.colours(&io::stdout()) => format!("{}\n{rows}", bold(header)),
            _ => text,
        }
    }

    /// A line as long as the terminal is wide.
    pub(crate) fn cut(&self, line: String) -> String {
        match self.width().map(usize::from) {
            Some(width) if line.chars().count() > width => {
                line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
            }
            _ => line,
        }
    }

    /// The format that is wished for.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Whether everything is wished for.
    pub(crate) fn is_wide(&self) -> bool {
        self.format == Format::Wide
    }

    /// Whether people read the data: neither a machine's format nor a single field.
    pub(crate) fn is_for_people(&self) -> bool {
        self.field.is_none() && matches!(self.format, Format::Table | Format::Wide)
    }

    /// Whether data goes to a terminal.
    pub(crate) fn has_terminal(&self) -> bool {
        io::stdout().is_terminal() && !self.is_dumb
    }

    /// The columns of the terminal that data goes to; none where there is none or `-o wide` is asked.
    pub(crate) fn width(&self) -> Option<u16> {
        let stdout = io::stdout();
        (!self.is_wide()).then(|| columns(&stdout)).flatten()
    }

    /// Whether this stream takes colours.
    pub(crate) fn colours(&self, stream: &impl IsTerminal) -> bool {
        self.colour == Colour::OnTerminals && stream.is_terminal()
    }

    /// Tells people something that is not data. That nobody listens is no failure.
    ///
    /// Where a machine listens (`-o json` or `jsonl`, and no terminal) only an error is told, so that
    /// standard error holds its document and nothing else.
    pub(crate) fn note(&self, text: &str) {
        if !self.is_json() || io::stderr().is_terminal() {
            self.tell(text);
        }
    }

    /// [`Output::note`] of a sentence, broken where the terminal ends.
    pub(crate) fn remark(&self, text: &str) {
        self.note(&fit(text, 0));
    }

    fn tell(&self, text: &str) {
        let _told = writeln!(io::stderr(), "{text}");
    }

    fn is_json(&self) -> bool {
        matches!(self.format, Format::Json | Format::Jsonl)
    }

    /// Warns people.
    pub(crate) fn warn(&self, text: &str) {
        let mark = if self.colours(&io::stderr()) { "\u{1b}[1;33mwarning:\u{1b}[0m" } else { "warning:" };
        self.note(&format!("{mark} {}", escaped(text)));
    }

    /// Says how far a long command is, on one line that the next one replaces; only to a terminal.
    pub(crate) fn progress(&self, text: &str) {
        if io::stderr().is_terminal() && !self.is_dumb {
            self.has_progress.set(true);
            let _told = write!(io::stderr(), "\r\u{1b}[2K{text}");
        }
    }

    /// Wipes what [`Output::progress`] said, if it said anything.
    pub(crate) fn progressed(&self) {
        if self.has_progress.take() {
            let _wiped = write!(io::stderr(), "\r\u{1b}[2K");
        }
    }

    /// Tells a failure, and gives its exit code. A closed standard output is the reader's choice: silence.
    pub(crate) fn failed(&self, failure: &Failure) -> u8 {
        let code = failure.code();
        match failure {
            Failure::Program(_) => {}
            _ if code == exit::BROKEN_PIPE => {}
            Failure::Misread(misread) if !self.is_json() => misread.print(),
            _ => self.error(&failure.document()),
        }
        code
    }

    /// Tells an error: its document, or its message.
    fn error(&self, document: &Value) {
        if self.is_json() {
            return self.tell(&lines::harmless(document));
        }
        let text = |name: &str| document["error"][name].as_str().map(escaped);
        let mark = if self.colours(&io::stderr()) { "\u{1b}[1;31merror:\u{1b}[0m" } else { "error:" };
        self.note(&format!("{mark} {}", fit(&text("message").unwrap_or_default(), "error: ".len())));
        if let Some(help) = text("help") {
            self.note(&format!("help: {}", fit(&help, "help: ".len())));
        }
        // The code under which the documents say what to do; what this machine says needs none.
        let reason = document["error"]["reason"].as_str().unwrap_or_default();
        if reason.parse::<locum_sdk::model::Reason>().is_ok() {
            self.note(&format!("reason: {reason}"));
        }
        if let Some(id) = text("request_id") {
            self.note(&format!("request id: {id}"));
        }
    }
}

/// The columns of a stream that is a terminal.
fn columns(stream: &(impl IsTerminal + std::os::fd::AsFd)) -> Option<u16> {
    stream.is_terminal().then(|| {
        let size = rustix::termios::tcgetwinsize(stream).ok();
        size.map(|size| size.ws_col).filter(|columns| *columns > 0).unwrap_or(WIDTH_USUAL)
    })
}

/// What is told behind a mark of so many columns, broken where the terminal ends; whole in a pipe.
fn fit(text: &str, mark: usize) -> String {
    match columns(&io::stderr()).map(usize::from) {
        Some(width) => folded(text, width.saturating_sub(mark), 2),
        None => text.to_owned(),
    }
}

/// Bold, for headers.
pub(crate) fn bold(text: &str) -> String {
    format!("\u{1b}[1m{text}\u{1b}[0m")
}

/// Whether a command line that is not understood asks for JSON.
fn wants_json(args: impl IntoIterator<Item = OsString>) -> bool {
    let args: Vec<String> = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let is_json = |format: &str| matches!(format, "json" | "jsonl");
    let joined = |arg: &String| {
        let format =
            arg.strip_prefix("--output=").or_else(|| arg.strip_prefix("-o=")).or(arg.strip_prefix("-o"));
        format.is_some_and(is_json)
    };
    let apart = |pair: &[String]| matches!(pair[0].as_str(), "-o" | "--output") && is_json(&pair[1]);
    args.iter().any(joined) || args.windows(2).any(apart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asked_format_is_found_in_a_bad_command_line() {
        let asks = |line: &str| wants_json(line.split(' ').map(OsString::from));
        for line in [
            "locum -o json x",
            "locum x --output=json",
            "locum -ojson",
            "locum -o=jsonl",
            "locum x --output json",
            "locum -o jsonl",
        ] {
            assert!(asks(line), "{line}");
        }
        assert!(!asks("locum json -o table"));
    }
}
