//! Text of others, made fit for a log and a terminal: nothing in it can steer either.

/// Longest text kept of an answer, in characters.
const TEXT_CHARS_MAX: usize = 512;

/// The text with every control, invisible and direction character as its escape.
pub fn escaped(text: &str) -> String {
    text.chars().flat_map(shown).collect()
}

/// As [`escaped`], of the first [`TEXT_CHARS_MAX`] characters.
pub(crate) fn bounded(text: &str) -> String {
    bounded_to(TEXT_CHARS_MAX, text)
}

/// As [`escaped`], of the first `most` characters.
pub(crate) fn bounded_to(most: usize, text: &str) -> String {
    text.chars().take(most).flat_map(shown).collect()
}

/// The character, or its escape where it is a control, an invisible or a direction character.
fn shown(c: char) -> impl Iterator<Item = char> {
    let unsafe_to_show = c.is_control() || c.escape_debug().len() > 2 || is_invisible(c);
    let (escaped, plain) = if unsafe_to_show { (Some(c.escape_unicode()), None) } else { (None, Some(c)) };
    escaped.into_iter().flatten().chain(plain)
}

fn is_invisible(c: char) -> bool {
    matches!(u32::from(c), 0xAD | 0x34F | 0x61C | 0x180E | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F
        | 0xFE00..=0xFE0F | 0xFEFF | 0xFFF9..=0xFFFB | 0xE0000..=0xE01EF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        for (text, expected) in [
            ("plain `orders:write` ü", "plain `orders:write` ü"),
            ("a\u{1b}[31mb", "a\\u{1b}[31mb"),
            ("a\nb", "a\\u{a}b"),
            ("x\u{202e}y", "x\\u{202e}y"),
            ("z\u{200b}", "z\\u{200b}"),
        ] {
            assert_eq!(bounded(text), expected);
        }
        assert_eq!(bounded(&"x".repeat(10_000)).len(), TEXT_CHARS_MAX);
    }
}
