//! Logs: one event a line on standard error, JSON or text, from a level up.
//!
//! What always holds: nothing that looks like a signed token (three parts of base64url joined by
//! dots) reaches the output, whoever logged it and however it was nested: lines are redacted on
//! their way out. Control characters are escaped by the formatter. Standard output is never used.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::{SetGlobalDefaultError, Subscriber};
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat, LogLevel};

/// What stands where a token was.
const REDACTED: &[u8] = b"[redacted]";
/// The shortest header and payload of a token, in characters: `{"alg":"x"}` takes 15.
const PART_CHARS_MIN: usize = 15;

/// Sends the process's logs to standard error from now on.
///
/// # Errors
///
/// When somebody else did so before.
pub fn install(log: Log) -> Result<(), SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(log, io::stderr))
}

/// A subscriber that writes redacted lines to what `writer` makes.
pub fn subscriber<W>(log: Log, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let builder =
        tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(Redacting(writer));
    match log.format {
        LogFormat::Json => Box::new(builder.json().flatten_event(true).with_current_span(true).finish()),
        LogFormat::Text => Box::new(builder.finish()),
    }
}

/// Makes writers that redact.
struct Redacting<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Redacting<W> {
    type Writer = Line<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { inner: self.0.make_writer(), bytes: Vec::new() }
    }
}

/// One line, written when it is whole: a token cut in two by small writes would be missed.
struct Line<W: Write> {
    inner: W,
    bytes: Vec<u8>,
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Drop for Line<W> {
    fn drop(&mut self) {
        // Nobody is left to tell when standard error is gone.
        let _ = self.inner.write_all(&redact(&self.bytes));
        let _ = self.inner.flush();
    }
}

/// `line` with everything that looks like a token replaced.
fn redact(line: &[u8]) -> Vec<u8> {
    let is_token_byte = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.first() {
        let same = is_token_byte(first);
        let run = rest.iter().take_while(|b| is_token_byte(b) == same).count();
        let (word, after) = rest.split_at(run);
        out.extend_from_slice(if same && looks_like_token(word) { REDACTED } else { word });
        rest = after;
    }
    out
}

fn looks_like_token(word: &[u8]) -> bool {
    let parts: Vec<_> = word.split(|b| *b == b'.').collect();
    // Any three neighbours: a token may be glued to a word by a dot. A header is JSON: `{"` is `ey`.
    parts.windows(3).any(|three| {
        let [header, payload, _signature] = three else { return false };
        header.starts_with(b"ey") && header.len() >= PART_CHARS_MIN && payload.len() >= PART_CHARS_MIN
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const TOKEN: &str =
        "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJqdGkiOiIwMTIzNDU2Nzg5YWJjZGVmIn0.c2lnbmF0dXJlLWJ5dGVz_-";

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: LogLevel, work: impl FnOnce()) -> String {
        let memory = Memory::default();
        let sink = memory.clone();
        let subscriber = subscriber(Log { format, level }, move || sink.clone());
        tracing::subscriber::with_default(subscriber, work);
        let bytes = memory.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn tokens_never_appear_however_they_are_logged() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let text = logged(format, LogLevel::Trace, || {
                let _span = tracing::info_span!("call", authorization = TOKEN).entered();
                tracing::info!("got {TOKEN}");
                tracing::info!(header = %format!("Bearer {TOKEN}"), "a field");
                tracing::info!(nested = ?vec![Some(TOKEN)], "nested");
                tracing::info!("x.{TOKEN}.y \"{TOKEN}\"");
                tracing::info!("unsigned {}", TOKEN.rsplit_once('.').expect("dots").0.to_owned() + ".");
            });
            assert_eq!(text.lines().count(), 5, "{text}");
            for part in TOKEN.split('.') {
                assert!(!text.contains(part), "{part} in {text}");
            }
            assert!(text.contains("[redacted]"));
        }
    }

    #[test]
    fn names_versions_and_addresses_stay() {
        let kept = "orders.acme.test 127.0.0.1:8443 1.2.3 spiffe://acme.test/agents/refunder task-1-42 a..b";
        assert_eq!(redact(kept.as_bytes()), kept.as_bytes());
    }

    #[test]
    fn json_is_one_object_a_line_and_levels_filter() {
        let text = logged(LogFormat::Json, LogLevel::Warn, || {
            tracing::info!("not this");
            tracing::warn!(reason = "POLICY_DENIED", "line\nbreak \u{1b}[31m");
        });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1, "{text}");
        let object: serde_json::Value = serde_json::from_str(lines[0]).expect("JSON");
        assert_eq!(object["level"], "WARN");
        assert_eq!(object["reason"], "POLICY_DENIED");
        assert!(!text.contains('\u{1b}'));
    }
}
