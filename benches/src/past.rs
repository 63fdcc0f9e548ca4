//! A past: an installation whose journal already holds any number of live tokens.
//!
//! Issuing ten million tokens over the wire would take half an hour. So a server issues a few, and what
//! it wrote down serves as the pattern: the same events with other ids are appended to its journal, and
//! the next start replays them like any others.

use std::sync::Arc;
use std::time::Duration;

use locum_journal::{DiskFiles, Journal, Lane};
use locum_model::event::TaskStarted;
use locum_model::limits::BATCH_EVENTS_MAX;
use locum_model::{Event, IssueRecord, TaskId, Timestamp, TokenId};
use locum_tests::Site;

use crate::process::Cores;
use crate::served::{Served, installation};
use crate::{Even, jti};

/// The plugin whose tokens the past is full of: the first, where there are several.
pub const CROWDED: usize = 1;

/// What is to have happened.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// Live tokens of plugin [`CROWDED`].
    pub tokens: u64,
    /// Tokens of each of its tasks.
    pub per_task: u64,
    /// For how long each of those tasks is held, from when the server has come up.
    pub lease: Duration,
    /// Plugins with as many, from [`CROWDED`] on.
    pub crowds: usize,
    /// How long the first plugin's live from now on.
    pub ttl: Duration,
    /// How much longer each next plugin's live.
    pub apart: Duration,
    /// Tokens of plugin 0 that are to be asked about. Issued before: afterwards the tenant may have as
    /// many live tasks as it can.
    pub asked: usize,
}

/// An installation with a past.
pub struct Made {
    /// The installation.
    pub site: Site,
    /// When the first plugin's tokens expire.
    pub expires_at: Timestamp,
    /// The tokens to be asked about.
    pub tokens: Vec<String>,
}

impl Past {
    /// An installation with this past.
    ///
    /// # Panics
    ///
    /// When the disk does not take it.
    pub async fn make(self) -> Made {
        let served = Served::start_on(installation(), Cores::All);
        let tokens = served.tokens(0, self.asked).await;
        for crowd in 0..self.crowds {
            served.tokens(CROWDED + crowd, 1).await;
        }
        let Served { process, site, .. } = served;
        process.terminate().await;
        let expires_at = self.append(&site);
        Made { site, expires_at, tokens }
    }

    fn append(self, site: &Site) -> Timestamp {
        let files = DiskFiles::open(site.path("data/journal")).expect("a journal");
        let options = locum_journal::Options { home: 1, ..locum_journal::Options::default() };
        let (mut tasks, mut tokens) = (Vec::new(), Vec::new());
        let mut replayed = Vec::new();
        let opened = locum_journal::open(Arc::new(files), options, &mut replayed);
        let Journal { mut writer, .. } = opened.expect("it opens");
        replayed.into_iter().for_each(|committed| match committed.into_event() {
            Event::TaskStarted(started) => tasks.push(started),
            Event::TokenIssued(record) => tokens.push(record),
            _ => {}
        });
        let patterns = tasks[tasks.len() - self.crowds..].iter().zip(&tokens[tokens.len() - self.crowds..]);
        let first = tokens[tokens.len() - self.crowds].at.plus(self.ttl).floor_to_second();
        let (mut expires_at, mut events, mut even) = (first, Vec::with_capacity(BATCH_EVENTS_MAX), Even(1));
        for (crowd, (task, token)) in patterns.enumerate() {
            for number in crowd as u64 * self.tokens..(crowd as u64 + 1) * self.tokens {
                // Far beyond what the server itself will count to meanwhile.
                let id = TaskId::new(1, 1_000_000 + number / self.per_task);
                if number % self.per_task == 0 {
                    let started = TaskStarted { lease: self.lease, ..another_task(task, id, even.draw()) };
                    events.push(Event::TaskStarted(Arc::new(started)));
                }
                events.push(Event::TokenIssued(Arc::new(another_token(
                    token,
                    (id, jti(number)),
                    expires_at,
                ))));
                if events.len() + 2 > BATCH_EVENTS_MAX {
                    writer.append(Lane::Ordinary, std::mem::take(&mut events)).expect("appended");
                }
            }
            expires_at = expires_at.plus(self.apart);
        }
        writer.append(Lane::Ordinary, events).expect("appended");
        writer.seal().expect("sealed");
        first
    }
}

fn another_task(pattern: &TaskStarted, task: TaskId, secret: u64) -> TaskStarted {
    let mut holder = pattern.holder;
    holder[..8].copy_from_slice(&secret.to_be_bytes());
    TaskStarted { task, holder, request: None, ..pattern.clone() }
}

fn another_token(
    pattern: &IssueRecord,
    (task, jti): (TaskId, TokenId),
    expires_at: Timestamp,
) -> IssueRecord {
    IssueRecord { jti, tasks: vec![task], expires_at, request: None, ..pattern.clone() }
}
