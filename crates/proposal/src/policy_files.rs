//! Policy files: the `*.cedar` files of a directory as texts, in order of name, within bounds.
//!
//! Only reads; whether the texts are policies is judged by `policy`. A directory without any policy is refused: it would deny everything, which is more
//! likely a wrong path than a wish.

use std::io;
use std::path::Path;

use locum_model::event::PolicyText;
use locum_model::limits::{POLICIES_MAX, POLICY_BYTES_MAX};

use crate::bounded_file::{files_of, read_bounded};
use crate::problem::{Problem, Problems};

/// Reads all policies in `dir`.
///
/// # Errors
///
/// [`Problems`]: unreadable files, text that is no UTF-8, none or too many, too many bytes.
pub fn read(dir: &Path) -> Result<Vec<PolicyText>, Problems> {
    let refused = |path: &Path, message: String| Problems::from(Problem::in_file(path, None, "", message));
    let files = files_of(dir, ".cedar", POLICIES_MAX).map_err(|error| refused(dir, error.to_string()))?;
    if files.is_empty() {
        return Err(refused(dir, "no `*.cedar` file is here".to_owned()));
    }
    let (mut texts, mut problems, mut left) = (Vec::new(), Vec::new(), POLICY_BYTES_MAX);
    for path in files {
        match read_one(&path, left) {
            Ok(text) => {
                left -= text.text.len();
                texts.push(text);
            }
            Err(message) => problems.push(Problem::in_file(&path, None, "", message)),
        }
    }
    if problems.is_empty() { Ok(texts) } else { Err(Problems::of(problems)) }
}

fn read_one(path: &Path, bytes_max: usize) -> Result<PolicyText, String> {
    let bytes = read_bounded(path, bytes_max).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => {
            format!("all policies together are larger than {POLICY_BYTES_MAX} bytes")
        }
        _ => error.to_string(),
    })?;
    let text = String::from_utf8(bytes).map_err(|error| format!("not UTF-8: {error}"))?;
    let name = path.file_name().and_then(|name| name.to_str()).ok_or("the file's name is not UTF-8")?;
    Ok(PolicyText { name: name.to_owned(), text })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn dir_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            fs::write(dir.path().join(name), text).expect("written");
        }
        dir
    }

    #[test]
    fn reads_policies_alone_in_order_of_name() {
        let files: &[(&str, &[u8])] =
            &[("b.cedar", b"two"), ("a.cedar", b"one"), ("notes.md", b"x"), (".hidden.cedar", b"x")];
        let dir = dir_with(files);
        symlink(dir.path().join("a.cedar"), dir.path().join("c.cedar")).expect("linked");
        let texts = read(dir.path()).expect("read");
        let found: Vec<_> = texts.iter().map(|text| (text.name.as_str(), text.text.as_str())).collect();
        assert_eq!(found, [("a.cedar", "one"), ("b.cedar", "two"), ("c.cedar", "one")]);
    }

    #[test]
    fn refuses_none_broken_text_and_too_much() {
        let large = vec![b' '; POLICY_BYTES_MAX / 2 + 1];
        type Files<'a> = &'a [(&'a str, &'a [u8])];
        let table: [(Files<'_>, &str); 3] = [
            (&[("notes.md", b"x")], "no `*.cedar` file"),
            (&[("a.cedar", &[0xff])], "a.cedar: not UTF-8"),
            (&[("a.cedar", &large), ("b.cedar", &large)], "b.cedar: all policies together"),
        ];
        for (files, expected) in table {
            let said = read(dir_with(files).path()).expect_err(expected).to_string();
            assert!(said.contains(expected), "{said}");
        }
        let gone = read(Path::new("/nowhere/policies")).expect_err("gone").to_string();
        assert!(gone.contains("/nowhere/policies"), "{gone}");
    }
}
