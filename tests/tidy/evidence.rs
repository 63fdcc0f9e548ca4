//! Evidence values are made in one crate each.
//!
//! Their constructor is named `assertion`. Tests may call it anywhere.

use crate::scan;
use crate::workspace::{Violation, Workspace, room};

/// Which evidence is made where.
const MADE_IN: &[(&str, &str)] = &[
    ("Caller", "identity"),
    ("Permit", "policy"),
    ("Committed", "journal"),
    ("Live", "table"),
    ("SignedToken", "token"),
];

/// Evidence of rustls, of the same habit, in the crates that implement its verifiers.
const OF_RUSTLS: &[&str] = &["ClientCertVerified", "ServerCertVerified", "HandshakeSignatureValid"];
const VERIFIERS: &[&str] = &["identity", "sdk"];
/// The one file that believes any server: it asks one on this machine for one bit.
const PROBE: &str = "crates/server/src/probe.rs";

/// Constructors of evidence called, or passed on as functions, outside the crate that makes it.
pub(crate) fn evidence(tree: &Workspace) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in &tree.sources {
        for (at, line) in source.words("assertion") {
            let Some(maker) =
                source.code[..at].strip_suffix("::").map(|head| scan::word_before(head, head.len()))
            else {
                continue;
            };
            if source.in_product(line) && !may_make(maker, &source.path) {
                found.push(Violation::at(&source.path, line, format!("makes evidence `{maker}`")));
            }
        }
    }
    found
}

fn may_make(maker: &str, path: &str) -> bool {
    let room = room(path);
    // Modules may be called `assertion`: paths through them begin in lower case.
    if maker.starts_with(|c: char| c.is_lowercase()) {
        return true;
    }
    MADE_IN.contains(&(maker, room))
        || (OF_RUSTLS.contains(&maker) && (VERIFIERS.contains(&room) || path == PROBE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_caught, assert_none};

    #[test]
    fn evidence_is_made_in_its_crate() {
        assert_none(&evidence(&Workspace::load()));
    }

    #[test]
    fn evidence_catches() {
        for (path, text) in [
            ("crates/broker/src/issue_token.rs", "fn a() { sign(&Live::assertion(record)) }"),
            ("crates/server/src/grpc.rs", "fn a() { let b = locum_model::Caller::assertion(None); }"),
            ("crates/broker/src/commit.rs", "fn a() { Committed::<Event>::assertion(event, position) }"),
            ("crates/table/src/lookup.rs", "fn a() { records.map(Permit::assertion) }"),
            ("crates/policy/src/decide.rs", "use x::Live as Alive; fn a() { Alive::assertion(record) }"),
            ("crates/identity/src/caller.rs", "fn a() { SignedToken::assertion(x) }"),
            ("crates/broker/src/a.rs", "fn a() { ServerCertVerified::assertion() }"),
            ("crates/server/src/tls.rs", "fn a() { ServerCertVerified::assertion() }"),
        ] {
            assert_caught(evidence, &[(path, text)], &[&format!("{path}:1")]);
        }
        let fine = "use crate::assertion::Claims;\nfn a() { Live::assertion(b) } // Permit::assertion(c)\n";
        assert_caught(evidence, &[("crates/table/src/apply.rs", fine)], &[]);
        let test = "#[cfg(test)]\nmod tests { fn a() { Permit::assertion(b) } }\n";
        assert_caught(evidence, &[("crates/broker/src/start_task.rs", test)], &[]);
    }

    #[test]
    fn every_crate_makes_its_evidence() {
        let tree = Workspace::load();
        for (maker, home) in MADE_IN {
            let call = format!("{maker}::assertion(");
            let made = tree.sources.iter().filter(|source| room(&source.path) == *home);
            assert!(
                made.into_iter().any(|source| source.code.contains(&call)),
                "`{home}` makes no `{maker}`"
            );
        }
    }
}
