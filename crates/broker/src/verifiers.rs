//! Who follows the revocation feed, how far each is, and so whether a revocation is *everywhere*.
//!
//! A verifier may answer while its lease runs, and its lease runs from when it sent a ping: so no
//! longer than the receipt of its last ping, the lease, and what its clock may be slower by. Whoever is
//! gone is minded for that long. A verifier that has acknowledged is done, whatever its lease.
//!
//! Time is [`locum_model::Clock::elapsed`], which no step of the clock moves.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

#[cfg(bug_zoo)]
use locum_model::bug_zoo::{Bug, is_planted};
use locum_model::limits::{FEED_FOLLOWERS_MAX, FOLLOWS_PER_WORKLOAD_MAX};
use locum_model::limits::{LEASE_DRIFT, LEASE_DRIFT_DIVISOR};
use locum_model::{ConnectorNo, Position, Reason, TenantNo, Timestamp, WorkloadNo};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::broker::Broker;
use crate::operator::Operator;
use crate::refusal::Refusal;

/// What a verifier says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Chosen at random when it started: who it is when it comes again.
    pub instance: [u8; 16],
    /// What it is, for people; may be empty.
    pub version: String,
}

/// A verifier as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierView {
    /// The workload's name; its number when it is gone from the registry.
    pub workload: String,
    /// The connector's name; its number when it is gone from the registry.
    pub connector: String,
    /// The tenant's name; its number when it is gone from the registry.
    pub tenant: String,
    /// What it says of itself.
    pub hello: Hello,
    /// Whether its stream is open.
    pub connected: bool,
    /// When its stream was opened.
    pub connected_since: Timestamp,
    /// The sequence that it says it was brought to; none before its first word.
    pub acknowledged: Option<u64>,
    /// Positions of the journal between that and the newest entry of its partition; 0 when it has all.
    pub behind: u64,
    /// For how long the first entry that it lacks has been out; never told too short.
    pub behind_for: Duration,
    /// How long it may answer at most, without another ping.
    pub lease_left: Duration,
}

/// Who has not acknowledged a position yet and may still answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// The verifiers; only those of the operator's tenants.
    pub verifiers: Vec<VerifierView>,
    /// Some are not shown: they are other tenants', or held a lease before this process began.
    pub others: bool,
}

/// Whom a position waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// A verifier; none for one that held a lease before this process began.
    pub verifier: Option<VerifierKey>,
    /// When to look again although nobody acknowledged: its lease ends.
    pub again_in: Duration,
}

/// An open follower's place. Dropped, its verifier is gone, and minded until its lease is over.
pub struct VerifierPlace {
    broker: Arc<Broker>,
    key: VerifierKey,
}

/// The verifiers that may answer.
pub(crate) struct Verifiers {
    rows: Mutex<Rows>,
    /// Counts what may make a revocation everywhere.
    changes: watch::Sender<u64>,
    /// Until then a verifier may hold a lease of the process before.
    quiet_until: Duration,
}

#[derive(Default)]
struct Rows {
    rows: BTreeMap<VerifierKey, Row>,
    connections: u64,
    connected: usize,
}

/// A verifier among all: the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VerifierKey {
    /// The workload that it is.
    pub workload: WorkloadNo,
    /// The connector whose partition it follows.
    pub connector: ConnectorNo,
    /// What it chose when it started.
    pub instance: [u8; 16],
    /// Tells connections of one instance apart.
    pub connection: u64,
}

struct Row {
    tenant: TenantNo,
    version: String,
    connected: bool,
    connected_since: Timestamp,
    acknowledged: Option<u64>,
    /// No answer of this verifier can be later, by our clock.
    may_answer_until: Duration,
}

// === impl Missing ===

impl Missing {
    /// Whether nobody is missing.
    pub fn is_everywhere(&self) -> bool {
        self.verifiers.is_empty() && !self.others
    }
}

// === impl Verifiers ===

impl Verifiers {
    /// Nobody follows. `longest` is the longest lease that the process before can have told, `now` is
    /// when this one began to listen.
    pub(crate) fn new(longest: Duration, now: Duration) -> Self {
        let quiet_until = if longest.is_zero() { now } else { lease_end(now, longest) };
        Self { rows: Mutex::default(), changes: watch::Sender::new(0), quiet_until }
    }

    /// Followers whose streams are open.
    pub(crate) fn connected(&self) -> usize {
        self.rows.lock().connected
    }

    fn enter(&self, new: (VerifierKey, Row), now: Duration) -> Result<VerifierKey, Refusal> {
        let (mut key, row) = new;
        let mut rows = self.rows.lock();
        rows.forget(now);
        if rows.connected >= FEED_FOLLOWERS_MAX || rows.rows.len() >= 2 * FEED_FOLLOWERS_MAX {
            return Err(Refusal::new(Reason::QuotaExceeded, format!("{FEED_FOLLOWERS_MAX} followers")));
        }
        let of_workload = rows.of_workload(key.workload);
        if of_workload.0 >= FOLLOWS_PER_WORKLOAD_MAX || of_workload.1 >= 2 * FOLLOWS_PER_WORKLOAD_MAX {
            let detail = format!("{FOLLOWS_PER_WORKLOAD_MAX} followers of one workload");
            return Err(Refusal::new(Reason::QuotaExceeded, detail));
        }
        rows.connections += 1;
        rows.connected += 1;
        key.connection = rows.connections;
        // The same verifier comes again, with the lease that it has; it may be longer than any that is told
        // now. What is still open stays until it is closed.
        let same = |other: &VerifierKey| {
            VerifierKey { connection: 0, ..*other } == VerifierKey { connection: 0, ..key }
        };
        let mut until = row.may_answer_until;
        rows.rows.retain(|other, row| {
            let stays = row.connected || !same(other);
            #[cfg(bug_zoo)]
            let stays = stays && !(same(other) && is_planted(Bug::FeedLeaseOfBeforeForgotten));
            if !stays {
                until = until.max(row.may_answer_until);
            }
            stays
        });
        #[cfg(bug_zoo)]
        if is_planted(Bug::FeedLeaseOfBeforeForgotten) {
            until = row.may_answer_until;
        }
        rows.rows.insert(key, Row { may_answer_until: until, ..row });
        Ok(key)
    }

    fn heard(&self, key: VerifierKey, acknowledged: Option<u64>, until: Duration) {
        if let Some(row) = self.rows.lock().rows.get_mut(&key) {
            row.acknowledged = row.acknowledged.max(acknowledged);
            row.may_answer_until = row.may_answer_until.max(until);
        }
        if acknowledged.is_some() {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    fn leave(&self, key: VerifierKey) {
        let mut rows = self.rows.lock();
        if let Some(row) = rows.rows.get_mut(&key) {
            row.connected = false;
            rows.connected -= 1;
        }
    }
}

impl Rows {
    /// Forgets who is gone and cannot answer any more.
    fn forget(&mut self, now: Duration) {
        self.rows.retain(|_, row| row.connected || now < row.may_answer_until);
    }

    /// Open streams of a workload, and all its rows.
    fn of_workload(&self, workload: WorkloadNo) -> (usize, usize) {
        let from = VerifierKey { workload, connector: ConnectorNo(0), instance: [0; 16], connection: 0 };
        let rows = self.rows.range(from..).take_while(|(key, _)| key.workload == workload);
        rows.fold((0, 0), |(open, all), (_, row)| (open + usize::from(row.connected), all + 1))
    }
}

/// When a lease that a ping received now begins is over for certain.
fn lease_end(now: Duration, lease: Duration) -> Duration {
    now + lease + lease / LEASE_DRIFT_DIVISOR + LEASE_DRIFT
}

// === impl VerifierPlace ===

impl VerifierPlace {
    /// The verifier says how far it is and asks for no lease; the caller has checked that it can be there.
    pub fn acknowledged(&self, acknowledged: Option<u64>) {
        self.broker.verifiers.heard(self.key, acknowledged, Duration::ZERO);
    }

    /// The verifier pinged, and says how far it is; the caller has checked that it can be there.
    pub fn pinged(&self, acknowledged: Option<u64>) {
        let lease = self.broker.staleness_bound(self.key.connector);
        let until = lease_end(self.broker.clock.elapsed(), lease);
        self.broker.verifiers.heard(self.key, acknowledged, until);
    }

    /// A lease of this length is told, for a ping that was received at `received`.
    pub fn told(&self, lease: Duration, received: Duration) {
        self.broker.verifiers.heard(self.key, None, lease_end(received, lease));
    }
}

impl Drop for VerifierPlace {
    fn drop(&mut self) {
        self.broker.verifiers.leave(self.key);
    }
}

// === impl Broker ===

impl Broker {
    /// How long verifiers of a connector may answer without hearing from us.
    pub fn staleness_bound(&self, connector: ConnectorNo) -> Duration {
        self.fold
            .pin()
            .world
            .registry
            .connector(connector)
            .map_or(locum_model::limits::STALENESS_BOUND_DEFAULT, |connector| connector.staleness_bound)
    }

    /// The sequence of the newest entry for a connector's followers, and the number of the set of keys:
    /// what a follower has to have for a new lease.
    pub fn due_for(&self, connector: ConnectorNo) -> (u64, u64) {
        (self.fold.feed.newest(connector), self.fold.pin().world.key_set)
    }

    /// The verifiers that may answer, of the operator's tenants: a page of at most `size` after `after`,
    /// and where the next one begins, if there is one.
    pub fn list_verifiers(
        &self,
        operator: &Operator,
        after: Option<VerifierKey>,
        size: usize,
    ) -> (Vec<VerifierView>, Option<VerifierKey>) {
        let registry = self.registry();
        let mut rows = self.verifiers.rows.lock();
        rows.forget(self.clock.elapsed());
        let from = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let reached = |row: &Row| operator.reaches(&registry, row.tenant);
        let mut found = rows.rows.range(from).filter(|(_, row)| reached(row));
        let page: Vec<_> = found.by_ref().take(size).collect();
        let last = page.last().map(|(key, _)| **key);
        let next = last.filter(|_| found.next().is_some());
        (page.into_iter().map(|(key, row)| self.view_verifier(key, row)).collect(), next)
    }

    /// The verifier of the operator's tenants that lacks something for the longest; among those that lack
    /// nothing, the one whose lease ends first. None when nobody may answer.
    pub fn oldest_verifier(&self, operator: &Operator) -> Option<VerifierView> {
        let registry = self.registry();
        let mut rows = self.verifiers.rows.lock();
        rows.forget(self.clock.elapsed());
        let reached = rows.rows.iter().filter(|(_, row)| operator.reaches(&registry, row.tenant));
        let age = |(key, row): &(&VerifierKey, &Row)| {
            let has = row.acknowledged.unwrap_or(0);
            let lacks_since = self.fold.feed.lacked_since(key.connector, has).map(Reverse);
            let behind = self.fold.feed.newest(key.connector).saturating_sub(has);
            (lacks_since, behind, Reverse(row.may_answer_until))
        };
        let oldest = reached.max_by_key(age)?;
        Some(self.view_verifier(oldest.0, oldest.1))
    }

    /// Who has not acknowledged what stands at `position`, and may still answer.
    ///
    /// Nobody of a partition that has no entry from there on is concerned.
    pub fn missing(&self, operator: &Operator, position: Position) -> Missing {
        let registry = self.registry();
        let now = self.clock.elapsed();
        let mut missing = Missing { others: now < self.verifiers.quiet_until, ..Missing::default() };
        let mut rows = self.verifiers.rows.lock();
        rows.forget(now);
        for (key, row) in rows.rows.iter().filter(|(key, row)| self.is_late(key, row, position, now)) {
            if operator.reaches(&registry, row.tenant) {
                missing.verifiers.push(self.view_verifier(key, row));
            } else {
                missing.others = true;
            }
        }
        missing
    }

    /// Whom a position still waits for, one of them; none once it is everywhere.
    ///
    /// Whoever waits shows whom it waited for: those before were not missing then and cannot be now, as long as
    /// nobody came. So a thousand acknowledgements cost a look at each, and one last look at all.
    pub fn awaited(&self, position: Position, before: Option<VerifierKey>) -> Option<Awaited> {
        let now = self.clock.elapsed();
        if now < self.verifiers.quiet_until {
            return Some(Awaited { verifier: before, again_in: self.verifiers.quiet_until - now });
        }
        let rows = self.verifiers.rows.lock();
        let late = |(key, row): &(&VerifierKey, &Row)| self.is_late(key, row, position, now);
        let further = before.and_then(|before| rows.rows.range(before..).find(late));
        let (key, row) = further.or_else(|| rows.rows.iter().find(late))?;
        Some(Awaited { verifier: Some(*key), again_in: row.may_answer_until - now })
    }

    /// Whether a verifier may still answer without what stands at `position`. One whose partition has no
    /// entry from there on is not concerned.
    fn is_late(&self, key: &VerifierKey, row: &Row, position: Position, now: Duration) -> bool {
        #[cfg(bug_zoo)]
        if is_planted(Bug::FeedGoneNotAwaited) && !row.connected {
            return false;
        }
        row.acknowledged.is_none_or(|sequence| sequence < position.sequence)
            && now < row.may_answer_until
            && self.fold.feed.newest(key.connector) >= position.sequence
    }

    /// Changes whenever [`Broker::awaited`] and [`Broker::missing`] may have less to say.
    pub fn acknowledgements(&self) -> watch::Receiver<u64> {
        self.verifiers.changes.subscribe()
    }

    /// A follower's place among the verifiers.
    pub(crate) fn enter_verifier(
        self: &Arc<Self>,
        (workload, tenant): (WorkloadNo, TenantNo),
        connector: ConnectorNo,
        hello: Hello,
    ) -> Result<VerifierPlace, Refusal> {
        let key = VerifierKey { workload, connector, instance: hello.instance, connection: 0 };
        let now = self.clock.elapsed();
        let row = Row {
            tenant,
            version: hello.version,
            connected: true,
            connected_since: self.now()?,
            acknowledged: None,
            may_answer_until: lease_end(now, self.staleness_bound(connector)),
        };
        let key = self.verifiers.enter((key, row), now)?;
        Ok(VerifierPlace { broker: Arc::clone(self), key })
    }

    fn view_verifier(&self, key: &VerifierKey, row: &Row) -> VerifierView {
        let registry = self.registry();
        let has = row.acknowledged.unwrap_or(0);
        let behind = self.fold.feed.newest(key.connector).saturating_sub(has);
        let lacks_since = self.fold.feed.lacked_since(key.connector, has);
        let lacked_for = lacks_since.zip(self.clock.now().ok()).map(|(since, now)| now.since(since));
        VerifierView {
            workload: crate::shown_name::workload_name(&registry, key.workload),
            connector: crate::shown_name::connector_name(&registry, key.connector),
            tenant: crate::shown_name::tenant_name(&registry, row.tenant),
            hello: Hello { instance: key.instance, version: row.version.clone() },
            connected: row.connected,
            connected_since: row.connected_since,
            acknowledged: row.acknowledged,
            behind,
            behind_for: lacked_for.unwrap_or_default(),
            lease_left: row.may_answer_until.saturating_sub(self.clock.elapsed()),
        }
    }
}
