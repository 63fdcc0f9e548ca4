//! A policy's text in its parts: annotations, scope, and conditions one by one.
//!
//! `when { a && b }` is two conditions, and so is `unless { a || b }`: what an author can meet or
//! miss one by one. Where a clause does not split that way it is one condition. The parts together
//! are the policy: a test compares them with Cedar over generated policies.

use std::collections::BTreeMap;

use crate::statement::{Piece, piece};

/// A policy that parsed, cut up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Key and value of each annotation, as written.
    pub(crate) annotations: BTreeMap<String, String>,
    /// `permit` or `forbid`.
    pub(crate) effect: String,
    /// What stands between the first parentheses.
    pub(crate) scope: String,
    /// In the order of the text.
    pub(crate) conditions: Vec<Condition>,
}

/// One thing that has to hold before a policy applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Without comments, on one line; of an `unless` what must not be so.
    pub(crate) text: String,
    /// Where it begins, in bytes from the policy's beginning.
    pub(crate) offset: usize,
    /// Whether it stands in an `unless`.
    pub(crate) unless: bool,
}

/// A piece that is no blank, and where it stands.
struct Token<'a> {
    piece: Piece,
    text: &'a str,
    offset: usize,
    /// Brackets around it; a bracket stands outside of itself.
    depth: usize,
    /// Whether blanks stand before it.
    apart: bool,
}

impl Parts {
    /// Cuts up the text of one policy that Cedar has parsed.
    pub(crate) fn of(text: &str) -> Self {
        let tokens = tokens(text);
        let mut parts = Self::default();
        let mut rest = tokens.as_slice();
        while let Some((first, after)) = rest.split_first() {
            rest = match first.text {
                "@" => parts.take_annotation(after),
                "permit" | "forbid" => parts.take_scope(first, after),
                "when" | "unless" => parts.take_clause(first, after),
                _ => after,
            };
        }
        parts
    }

    fn take_annotation<'t, 'a>(&mut self, rest: &'t [Token<'a>]) -> &'t [Token<'a>] {
        let [key, rest @ ..] = rest else { return rest };
        let (value, rest) = match rest {
            [open, value, _close, after @ ..] if open.text == "(" => (value.text, after),
            _ => ("\"\"", rest),
        };
        self.annotations.insert(key.text.to_owned(), value.to_owned());
        rest
    }

    fn take_scope<'t, 'a>(&mut self, effect: &Token<'_>, rest: &'t [Token<'a>]) -> &'t [Token<'a>] {
        let (inside, rest) = bracketed(rest);
        self.effect = effect.text.to_owned();
        self.scope = written(inside);
        rest
    }

    fn take_clause<'t, 'a>(&mut self, word: &Token<'_>, rest: &'t [Token<'a>]) -> &'t [Token<'a>] {
        let (inside, rest) = bracketed(rest);
        let unless = word.text == "unless";
        for part in split(inside, if unless { "||" } else { "&&" }) {
            let offset = part.first().map_or(word.offset, |token| token.offset);
            self.conditions.push(Condition { text: written(part), offset, unless });
        }
        rest
    }
}

impl Condition {
    /// The expression that has to be true.
    pub(crate) fn expression(&self) -> String {
        if self.unless { format!("!({})", self.text) } else { self.text.clone() }
    }
}

/// The parts of a clause that have to hold each; the whole of it where it is not a chain of `joiner`.
fn split<'t, 'a>(inside: &'t [Token<'a>], joiner: &str) -> Vec<&'t [Token<'a>]> {
    let depth = inside.first().map_or(0, |token| token.depth);
    let here = |token: &&Token<'_>| token.depth == depth;
    // `&&` binds closer than `||`; a conditional expression takes everything that follows.
    let other = |token: &Token<'_>| token.text == "if" || (token.text == "||" && joiner == "&&");
    if inside.iter().filter(here).any(other) {
        return vec![inside];
    }
    inside.split(|token| token.depth == depth && token.text == joiner).collect()
}

/// What stands in the brackets that `rest` begins with, and what follows them.
fn bracketed<'t, 'a>(rest: &'t [Token<'a>]) -> (&'t [Token<'a>], &'t [Token<'a>]) {
    let Some(open) = rest.first() else { return (rest, rest) };
    let close = rest.iter().skip(1).position(|token| token.depth == open.depth);
    let close = close.map_or(rest.len() - 1, |at| at + 1);
    (&rest[1..close], rest.get(close + 1..).unwrap_or_default())
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut found, mut at, mut depth, mut apart) = (Vec::new(), 0, 0_usize, false);
    while at < text.len() {
        // What was parsed as a policy has been scanned before: there is no open string.
        let Ok((piece, length)) = piece(&text[at..]) else { return found };
        let (offset, text) = (at, &text[at..at + length]);
        at += length;
        match piece {
            Piece::Blank => apart = true,
            piece => {
                depth = depth.saturating_sub(usize::from(matches!(piece, Piece::Close)));
                let opens = matches!(piece, Piece::Open);
                found.push(Token { piece, text, offset, depth, apart: std::mem::take(&mut apart) });
                depth += usize::from(opens);
            }
        }
    }
    found
}

/// The tokens on one line, apart where blanks were.
fn written(tokens: &[Token<'_>]) -> String {
    let mut line = String::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.apart && at > 0 {
            line.push(' ');
        }
        line.push_str(token.text);
    }
    line
}

/// The attributes that an expression looks at, such as `context.purpose`, each once, in order.
pub(crate) fn attributes(expression: &str) -> Vec<String> {
    let tokens = tokens(expression);
    let mut found: Vec<String> = Vec::new();
    for (at, root) in tokens.iter().enumerate() {
        let is_root = matches!(root.text, "principal" | "resource" | "context");
        if !is_root || at.checked_sub(1).is_some_and(|before| matches!(tokens[before].text, "." | "::")) {
            continue;
        }
        let mut path = root.text.to_owned();
        let mut rest = &tokens[at + 1..];
        while let [dot, name, after @ ..] = rest {
            let is_call = after.first().is_some_and(|next| next.text == "(");
            if dot.text != "." || !matches!(name.piece, Piece::Word) || is_call {
                break;
            }
            path.push('.');
            path.push_str(name.text);
            rest = after;
        }
        if path.contains('.') && !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(text: &str) -> Vec<String> {
        let parts = Parts::of(&format!("@id(\"a\") permit(principal, action, resource) {text};"));
        parts.conditions.iter().map(Condition::expression).collect()
    }

    #[test]
    fn a_policy_is_cut_into_its_parts() {
        let text = "@id(\"a\") @description(\"when { b } // c\") @ttl_max(\"5m\")\nforbid (\n  principal in T::\"x\", // who\n  action,\n  resource\n)\nwhen { context.a };";
        let parts = Parts::of(text);
        assert_eq!(parts.effect, "forbid");
        assert_eq!(parts.scope, "principal in T::\"x\", action, resource");
        assert_eq!(parts.annotations["description"], "\"when { b } // c\"");
        assert_eq!(parts.annotations.len(), 3);
        assert_eq!(&text[parts.conditions[0].offset..][..9], "context.a");
    }

    #[test]
    fn what_can_be_met_one_by_one_is_one_condition_each() {
        for (text, expected) in [
            ("", vec![]),
            ("when { a && b // no\n && (c || d) }", vec!["a", "b", "(c || d)"]),
            ("when { a || b && c }", vec!["a || b && c"]),
            ("when { if a && b then c && d else e }", vec!["if a && b then c && d else e"]),
            ("when { a } unless { b || c && d }", vec!["a", "!(b)", "!(c && d)"]),
            ("unless { b && c }", vec!["!(b && c)"]),
            (
                "when { [a, b].contains({x: c && d}) && \"&&\" == e }",
                vec!["[a, b].contains({x: c && d})", "\"&&\" == e"],
            ),
        ] {
            assert_eq!(conditions(text), expected, "{text}");
        }
    }

    #[test]
    fn attributes_are_found_and_calls_and_literals_are_not() {
        let found = attributes(
            "principal has model && principal.model.owner.name == context.purpose && \
             [\"resource.tier\"].containsAll(context.resources) && context.resources.contains(\"x\") && x.context.y",
        );
        assert_eq!(found, ["principal.model.owner.name", "context.purpose", "context.resources"]);
    }
}
