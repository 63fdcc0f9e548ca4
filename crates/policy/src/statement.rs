//! Policy texts cut into statements and bounded, before any of it reaches the parser.
//!
//! The parser, validator and evaluator recurse; what bounds their depth is judged here, on a flat
//! scan: brackets, and whatever nests without brackets (operators, member accesses, conditions).
//! The scan follows Cedar's lexical rules for strings and comments. It need not be right about
//! anything else: each statement is parsed on its own as exactly one policy, and nothing but
//! blanks and comments may stand outside, so that a text cut wrongly is refused and never read
//! differently.

use locum_model::limits::{POLICY_NESTING_MAX, POLICY_OPERATORS_MAX, POLICY_STATEMENT_BYTES_MAX};

use crate::problem::is_invisible;

/// One policy's text, its `;` included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement<'a> {
    /// The text from its first token on.
    pub(crate) text: &'a str,
    /// Where it begins in its file, in bytes.
    pub(crate) start: usize,
    /// Whether a condition mentions who asks, for what, or in which context.
    pub(crate) conditional: bool,
}

/// Why a text is not cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Fault {
    /// Where, in bytes.
    pub(crate) offset: usize,
    /// What is wrong.
    pub(crate) message: String,
}

/// What the scan tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Blank,
    Word,
    Open,
    Close,
    Joiner,
    Slot,
    End,
    Other,
}

/// The statement being read.
#[derive(Default)]
struct Reading {
    start: Option<usize>,
    depth: usize,
    joiners: usize,
    in_conditions: bool,
    conditional: bool,
}

/// Cuts `text` into statements.
///
/// # Errors
///
/// The first [`Fault`]: too deep, too many operators, a template, an open string, an invisible
/// character, or a statement without its `;`.
pub(crate) fn statements(text: &str) -> Result<Vec<Statement<'_>>, Fault> {
    refuse_invisible(text)?;
    let mut found = Vec::new();
    let mut reading = Reading::default();
    let mut at = 0;
    while at < text.len() {
        let (piece, length) = piece(&text[at..]).map_err(|message| fault(at, message))?;
        if !matches!(piece, Piece::Blank) {
            reading.start.get_or_insert(at);
        }
        reading.take(&piece, &text[at..at + length]).map_err(|message| fault(at, message))?;
        at += length;
        if let Some(start) = reading.start.filter(|start| at - start > POLICY_STATEMENT_BYTES_MAX) {
            return Err(fault(start, format!("a policy of more than {POLICY_STATEMENT_BYTES_MAX} bytes")));
        }
        if let (Piece::End, Some(start)) = (piece, reading.start) {
            found.push(Statement { text: &text[start..at], start, conditional: reading.conditional });
            reading = Reading::default();
        }
    }
    match reading.start {
        Some(start) => Err(fault(start, "a policy without its `;`")),
        None => Ok(found),
    }
}

/// A bound of how deeply the expressions of a policy nest, with and without brackets.
pub(crate) fn nesting(text: &str) -> usize {
    let (mut at, mut brackets, mut joiners) = (0, 0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let Ok((piece, length)) = piece(rest) else { return usize::MAX };
        let word = piece == Piece::Word && matches!(&rest[..length], "if" | "has" | "like" | "in" | "is");
        joiners += usize::from(word || piece == Piece::Joiner);
        brackets += usize::from(piece == Piece::Open);
        at += length;
    }
    brackets + joiners
}

fn fault(offset: usize, message: impl Into<String>) -> Fault {
    Fault { offset, message: message.into() }
}

/// Comments and strings show what they hold, or the file is not for people to review.
fn refuse_invisible(text: &str) -> Result<(), Fault> {
    let bad = |c: char| is_invisible(c) || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    match text.char_indices().find(|(_, c)| bad(*c)) {
        Some((at, c)) => Err(fault(at, format!("invisible character U+{:04X}", u32::from(c)))),
        None => Ok(()),
    }
}

/// The first piece of `rest` and its length in bytes.
pub(crate) fn piece(rest: &str) -> Result<(Piece, usize), &'static str> {
    let bytes = rest.as_bytes();
    let run = |fits: fn(u8) -> bool| bytes.iter().position(|b| !fits(*b)).unwrap_or(bytes.len());
    Ok(match bytes[0] {
        b' ' | b'\t' | b'\r' | b'\n' => (Piece::Blank, 1),
        b'/' if bytes.get(1) == Some(&b'/') => (Piece::Blank, run(|b| b != b'\n' && b != b'\r')),
        b'"' => (Piece::Other, string_length(bytes).ok_or("a string without its end")?),
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => (Piece::Word, run(|b| b.is_ascii_alphanumeric() || b == b'_')),
        b'(' | b'{' | b'[' => (Piece::Open, 1),
        b')' | b'}' | b']' => (Piece::Close, 1),
        b'&' | b'|' => (Piece::Joiner, if bytes.get(1) == Some(&bytes[0]) { 2 } else { 1 }),
        b'.' | b'+' | b'-' | b'*' | b'/' | b'%' => (Piece::Joiner, 1),
        b'!' => (if bytes.get(1) == Some(&b'=') { Piece::Other } else { Piece::Joiner }, 1),
        b'?' => (Piece::Slot, 1),
        b';' => (Piece::End, 1),
        _ => (Piece::Other, rest.chars().next().map_or(1, char::len_utf8)),
    })
}

/// The length of the string literal that `bytes` begins with.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

// === impl Reading ===

impl Reading {
    fn take(&mut self, piece: &Piece, text: &str) -> Result<(), String> {
        match piece {
            Piece::Open => {
                self.depth += 1;
                self.joiners += usize::from(text == "[");
            }
            Piece::Close => self.depth = self.depth.saturating_sub(1),
            Piece::Joiner => self.joiners += 1,
            Piece::Slot => return Err("a template: only policies without slots are taken".into()),
            Piece::Word => self.take_word(text),
            Piece::Blank | Piece::End | Piece::Other => {}
        }
        if self.depth > POLICY_NESTING_MAX {
            return Err(format!("brackets nest deeper than {POLICY_NESTING_MAX}"));
        }
        if self.joiners > POLICY_OPERATORS_MAX {
            return Err(format!(
                "more than {POLICY_OPERATORS_MAX} operators in one policy; a set says it shorter"
            ));
        }
        Ok(())
    }

    fn take_word(&mut self, word: &str) {
        match word {
            "when" | "unless" if self.depth == 0 => {
                self.joiners += 1;
                self.in_conditions = true;
            }
            "if" | "has" | "like" | "in" | "is" => self.joiners += 1,
            "principal" | "action" | "resource" | "context" => self.conditional |= self.in_conditions,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<&[&str], &str>) {
        let found = statements(text);
        match (&found, expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!(found.iter().map(|s| s.text).collect::<Vec<_>>(), expected, "{text}");
            }
            (Err(fault), Err(part)) => assert!(fault.message.contains(part), "{fault}: {part}"),
            _ => panic!("{}: expected {}", text.chars().take(60).collect::<String>(), expected.is_ok()),
        }
    }

    #[test]
    fn a_text_is_cut_at_semicolons_outside_strings_and_comments() {
        check("", Ok(&[]));
        check(" // a;b\n\t", Ok(&[]));
        check("a; b ;", Ok(&["a;", "b ;"]));
        check("a \";\" // ;\r b;", Ok(&["a \";\" // ;\r b;"]));
        check(r#"a "\";" ;"#, Ok(&[r#"a "\";" ;"#]));
        check(r#"a "\\";b;"#, Ok(&[r#"a "\\";"#, "b;"]));
        check("a; b", Err("without its `;`"));
        check("a \"b;", Err("without its end"));
        check("a \"b\\", Err("without its end"));
        check("permit(principal == ?principal, action, resource);", Err("a template"));
        check("// \u{202e}\n", Err("U+202E"));
        check("a\0;", Err("U+0000"));
    }

    #[test]
    fn what_nests_is_bounded_with_and_without_brackets() {
        let deep = |n: usize| format!("{}{};", "(".repeat(n), ")".repeat(n));
        check(&deep(POLICY_NESTING_MAX), Ok(&[&deep(POLICY_NESTING_MAX)]));
        check(&deep(POLICY_NESTING_MAX + 1), Err("nest deeper"));
        check(&deep(10_000), Err("nest deeper"));
        for joiner in [".a", "||a", "+1", "-1", "!", "[0]", "if a ", "when{}", " has a", " in a", "/2"] {
            let long = format!("a {};", joiner.repeat(POLICY_OPERATORS_MAX + 1));
            check(&long, Err("operators in one policy"));
        }
        let list = |n: usize| format!("a [{}];", "\"x\",".repeat(n));
        check(&list(4_000), Ok(&[&list(4_000)]));
        check(&list(4_100), Err("more than 16384 bytes"));
        check(&format!("//{}\na;", "x".repeat(100_000)), Ok(&["a;"]));
    }

    #[test]
    fn a_condition_that_looks_at_nothing_is_seen() {
        for (text, conditional) in [
            ("permit(principal, action, resource);", false),
            ("permit(principal, action, resource) when { true };", false),
            ("permit(principal, action, resource) unless { \"context\" == \"a\" };", false),
            ("permit(principal, action, resource) when { context.proof };", true),
        ] {
            assert_eq!(statements(text).expect("good")[0].conditional, conditional, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_cut_or_refused_and_nothing_is_lost(text in "[a-z;\"/\\\\ \n\r(){}\\[\\]é.!?]{0,60}") {
            if let Ok(found) = statements(&text) {
                let mut end = 0;
                for statement in found {
                    prop_assert_eq!(&text[statement.start..statement.start + statement.text.len()], statement.text);
                    prop_assert!(statement.start >= end && statement.text.ends_with(';'));
                    end = statement.start + statement.text.len();
                }
            }
        }
    }
}
