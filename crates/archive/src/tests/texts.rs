//! Texts: sealed, shown only as given, erased with their key.

use locum_model::event::Commitment;
use locum_model::{TenantNo, Timestamp};
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::opened;
use super::world::BEGIN;
use crate::Salted;
use crate::texts::{Given, Told};

const CANARY: &str = "customer 4711 rang twice";

fn given(tenant: u32, salt: u8, text: &str) -> Given {
    let salt = [salt; 16];
    let digest = digest(&SHA256, &[&salt[..], text.as_bytes()].concat());
    Given {
        tenant: TenantNo(tenant),
        at: Timestamp::from_millis(BEGIN),
        commitment: Commitment::kept_apart(digest.as_ref().try_into().expect("32 bytes")),
        salted: Salted { salt, text: Zeroizing::new(text.to_owned()) },
    }
}

#[test]
fn a_text_is_told_to_its_tenant_until_its_key_is_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = opened(dir.path());
    let (mine, theirs) = (given(1, 1, CANARY), given(2, 2, "another"));
    archive.keep_texts(&[given(1, 1, CANARY), given(2, 2, "another")]).expect("kept");
    archive.keep_texts(&[given(1, 1, CANARY)]).expect("kept already");
    let told = |tenant, of: &Given| archive.text(TenantNo(tenant), &of.commitment).expect("answered");
    assert_eq!(told(1, &mine), Told::Text(CANARY.into()));
    assert_eq!(told(2, &mine), Told::NotKept, "another tenant");
    assert_eq!(told(2, &theirs), Told::Text("another".into()));
    let keys: Vec<_> = std::fs::read_dir(dir.path().join("keys")).expect("a folder").flatten().collect();
    assert_eq!(keys.len(), 2);
    for key in &keys {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(key.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    }
    let of_mine = keys.iter().find(|key| key.file_name().to_string_lossy().starts_with("1-")).expect("there");
    std::fs::remove_file(of_mine.path()).expect("removed");
    assert_eq!(told(1, &mine), Told::Erased);
    assert_eq!(told(2, &theirs), Told::Text("another".into()));
    // A text of the same day makes another key, which opens nothing of before.
    archive.keep_texts(&[given(1, 3, "later")]).expect("kept");
    assert_eq!(told(1, &mine), Told::Erased);
    assert_eq!(told(1, &given(1, 3, "later")), Told::Text("later".into()));
}

#[test]
fn no_byte_on_the_disk_is_a_text() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = opened(dir.path());
    archive.keep_texts(&[given(1, 1, CANARY)]).expect("kept");
    let holds = |name: &str| {
        let bytes = std::fs::read(dir.path().join(name)).expect("readable");
        bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
    };
    for name in ["index.db", "index.db-wal", "texts.db", "texts.db-wal"] {
        assert!(!holds(name), "{name}");
    }
    // The search can find.
    std::fs::write(dir.path().join("other"), CANARY).expect("written");
    assert!(holds("other"));
}

#[test]
fn a_text_that_was_tampered_with_is_never_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = opened(dir.path());
    let (one, two) = (given(1, 1, CANARY), given(1, 2, "another"));
    archive.keep_texts(&[given(1, 1, CANARY), given(1, 2, "another")]).expect("kept");
    let db = rusqlite::Connection::open(dir.path().join("texts.db")).expect("opens");
    // One text in another's place.
    db.execute(
        "UPDATE texts SET (nonce, sealed) = (SELECT nonce, sealed FROM texts WHERE digest = ?) WHERE digest = ?",
        [two.commitment.digest, one.commitment.digest],
    )
    .expect("swapped");
    assert_eq!(archive.text(TenantNo(1), &one.commitment).expect("answered"), Told::Erased);
    assert_eq!(archive.text(TenantNo(1), &two.commitment).expect("answered"), Told::Text("another".into()));
}
