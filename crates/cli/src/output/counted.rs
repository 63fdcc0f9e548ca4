//! [`counted`]: a number and what it is of, as people say it.

/// `1 live token`, `12 live tokens`; `1 entry`, `2 entries`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let is_vowel = |c: char| "aeiou".contains(c);
    match noun.strip_suffix('y').filter(|stem| !stem.ends_with(is_vowel)) {
        _ if number == 1 => format!("1 {noun}"),
        Some(stem) => format!("{number} {stem}ies"),
        None => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_all_others_are_many() {
        for (number, noun, said) in [
            (0, "entry", "0 entries"),
            (1, "entry", "1 entry"),
            (21, "entry", "21 entries"),
            (1, "key", "1 key"),
            (2, "key", "2 keys"),
            (2, "live token", "2 live tokens"),
        ] {
            assert_eq!(counted(number, noun), said);
        }
    }
}
