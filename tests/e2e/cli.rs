//! `locum` as a real process against a real `locumd`: in a pipe and on a terminal.

use std::process::{Command, Output, Stdio};

use locum_tests::{Daemon, Site};
use serde_json::Value;

use crate::{LOCUM, LOCUMD};

mod audit;
mod exec;
mod exit_codes;
mod forms;
mod pipe;
mod policy;
mod retention;
mod terminal;
mod verifier;

/// A desk from which everybody runs `locum`, each with files of their own.
pub(crate) struct Desk {
    pub(crate) daemon: Daemon,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        Self::on(Site::new()).await
    }

    pub(crate) async fn on(site: Site) -> Self {
        std::fs::create_dir(site.path("home")).expect("made");
        Self { daemon: Daemon::start(LOCUMD, site).await }
    }

    /// A command line of whoever has this path in `acme.test`.
    pub(crate) fn command(&self, who: &str, args: &[&str]) -> Command {
        let site = &self.daemon.site;
        let file = |end: &str| site.path(&format!("{}.{end}", who.replace('/', "-")));
        if !file("pem").exists() {
            let identity = site.authority.workload(&format!("spiffe://acme.test/{who}"));
            let name = who.replace('/', "-");
            site.put(&format!("{name}.pem"), &identity.cert_pem);
            site.put(&format!("{name}.key"), &identity.key_pem);
            let body: String = identity.key_pem.lines().filter(|line| !line.starts_with('-')).collect();
            self.daemon.secret(body);
        }
        let mut command = Command::new(LOCUM);
        command.args(args).env_clear().stdin(Stdio::null());
        command.env("HOME", site.path("home")).env("TERM", "xterm");
        command.env("LOCUM_ADDR", format!("https://localhost:{}", self.daemon.addresses().grpc.port()));
        command.env("LOCUM_CA_FILE", site.path("ca.pem"));
        command.env("LOCUM_CERT_FILE", file("pem")).env("LOCUM_KEY_FILE", file("key"));
        command
    }

    /// Runs it, with pipes.
    pub(crate) fn run(&self, who: &str, args: &[&str]) -> Output {
        self.command(who, args).output().expect("it runs")
    }

    /// What it prints; it has to succeed.
    pub(crate) fn says(&self, who: &str, args: &[&str]) -> String {
        let output = self.run(who, args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout).trim_end().to_owned()
    }

    /// The document that it prints with `-o json`.
    pub(crate) fn document(&self, who: &str, args: &[&str]) -> Value {
        let printed = self.says(who, &[args, &["-o", "json"]].concat());
        serde_json::from_str(&printed).expect("one JSON document")
    }

    /// A path of the site, as text.
    pub(crate) fn path(&self, name: &str) -> String {
        self.daemon.site.path(name).to_string_lossy().into_owned()
    }

    /// A file of the site with this content: its path.
    pub(crate) fn site_file(&self, name: &str, content: &str) -> String {
        self.daemon.site.put(name, content).to_string_lossy().into_owned()
    }

    /// A task of the refunder's, started by `locum`, with so many tokens: its id and the tokens.
    pub(crate) fn busy(&self, who: &str, tokens: usize) -> (String, Vec<String>) {
        let task =
            self.says(who, &["task", "start", "refund-order", "--scope", "orders:read", "--lease", "10m"]);
        let request = ["token", "request", &task, "orders", "--scope", "orders:read=order/1"];
        let tokens: Vec<String> = (0..tokens).map(|_| self.says(who, &request)).collect();
        tokens.iter().for_each(|token| self.daemon.secret(token));
        (task, tokens)
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

pub(crate) const REFUNDER: &str = "agents/refunder";
pub(crate) const OPERATOR: &str = "operators/operator";
