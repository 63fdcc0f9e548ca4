//! Settings: what is unknown, unmatched or unsafe keeps the server from starting, with the reason.

use std::os::unix::fs::PermissionsExt as _;

use locum_tests::{Daemon, Site, plain_http};

use crate::LOCUMD;

async fn refused(site: &Site, variables: &[(&str, &str)]) -> String {
    let (status, said) = Daemon::refused(LOCUMD, site, variables).await;
    assert!(!status.success(), "{said}");
    assert!(!said.contains("PRIVATE KEY"), "{said}");
    said
}

#[tokio::test]
async fn unknown_keys_and_unmatched_variables_are_refused() {
    for (from, to, named) in [
        ("[server]", "[server]\nsurprise = 1", "surprise"),
        ("[log]", "[surprise]\nkey = 1\n\n[log]", "surprise"),
        ("rotate_every = \"24h\"", "rotate_every = \"a day\"", "rotate_every"),
        ("url = \"https://locum.acme.test\"", "url = \"http://locum.acme.test\"", "url"),
        ("name = \"acme.test\"", "name = \"demo.invalid\"", "demo"),
        ("role = \"viewer\"", "role = \"king\"", "role"),
        ("metrics = \"127.0.0.1:0\"", "metrics = \"0.0.0.0:0\"", "metrics"),
    ] {
        let site = Site::new();
        site.edit("locumd.toml", from, to);
        let said = refused(&site, &[]).await;
        assert!(said.contains(named), "{named}: {said}");
    }
    let site = Site::new();
    for (name, value) in [
        ("LOCUM_SERVER__PORT", "1"),
        ("LOCUM_SURPRISE", "1"),
        ("LOCUM_ISSUER__URL", "https://evil.test"),
        ("LOCUM_SERVER__GRPC", "nowhere"),
    ] {
        let said = refused(&site, &[(name, value)]).await;
        assert!(said.contains(name) || said.contains("server.grpc"), "{name}: {said}");
    }
}

#[tokio::test]
async fn files_that_are_missing_or_open_to_others_are_refused() {
    for file in ["server.pem", "ca.pem", "registry.toml", "svids.json"] {
        let site = Site::new();
        std::fs::remove_file(site.path(file)).expect("removed");
        let said = refused(&site, &[]).await;
        assert!(said.contains(file), "{file}: {said}");
    }
    let site = Site::new();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(site.path("server.key"), open).expect("set");
    assert!(refused(&site, &[]).await.contains("server.key"));
}

#[tokio::test]
async fn invalid_registry_and_policies_keep_a_first_start_from_happening() {
    let site = Site::new();
    site.edit("registry.toml", "serves = [\"mail\", \"wiki\"]", "serves = [\"nothing\"]");
    assert!(refused(&site, &[]).await.contains("nothing"));
    let site = Site::new();
    site.put("policies/more.cedar", "permit (principal, action, resource);");
    assert!(refused(&site, &[]).await.contains("more.cedar"));
}

#[tokio::test]
async fn the_samples_start_as_they_are() {
    let site = Site::new();
    site.put("registry.toml", include_str!("../../deploy/registry/registry.toml"));
    site.put("policies/all.cedar", include_str!("../../deploy/policies/refunds.cedar"));
    site.put("policies/admins.cedar", include_str!("../../deploy/policies/admins.cedar"));
    site.put("policies/guardrails.cedar", include_str!("../../deploy/policies/guardrails.cedar"));
    site.put("policies/readers.cedar", include_str!("../../deploy/policies/readers.cedar"));
    site.put("policies/writers.cedar", include_str!("../../deploy/policies/writers.cedar"));
    let mut daemon = Daemon::start(LOCUMD, site).await;
    assert_eq!(plain_http::get(&daemon, "/readyz", &[]).await.status, 200);
    daemon.terminate().await;
}

#[tokio::test]
async fn two_servers_never_share_a_journal() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let said = refused(&daemon.site, &[]).await;
    assert!(said.contains("journal") || said.contains("lock"), "{said}");
    assert_eq!(plain_http::get(&daemon, "/readyz", &[]).await.status, 200);
}

#[tokio::test]
async fn each_setting_is_shown_with_where_it_came_from() {
    let site = Site::new();
    let show = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = std::process::Command::new(LOCUMD);
        command.args(["config", "show", "--config"]).arg(site.config()).args(args).env_clear();
        command.envs(variables.iter().copied()).output().expect("ran")
    };
    let variables = [("LOCUM_LOG__FORMAT", "text"), ("LOCUM_ADDR", "https://127.0.0.1:1")];
    let shown = show(&variables, &["--sources", "--set", "server.http=127.0.0.1:1"]);
    assert!(shown.status.success() && shown.stderr.is_empty(), "{shown:?}");
    let text = String::from_utf8(shown.stdout).expect("text");
    let row = |key: &str| -> Vec<&str> {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(key)).expect(key);
        line.split_whitespace().skip(1).collect()
    };
    assert_eq!(row("archive.enabled"), ["true", "default"]);
    assert_eq!(row("log.format"), ["\"text\"", "LOCUM_LOG__FORMAT"]);
    assert_eq!(row("server.http"), ["\"127.0.0.1:1\"", "--set"]);
    assert_eq!(row("archive.retention"), ["-", "not", "set"]);
    let [key_file, source] = row("server.tls.key_file")[..] else { panic!("{text}") };
    assert_eq!(key_file.trim_matches('"'), site.path("server.key").display().to_string());
    let (file, line) = source.rsplit_once(':').expect("a line");
    let written = site.text("locumd.toml");
    let written = written.lines().nth(line.parse::<usize>().expect("a number") - 1).expect("that line");
    assert!(file.ends_with("locumd.toml") && written.starts_with("key_file = "), "{source}: {written}");
    assert!(!text.contains("PRIVATE KEY"), "a key's path, never the key");
    let plain = String::from_utf8(show(&[], &[]).stdout).expect("text");
    assert!(!plain.contains("default") && plain.lines().count() == text.lines().count(), "{plain}");
    for (variables, args) in [(&[("LOCUM_SURPRISE", "1")][..], &[][..]), (&[], &["--set", "no.such=1"])] {
        let refused = show(variables, args);
        assert!(refused.status.code() == Some(1) && refused.stdout.is_empty(), "{refused:?}");
    }
}
