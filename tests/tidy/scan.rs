//! Finding words, lines and matching braces in code that has no comments and literals left.
//!
//! Positions are bytes from 0, lines count from 1.

/// Whether a character can stand in an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether this is one identifier and nothing else.
pub(crate) fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_word)
}

/// Every place where `word` stands by itself.
pub(crate) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        // A word that begins or ends in punctuation, such as `x!`, needs no border there.
        let opens = word.starts_with(is_word) && before.is_some_and(is_word);
        let goes_on = word.ends_with(is_word) && after.is_some_and(is_word);
        !opens && !goes_on
    })
}

/// The line of a position.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The identifier that ends right before a position, generics in between left out.
pub(crate) fn word_before(text: &str, at: usize) -> &str {
    let mut head = &text[..at];
    if head.ends_with('>') {
        head = head[..opening_angle(head)].trim_end_matches("::");
    }
    let start = head.rfind(|c| !is_word(c)).map_or(0, |n| n + 1);
    &head[start..]
}

/// The identifier that begins at a position; empty when none does.
pub(crate) fn word_at(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())]
}

/// The bracket that closes the one at a position; the end of the text when none does.
pub(crate) fn closing(text: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text[open..].char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return open + at;
        }
    }
    text.len().saturating_sub(1)
}

/// Where the item that begins at a position ends: at its `;` or at the brace that closes its body.
/// Attributes before it belong to it.
pub(crate) fn item_end(text: &str, start: usize) -> usize {
    let mut at = start;
    while let Some(c) = text[at..].chars().next() {
        match c {
            ';' => return at,
            '{' => return closing(text, at),
            '(' | '[' => at = closing(text, at),
            _ => {}
        }
        at += text[at..].chars().next().map_or(1, char::len_utf8);
    }
    text.len().saturating_sub(1)
}

fn opening_angle(head: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in head.char_indices().rev() {
        match c {
            '>' => depth += 1,
            '<' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return at;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_alone() {
        for (text, word, expected) in [
            ("spawn respawn spawned spawn", "spawn", vec![0, 22]),
            ("a::env::var(x) env::vars", "env::var", vec![3]),
            ("my_panic!() panic!()", "panic!", vec![12]),
        ] {
            assert_eq!(words(text, word).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn the_word_before_skips_generics() {
        for (head, expected) in [("x = Live", "Live"), ("Live::<Vec<A>>", "Live"), ("a.b", "b"), ("(", "")] {
            assert_eq!(word_before(head, head.len()), expected, "{head}");
        }
    }

    #[test]
    fn items_end_where_they_end() {
        for (text, expected) in [
            ("#[a(b)] mod x; y", "#[a(b)] mod x;"),
            ("fn a(b: [u8; 3]) -> c { { } } y", "fn a(b: [u8; 3]) -> c { { } }"),
        ] {
            assert_eq!(&text[..=item_end(text, 0)], expected);
        }
    }
}
