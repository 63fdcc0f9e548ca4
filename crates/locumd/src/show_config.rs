//! `locumd config show`: every key with its value and, where wished, its source.

use std::path::Path;

use locum_server::config::{self, Flags};

/// What stands for a key that nobody wrote and that has no default.
const UNSET: &str = "-";

/// Prints one key a line: name, value and source, in columns.
#[expect(clippy::print_stdout, reason = "the answer of a command line tool")]
pub(crate) fn run(path: &Path, flags: &Flags, sources: bool) -> Result<(), String> {
    let all = config::show(path, flags).map_err(|problems| problems.to_string())?;
    let width = |of: fn(&config::Stated) -> usize| all.iter().map(of).max().unwrap_or(0);
    let keys = width(|stated| stated.key.chars().count());
    let values = width(|stated| stated.value.as_ref().map_or(UNSET.len(), |value| value.chars().count()));
    for stated in &all {
        let value = stated.value.as_deref().unwrap_or(UNSET);
        if sources {
            println!("{:keys$}  {value:values$}  {}", stated.key, stated.source);
        } else {
            println!("{:keys$}  {value}", stated.key);
        }
    }
    Ok(())
}
