//! What the pages show of a program, and whether its grammar knows that.
//!
//! Used for `locum` and for `locumd`.

use std::path::Path;

use clap::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The words of one simple command of a shell; none of an open quotation or a substitution.
pub(crate) fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(mark), c) if c == mark => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | '<' | '&' | ';' | ')' | '#') => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Every command line of the program in a text, a continued one as one line.
pub(crate) fn lines_of(program: &str, text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let begin = |line: &str| {
        let line = line.trim_start();
        let command = format!("{program} ");
        let at = ["", "$(", "| ", "-- ", "--clear-groups "].iter().find_map(|before| {
            let at = line.find(&format!("{before}{command}"))?;
            // What stands before it is a variable of the environment or another command.
            let plain = line[..at].split(' ').all(|word| word.is_empty() || word.contains('='));
            (plain || !before.is_empty()).then_some(at + before.len())
        })?;
        Some(line[at..].to_owned())
    };
    joined.lines().filter_map(begin).collect()
}

/// The pages that people follow, and those of the reference.
pub(crate) fn pages() -> Vec<(String, String)> {
    let root = Path::new(ROOT);
    let mut pages = vec![root.join("README.md"), root.join("deploy/kubernetes/README.md")];
    for folder in ["docs", "docs/operating", "docs/reference"] {
        let entries = std::fs::read_dir(root.join(folder)).expect("a folder of pages");
        pages.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    pages.retain(|page| page.extension().is_some_and(|end| end == "md"));
    pages.sort();
    let read = |page: &Path| std::fs::read_to_string(page).expect("a page");
    pages.iter().map(|page| (page.display().to_string(), read(page))).collect()
}

/// The command lines in blocks, and those between backquotes in the prose.
pub(crate) fn shown_on(program: &str, text: &str) -> Vec<String> {
    let (mut shown, mut prose, mut block) = (Vec::new(), String::new(), None::<String>);
    for line in text.lines() {
        match (&mut block, line.starts_with("```")) {
            (Some(lines), true) => {
                shown.extend(lines_of(program, lines));
                block = None;
            }
            (None, true) => block = Some(String::new()),
            (Some(lines), false) => lines.extend([line, "\n"]),
            (None, false) => prose.extend([line, "\n"]),
        }
    }
    let quoted = prose.split('`').skip(1).step_by(2);
    shown.extend(
        quoted.filter(|text| text.starts_with(&format!("{program} "))).map(|text| text.replace('\n', " ")),
    );
    shown
}

/// Its words lead to a command, and its flags are flags of that command.
pub(crate) fn known(root: &Command, line: &str) -> Result<(), String> {
    let Some(words) = words(line) else { return Ok(()) };
    let mut command = root;
    let mut flags_end = false;
    let mut takes_value = false;
    let mut arguments = 0;
    for word in words.iter().skip(1) {
        if flags_end || std::mem::take(&mut takes_value) {
            continue;
        }
        flags_end = word == "--";
        if let Some(name) = word.strip_prefix("--").filter(|name| !name.is_empty()) {
            let (name, joined) = name.split_once('=').map_or((name, false), |(name, _)| (name, true));
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(name));
            let arg = arg.ok_or_else(|| format!("`{}` has no flag `--{name}`", command.get_name()))?;
            takes_value = arg.get_action().takes_values() && !joined;
        } else if let Some(short) =
            word.strip_prefix('-').and_then(|rest| rest.chars().next()).filter(|c| *c != '-')
        {
            let arg = command.get_arguments().find(|arg| arg.get_short() == Some(short));
            let arg = arg.ok_or_else(|| format!("`{}` has no flag `-{short}`", command.get_name()))?;
            takes_value = arg.get_action().takes_values() && word.len() == 2;
        } else if let Some(found) = command.find_subcommand(word).filter(|_| arguments == 0) {
            command = found;
        } else if command.is_subcommand_required_set()
            && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
        {
            return Err(format!("`{}` has no command `{word}`", command.get_name()));
        } else {
            arguments += 1;
        }
    }
    Ok(())
}
