//! `locumd check-config`: settings and everything they point at, judged without starting anything.

use std::path::Path;

use locum_server::clock::WallClock;
use locum_server::config::{self, Flags};

/// Prints one line when all is well, else returns every problem, one a line.
#[expect(clippy::print_stdout, reason = "the answer of a command line tool")]
pub(crate) fn run(path: &Path, flags: &Flags) -> Result<(), String> {
    let checked = config::check(path, flags, &WallClock).map_err(|problems| problems.to_string())?;
    println!(
        "{} is right: {} workloads, {} connectors, {} policy files, {} operators",
        path.display(),
        checked.registry.workloads.len(),
        checked.registry.connectors.len(),
        checked.policies.len(),
        checked.settings.operators.len(),
    );
    Ok(())
}
