//! [`PolicyProblem`]: what is wrong with a policy text, and where.
//!
//! Messages are one line, bounded, and free of control characters, whatever the text held.

use locum_model::event::PolicyText;
use locum_model::limits::POLICY_MESSAGE_CHARS_MAX;

/// One thing wrong with a policy text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{}:{line}:{column}: {message}", file.escape_debug())]
pub struct PolicyProblem {
    /// The file's name; empty when the set as a whole is meant.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl PolicyProblem {
    /// A problem at byte `offset` of `text`.
    pub(crate) fn at(text: &PolicyText, offset: usize, message: &str) -> Self {
        let (line, column) = place(&text.text, offset);
        Self { file: text.name.clone(), line, column, message: one_line(message) }
    }
}

/// Line and column of a byte offset, both from 1; the nearest character boundary before it.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

/// The message on one line, bounded, without anything that a terminal would obey.
fn one_line(message: &str) -> String {
    let plain = |c: char| if c.is_control() || is_invisible(c) { ' ' } else { c };
    let mut words =
        message.split_whitespace().collect::<Vec<_>>().join(" ").chars().map(plain).collect::<String>();
    if let Some((cut, _)) = words.char_indices().nth(POLICY_MESSAGE_CHARS_MAX) {
        words.truncate(cut);
        words.push('…');
    }
    words
}

/// Characters that change how text around them is shown, or are not shown at all.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_line_and_column_in_characters() {
        let text = PolicyText { name: "a.cedar".into(), text: "öne\nzweiß drei".into() };
        for (offset, line, column) in [(0, 1, 1), (2, 1, 2), (5, 2, 1), (12, 2, 7), (99, 2, 11)] {
            let problem = PolicyProblem::at(&text, offset, "no");
            assert_eq!((problem.line, problem.column), (line, column), "{offset}");
        }
        assert_eq!(PolicyProblem::at(&text, 5, "no").to_string(), "a.cedar:2:1: no");
    }

    #[test]
    fn a_message_is_one_bounded_line_without_control_characters() {
        let text = PolicyText { name: "a\n\u{1b}[31m".into(), text: String::new() };
        let hostile = format!("a\n\u{1b}[31m\u{202e}{}", "x".repeat(10_000));
        let shown = PolicyProblem::at(&text, 0, &hostile).to_string();
        assert!(!shown.chars().any(|c| c.is_control() || is_invisible(c)), "{shown}");
        assert!(shown.chars().count() < POLICY_MESSAGE_CHARS_MAX + 50);
    }
}
