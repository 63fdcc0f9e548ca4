//! On a terminal of 80 columns: widths, colours, prompts, the live view.

use std::process::Command;

use locum_tests::Terminal;
use locum_tests::follower::Follower;
use rustix::process::Signal;
use serde_json::Value;

use super::{Desk, OPERATOR, REFUNDER};

/// The lines without the escapes for colours.
fn plain(shown: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in shown.lines() {
        let mut text = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            text.push_str(before);
            rest = after.split_once('m').map_or("", |(_, after)| after);
        }
        lines.push(text + rest);
    }
    lines
}

async fn on_80_columns(command: Command) -> String {
    let (status, shown) = Terminal::start(command, 80, 24).ends().await;
    assert!(status.success(), "{shown}");
    shown
}

#[tokio::test]
async fn listings_fit_80_columns_and_colours_can_be_refused() {
    let desk = Desk::new().await;
    desk.busy(REFUNDER, 2);
    let reason = "a long story that does not fit into a line of eighty columns, told to its very end";
    desk.says(OPERATOR, &["lock", "workload=spiffe://acme.test/agents/*", "--ttl", "1h", "--reason", reason]);
    let api = desk.daemon.at("services/mail-api");
    let _follower = Follower::new(&desk.daemon, &api, "mail").await.expect("served");
    for args in [
        &["task", "list"][..],
        &["token", "list"],
        &["lock", "list"],
        &["audit", "tail", "-n", "20"],
        &["revoke", "workload=reader", "--reason", "x", "--dry-run"],
        &["key", "list"],
        &["verifier", "list"],
        &["context", "list"],
    ] {
        let shown = on_80_columns(desk.command("operators/admin", args)).await;
        let widest = plain(&shown).iter().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|widest| widest <= 80), "{args:?}: {widest:?}\n{shown}");
    }
    let cut = on_80_columns(desk.command(OPERATOR, &["lock", "list"])).await;
    assert!(cut.contains('…') && cut.contains("\u{1b}[1m"), "{cut}");
    let wide = on_80_columns(desk.command(OPERATOR, &["lock", "list", "-o", "wide"])).await;
    assert!(wide.contains(reason) && wide.contains("COVERS"), "{wide}");
    let mut bare = desk.command(OPERATOR, &["lock", "list"]);
    bare.env("NO_COLOR", "1");
    assert!(!on_80_columns(bare).await.contains('\u{1b}'));
    for listing in ["lock", "task", "token"] {
        let shown = on_80_columns(desk.command(OPERATOR, &[listing, "list", "--no-color"])).await;
        assert!(!shown.contains('\u{1b}'), "{listing}: {shown:?}");
    }
}

#[tokio::test]
async fn a_large_revocation_is_typed_and_a_small_one_is_a_yes() {
    let desk = Desk::new().await;
    desk.busy(REFUNDER, 11);
    let alive = || {
        desk.document(OPERATOR, &["token", "list", "workload=refunder"])["tokens"].as_array().map(Vec::len)
    };
    let start =
        || Terminal::start(desk.command(OPERATOR, &["revoke", "workload=refunder", "--reason", "x"]), 80, 24);
    for wrong in ["y\n", "12\n", "\n", "\u{4}"] {
        let mut terminal = start();
        terminal.shows("type the number of tokens (11)").await;
        terminal.type_in(wrong);
        let (status, shown) = terminal.ends().await;
        assert_eq!((status.code(), alive()), (Some(8), Some(11)), "{wrong:?}: {shown}");
        assert!(shown.contains("nothing was changed"), "{shown}");
    }
    let mut terminal = start();
    terminal.shows("oldest issued").await;
    terminal.shows("(11)").await;
    terminal.type_in("11\n");
    let (status, shown) = terminal.ends().await;
    assert!(status.success() && shown.contains("11 live tokens and 1 live task"), "{shown}");
    assert_eq!(alive(), Some(0));
    desk.busy(REFUNDER, 1);
    let mut terminal = start();
    terminal.shows("revoke? [y/N]").await;
    terminal.type_in("yes\n");
    assert!(terminal.ends().await.0.success());
    assert_eq!(alive(), Some(0));
}

#[tokio::test]
async fn top_draws_itself_again_and_gives_the_terminal_back() {
    let desk = Desk::new().await;
    desk.busy(REFUNDER, 4);
    let start = |args: &[&str]| Terminal::start(desk.command(OPERATOR, args), 80, 24);
    let mut terminal = start(&["top", "--every", "50ms"]);
    for seen in ["\u{1b}[?1049h", "rows 4", "4  refunder", "4  orders", "token-issued"] {
        terminal.shows(seen).await;
    }
    desk.busy("agents/reader", 1);
    terminal.shows("rows 5").await;
    terminal.type_in("xq");
    let (status, shown) = terminal.ends().await;
    assert!(status.success() && shown.ends_with("\u{1b}[?25h\u{1b}[?1049l"), "{shown:?}");
    let terminal = start(&["top", "--every", "50ms"]);
    terminal.shows("rows 5").await;
    terminal.signal(Signal::INT);
    let (status, shown) = terminal.ends().await;
    assert_eq!(status.code(), Some(130));
    assert!(shown.contains("\u{1b}[?1049l"), "{shown:?}");
    // What was asked for by number stays to be read.
    let (status, shown) = start(&["top", "--every", "20ms", "-n", "2"]).ends().await;
    let (_, stays) = shown.rsplit_once("\u{1b}[?1049l").expect("the terminal was given back");
    assert!(status.success() && stays.contains("(q leaves)") && stays.contains("RECENT"), "{shown}");
    let (status, shown) = start(&["top", "-n", "1", "-o", "json"]).ends().await;
    assert!(status.success() && !shown.contains('\u{1b}'), "{shown:?}");
    assert!(serde_json::from_str::<Value>(shown.trim()).is_ok(), "{shown}");
}
