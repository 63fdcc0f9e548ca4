//! The journal on a real disk, and one suite for both file layers.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::{DirectoryError, DiskFiles, verify};

fn disk() -> (tempfile::TempDir, DiskFiles) {
    let directory = tempfile::tempdir().expect("a directory");
    let files = DiskFiles::open(directory.path().join("journal")).expect("opens");
    (directory, files)
}

/// What the journal rests on, for every layer.
fn check_layer(files: &dyn FileLayer) {
    assert_eq!(files.list().expect("lists"), Vec::<String>::new());
    let file = files.create("a", 1000).expect("creates");
    assert_eq!((file.len().expect("a length"), file.is_empty().expect("a length")), (1000, false));
    assert_eq!(files.create("a", 1).err().map(|error| error.kind()), Some(ErrorKind::AlreadyExists));
    let mut buffer = [7; 16];
    assert_eq!(file.read_at(&mut buffer, 990).expect("reads to the end"), 10);
    assert_eq!(buffer[..10], [0; 10]);
    assert_eq!(file.read_at(&mut buffer, 5000).expect("reads nothing"), 0);
    file.write_at(b"hello", 500).expect("writes");
    file.write_at(b"longer", 998).expect("writes past the end");
    assert_eq!(file.len().expect("a length"), 1004);
    file.grow(5000).expect("grows");
    file.grow(100).expect("never shrinks");
    assert_eq!(file.len().expect("a length"), 5000);
    file.sync().expect("syncs");
    let again = files.open("a").expect("opens");
    assert_eq!(again.read_at(&mut buffer[..5], 500).expect("reads"), 5);
    assert_eq!(&buffer[..5], b"hello");
    again.truncate(502).expect("cuts");
    again.grow(600).expect("grows");
    assert_eq!(file.read_at(&mut buffer[..5], 500).expect("reads"), 5);
    assert_eq!(&buffer[..5], b"he\0\0\0");
    files.create("b", 0).expect("creates");
    files.rename("b", "a").expect("replaces");
    files.sync_dir().expect("syncs names");
    assert_eq!(files.list().expect("lists"), ["a"]);
    assert!(files.open("a").expect("opens").is_empty().expect("a length"));
    // The file that was replaced is nobody's any more: what is written to it is lost, so it says so.
    assert_eq!(file.sync().err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    files.remove("a").expect("removes");
    assert_eq!(files.open("a").err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    assert!(files.remove("a").is_err() && files.rename("a", "b").is_err());
    assert!(files.available_bytes().expect("asks") > 0);
}

#[test]
fn both_layers_do_the_same() {
    check_layer(&MemoryFiles::new());
    check_layer(&disk().1);
}

#[test]
fn two_openers_are_one_too_many() {
    let (directory, files) = disk();
    let path = directory.path().join("journal");
    assert!(matches!(DiskFiles::open(&path), Err(DirectoryError::InUse(_))));
    drop(files);
    DiskFiles::open(&path).expect("free again");
}

#[test]
fn nobody_else_may_read() {
    let (directory, files) = disk();
    open(Arc::new(files), options(), &mut ()).expect("opens");
    let path = directory.path().join("journal");
    let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let entries: Vec<_> =
        path.read_dir().expect("lists").map(|entry| entry.expect("an entry").path()).collect();
    assert!(entries.len() >= 3);
    for entry in entries {
        assert_eq!(mode(&entry), 0o600, "{}", entry.display());
    }
}

#[test]
fn links_are_not_followed() {
    let (directory, files) = disk();
    let outside = directory.path().join("outside");
    std::fs::write(&outside, b"secret").expect("writes");
    std::os::unix::fs::symlink(&outside, directory.path().join("journal/a")).expect("links");
    assert!(files.open("a").is_err());
    assert!(files.create("a", 10).is_err());
    assert_eq!(std::fs::read(&outside).expect("reads"), b"secret");
}

#[test]
fn a_journal_lives_on_a_disk() {
    let (directory, files) = disk();
    let path = directory.path().join("journal");
    let mut journal = open(Arc::new(files), options(), &mut ()).expect("opens");
    for number in 1..=60 {
        journal.writer.append(Lane::Ordinary, vec![event(number)]).expect("appends");
    }
    journal.writer.seal().expect("seals");
    let (head, written) = (journal.writer.head(), history(&journal));
    journal.reader.snapshot(&|_| true, Given::default()).expect("a snapshot");
    drop(journal);
    let files = Arc::new(DiskFiles::open(&path).expect("free again"));
    let mut replayed = Vec::new();
    let journal = open(Arc::clone(&files) as _, options(), &mut replayed).expect("opens");
    assert_eq!((journal.writer.head(), &replayed), (head, &written));
    drop(journal);
    let report = verify(&*files, &mut |_| {}).expect("holds");
    assert_eq!((report.events, report.head, report.sealed), (60, head, true));
}

#[test]
fn a_segment_removed_under_the_writer_stops_it() {
    let (directory, files) = disk();
    let mut journal = open(Arc::new(files), options(), &mut ()).expect("opens");
    journal.writer.append(Lane::Ordinary, vec![event(1)]).expect("appends");
    std::fs::remove_file(directory.path().join("journal/segment-000000000000001")).expect("removes");
    let refused = journal.writer.append(Lane::Ordinary, vec![event(2)]);
    assert_eq!(refused, Err(crate::AppendError::Fatal));
}
