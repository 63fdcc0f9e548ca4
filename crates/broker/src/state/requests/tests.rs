//! Beside a simple map that keeps everything as it came.

use std::collections::HashMap;
use std::time::Duration;

use locum_model::issue_record::RequestKey;
use locum_model::limits::{NOT_BEFORE_BACKDATE, RESOURCES_PER_GRANT_MAX};
use locum_model::{
    Actor, Confirmation, ConnectorNo, Grant, KeyId, OwnerNo, PolicyRevision, Position, RegistryRevision,
    ResourcePattern, Resources, Scope, Standing, SubjectKey, TenantNo,
};
use proptest::prelude::*;

use super::*;

const IDS: u8 = 2;
const TASKS: u64 = 5;
const WORKLOAD: WorkloadNo = WorkloadNo(5);

/// What is kept of an answered request, without any art.
struct Simple {
    due: Timestamp,
    hash: [u8; 32],
    answered: Answered,
    rests_on: Vec<TaskId>,
}

/// The answered requests as a map of them.
#[derive(Default)]
struct Oracle {
    known: HashMap<(Option<TaskId>, String), Simple>,
    issued: Vec<Arc<IssueRecord>>,
}

#[derive(Clone, Debug)]
enum Step {
    /// A task began.
    Start { id: u8, hash: u8, task: u64, life: u64 },
    /// A token was issued: which of several kinds, and whether its chain is one of the tree.
    Issue { id: u8, hash: u8, task: u64, life: u64, kind: u16, stray: bool },
    /// Time passed, in milliseconds.
    Pass(u64),
    /// The reaper came, at the second that began last.
    Free,
}

impl Oracle {
    fn remember(&mut self, key: &RequestKey, task: Option<TaskId>, it: (Answered, &[TaskId], Timestamp)) {
        let (answered, rests_on, until) = it;
        let due = until.plus(REQUEST_ID_KEPT_AFTER_EXP);
        let simple = Simple { due, hash: key.hash, answered, rests_on: rests_on.to_vec() };
        self.known.insert((task, key.id.clone()), simple);
    }

    fn answer(&self, key: &RequestKey, task: Option<TaskId>, at: Timestamp) -> Option<Answered> {
        let known = self.known.get(&(task, key.id.clone())).filter(|known| at < known.due)?;
        Some(if known.hash == key.hash { known.answered.clone() } else { Answered::Another })
    }

    fn holds(&self, record: &IssueRecord) -> bool {
        let id = record.request.as_ref().map(|key| key.id.clone()).unwrap_or_default();
        let known = self.known.get(&(Some(record.task()), id)).map(|known| &known.answered);
        matches!(known, Some(Answered::Token(known)) if known.jti == record.jti)
    }

    fn rest_on(&self, task: TaskId) -> bool {
        self.known.values().any(|known| known.rests_on.contains(&task))
    }

    fn free(&mut self, now: Timestamp) -> usize {
        let before = self.known.len();
        self.known.retain(|_, known| known.due.plus(REQUEST_TIMEOUT) > now);
        before - self.known.len()
    }
}

fn task(number: u64) -> TaskId {
    TaskId::new(1, number)
}

/// The chain of a task in a tree in which each has two below it.
fn chain(number: u64) -> Vec<TaskId> {
    let mut chain: Vec<_> =
        std::iter::successors(Some(number), |at| (at / 2 > 0).then_some(at / 2)).map(task).collect();
    chain.reverse();
    chain
}

fn key(id: u8, hash: u8) -> RequestKey {
    RequestKey { id: format!("request-{id}"), hash: [hash; 32] }
}

fn whose(task: Option<TaskId>) -> Whose {
    Whose { tenant: TenantNo(3), workload: WORKLOAD, task }
}

fn scope(kind: u16) -> Scope {
    let pattern = |text: &str| text.parse::<ResourcePattern>().expect("a good pattern");
    let resources = match kind % 5 {
        0 => Resources::All,
        1 => Resources::Only(std::iter::once(pattern("order/7")).collect()),
        2 => Resources::Only(["order/8", "order/*"].map(pattern).into_iter().collect()),
        // What no broker writes, and a journal may have.
        3 => Resources::Only(std::collections::BTreeSet::new()),
        _ => Resources::Only((0..=RESOURCES_PER_GRANT_MAX).map(|n| pattern(&format!("order/{n}"))).collect()),
    };
    let grant = |action: &str, resources| Grant { operation: action.parse().expect("plain"), resources };
    Scope::of([grant("orders:read", Resources::All), grant("orders:refund", resources)]).expect("a scope")
}

fn record(number: u64, kind: u16, at: Timestamp, expires_at: Timestamp) -> IssueRecord {
    let flag = |bit: u16| kind >> bit & 1 == 1;
    let issued_at = at.floor_to_second();
    IssueRecord {
        jti: TokenId(u128::from(number).to_be_bytes()),
        tasks: Vec::new(),
        standing: Standing {
            actors: vec![Actor { workload: WORKLOAD, owner: OwnerNo(2), model: None }],
            tenant: TenantNo(3),
            connector: ConnectorNo(4 + u32::from(flag(3))),
            connector_owner: OwnerNo(6),
            policy_revision: PolicyRevision(7),
        },
        subject: "spiffe://acme.test/agents/refunder".into(),
        subject_key: SubjectKey([1; 16]),
        client_id: "spiffe://acme.test/agents/refunder".parse().expect("plain"),
        audience: "https://orders.acme.test".into(),
        scope: scope(kind),
        at,
        issued_at,
        not_before: if flag(4) { at } else { issued_at.minus(NOT_BEFORE_BACKDATE) },
        expires_at,
        uses_max: flag(5).then_some(3),
        confirmation: flag(6).then_some(if flag(7) {
            Confirmation::Key([8; 32])
        } else {
            Confirmation::Certificate([9; 32])
        }),
        kid: KeyId([u8::from(flag(8)); 32]),
        decided_at: Position { home: 1, epoch: 1 + u32::from(flag(9)), sequence: 100 + number },
        registry_revision: RegistryRevision(1),
        policies: vec!["refund-orders".into()],
        request: None,
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let life = || prop_oneof![0..3_000_u64, 0..200_000_u64];
    let who = || (0..IDS, 0..2_u8, 1..=TASKS, life());
    prop_oneof![
        2 => who().prop_map(|(id, hash, task, life)| Step::Start { id, hash, task, life }),
        6 => (who(), 0..1024_u16, prop::bool::weighted(0.1)).prop_map(|((id, hash, task, life), kind, stray)| {
            Step::Issue { id, hash, task, life, kind, stray }
        }),
        2 => (0..80_000_u64).prop_map(Step::Pass),
        1 => Just(Step::Free),
    ]
}

fn take(step: &Step, number: u64, at: &mut Timestamp, both: (&mut Requests, &mut Oracle)) {
    let (requests, oracle) = both;
    let until = |life: u64| at.plus(Duration::from_millis(life));
    match *step {
        Step::Start { id, hash, task: number, life } => {
            let (key, chain) = (key(id, hash), chain(number));
            let request = KeyedRequest::new(whose(None), &key);
            if !requests.is_answered(&request, *at) {
                requests.remember_task(&request, task(number), &chain, until(life));
                oracle.remember(&key, None, (Answered::Task(task(number)), &chain, until(life)));
            }
        }
        Step::Issue { id, hash, task: leaf, life, kind, stray } => {
            let mut tasks = chain(leaf);
            if stray {
                tasks.insert(0, task(u64::from(kind) % TASKS + 1));
            }
            let mut record = record(number, kind, *at, until(life).floor_to_second());
            (record.tasks, record.request) = (tasks, Some(key(id, hash)));
            let record = Arc::new(record);
            let request = KeyedRequest::of_issue(&record).expect("it has an id");
            if !requests.is_answered(&request, *at) {
                requests.remember_token(&request, &record);
                let (key, until) = (request.key, record.expires_at);
                let answer = (Answered::Token(Arc::clone(&record)), &*record.tasks, until);
                oracle.remember(key, Some(task(leaf)), answer);
                oracle.issued.push(record);
            }
        }
        Step::Pass(millis) => *at = at.plus(Duration::from_millis(millis)),
        Step::Free => {
            let now = at.floor_to_second();
            // Those that another took the place of count too, so that a step is bounded.
            assert!(requests.free(now, usize::MAX) >= oracle.free(now));
        }
    }
}

fn agree(at: Timestamp, requests: &Requests, oracle: &Oracle) {
    for of in [None].into_iter().chain((1..=TASKS).map(|number| Some(task(number)))) {
        for (id, hash) in (0..IDS).flat_map(|id| [(id, 0), (id, 1)]) {
            let key = key(id, hash);
            let request = KeyedRequest::new(whose(of), &key);
            let expected = oracle.answer(&key, of, at);
            assert_eq!(requests.is_answered(&request, at), expected.is_some());
            assert_eq!(requests.answer(&request, at), expected, "{id} of {of:?}");
        }
    }
    for number in 1..=TASKS {
        assert_eq!(requests.rest_on(task(number)), oracle.rest_on(task(number)), "{number}");
    }
    for record in &oracle.issued {
        assert_eq!(requests.holds(record), oracle.holds(record));
    }
    assert_eq!(requests.by_workload.get(&WORKLOAD).copied().unwrap_or(0), oracle.known.len());
}

proptest! {
    #[test]
    fn it_is_the_simple_map(steps in prop::collection::vec(any_step(), 1..30)) {
        let (mut requests, mut oracle) = (Requests::default(), Oracle::default());
        let mut at = Timestamp::from_millis(1_000_000_250);
        for (number, step) in steps.iter().enumerate() {
            take(step, number as u64, &mut at, (&mut requests, &mut oracle));
            agree(at, &requests, &oracle);
        }
        let over = at.plus(Duration::from_secs(2_000)).floor_to_second();
        prop_assert!(requests.free(over, usize::MAX) >= oracle.free(over));
        assert_empty(&requests);
    }
}

/// Nothing stays of what is over, wherever it was kept.
fn assert_empty(requests: &Requests) {
    assert!(requests.by_workload.is_empty() && requests.common.is_empty());
    assert!(requests.answers.is_empty() && requests.places.is_empty());
    assert!(requests.rests_on.is_empty());
}

#[test]
fn an_id_that_is_used_again_stands_for_its_new_task_alone() {
    let at = Timestamp::from_seconds;
    let (key, other) = (key(0, 0), key(0, 1));
    let request = KeyedRequest::new(whose(None), &key);
    let mut requests = Requests::default();
    requests.remember_task(&request, task(2), &[task(1), task(2)], at(100));
    assert!([1, 2].into_iter().all(|number| requests.rest_on(task(number))));
    let again = KeyedRequest::new(whose(None), &other);
    requests.remember_task(&again, task(3), &[task(1), task(3)], at(1_000_000));
    assert!(!requests.rest_on(task(2)), "what ended the first may be forgotten by now");
    assert!([1, 3].into_iter().all(|number| requests.rest_on(task(number))));
    assert_eq!(requests.answer(&request, at(100)), Some(Answered::Another));
    assert_eq!(requests.answer(&again, at(100)), Some(Answered::Task(task(3))));
    // The one that was taken the place of counts, so that a step is bounded.
    assert_eq!([1; 3].map(|most| requests.free(at(2_000_000), most)), [1, 1, 0]);
    assert!(requests.answer(&again, at(100)).is_none() && requests.has_room(WORKLOAD));
    assert_empty(&requests);
}

#[test]
fn an_id_of_one_is_no_id_of_another() {
    let (key, until) = (key(0, 0), Timestamp::from_seconds(100));
    let own = Whose { tenant: TenantNo(3), workload: WORKLOAD, task: None };
    let others = [
        Whose { tenant: TenantNo(4), ..own },
        Whose { workload: WorkloadNo(6), ..own },
        Whose { task: Some(task(0)), ..own },
        Whose { task: Some(task(1)), ..own },
    ];
    let mut requests = Requests::default();
    let request = KeyedRequest::new(own, &key);
    requests.remember_task(&request, task(1), &[task(1)], until);
    assert_eq!(requests.answer(&request, until), Some(Answered::Task(task(1))));
    for other in others {
        let request = KeyedRequest::new(other, &key);
        assert_eq!(requests.answer(&request, until), None);
        // Were there two of one name, neither got the other's.
        let forged = KeyedRequest { name: KeyedRequest::new(own, &key).name, ..request };
        assert_eq!(requests.answer(&forged, until), Some(Answered::Another));
    }
}

#[test]
fn many_are_freed_in_steps_and_their_memory_with_them() {
    let mut requests = Requests::default();
    let (start, end) = (Timestamp::from_seconds(1_000), Timestamp::from_seconds(1_900));
    for number in 0..20_000 {
        let mut record = record(number, (number % 1024) as u16 / 5 * 5, start, end);
        (record.tasks, record.request) = (chain(number / 10 + 1), Some(key(0, 0)));
        record.request.as_mut().expect("just set").id = format!("{number:032}");
        let record = Arc::new(record);
        requests.remember_token(&KeyedRequest::of_issue(&record).expect("it has an id"), &record);
    }
    let (room, over) = (requests.places.room(), end.plus(REQUEST_ID_KEPT_AFTER_EXP).plus(REQUEST_TIMEOUT));
    assert_eq!(requests.free(over.minus(Duration::from_millis(1)), usize::MAX), 0);
    for left in (0..20).rev() {
        assert_eq!(requests.free(over, 1_000), 1_000);
        assert_eq!(requests.by_workload.get(&WORKLOAD).copied().unwrap_or(0), left * 1_000);
    }
    assert_empty(&requests);
    let left = requests.places.room();
    assert!(left * 4 < room, "room for {left} of {room}");
}

#[test]
fn what_was_kept_of_parts_is_small_and_what_was_not_is_whole() {
    let kinds = [(0, true), (1, true), (2, true), (3, false), (4, false)];
    for (kind, in_parts) in kinds {
        let mut requests = Requests::default();
        let at = Timestamp::from_seconds(1_000);
        let record = IssueRecord { tasks: chain(5), request: Some(key(0, 0)), ..record(1, kind, at, at) };
        let request = KeyedRequest::of_issue(&record).expect("it has an id");
        requests.remember_token(&request, &Arc::new(record.clone()));
        let kept = requests.find(request.name).and_then(|answer| answer.kept.as_ref());
        assert_eq!(matches!(kept, Some(Kept::Token(_))), in_parts, "{kind}");
        assert_eq!(requests.answer(&request, at), Some(Answered::Token(Arc::new(record.clone()))));
    }
}
