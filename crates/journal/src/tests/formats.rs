//! What an earlier version wrote is read for good, and what this one writes does not change by accident.

use std::time::Duration;

use locum_model::event::{Commitment, NamedConnector, Outcome, TaskEnded, TaskStarted};
use locum_model::issue_record::RequestKey;
use locum_model::{
    Actor, Confirmation, ConnectorNo, Grant, Intent, IssueRecord, KeyId, ModelNo, OwnerNo, PolicyRevision,
    Position, RegistryRevision, Resources, Scope, Standing, SubjectKey, TaskId, TenantNo, TokenId,
    WorkloadNo,
};

use super::snapshot::{fit_hash, fit_record, records};
use super::*;
use crate::format::record::RECORD_HEADER_BYTES;
use crate::{DecodeError, verify};

/// Snapshots of [`story`] in every format there was.
const FORMATS: [&[u8]; 2] = [include_bytes!("format-1.snapshot"), include_bytes!("format-2.snapshot")];
/// Numbers in their headers.
const GIVEN: Given = Given { tasks: 90, locks: 7 };

/// Tasks and tokens of two workloads, in turns, with everything that they may have or lack.
pub(super) fn story() -> Vec<Event> {
    let mut events = Vec::new();
    for number in 1..=12 {
        events.push(Event::TaskStarted(Arc::new(beginning(number))));
        events.extend((0..number % 5).map(|at| Event::TokenIssued(Arc::new(record(number * 10 + at)))));
        if number % 4 == 0 {
            events.push(Event::TaskEnded(TaskEnded {
                task: TaskId::new(1, number),
                outcome: Outcome::Completed,
                reason: Some("done".to_owned()),
                by: By::Broker,
                at: Timestamp::from_millis(1_700_000_000_000),
            }));
        }
    }
    events
}

fn request(number: u64) -> Option<RequestKey> {
    number.is_multiple_of(3).then(|| RequestKey { id: format!("request {number}"), hash: [number as u8; 32] })
}

fn scope(number: u64) -> Scope {
    let resource = "orders/eu/*".parse().expect("a pattern");
    let resources =
        if number.is_multiple_of(2) { Resources::All } else { Resources::Only([resource].into()) };
    Scope::of([Grant { operation: "orders:refund".parse().expect("plain"), resources }]).expect("one grant")
}

fn subject(number: u64) -> (String, SubjectKey) {
    let user = if number.is_multiple_of(7) { format!("user-{number}") } else { "the agent".to_owned() };
    (user, SubjectKey([(number % 7) as u8; 16]))
}

fn beginning(number: u64) -> TaskStarted {
    let at = Timestamp::from_millis(1_699_999_000_123 + number.cast_signed() * 250);
    let who = (number % 2) as u32;
    let (subject, subject_key) = subject(number);
    TaskStarted {
        task: TaskId::new(1, number),
        parent: number.is_multiple_of(4).then(|| TaskId::new(1, number - 1)),
        tenant: TenantNo(1),
        workload: WorkloadNo(who),
        workload_identity: format!("spiffe://acme.test/agents/{who}").parse().expect("plain"),
        owner: OwnerNo(4),
        model: (who == 1).then_some(ModelNo(2)),
        subject,
        subject_key,
        intent: Intent { purpose: "refund-order".parse().expect("plain"), scope: scope(who.into()) },
        connectors: vec![NamedConnector { number: ConnectorNo(8), owner: OwnerNo(9) }],
        justification: number.is_multiple_of(5).then_some(Commitment { salt: [1; 16], digest: [2; 32] }),
        holder: [number as u8; 32],
        deadline: at.plus(Duration::from_secs(3_600)),
        lease: Duration::from_secs(30),
        decided_at: Position { home: 1, epoch: 1, sequence: number },
        policy_revision: PolicyRevision(3),
        registry_revision: RegistryRevision(4),
        policies: vec!["refunds".to_owned()],
        request: request(number),
        at,
    }
}

fn record(number: u64) -> IssueRecord {
    let at = Timestamp::from_millis(1_699_999_001_777 + number.cast_signed() * 1_001);
    let second = Timestamp::from_millis(at.as_millis() / 1_000 * 1_000);
    let (leaf, who) = (number / 10, (number / 10 % 2) as u32);
    let (subject, subject_key) = subject(number);
    let mut tasks = vec![TaskId::new(1, leaf)];
    if leaf.is_multiple_of(4) {
        tasks.insert(0, TaskId::new(1, leaf - 1));
    }
    IssueRecord {
        jti: TokenId([number as u8; 16]),
        tasks,
        standing: Standing {
            actors: vec![Actor { workload: WorkloadNo(who), owner: OwnerNo(4), model: None }],
            tenant: TenantNo(1),
            connector: ConnectorNo(8),
            connector_owner: OwnerNo(9),
            policy_revision: PolicyRevision(3),
        },
        subject,
        subject_key,
        client_id: format!("spiffe://acme.test/agents/{who}").parse().expect("plain"),
        audience: "https://orders.acme.test".to_owned(),
        scope: scope(who.into()),
        at,
        issued_at: second,
        not_before: second,
        expires_at: second.plus(Duration::from_secs(900)),
        uses_max: number.is_multiple_of(11).then_some(1),
        confirmation: match number % 4 {
            0 => None,
            1 => Some(Confirmation::Certificate([3; 32])),
            2 => Some(Confirmation::Certificate([number as u8; 32])),
            _ => Some(Confirmation::Key([number as u8; 32])),
        },
        kid: KeyId([6; 32]),
        decided_at: Position { home: 1, epoch: 1, sequence: number / 2 },
        registry_revision: RegistryRevision(4),
        policies: vec!["refunds".to_owned(), "small".to_owned()],
        request: request(number),
    }
}

/// A journal of [`story`], of a segment for all of it and one more, and its snapshot's name.
fn written() -> (MemoryFiles, String) {
    let files = MemoryFiles::new();
    let (mut journal, _) = opened(&files).expect("opens");
    for event in story() {
        journal.writer.append(Lane::Ordinary, vec![event]).expect("appends");
    }
    let covers = |files: &MemoryFiles| names(files, "segment-").len();
    let before = covers(&files);
    let mut number = 1;
    while covers(&files) == before {
        journal.writer.append(Lane::Ordinary, vec![event(number)]).expect("appends");
        number += 1;
    }
    journal.reader.snapshot(&|_| true, GIVEN).expect("a snapshot");
    let name = names(&files, "snapshot-").pop().expect("a snapshot");
    (files, name)
}

#[test]
fn a_snapshot_in_any_format_is_read() {
    let (files, name) = written();
    let expected = {
        let without = files.fork();
        without.remove(&name).expect("removes");
        opened(&without).expect("opens from the segments").1
    };
    assert!(expected.iter().map(Committed::event).zip(&story()).all(|(found, told)| found == told));
    for (format, bytes) in FORMATS.iter().enumerate() {
        files.replace(&name, bytes.to_vec());
        let old = files.fork();
        for segment in names(&old, "segment-").iter().rev().skip(1) {
            old.remove(segment).expect("removes");
        }
        let (journal, replayed) = opened(&old).expect("opens from the snapshot");
        assert_eq!((&replayed, journal.given), (&expected, GIVEN), "format {}", format + 1);
        assert_eq!(verify(&files, &mut |_| {}).expect("holds").snapshots, 1);
    }
}

#[test]
fn what_is_written_is_the_newest_format() {
    let (files, name) = written();
    let bytes = files.contents(&name).expect("its bytes");
    assert!(bytes == FORMATS[FORMATS.len() - 1], "a format that was written once does not change");
    assert!(bytes.len() < FORMATS[0].len(), "briefs are brief");
}

#[test]
fn a_later_snapshot_takes_over_what_stands_in_one_of_any_format() {
    for bytes in FORMATS {
        let (files, name) = written();
        files.replace(&name, bytes.to_vec());
        let (mut journal, replayed) = opened(&files).expect("opens");
        for number in 1..=60 {
            journal.writer.append(Lane::Ordinary, vec![event(number)]).expect("appends");
        }
        journal.reader.snapshot(&|_| true, GIVEN).expect("another");
        drop(journal);
        assert_eq!(names(&files, "snapshot-").len(), 2);
        let (_, again) = opened(&files).expect("opens");
        assert_eq!(again[..replayed.len()], replayed);
        verify(&files, &mut |_| {}).expect("holds");
    }
}

/// Where the briefs of a snapshot begin.
fn briefs(bytes: &[u8]) -> Vec<usize> {
    let is_brief = |at: &usize| [1, 2].contains(&bytes[at + RECORD_HEADER_BYTES]);
    records(bytes).into_iter().filter(is_brief).collect()
}

#[test]
fn a_brief_that_is_damaged_is_never_taken_for_another_event() {
    let (files, name) = written();
    let good = files.contents(&name).expect("its bytes");
    let (_, expected) = opened(&files).expect("opens");
    let briefs = briefs(&good);
    assert!(briefs.len() > 20, "{}", briefs.len());
    let last = *briefs.last().expect("there are some");
    for at in briefs[0]..last + RECORD_HEADER_BYTES + 40 {
        if at % 7 > 0 && at < last {
            continue;
        }
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        files.replace(&name, bytes);
        assert_eq!(opened(&files).expect("opens from the segments").1, expected, "{at}");
    }
    for at in briefs {
        // Another exemplar of whatever kind, or none, and the checksum fits: the hash does not.
        for place in [0, 1, 2, 77] {
            let mut bytes = good.clone();
            bytes[at + RECORD_HEADER_BYTES + 1] = place;
            fit_record(&mut bytes, at);
            files.replace(&name, bytes);
            assert_eq!(opened(&files).expect("opens from the segments").1, expected, "{at} {place}");
        }
    }
}

#[test]
fn a_whole_snapshot_with_a_place_that_was_not_given_is_refused() {
    let (files, name) = written();
    let good = files.contents(&name).expect("its bytes");
    for at in briefs(&good) {
        let mut bytes = good.clone();
        bytes[at + RECORD_HEADER_BYTES + 1] = 77;
        fit_record(&mut bytes, at);
        fit_hash(&mut bytes);
        files.replace(&name, bytes);
        let refused = flaw(opened(&files).err().expect("refused"));
        assert!(matches!(refused, Flaw::Undecodable(DecodeError::Invalid("brief.exemplar"))), "{refused}");
        assert!(verify(&files, &mut |_| {}).is_err());
    }
}

#[test]
fn a_brief_that_says_something_else_is_found_by_the_offline_check() {
    let (files, name) = written();
    let good = files.contents(&name).expect("its bytes");
    for at in briefs(&good) {
        let mut bytes = good.clone();
        // Of a record the id, of a beginning the task.
        bytes[at + RECORD_HEADER_BYTES + 2] ^= 0x80;
        fit_record(&mut bytes, at);
        fit_hash(&mut bytes);
        files.replace(&name, bytes);
        let found = verify(&files, &mut |_| {}).expect_err("found").flaw;
        assert!(matches!(found, Flaw::Invented), "{found}");
    }
}
