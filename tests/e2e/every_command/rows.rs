//! Arguments with which each command of `locum` succeeds, who gives them, and what comes of it.

use locum_tests::wait::PAUSE;
use serde_json::Value;

use super::World;
use crate::cli::{OPERATOR, REFUNDER};

const ADMIN: &str = "operators/admin";
const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/policies");

/// What a command puts on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// A listing with a header.
    Table,
    /// What it found or did, as a text or one document.
    Facts,
    /// Lines of JSON, whatever is asked for.
    Lines,
    /// A token: the one thing that holds one.
    Token,
    /// Looks, or a view that redraws itself.
    View,
    /// The same text in every form.
    Script,
    /// What the program that it runs has to say.
    Program,
}

impl Data {
    /// Whether it is made to be read on a terminal.
    pub(crate) fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Facts | Self::View)
    }
}

/// A command as somebody gives it.
pub(crate) struct Row {
    pub(crate) command: &'static str,
    pub(crate) who: &'static str,
    /// Its arguments. What they speak of is made anew each time, where the command takes it away.
    pub(crate) good: fn(&World) -> Vec<String>,
    pub(crate) data: Data,
    /// Whether it has a name to print.
    pub(crate) has_name: bool,
    /// Whether it is nothing without a broker.
    pub(crate) asks_broker: bool,
}

/// A row for every command.
pub(crate) fn rows() -> Vec<Row> {
    [tasks_and_tokens(), forcing(), policies(), the_record(), this_machine()].into_iter().flatten().collect()
}

fn tasks_and_tokens() -> Vec<Row> {
    vec![
        row("task start", REFUNDER, Data::Facts, |_| words("refund-order --scope orders:read --lease 10m"))
            .named(),
        row("task hold", REFUNDER, Data::Facts, |world| vec![ended(world)]).named(),
        row("task end", REFUNDER, Data::Facts, |world| vec![task(world)]).named(),
        row("task list", OPERATOR, Data::Table, |_| Vec::new()).named(),
        row("task show", OPERATOR, Data::Facts, |world| vec![task(world)]).named(),
        row("token request", REFUNDER, Data::Token, |world| {
            [vec![task(world)], words("orders --scope orders:read=order/1")].concat()
        })
        .named(),
        row("token introspect", "services/orders-api", Data::Facts, |world| {
            [words("orders"), token_file(world)].concat()
        })
        .named(),
        row("token list", OPERATOR, Data::Table, |_| Vec::new()).named(),
        row("token decode", REFUNDER, Data::Facts, token_file).local(),
        row("exec", REFUNDER, Data::Program, |_| {
            words("--purpose refund-order --connector orders --scope orders:read -- /bin/echo done")
        })
        .named(),
    ]
}

fn forcing() -> Vec<Row> {
    vec![
        row("revoke", OPERATOR, Data::Facts, |_| words("workload=reader --reason drill --yes")),
        row("lock", OPERATOR, Data::Facts, |_| words("workload=mail-api --ttl 1h --reason drill --yes"))
            .named(),
        row("lock list", OPERATOR, Data::Table, |_| Vec::new()).named(),
        row("unlock", OPERATOR, Data::Facts, |world| {
            world.desk.says(OPERATOR, &["lock", "connector=wiki", "--ttl", "1h", "--reason", "drill"]);
            words("connector=wiki --reason over")
        })
        .named(),
        row("key list", OPERATOR, Data::Table, |_| Vec::new()).named(),
        row("key rotate", ADMIN, Data::Facts, rotated).named(),
        row("verifier list", OPERATOR, Data::Table, |_| Vec::new()).named(),
        row("reload", ADMIN, Data::Facts, |_| Vec::new()),
        row("status", OPERATOR, Data::Facts, |_| Vec::new()),
        row("top", OPERATOR, Data::View, |_| words("--every 20ms -n 1")),
        row("whoami", OPERATOR, Data::Facts, |_| Vec::new()),
    ]
}

fn policies() -> Vec<Row> {
    vec![
        row("policy check", OPERATOR, Data::Facts, |_| words(POLICIES)).local(),
        row("policy test", OPERATOR, Data::Facts, |_| words(POLICIES)).local(),
        row("policy explain", OPERATOR, Data::Facts, |_| {
            ["a service reads orders", "--policies", POLICIES].map(str::to_owned).into()
        })
        .local(),
        row("policy diff", OPERATOR, Data::Facts, |_| [POLICIES, POLICIES].map(str::to_owned).into()).local(),
        row("policy simulate", OPERATOR, Data::Facts, |world| {
            let path = |name: &str| world.desk.path(name);
            vec![path("policies"), "--registry".to_owned(), path("registry.toml")]
        }),
    ]
}

fn the_record() -> Vec<Row> {
    vec![
        row("audit tail", OPERATOR, Data::Facts, |_| words("-n 20")).named(),
        row("audit show", OPERATOR, Data::Facts, |world| vec![task(world)]),
        row("audit search", OPERATOR, Data::Facts, |_| words("--workload refunder")).named(),
        row("audit export", OPERATOR, Data::Lines, |_| Vec::new()),
        row("audit reindex", ADMIN, Data::Facts, |_| Vec::new()),
        row("audit retention", OPERATOR, Data::Facts, |_| words("--dry-run --keep 30d")),
        row("audit status", OPERATOR, Data::Facts, |_| Vec::new()),
    ]
}

fn this_machine() -> Vec<Row> {
    vec![
        row("context list", OPERATOR, Data::Table, |_| Vec::new()).named().local(),
        row("context use", OPERATOR, Data::Facts, |_| words("prod")).named().local(),
        row("context add", OPERATOR, Data::Facts, |world| [words("lab --replace"), at(world)].concat())
            .named()
            .local(),
        row("context remove", OPERATOR, Data::Facts, |world| {
            let add = [words("context add gone --replace --keep-current"), at(world)].concat();
            world.desk.says(OPERATOR, &add.iter().map(String::as_str).collect::<Vec<_>>());
            words("gone")
        })
        .named()
        .local(),
        row("context show", OPERATOR, Data::Facts, |_| words("lab")).named().local(),
        row("completions", OPERATOR, Data::Script, |_| words("bash")).named().local(),
        row("help", OPERATOR, Data::Script, |_| words("exit-codes")).named().local(),
    ]
}

fn row(command: &'static str, who: &'static str, data: Data, good: fn(&World) -> Vec<String>) -> Row {
    Row { command, who, good, data, has_name: false, asks_broker: true }
}

impl Row {
    fn named(self) -> Self {
        Self { has_name: true, ..self }
    }

    fn local(self) -> Self {
        Self { asks_broker: false, ..self }
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// A task of the refunder's.
fn task(world: &World) -> String {
    let start = ["task", "start", "refund-order", "--scope", "orders:read", "--lease", "10m"];
    world.desk.says(REFUNDER, &start)
}

/// One that is over, by an operator.
fn ended(world: &World) -> String {
    let task = task(world);
    world.desk.says(OPERATOR, &["task", "end", &task, "--reason", "drill"]);
    task
}

/// One key alone may wait to sign: the one that does goes first.
fn rotated(world: &World) -> Vec<String> {
    for _ in 0..500 {
        let keys = world.desk.document(ADMIN, &["key", "list"]);
        let waits = |key: &&Value| key["state"] == "published" && key["purpose"] == "token";
        let Some(key) = keys["keys"].as_array().into_iter().flatten().find(waits) else { break };
        let selector = format!("signing-key={}", key["kid"].as_str().expect("a key"));
        world.desk.says(ADMIN, &["revoke", &selector, "--reason", "drill", "--yes"]);
        std::thread::sleep(PAUSE);
    }
    Vec::new()
}

fn token_file(world: &World) -> Vec<String> {
    vec!["--token-file".to_owned(), world.desk.path("token")]
}

fn at(world: &World) -> Vec<String> {
    let addr = format!("https://localhost:{}", world.desk.daemon.addresses().grpc.port());
    vec!["--addr".to_owned(), addr, "--ca-file".to_owned(), world.desk.path("ca.pem")]
}
