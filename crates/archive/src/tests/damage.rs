//! Damage: found, set aside, told, and begun again.

use std::sync::Arc;

use super::world::World;
use super::{Counting, filled, opened};
use crate::search::{Criteria, Order, Reach};
use crate::{Archive, ArchiveError};

fn history() -> Vec<locum_model::Committed<locum_model::Event>> {
    World::of(&(0..400_u32).map(|step| ((step % 13) as u8, step as u8, (step % 5) as u8)).collect::<Vec<_>>())
        .events
}

#[test]
fn a_file_that_is_not_ours_is_set_aside_and_told() {
    for (name, bytes) in [("index.db", &b"no database at all, but long enough"[..]), ("texts.db", &[7; 5000])]
    {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(name), bytes).expect("written");
        let mut lost = Vec::new();
        let mut note = |name: &'static str, cause: &ArchiveError| lost.push((name, cause.is_damage()));
        let archive = Archive::open(dir.path(), Arc::new(Counting::default()), &mut note).expect("opens");
        assert_eq!(archive.reached().expect("read"), None);
        assert_eq!(lost, [(name, true)]);
        let aside = dir.path().join(format!("{name}.damaged"));
        assert_eq!(std::fs::read(aside).expect("kept beside"), bytes);
    }
}

#[test]
fn another_format_is_rebuilt() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(filled(dir.path(), &history()));
    let db = rusqlite::Connection::open(dir.path().join("index.db")).expect("opens");
    db.pragma_update(None, "user_version", 99).expect("set");
    drop(db);
    let mut lost = 0;
    let archive =
        Archive::open(dir.path(), Arc::new(Counting::default()), &mut |_, _| lost += 1).expect("opens");
    assert_eq!((archive.reached().expect("read"), lost), (None, 1));
}

#[test]
fn damaged_pages_never_panic_and_are_known_for_what_they_are() {
    let events = history();
    let dir = tempfile::tempdir().expect("a directory");
    drop(filled(dir.path(), &events));
    let path = dir.path().join("index.db");
    // Everything into the file itself.
    let db = rusqlite::Connection::open(&path).expect("opens");
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("done");
    drop(db);
    let whole = std::fs::read(&path).expect("readable");
    let mut told = 0;
    for page in (0..whole.len() / 4096).step_by(3) {
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0x5a);
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("index.db"), bytes).expect("written");
        let mut lost = 0;
        let archive = Archive::open(dir.path(), Arc::new(Counting::default()), &mut |_, _| lost += 1);
        let archive = archive.expect("opens, whatever the file holds");
        let all = archive.search(&Criteria::of(Reach::All), (Order::OldestFirst, None), 10_000);
        let damaged = lost > 0 || all.as_ref().is_err_and(ArchiveError::is_damage);
        assert!(damaged || all.is_ok(), "{all:?}");
        told += usize::from(damaged);
        archive.set_index_aside().expect("begun again");
        assert_eq!(archive.reached().expect("read"), None);
        archive.index(&events).expect("indexed again");
    }
    assert!(told > 0, "some of it was met");
}

#[test]
fn one_that_is_removed_begins_again() {
    let events = history();
    let dir = tempfile::tempdir().expect("a directory");
    let archive = filled(dir.path(), &events);
    assert!(archive.is_whole());
    std::fs::remove_file(dir.path().join("index.db")).expect("removed");
    assert!(!archive.is_whole());
    archive.begin_again().expect("begun again");
    assert_eq!(archive.reached().expect("read"), None);
    archive.index(&events).expect("indexed again");
    drop(archive);
    assert!(opened(dir.path()).reached().expect("read").is_some());
}
