//! Layers, refusals, and the reference file compared with the code.

use std::collections::BTreeSet;

use super::keys::{From, KEYS};
use super::*;

const FULL: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/config/locumd.full.toml"));
const SMALL: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/config/locumd.toml"));

fn pairs(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn parsed(text: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, Problems> {
    parse(Path::new("l.toml"), text, &pairs(variables), &pairs(flags))
}

/// The small file with one line replaced or, where nothing matches, one line in front.
fn with(from: &str, to: &str) -> String {
    if SMALL.contains(from) { SMALL.replacen(from, to, 1) } else { format!("{to}\n{SMALL}") }
}

fn check(text: &str, expected: &str) {
    let said = parsed(text, &[], &[]).expect_err(expected).to_string();
    assert!(said.contains(expected), "said: {said}\nnot:  {expected}");
}

#[test]
fn the_small_file_reads_over_the_defaults() {
    let settings = parsed(SMALL, &[], &[]).expect("right");
    assert_eq!(settings.server.grpc, "0.0.0.0:8443".parse().expect("an address"));
    assert_eq!(settings.issuer.rotate_every, Duration::from_secs(86_400));
    assert_eq!(settings.journal.segment_bytes, 67_108_864);
    assert_eq!(settings.log, Log { format: LogFormat::Json, level: LogLevel::Info });
    assert_eq!(settings.operators[0].role, Role::Operator);
}

#[test]
fn layers_stand_over_each_other() {
    let variables = [("LOCUM_SERVER__GRPC", "127.0.0.1:1"), ("LOCUM_LOG__LEVEL", "debug")];
    let settings = parsed(SMALL, &variables, &[("server.grpc", "127.0.0.1:2")]).expect("right");
    assert_eq!(settings.server.grpc.port(), 2, "flags over variables");
    assert_eq!(settings.log.level, LogLevel::Debug, "variables over the file");
    let variables = [("LOCUM_JOURNAL__SEGMENT_BYTES", "33554432")];
    assert_eq!(parsed(SMALL, &variables, &[]).expect("right").journal.segment_bytes, 33_554_432);
}

#[test]
fn variables_that_match_nothing_or_weaken_are_refused() {
    let table = [
        ("LOCUM_SERVER_GRPC", "matches no key"),
        ("LOCUM_SERVER__GRPCC", "matches no key"),
        ("LOCUM_server__grpc", "matches no key"),
        ("LOCUM_", "matches no key"),
        ("LOCUM_OPERATOR__0__ROLE", "matches no key"),
        ("LOCUM_DATA_DIR", "only the file may set it"),
        ("LOCUM_ISSUER__URL", "only the file may set it"),
        ("LOCUM_POLICY__DIR", "only the file may set it"),
        ("LOCUM_REGISTRY__PATH", "only the file may set it"),
    ];
    for (name, expected) in table {
        let said = parsed(SMALL, &[(name, "x")], &[]).expect_err(name).to_string();
        assert!(said.starts_with(name) && said.contains(expected), "{said}");
    }
    let said = parsed(SMALL, &[("LOCUM_LOG__LEVEL", "loud")], &[]).expect_err("loud").to_string();
    assert!(said.starts_with("LOCUM_LOG__LEVEL: `log.level`: `loud` is none of"), "{said}");
    let said = parsed(SMALL, &[("LOCUM_SERVER__GRPC", "")], &[]).expect_err("empty").to_string();
    assert!(said.contains("is empty"), "{said}");
    let said = parsed(SMALL, &[], &[("data_dir", "/tmp")]).expect_err("a flag").to_string();
    assert!(said.contains("only the file may set it"), "{said}");
}

#[test]
fn wrong_files_are_refused_with_line_and_reason() {
    let table = [
        (with("extra", "extra = 1"), "l.toml:1: `extra`: there is no such key"),
        (with("[issuer]", "[issuer]\nalg = \"none\""), "`issuer.alg`: there is no such key"),
        (with("[server]", "[server]\ngrpc = \"0.0.0.0:1\""), "duplicate key"),
        (with("[[operator]]", "[operator]"), "`operator.name`: there is no such key"),
        (with("data_dir", "log = 1\ndata_dir"), "`log`: is a table, not a value"),
        (
            with("\"0.0.0.0:8443\"", "\"everywhere\""),
            "l.toml:6: `server.grpc`: `everywhere` is not an address",
        ),
        (with("\"0.0.0.0:8443\"", "8443"), "l.toml:6: `server.grpc`: must be a text in quotes"),
        (with("0.0.0.0:8444", "0.0.0.0:8443"), "is the same address"),
        (with("key_file = \"/etc/locum/tls/server.key\"\n", ""), "`server.tls.key_file`: is missing"),
        (with("/etc/locum/tls/server.key", "server.key"), "must be an absolute path"),
        (with("\"https://locum.acme.test\"", "\"http://locum.acme.test\""), "must begin with `https://`"),
        (with("\"https://locum.acme.test\"", "\"https://locum.acme.test/\""), "no final slash"),
        (with("\"https://locum.acme.test\"", "\"https://a@b?c\""), "no user, query"),
        (with("[issuer]", "[issuer]\nrotate_every = \"-1s\""), "`issuer.rotate_every`: not a duration"),
        (with("[issuer]", "[issuer]\nrotate_every = \"1e9d\""), "not a duration"),
        (with("[issuer]", "[issuer]\nrotate_every = \"1s\""), "must be between 1h and 90d"),
        (with("[issuer]", "[issuer]\npublish_ahead = \"2d\""), "must be shorter than"),
        (with("\"acme.test\"", "\"demo.invalid\""), "is the demo's trust domain"),
        (with("\"acme.test\"", "\"Acme\""), "the trust domain must be"),
        (with("\"127.0.0.1:9464\"", "\"0.0.0.0:9464\""), "must be on loopback"),
        (
            with("[telemetry]", "[telemetry]\notlp = \"http://10.0.0.1:4317\""),
            "must be https, or on loopback",
        ),
        (
            with("[telemetry]", "[telemetry]\notlp = \"http://localhost.evil.test:1\""),
            "must be https, or on loopback",
        ),
        (with("[telemetry]", "[telemetry]\notlp = \"http://127.0.0.1\""), "has no host and port"),
        (with("[telemetry]", "[telemetry]\notlp = \"http://[::1]:4317/v1/traces\""), "must be like"),
        (with("[telemetry]", "[telemetry]\notlp = \"https://me:pass@c.test:4317\""), "must be like"),
        (with("[telemetry]", "[telemetry]\notlp = \"c.test:4317\""), "must be like"),
        (
            with("[telemetry]", "[telemetry]\notlp = \"https://c.test:4317\""),
            "`telemetry.otlp_ca_file`: is missing",
        ),
        (
            with("[telemetry]", "[telemetry]\notlp_ca_file = \"/ca\""),
            "needs a `telemetry.otlp` that is https",
        ),
        (with("[telemetry]", "[telemetry]\ntrace_one_in = 0"), "must be a whole number from 1 to 1000000"),
        (with("\"operator\"", "\"root\""), "`root` is none of `viewer`"),
        (with("[\"acme\"]", "[]"), "names no tenant"),
        (with("[\"acme\"]", "[1]"), "must be a list of texts"),
        (with("[\"acme\"]", "[\"Acme\"]"), "is not a name"),
        (with("spiffe://acme.test/operators", "spiffe://other.test/operators"), "lies in no trust domain"),
        (with("spiffe_id = ", "subject = \"x\"\nspiffe_id = "), "either `spiffe_id`, or"),
        (
            with("[telemetry]", "[journal]\nsegment_bytes = 1\n[telemetry]"),
            "must be a whole number from 33554432",
        ),
        (with("[telemetry]", "[journal]\nsegment_bytes = -1\n[telemetry]"), "must be a whole number"),
        (with("data_dir", "[["), "l.toml:3: "),
    ];
    for (text, expected) in table {
        check(&text, expected);
    }
}

#[test]
fn oidc_issuers_are_for_one_thing() {
    let row = |rest: &str| {
        format!("{SMALL}\n[[oidc_issuer]]\nissuer = \"https://i.test\"\njwks_file = \"/k\"\n{rest}\n")
    };
    let read = |rest: &str| parsed(&row(rest), &[], &[]).expect(rest).oidc_issuers[0].role.clone();
    assert_eq!(read("logins = true"), OidcRole::Logins);
    let template = "spiffe://k.test/{sub}";
    assert_eq!(read(&format!("subject_template = \"{template}\"")), OidcRole::Workloads(template.into()));
    check(&row(""), "`logins` is not `true`");
    check(&row("logins = \"yes\""), "must be `true` or `false`");
    check(&row("logins = true\nsubject_template = \"spiffe://k.test/{sub}\""), "excludes `subject_template`");
    check(&row("subject_template = \"spiffe://demo.invalid/{sub}\""), "never served");
    let twice = format!("{}{}", row("logins = true"), row("logins = true").replace(SMALL, ""));
    check(&twice, "is already `oidc_issuer[0]`");
}

#[test]
fn every_problem_is_told_at_once_in_order() {
    let text = with("grpc = \"0.0.0.0:8443\"", "grpc = 1").replace("\"operator\"", "\"root\"");
    let problems = parsed(&text.replace("0.0.0.0:8444", "x"), &[], &[]).expect_err("three");
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["server.grpc", "server.http", "operator[0].role"]);
}

#[test]
fn hostile_text_is_shown_escaped_and_bounded() {
    let said = parsed(&with("\"operator\"", "\"\\u001b[31m\""), &[], &[]).expect_err("escape").to_string();
    assert!(!said.contains('\u{1b}'), "{said:?}");
    let long = "x".repeat(3000);
    let said = parsed(&with("\"operator\"", &format!("\"{long}\"")), &[], &[]).expect_err("long").to_string();
    assert!(said.len() < 500, "{}", said.len());
}

#[test]
fn the_reference_file_has_every_key_and_nothing_else() {
    parsed(FULL, &[], &[]).expect("the reference file is right");
    let table: toml::Table = FULL.parse().expect("TOML");
    let mut written = BTreeSet::new();
    collect("", &toml::Value::Table(table), &mut written);
    let known: BTreeSet<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    assert_eq!(written, known);
}

fn collect(path: &str, value: &toml::Value, into: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(&path, value, into);
            }
        }
        toml::Value::Array(rows) if rows.iter().all(toml::Value::is_table) => {
            rows.iter().for_each(|row| collect(&format!("{path}[]"), row, into));
        }
        _ => drop(into.insert(path.to_owned())),
    }
}

/// The comment above the first place of each key tells its default, and its variable if it has one.
#[test]
fn the_reference_file_tells_defaults_and_variables() {
    let (mut section, mut comment, mut seen) = (String::new(), String::new(), BTreeSet::new());
    for line in FULL.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push_str(text);
            comment.push('\n');
            continue;
        }
        if let Some(list) = line.strip_prefix("[[") {
            section = format!("{}[].", list.trim_end_matches(']'));
        } else if let Some(table) = line.strip_prefix('[') {
            section = format!("{}.", table.trim_end_matches(']'));
        } else if let Some((name, _)) = line.split_once(" = ") {
            let path = format!("{section}{name}");
            let key = keys::find(&path).expect("known");
            if seen.insert(path.clone()) {
                let default = format!(" Default: {}", key.default.unwrap_or("none"));
                assert!(comment.contains(&default), "{path}: {default:?} in {comment:?}");
                let names_variable = comment.contains(&format!("Variable: {}", keys::variable(&path)));
                assert_eq!(names_variable, key.from == From::Anywhere, "{path}");
            }
        }
        comment.clear();
    }
    assert_eq!(seen.len(), KEYS.len());
}

#[test]
fn the_code_asks_for_every_key_of_the_list() {
    let layers = layers::join(Path::new("f"), FULL, &pairs(&[]), &pairs(&[])).expect("joined");
    let mut reader = read::Reader::new(&layers);
    sections::settings(&mut reader).expect("read");
    let known: BTreeSet<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    assert_eq!(reader.asked, known);
}

/// A whole installation in a directory.
fn installed(dir: &Path) -> PathBuf {
    use std::fs;
    let pki = crate::test_pki::Pki::new();
    pki.write_server(dir);
    fs::write(dir.join("bundle.pem"), pki.ca_pem()).expect("written");
    fs::create_dir(dir.join("policies")).expect("made");
    let policy = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/policies/readers.cedar"));
    fs::write(dir.join("policies/a.cedar"), policy).expect("written");
    let registry = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/registry/registry.toml"));
    fs::write(dir.join("registry.toml"), registry).expect("written");
    let at = |name: &str| dir.join(name).display().to_string();
    let text = SMALL
        .replace("/etc/locum/tls", &dir.display().to_string())
        .replace("/etc/locum/trust/acme.test.pem", &at("bundle.pem"))
        .replace("/etc/locum", &dir.display().to_string());
    fs::write(dir.join("locumd.toml"), text).expect("written");
    dir.join("locumd.toml")
}

#[test]
fn check_reads_everything_that_the_settings_point_at() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = installed(dir.path());
    let checked = super::check(&path, &Flags::new(), &crate::clock::WallClock).expect("a right installation");
    assert_eq!((checked.registry.workloads.len(), checked.policies.len()), (3, 1));
}

#[test]
fn check_refuses_what_a_start_would_refuse() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = installed(dir.path());
    std::fs::write(dir.path().join("policies/b.cedar"), "permit (principal, action, resource);")
        .expect("written");
    let registry = dir.path().join("registry.toml");
    let text = std::fs::read_to_string(&registry)
        .expect("read")
        .replace("serves = [\"orders\"]", "serves = [\"nothing\"]");
    std::fs::write(&registry, text).expect("written");
    let found = super::check(&path, &Flags::new(), &crate::clock::WallClock).expect_err("wrong").to_string();
    for expected in ["b.cedar:1", "`nothing`: no such connector"] {
        assert!(found.contains(expected), "{expected} in\n{found}");
    }
}

#[test]
fn check_tells_every_file_that_is_wrong_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = installed(dir.path());
    let text = std::fs::read_to_string(&path).expect("read").replace("[\"acme\"]", "[\"other\"]");
    std::fs::write(&path, text).expect("written");
    std::fs::write(dir.path().join("bundle.pem"), "").expect("written");
    std::fs::remove_file(dir.path().join("policies/a.cedar")).expect("removed");
    std::fs::remove_file(dir.path().join("server.key")).expect("removed");
    let found = super::check(&path, &Flags::new(), &crate::clock::WallClock).expect_err("wrong").to_string();
    for expected in ["server.key", "no `*.cedar` file", "`other` is no tenant", "trust: "] {
        assert!(found.contains(expected), "{expected} in\n{found}");
    }
}
