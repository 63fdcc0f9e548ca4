//! `locum help`: a command, or a topic that no single command explains. And `locum completions`.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs, HelpArgs, ShellArg};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::misread::Misread;
use crate::output::{Output, folded};

/// What is left for the meaning of an exit code on a terminal of 80 columns, beside code and reason.
const MEANING_COLUMNS: usize = 55;

const SELECTORS: &str = "\
A selector says what list, revoke, lock and unlock apply to: one level and one
id, in words or with the flag of the level. The broker narrows it to your
tenants.

  token=JTI                one token
  task=TASK                a task and everything below it
  subject=SUBJECT          everything on behalf of one subject
  workload=NAME            one workload
  workload=spiffe://…/*    all workloads that a SPIFFE ID pattern meets: `*` for
                           one segment of the path, a last `**` for one or
                           more; expanded by the broker and shown
  connector=NAME           everything for one connector
  tenant=NAME              everything of one tenant
  owner=NAME               everything that one owner answers for
  model=NAME               everything behind which one model stands
  signing-key=KID          everything signed with one key (operators of all
                           tenants)
  policy-revision=NUMBER   everything that one policy set allowed (operators of
                           all tenants)

Examples:
  locum task list workload=refunder
  locum token list 'workload=spiffe://acme.test/agents/*'
  locum revoke --task task-1-42 --reason 'runaway' --dry-run
  locum lock model=gpt-x --ttl 2h --reason 'under review'
  locum unlock model=gpt-x --reason 'review passed'";

const OUTPUT: &str = "\
Data goes to standard output; notes, warnings, prompts, progress and errors go
to standard error.

  -o table     for people: relative times, cut to the terminal's width
  -o wide      the same with every column and nothing cut
  -o json      one JSON document on one line, with `schema_version`; an error is
               one too, alone on standard error; `more` says that a listing goes
               on behind `--limit`
  -o jsonl     one JSON document for each item; `audit tail -f` and `top` have
               no end, and do so for json too
  -o name      what other commands take, one on a line; refused, before anything
               is done, where nothing has a name
  --field PATH one value alone, by its path in the JSON document (of each item
               in a listing)

For `locum token request` alone, the token as other programs take it:

  -o file      into the file that `--to` names (mode 0600)
  -o header    `Authorization: Bearer …`, for `curl -H @-`
  -o env-file  LOCUM_TOKEN and LOCUM_TOKEN_EXPIRE_TIME
  -o credential-process
               JSON with `Version`, `Token` and `Expiration`
  -o exec-credential
               an ExecCredential, as kubectl takes it

In JSON times are RFC 3339 in UTC, spans are milliseconds. Listings never hold a
token or a secret. Whatever others wrote is shown with its control, invisible
and direction characters escaped. Colours are for terminals; `--no-color`,
`NO_COLOR` and `TERM=dumb` switch them off.

Examples:
  locum task list -o name | xargs -n 1 locum task show
  locum token list connector=orders --field jti
  locum status -o json | jq .status.tokens";

const ENVIRONMENT: &str = "\
What is not said with a flag:

  LOCUM_CONTEXT         the context to use
  LOCUM_ADDR            the broker's address, https://host:port
  LOCUM_CA_FILE         the authorities that vouch for the broker (PEM)
  LOCUM_CERT_FILE       the client certificate to show (PEM)
  LOCUM_KEY_FILE        its key (PEM)
  LOCUM_ASSERTION_FILE  the bearer assertion to show
  NO_COLOR              no colours
  XDG_CONFIG_HOME       where contexts are kept: locum/contexts.toml below it,
                        or below ~/.config
  XDG_RUNTIME_DIR       where holder secrets are kept

The broker is named by one source, never by a mixture: a context that is named
(`--context`, LOCUM_CONTEXT), else the environment (LOCUM_ADDR and its kin),
else the current context. Flags then say the rest. Secrets are read from files
and standard input, never from flags or the environment.

Example:
  LOCUM_CONTEXT=lab locum status";

/// Every topic with its text.
pub(crate) fn topics() -> [(&'static str, String); 4] {
    [
        ("selectors", SELECTORS.to_owned()),
        ("output", OUTPUT.to_owned()),
        ("exit-codes", exit_codes()),
        ("environment", ENVIRONMENT.to_owned()),
    ]
}

/// The table of exit codes for a terminal.
fn exit_codes() -> String {
    let mut text = String::from("CODE  REASON             MEANING\n");
    for Exit { code, reason, meaning } in exit::ALL {
        let lines = folded(meaning, MEANING_COLUMNS, 0).replace('\n', &format!("\n{:25}", ""));
        let _fits = writeln!(text, "{code:>4}  {reason:<17}  {lines}");
    }
    text.push_str(
        "\nThe reason stands in the error document (`-o json`) where the broker gave none\nof its own.",
    );
    text
}

/// Prints a topic or the help of a command.
pub(crate) fn run(args: &HelpArgs, output: &Output) -> Result<(), Failure> {
    if let [word] = args.words.as_slice()
        && let Some((_, text)) = topics().into_iter().find(|(topic, _)| topic == word)
    {
        return output.text(&text);
    }
    // As the flag has it, and as long.
    let words = ["locum"].into_iter().chain(args.words.iter().map(String::as_str)).chain(["--help"]);
    match Cli::command().try_get_matches_from(words.clone()) {
        Err(unknown) if unknown.use_stderr() => {
            Err(Box::new(Misread::new(unknown, Cli::command(), words.map(OsString::from))).into())
        }
        Err(help) => output.text(help.render().to_string().trim_end()),
        Ok(_) => Ok(()),
    }
}

/// Prints a completion script.
pub(crate) fn completions(args: &CompletionsArgs, output: &Output) -> Result<(), Failure> {
    let shell = match args.shell {
        ShellArg::Bash => clap_complete::Shell::Bash,
        ShellArg::Zsh => clap_complete::Shell::Zsh,
        ShellArg::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "locum", &mut script);
    output.text(String::from_utf8_lossy(&script).trim_end())
}
