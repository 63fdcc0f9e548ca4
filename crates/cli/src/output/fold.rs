//! Text for people in lines of a width, broken between words.

/// `text` in lines of at most `width` columns; all but the first begin with `indent` spaces. A word that is
/// wider stands alone on its line, whole: what is to be copied must not be torn.
pub(crate) fn folded(text: &str, width: usize, indent: usize) -> String {
    let mut lines = String::with_capacity(text.len());
    let mut used = 0;
    for word in text.split(' ') {
        let columns = word.chars().count();
        if used > 0 && used + 1 + columns > width {
            lines.push('\n');
            lines.extend(std::iter::repeat_n(' ', indent));
            used = indent;
        } else if !lines.is_empty() {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += columns;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_words_are_whole() {
        for (text, folded_text) in [
            ("", ""),
            ("short", "short"),
            ("ten columns", "ten\n  columns"),
            ("exactly 10 is", "exactly 10\n  is"),
            ("a wider-than-a-line b", "a\n  wider-than-a-line\n  b"),
            ("wider-than-a-line b", "wider-than-a-line\n  b"),
            ("größer ß ü", "größer ß ü"),
        ] {
            assert_eq!(folded(text, 10, 2), folded_text, "{text}");
        }
    }

    #[test]
    fn nothing_but_spaces_changes() {
        let text = "no policy allows a task with this intent: `orders:refund` is not permitted";
        for width in 1..90 {
            assert_eq!(folded(text, width, 7).split_whitespace().collect::<Vec<_>>().join(" "), text);
        }
    }
}
