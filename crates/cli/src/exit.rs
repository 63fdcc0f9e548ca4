//! Exit codes: what a script may rely on. The numbers never change their meaning.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// The number.
    pub(crate) code: u8,
    /// What stands for a reason in an error document, where the broker gave none.
    pub(crate) reason: &'static str,
    /// What it says.
    pub(crate) meaning: &'static str,
}

/// Every exit code, in order.
pub(crate) const ALL: [Exit; 13] = [
    exit(0, "DONE", "Done. For questions: the answer is yes."),
    exit(1, "INTERNAL", "Something of Locum itself failed, or a file or stream of this machine."),
    exit(
        2,
        "USAGE",
        "The command line, a file that it names, or an answer at the prompt is not right. Nothing was changed.",
    ),
    exit(3, "NOT_FOUND", "There is no such thing, or not for this caller."),
    exit(
        4,
        "DENIED",
        "Refused: by policy, role, lock or state. For questions: the answer is no (inactive, invalid, not ready).",
    ),
    exit(5, "NOT_AUTHENTICATED", "The broker does not know who is calling, or does not believe it."),
    exit(
        6,
        "UNAVAILABLE",
        "The broker cannot be reached, is too busy, or did not answer in time. Later may be better.",
    ),
    exit(
        7,
        "PARTLY_DONE",
        "Some of it was done, not all of it is shown, or a revocation that was waited for is in force and not yet \
         everywhere; standard error says what is missing.",
    ),
    exit(8, "NOT_CONFIRMED", "The person at the terminal did not confirm. Nothing was changed."),
    exit(126, "NOT_EXECUTABLE", "`locum exec`: the program cannot be run. Its task was ended."),
    exit(127, "NO_PROGRAM", "`locum exec`: there is no such program. Its task was ended."),
    exit(130, "INTERRUPTED", "Interrupted from the keyboard (128 + SIGINT)."),
    exit(
        BROKEN_PIPE,
        "BROKEN_PIPE",
        "Whoever read standard output went away (128 + SIGPIPE). Nothing is said.",
    ),
];

/// Whoever read standard output went away.
pub(crate) const BROKEN_PIPE: u8 = 141;

const fn exit(code: u8, reason: &'static str, meaning: &'static str) -> Exit {
    Exit { code, reason, meaning }
}

/// What stands for a reason where the broker gave none.
pub(crate) fn reason(code: u8) -> &'static str {
    ALL.iter().find(|exit| exit.code == code).map_or("INTERNAL", |exit| exit.reason)
}

/// The page `docs/reference/exit-codes.md`.
#[cfg(test)]
pub(crate) fn page() -> String {
    use std::fmt::Write as _;

    let mut page = String::from(
        "# Exit codes of `locum`\n\nWhat a script may rely on: a number never changes its meaning. The same table is printed by `locum help exit-codes`.\n\n\
         | code | reason | meaning |\n|---|---|---|\n",
    );
    for Exit { code, reason, meaning } in ALL {
        let _fits = writeln!(page, "| {code} | `{reason}` | {meaning} |");
    }
    page.push_str(
        "\nThe reason stands in the error document (`-o json`, on standard error) where the broker gave none of its own;\n\
         the broker's are in [errors](errors.md). `locum exec` ends with the code of the program that it ran.\n",
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_and_no_reason_stands_twice() {
        for (n, one) in ALL.iter().enumerate() {
            assert!(
                ALL[n + 1..].iter().all(|other| other.code > one.code && other.reason != one.reason),
                "{one:?}"
            );
        }
    }
}
