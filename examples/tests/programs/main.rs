//! The examples, run as programs against a broker that knows them.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use locum_demo::{Character, Stage};
use locum_sdk::Client;
use locum_server::clock::WallClock;

mod orders_api;

/// A running API that ends with the value.
struct Api {
    child: Child,
    log: BufReader<ChildStdout>,
    addr: String,
}

impl Api {
    fn start(stage: &Stage) -> Self {
        Self::start_with(stage, &[])
    }

    /// The same program with these settings besides.
    fn start_with(stage: &Stage, settings: &[(&str, &str)]) -> Self {
        let mut command = program(env!("CARGO_BIN_EXE_orders_api"), stage, Character::OrdersApi);
        command.envs(settings.iter().copied());
        Self::of(command)
    }

    /// What this command runs.
    fn of(mut command: Command) -> Self {
        let mut child =
            command.env("ORDERS_LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).spawn().expect("started");
        let mut log = BufReader::new(child.stdout.take().expect("piped"));
        let line = next_line(&mut log);
        let addr = line.strip_prefix("listening on ").expect("the address").to_owned();
        Self { child, log, addr }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.child.kill().expect("ours to end");
        self.child.wait().expect("ended");
    }
}

fn next_line(log: &mut impl BufRead) -> String {
    let mut line = String::new();
    log.read_line(&mut line).expect("a line");
    line.trim_end().to_owned()
}

/// A program with nothing in its environment but who it is.
fn program(path: &str, stage: &Stage, character: Character) -> Command {
    let options = stage.options(character);
    let files = options.certificate.expect("every character has one");
    let mut command = Command::new(path);
    command
        .env_clear()
        .env("LOCUM_ADDR", options.addr)
        .env("LOCUM_CA_FILE", options.ca_file)
        .env("LOCUM_CERT_FILE", files.cert_file)
        .env("LOCUM_KEY_FILE", files.key_file);
    command
}

fn plugin(stage: &Stage, addr: &str, order: &str) -> Output {
    let mut command = program(env!("CARGO_BIN_EXE_plugin"), stage, Character::Refunder);
    command.env("ORDERS_ADDR", addr).arg(order).output().expect("it ran")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plugin_refunds_an_order_at_the_api() {
    let stage = Stage::open(&WallClock).await.expect("opened");
    refunds_an_order(stage, &[]).await;
}

/// The same program, told by one setting to check in its own process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plugin_refunds_an_order_at_an_api_that_checks_offline() {
    let stage = Stage::open(&WallClock).await.expect("opened");
    let operator = Client::connect(&stage.options(Character::Operator)).expect("an operator").admin();
    let keys = operator.list_keys().await.expect("listed");
    let root = keys.into_iter().find(|key| key.purpose == "keyset-root").expect("a root").kid;
    let issuer = operator.status().await.expect("told").issuer;
    let offline = [
        ("LOCUM_CHECK", "offline"),
        ("LOCUM_ISSUER", &issuer),
        ("LOCUM_FEED_ROOT", &root),
        ("ORDERS_AUDIENCE", "https://orders.demo.invalid"),
    ];
    let api = Api::start_with(&stage, &offline);
    let followers = operator.list_verifiers(0, "").await.expect("listed").items;
    assert_eq!(followers.iter().map(|one| one.connector.as_str()).collect::<Vec<_>>(), ["orders"]);
    drop(api);
    refunds_an_order(stage, &offline).await;
}

async fn refunds_an_order(stage: Stage, settings: &[(&str, &str)]) {
    let mut api = Api::start_with(&stage, settings);

    let output = plugin(&stage, &api.addr, "1881");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let expected = [
        "task-1-1 started",
        "order 1881: 2 items, paid (shown to spiffe://demo.invalid/agents/refunder)",
        "order 1881 refunded",
        "task-1-1 ended",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);

    let logged = next_line(&mut api.log);
    assert!(logged.starts_with("order 1881 refunded: token ") && logged.ends_with("task-1-1"), "{logged}");

    // Not all orders at once: policy says so before any call is made.
    let output = plugin(&stage, &api.addr, "*");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{told}");
    assert!(told.contains("refused: INTENT_NOT_ALLOWED: "), "{told}");

    drop(api);
    stage.close(async {}).await.expect("closed in order");
}

/// As the pages for plugin authors and API owners have it: by what the demo leaves for a shell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_run_by_what_the_demo_leaves() {
    let stage = Stage::open(&WallClock).await.expect("opened");
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-ec", script, env!("CARGO_BIN_EXE_plugin")]).env_clear().current_dir(stage.dir());
        command
    };
    let output = shell(r#". ./refunder.env; exec "$0" 1881"#).output().expect("it ran");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("order 1881 refunded for task-1-1\n"), "{told}");

    let mut command = shell(r#". ./orders-api.env; exec "$API""#);
    command.env("API", env!("CARGO_BIN_EXE_orders_api"));
    let api = Api::of(command);
    let output = plugin(&stage, &api.addr, "1882");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    drop(api);
    stage.close(async {}).await.expect("closed in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_fails_is_ended_as_failed() {
    let stage = Stage::open(&WallClock).await.expect("opened");
    // Nobody listens there: port 1 of loopback.
    let output = plugin(&stage, "127.0.0.1:1", "1881");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{told}");
    assert_eq!(told.lines().collect::<Vec<_>>(), ["task-1-1 started", "task-1-1 ended"]);
    stage.close(async {}).await.expect("closed in order");
}
