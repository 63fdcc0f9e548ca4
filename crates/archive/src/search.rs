//! Searching: which entries meet all criteria, page by page, at a bounded cost for each page.
//!
//! One criterion drives: the postings of the rarest kind, or the texts, or else the entries
//! themselves; all others are probed. It is driven over windows of sequences, newest or oldest
//! first, until the page is full or so many windows are done: then the page says where to go on,
//! full or not.

use locum_model::{Reason, TenantNo, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::error::ArchiveError;
use crate::facet::{Decision, Facet, at_most, stored, unstored};
use crate::index::{Indexed, reached};

/// Sequences of one window when the entries themselves are walked.
const WINDOW_OF_ENTRIES: u64 = 50_000;
/// Sequences of one window when postings or texts drive.
const WINDOW_OF_POSTINGS: u64 = 500_000;
/// Windows of one page.
const WINDOWS_MAX: usize = 20;

/// What an entry has to be; all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Criteria {
    /// Whose entries.
    pub reach: Reach,
    /// What it has to be about.
    pub facets: Vec<Facet>,
    /// What was decided.
    pub decision: Option<Decision>,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// One of these events, by name; any when empty.
    pub events: Vec<String>,
    /// When it happened.
    pub times: Times,
    /// Words that an operator's reason has to hold, one after the other.
    pub text: Option<String>,
}

/// From when, inclusive, to when, exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// From when.
    pub since: Option<Timestamp>,
    /// To when.
    pub until: Option<Timestamp>,
}

/// Whose entries may be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everybody's, and those of nobody in particular.
    All,
    /// Those of these tenants alone.
    Only(Vec<TenantNo>),
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    NewestFirst,
    /// The oldest first.
    OldestFirst,
}

/// An entry that meets them: where it stands in the journal, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its sequence.
    pub sequence: u64,
    /// Its tenant.
    pub tenant: Option<TenantNo>,
}

/// A page of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In order.
    pub hits: Vec<Hit>,
    /// Go on after this sequence; none when there is no more. A page that is not full may have one.
    pub next: Option<u64>,
    /// How far the index went.
    pub indexed: Option<Indexed>,
}

// === impl Criteria ===

impl Criteria {
    /// Everything within reach.
    pub fn of(reach: Reach) -> Self {
        let times = Times::default();
        Self {
            reach,
            facets: Vec::new(),
            decision: None,
            reason: None,
            events: Vec::new(),
            times,
            text: None,
        }
    }
}

/// What drives, and the statement around it.
struct Statement {
    sql: String,
    values: Vec<Value>,
    window: u64,
}

/// One page: after `after` in `order`, at most `most` entries.
pub(crate) fn search(
    db: &Connection,
    criteria: &Criteria,
    (order, after): (Order, Option<u64>),
    most: usize,
) -> Result<Page, ArchiveError> {
    let indexed = reached(db)?;
    let (mut low, mut high) = bounds(db, criteria.times)?;
    match (order, after) {
        (_, None) => {}
        (Order::NewestFirst, Some(after)) => high = high.min(after.saturating_sub(1)),
        (Order::OldestFirst, Some(after)) => low = low.max(after.saturating_add(1)),
    }
    let statement = Statement::of(criteria, order);
    let mut hits = Vec::new();
    for _ in 0..WINDOWS_MAX {
        if low > high {
            return Ok(Page { hits, next: None, indexed });
        }
        let width = statement.window - 1;
        let (from, to) = match order {
            Order::NewestFirst => (low.max(high.saturating_sub(width)), high),
            Order::OldestFirst => (low, high.min(low.saturating_add(width))),
        };
        // One more than asked for tells whether there is more.
        statement.run(db, (from, to), most + 1 - hits.len(), &mut hits)?;
        if hits.len() > most {
            hits.truncate(most);
            let next = hits.last().map(|hit: &Hit| hit.sequence);
            return Ok(Page { hits, next, indexed });
        }
        match order {
            Order::NewestFirst => high = from - 1,
            Order::OldestFirst => low = to + 1,
        }
    }
    let next = match order {
        Order::NewestFirst => high + 1,
        Order::OldestFirst => low - 1,
    };
    Ok(Page { hits, next: (low <= high).then_some(next), indexed })
}

/// The first and last sequence whose times can be within, 1 at least.
fn bounds(db: &Connection, times: Times) -> Result<(u64, u64), ArchiveError> {
    let millis = |time: Option<Timestamp>, otherwise| time.map_or(otherwise, Timestamp::as_millis);
    let first: Option<i64> = db
        .prepare_cached("SELECT min(first) FROM spans WHERE latest >= ?")?
        .query_row([millis(times.since, i64::MIN)], |row| row.get(0))?;
    let last: Option<i64> = db
        .prepare_cached("SELECT max(last) FROM spans WHERE earliest < ?")?
        .query_row([millis(times.until, i64::MAX)], |row| row.get(0))?;
    Ok((first.map_or(1, unstored), last.map_or(0, unstored)))
}

// === impl Statement ===

impl Statement {
    /// Parameters 1 and 2 are the window's bounds, 3 the limit.
    fn of(criteria: &Criteria, order: Order) -> Self {
        let mut facets: Vec<&Facet> = criteria.facets.iter().collect();
        facets.sort_by_key(|facet| facet.kind());
        facets.dedup();
        let mut values = Vec::new();
        let mut value = |value: Value| {
            values.push(value);
            values.len() + 3
        };
        let (from, place, window);
        let mut conditions = Vec::new();
        if let Some(text) = &criteria.text {
            (from, place) = ("texts CROSS JOIN entries e ON e.seq = texts.rowid", "texts.rowid");
            window = WINDOW_OF_POSTINGS;
            conditions.push(format!("texts MATCH ?{}", value(Value::Text(phrase(text)))));
        } else if !facets.is_empty() {
            (from, place) = ("facets d CROSS JOIN entries e ON e.seq = d.seq", "d.seq");
            window = WINDOW_OF_POSTINGS;
            let driver = facets.remove(0);
            let (kind, id) = (driver.kind(), value(driver.id()));
            conditions.push(format!("d.kind = {kind} AND d.id = ?{id}"));
        } else {
            (from, place, window) = ("entries e", "e.seq", WINDOW_OF_ENTRIES);
        }
        for facet in facets {
            let (kind, id) = (facet.kind(), value(facet.id()));
            conditions.push(format!(
                "EXISTS (SELECT 1 FROM facets f WHERE f.kind = {kind} AND f.id = ?{id} AND f.seq = e.seq)"
            ));
        }
        if let Some(decision) = criteria.decision {
            conditions.push(format!("e.decision = {}", decision.stored()));
        }
        if let Some(reason) = criteria.reason {
            conditions.push(format!("e.reason = ?{}", value(Value::Text(reason.as_str().into()))));
        }
        if !criteria.events.is_empty() {
            let names: Vec<_> =
                criteria.events.iter().map(|name| format!("?{}", value(Value::Text(name.clone())))).collect();
            conditions.push(format!("e.event IN ({})", names.join(", ")));
        }
        if let Some(since) = criteria.times.since {
            conditions.push(format!("e.at >= {}", since.as_millis()));
        }
        if let Some(until) = criteria.times.until {
            conditions.push(format!("e.at < {}", until.as_millis()));
        }
        if let Reach::Only(tenants) = &criteria.reach {
            // INVARIANT: an entry of no tenant is null here, and so never within such a reach.
            let numbers: Vec<_> = tenants.iter().map(|tenant| tenant.0.to_string()).collect();
            conditions.push(format!("e.tenant IN ({})", numbers.join(", ")));
        }
        let also: String = conditions.iter().map(|condition| format!(" AND {condition}")).collect();
        let direction = match order {
            Order::NewestFirst => "DESC",
            Order::OldestFirst => "ASC",
        };
        let sql = format!(
            "SELECT e.seq, e.tenant FROM {from} WHERE {place} BETWEEN ?1 AND ?2{also} ORDER BY {place} {direction} LIMIT ?3"
        );
        Self { sql, values, window }
    }

    fn run(
        &self,
        db: &Connection,
        (from, to): (u64, u64),
        most: usize,
        hits: &mut Vec<Hit>,
    ) -> Result<(), ArchiveError> {
        let bounds = [stored(from), stored(to), at_most(most)];
        let values = bounds.into_iter().map(Value::Integer).chain(self.values.iter().cloned());
        let mut statement = db.prepare_cached(&self.sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let tenant = row.get::<_, Option<u32>>(1)?.map(TenantNo);
            hits.push(Hit { sequence: unstored(row.get(0)?), tenant });
        }
        Ok(())
    }
}

/// A text as one phrase: nothing in it is an operator of the query language.
fn phrase(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
