//! [`Misread`]: a command line that is not one, and what was probably meant.
//!
//! Beside the words that clap finds similar it knows where a verb of ours stands (`locum list`), and what other
//! tools call what we do (`get`, `ls`, `delete`, `lock add`). It only says so: what is misnamed is never done.

use std::ffi::OsString;
use std::iter;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use locum_sdk::escaped;

/// What other tools call what commands of ours do. A word of theirs stands for itself below any noun, or with its
/// noun for that alone; ours are the ends of command lines.
const ELSEWHERE: [(&[&str], &[&str]); 20] = [
    (&["ls"], &["list"]),
    (&["get"], &["list", "show"]),
    (&["describe", "inspect"], &["show", "introspect"]),
    (&["token show", "token get"], &["token introspect", "token list", "token decode"]),
    (&["run"], &["exec"]),
    (&["create", "new", "begin", "open"], &["start", "add"]),
    (&["stop", "close", "finish", "cancel"], &["end"]),
    (&["issue", "mint"], &["request"]),
    (&["verify", "validate"], &["introspect", "check"]),
    (&["delete", "rm", "kill", "invalidate"], &["revoke", "end", "remove"]),
    (&["lock add", "lock create", "lock new", "lock set", "ban", "block", "disable", "suspend"], &["lock"]),
    (&["lock remove", "lock rm", "lock delete", "unban", "unblock", "enable"], &["unlock"]),
    (&["log", "logs", "history", "events"], &["tail", "search"]),
    (&["find", "query", "grep"], &["search"]),
    (&["health", "ping", "info"], &["status"]),
    (&["watch", "monitor"], &["top"]),
    (&["login", "auth", "config", "profile"], &["context add", "whoami"]),
    (&["switch", "select"], &["use"]),
    (&["apply", "load", "refresh"], &["reload"]),
    (&["completion"], &["completions"]),
];

/// What other tools call flags of ours.
const FLAGS_ELSEWHERE: [(&[&str], &str); 3] = [
    (&["--for", "--duration", "--expires-in", "--lifetime", "--until"], "--ttl"),
    (&["--because", "--message", "--comment", "--why"], "--reason"),
    (&["--force", "--assume-yes", "--no-confirm"], "--yes"),
];

/// What is asked of the server's own program.
const SERVERS: [&str; 6] = ["serve", "demo", "check-config", "probe", "accept-clock", "journal"];

/// What stands for a token where one is no argument. It is not repeated: what is told may go to a log.
const HIDDEN: &str = "eyJ…";
const TOKENS_ARE_READ: &str =
    "give a token on standard input or in a file: a command line can be seen by others";

/// A command line that is not one.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Misread {
    /// What is wrong with it, on one line.
    pub(crate) message: String,
    /// What was probably meant.
    pub(crate) help: Option<String>,
    /// The same for people, with the usage.
    told: clap::Error,
}

impl Misread {
    /// What clap says of these arguments, the program's name the first, and what they could have been in this grammar.
    pub(crate) fn new(
        mut told: clap::Error,
        mut root: Command,
        args: impl IntoIterator<Item = OsString>,
    ) -> Self {
        let args: Vec<String> = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        root.build();
        let (at, path, next) = walked(&root, &args);
        let word = match told.get(ContextKind::InvalidSubcommand) {
            Some(ContextValue::String(word)) if told.kind() == ErrorKind::InvalidSubcommand => word.clone(),
            _ => next.filter(|_| at.has_subcommands()).unwrap_or_default(),
        };
        let meant = meant(&root, &path, &word);
        if !meant.is_empty() {
            let tips = meant.iter().map(|line| format!("try '{line}'").into()).collect();
            told.remove(ContextKind::SuggestedSubcommand);
            told.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
        if let Some(ours) = flag_meant(&told, at) {
            told.remove(ContextKind::SuggestedArg);
            told.insert(
                ContextKind::Suggested,
                ContextValue::StyledStrs(vec![format!("try '{ours}'").into()]),
            );
        }
        let told = without_tokens(told, &args);
        let text = told.render().to_string();
        let message = if told.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            let names: Vec<&str> = at.get_subcommands().map(Command::get_name).collect();
            format!("`{}` wants one of these behind it: {}", line(&path), names.join(", "))
        } else {
            let said = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
            escaped(&said.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        let tips: Vec<&str> =
            text.lines().filter_map(|line| line.trim_start().strip_prefix("tip: ")).collect();
        let help = (!tips.is_empty()).then(|| escaped(&tips.join("; ")));
        Self { message, help, told }
    }

    /// Tells people. That nobody listens is no failure.
    pub(crate) fn print(&self) {
        let _told = self.told.print();
    }
}

/// The same without the tokens among these arguments, and how to give one if there were any. They are sought in the
/// text, as a value that is not read is repeated by what did not read it, too.
fn without_tokens(mut told: clap::Error, args: &[String]) -> clap::Error {
    let tokens: Vec<&str> = args
        .iter()
        .filter_map(|arg| arg.find("eyJ").map(|start| &arg[start..]))
        .filter(|text| text.matches('.').count() > 1)
        .collect();
    let shown = told.render().to_string();
    if !tokens.iter().any(|token| shown.contains(token)) {
        return told;
    }
    told.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![TOKENS_ARE_READ.into()]));
    let shown = told.render().to_string();
    let hidden = tokens.iter().fold(shown, |shown, token| shown.replace(token, HIDDEN));
    clap::Error::raw(told.kind(), hidden.trim_start_matches("error: "))
}

/// The command that these arguments lead to, the words that led there, and the argument behind them.
fn walked<'a>(root: &'a Command, args: &[String]) -> (&'a Command, String, Option<String>) {
    let (mut at, mut path, mut next) = (root, Vec::new(), None);
    for (n, arg) in args.iter().enumerate().skip(1).take_while(|(_, arg)| *arg != "--") {
        if let Some(below) = at.find_subcommand(arg) {
            at = below;
            path.push(below.get_name());
            next = args.get(n + 1).cloned();
        }
    }
    (at, path.join(" "), next)
}

/// The command lines that somebody meant who wrote this word below this noun, or without one.
fn meant(root: &Command, path: &str, word: &str) -> Vec<String> {
    if path.is_empty() && SERVERS.contains(&word) {
        return vec![format!("locumd {word}")];
    }
    let ours = |name: &str| {
        ELSEWHERE.iter().find(|(theirs, _)| theirs.contains(&name)).map(|(_, ours)| ours.iter().copied())
    };
    let words: Vec<&str> = match ours(&format!("{path} {word}")) {
        Some(ours) => ours.collect(),
        None => iter::once(word).chain(ours(word).into_iter().flatten()).collect(),
    };
    let mut all = leaves(root, "");
    all.retain(|leaf| words.iter().any(|ours| leaf == ours || leaf.ends_with(&format!(" {ours}"))));
    if !path.is_empty() {
        let is_below = |leaf: &String| leaf == path || leaf.starts_with(&format!("{path} "));
        let has_below = all.iter().any(is_below);
        all.retain(|leaf| if has_below { is_below(leaf) } else { !leaf.contains(' ') });
    }
    all.iter().map(|leaf| line(leaf)).collect()
}

/// The flag of this command that somebody meant who wrote another tool's.
fn flag_meant(told: &clap::Error, at: &Command) -> Option<&'static str> {
    let Some(ContextValue::String(theirs)) = told.get(ContextKind::InvalidArg) else { return None };
    if told.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let (_, ours) = FLAGS_ELSEWHERE.iter().find(|(words, _)| words.contains(&theirs.as_str()))?;
    at.get_arguments().any(|arg| arg.get_long() == ours.strip_prefix("--")).then_some(*ours)
}

/// Every command that does something, by its words.
fn leaves(command: &Command, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for below in command.get_subcommands() {
        let path = format!("{path} {}", below.get_name()).trim_start().to_owned();
        found.extend(leaves(below, &path));
        if !below.is_subcommand_required_set() {
            found.push(path);
        }
    }
    found
}

fn line(words: &str) -> String {
    format!("locum {words}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::args::Cli;

    fn misread(line: &str) -> Misread {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let told = Cli::try_parse_from(&args).expect_err("no command");
        Misread::new(told, Cli::command(), args)
    }

    #[test]
    fn whoever_comes_from_another_tool_is_told_what_it_is_called_here() {
        for (said, meant) in [
            ("locum list", "task list|token list|lock list|key list|verifier list|context list"),
            ("locum ls", "task list|token list|lock list|key list|verifier list|context list"),
            ("locum show", "task show|audit show|context show"),
            ("locum run -- make", "exec"),
            ("locum request", "token request"),
            ("locum mint", "token request"),
            ("locum delete workload=x", "task end|revoke|context remove"),
            ("locum --context prod logs", "audit tail|audit search"),
            ("locum login", "whoami|context add"),
            ("locum rotate", "key rotate"),
            ("locum task ls", "task list"),
            ("locum task get task-1-1", "task list|task show"),
            ("locum task delete task-1-1", "task end"),
            ("locum token revoke", "revoke"),
            ("locum token show", "token introspect|token list|token decode"),
            ("locum policy validate", "policy check"),
            ("locum policy apply", "reload"),
            ("locum key delete", "revoke"),
            ("locum lock add model=x --ttl 1h --reason y", "lock"),
            ("locum lock remove model=x", "unlock"),
            ("locum lock rm", "unlock"),
            ("locum lock ls", "lock list"),
            ("locum context switch lab", "context use"),
        ] {
            let told = meant.split('|').map(|line| format!("try 'locum {line}'")).collect::<Vec<_>>();
            assert_eq!(misread(said).help, Some(told.join("; ")), "{said}");
        }
        assert_eq!(misread("locum serve --config x").help.as_deref(), Some("try 'locumd serve'"));
    }

    #[test]
    fn a_flag_of_another_tool_is_told_by_its_name_here_where_there_is_one() {
        let help = |said| misread(said).help;
        assert_eq!(help("locum lock workload=x --for 10m --reason y").as_deref(), Some("try '--ttl'"));
        assert_eq!(help("locum revoke workload=x --because y").as_deref(), Some("try '--reason'"));
        assert_eq!(help("locum revoke workload=x --force").as_deref(), Some("try '--yes'"));
        assert_ne!(help("locum status --for 10m").as_deref(), Some("try '--ttl'"));
    }

    #[test]
    fn a_slip_of_the_hand_is_told_what_is_similar_and_nonsense_nothing() {
        let help = |said| misread(said).help.unwrap_or_default();
        assert!(help("locum revok").contains("'revoke'"));
        assert!(help("locum task lst").contains("'list'"));
        assert!(help("locum audit export --format ocfs").contains("'ocsf'"));
        assert!(help("locum revoke task=task-1-1 --resaon x").contains("'--reason'"));
        for said in ["locum zzz", "locum task zzz", "locum lock", "locum lock zzz", "locum status zzz"] {
            assert_eq!(misread(said).help, None, "{said}");
        }
    }

    #[test]
    fn a_token_that_is_no_argument_is_not_repeated() {
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiI1YSJ9.c2lnbmF0dXJl";
        for (said, message) in [
            ("locum token decode TOKEN", "unexpected argument 'eyJ…' found"),
            ("locum token introspect orders TOKEN", "unexpected argument 'eyJ…' found"),
            ("locum token TOKEN", "unrecognized subcommand 'eyJ…'"),
            ("locum task list -o TOKEN", "invalid value 'eyJ…' for '--output <FORMAT>'"),
            ("locum --timeout TOKEN status", "invalid value 'eyJ…' for '--timeout <SPAN>': `eyJ…` is"),
            ("locum --timeout=TOKEN status", "invalid value 'eyJ…' for '--timeout <SPAN>': `eyJ…` is"),
            ("locum --no-such=TOKEN status", "unexpected argument '--no-such' found"),
        ] {
            let told = misread(&said.replace("TOKEN", token));
            assert!(told.message.starts_with(message), "{said}: {}", told.message);
            let shown = [told.message.as_str(), &told.told.render().to_string()].join(" ");
            assert!(!shown.contains(token), "{shown}");
            let says_how = told.help.as_deref() == Some(TOKENS_ARE_READ);
            assert_eq!(says_how, shown.contains(HIDDEN), "{said}");
        }
    }

    #[test]
    fn what_is_wrong_fits_a_line_and_leaves_nothing_out() {
        for (said, message) in [
            ("locum list", "unrecognized subcommand 'list'"),
            (
                "locum lock model=x",
                "the following required arguments were not provided: --ttl <SPAN> --reason <TEXT>",
            ),
            (
                "locum audit export --format x",
                "invalid value 'x' for '--format <FORMAT>' [possible values: jsonl, ocsf]",
            ),
            ("locum task", "`locum task` wants one of these behind it: start, hold, end, list, show"),
        ] {
            assert_eq!(misread(said).message, message, "{said}");
        }
    }

    #[test]
    fn what_it_names_is_there_and_what_is_there_is_not_called_otherwise() {
        let all = leaves(&Cli::command(), "");
        assert!(all.contains(&"lock".to_owned()) && !all.contains(&"task".to_owned()), "{all:?}");
        for (theirs, ours) in ELSEWHERE {
            for ours in ours {
                let ends = |leaf: &String| leaf == ours || leaf.ends_with(&format!(" {ours}"));
                assert!(all.iter().any(ends), "nothing is called {ours}");
            }
            for theirs in theirs {
                assert!(!all.contains(&(*theirs).to_owned()), "{theirs} is a command");
                let times = ELSEWHERE.iter().flat_map(|(each, _)| each.iter()).filter(|each| *each == theirs);
                assert_eq!(times.count(), 1, "{theirs}");
            }
        }
    }
}
