//! [`Station`]: a backend's process with an offline verifier, on a machine of its own.
//!
//! The verifier and the pace of its stream are the product's. Made up are the machine's clocks, which
//! run a little fast or slow, are set by somebody, and go on while it sleeps, and the loop around the
//! stream, as the SDK has it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use locum_api::broker::v1::{WatchRevocationsRequest, WatchRevocationsResponse};
use locum_api::feed::{self, Wire};
use locum_broker::Hello;
use locum_model::{DigestKey, KeyId, Reason, Timestamp};
use locum_server::service::feed::Course;
use locum_verifier::{Applied, Due, FrameRefused, Moment, Onward, Options, Pace, SignedFrame, Verifier};

use crate::around::{BEGINNING_MILLIS, Dice};
use crate::forged::Strange;
use crate::run::{HOME, ISSUER};
use crate::universe::TENANTS;

/// A machine's clocks, beside the true time.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    /// What its BOOTTIME showed when the run began.
    booted: Duration,
    /// By how many of a thousand it runs fast; slow when negative.
    fast: i64,
    /// By how much its wall clock is ahead, in milliseconds.
    ahead: i64,
}

/// What comes down a line.
#[derive(Clone)]
pub(crate) enum Down {
    Frame(WatchRevocationsResponse),
    /// Signed by a key that counts, and nothing that its broker ever said.
    Strange(WatchRevocationsResponse, Strange),
    End(Reason),
}

/// A stream, and what is on its way.
pub(crate) struct Line {
    pace: Pace,
    pub(crate) up: VecDeque<WatchRevocationsRequest>,
    pub(crate) down: VecDeque<Down>,
    /// The broker's end, once it is there.
    pub(crate) course: Option<Course>,
}

/// A ping that the broker has answered.
#[derive(Clone, Copy, Debug)]
struct Answered {
    /// Until when it lets the verifier answer, on its own clock.
    until: Duration,
    /// The journal's position when the broker heard it.
    heard: u64,
}

/// A backend's process.
pub(crate) struct Station {
    pub(crate) tenant: usize,
    pub(crate) connector: &'static str,
    /// It is pinned to the one home that there is.
    pub(crate) is_pinned: bool,
    /// The root that it is pinned to.
    pub(crate) root: KeyId,
    pub(crate) core: Verifier,
    pub(crate) line: Option<Line>,
    clocks: Clocks,
    instance: [u8; 16],
    resume: bool,
    /// The newest frame that gave it a lease, which it shows when it connects; none while it has none.
    pub(crate) kept: Option<WatchRevocationsResponse>,
    again_at: Duration,
    /// The latest that its wall clock ever showed while somebody asked.
    latest: Timestamp,
    sent: BTreeMap<[u8; 16], Duration>,
    heard: BTreeMap<[u8; 16], u64>,
    answered: Vec<Answered>,
    /// The newest epoch and sequence that it said it was brought to.
    pub(crate) acknowledged: (u32, u64),
    /// The epoch that it follows; 0 before any.
    pub(crate) epoch: u32,
    /// It was shown what it does not understand, since it had its last lease.
    pub(crate) met_strangers: bool,
    /// Tokens that it once refused for good.
    pub(crate) refused: BTreeSet<usize>,
}

// === impl Clocks ===

impl Clocks {
    fn moment(self, elapsed: Duration) -> Moment {
        let millis = i64::try_from(elapsed.as_millis()).expect("a run is short");
        let own = millis + millis * self.fast / 1000;
        let own = Duration::from_millis(u64::try_from(own).expect("time goes on"));
        Moment {
            wall: Timestamp::from_millis(BEGINNING_MILLIS + millis + self.ahead),
            elapsed: self.booted + own,
        }
    }
}

// === impl Station ===

impl Station {
    /// A process that has just started.
    pub(crate) fn new(tenant: usize, connector: &'static str, root: KeyId, dice: &mut Dice) -> Self {
        let audience = format!("https://{connector}.{}.test", TENANTS[tenant]);
        // Backends may say that there is one broker.
        let is_pinned = connector == "orders";
        let home = is_pinned.then_some(HOME);
        let options = Options { home, memo_tokens: 64, ..Options::new(ISSUER, root, audience) };
        let clocks = Clocks {
            booted: Duration::from_millis(dice.next() % 5_000_000),
            fast: dice.below(39) as i64 - 19,
            ahead: 0,
        };
        Self {
            tenant,
            connector,
            is_pinned,
            root,
            core: Verifier::new(options, digest_key(connector, dice)),
            line: None,
            clocks,
            instance: u128::from(dice.next()).to_be_bytes(),
            resume: true,
            kept: None,
            again_at: Duration::ZERO,
            latest: Timestamp::from_millis(0),
            sent: BTreeMap::new(),
            heard: BTreeMap::new(),
            answered: Vec::new(),
            acknowledged: (0, 0),
            epoch: 0,
            met_strangers: false,
            refused: BTreeSet::new(),
        }
    }

    /// What its clocks show when so much time has truly passed.
    pub(crate) fn moment(&self, elapsed: Duration) -> Moment {
        self.clocks.moment(elapsed)
    }

    /// Somebody sets its wall clock to so many milliseconds ahead of the true time.
    pub(crate) fn set_wall(&mut self, ahead: i64) {
        self.clocks.ahead = ahead;
    }

    /// The latest time that its wall clock has shown to a check, this one included.
    pub(crate) fn latest_wall(&mut self, now: Moment) -> Timestamp {
        self.latest = self.latest.max(now.wall);
        self.latest
    }

    pub(crate) fn hello(&self) -> Hello {
        Hello { instance: self.instance, version: "simulated".into() }
    }

    // === the stream, as the SDK keeps it ===

    /// Connects, pings, or leaves, as it is time.
    pub(crate) fn turn(&mut self, now: Moment, dice: &mut Dice) {
        if self.line.is_none() && now.elapsed >= self.again_at {
            self.core.begin_stream();
            let (up, down) = (VecDeque::new(), VecDeque::new());
            self.line = Some(Line { pace: Pace::begin(now.elapsed), up, down, course: None });
            let resume = self.resume;
            self.ping(now, dice, resume);
            let first = self.line.as_mut().and_then(|line| line.up.back_mut());
            first.expect("a stream begins with a ping").witness.clone_from(&self.kept);
        }
        let Some(line) = &self.line else { return };
        if line.pace.is_silent(now.elapsed) {
            return self.leave(now, dice, true);
        }
        while let Some(line) = &mut self.line {
            match line.pace.due(now.elapsed) {
                Due::Nothing(_) => return,
                Due::Ping => self.ping(now, dice, true),
                Due::Acknowledgement => self.acknowledge(now),
            }
        }
    }

    fn acknowledge(&mut self, now: Moment) {
        let Some(line) = &mut self.line else { return };
        line.pace.acknowledged(now.elapsed);
        let Some(shown) = self.core.acknowledgement() else { return };
        self.acknowledged = self.acknowledged.max((shown.epoch, shown.sequence));
        line.up.push_back(WatchRevocationsRequest {
            acknowledgement: Some(feed::acknowledgement_to_wire(shown)),
            connector: self.connector.into(),
            version: "simulated".into(),
            instance: self.instance.to_vec(),
            ..WatchRevocationsRequest::default()
        });
    }

    fn ping(&mut self, now: Moment, dice: &mut Dice, shows: bool) {
        let Some(line) = &mut self.line else { return };
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&dice.next().to_be_bytes());
        let ping = self.core.ping(nonce, now);
        line.pace.pinged(now.elapsed, dice.next() as u8);
        self.sent.insert(nonce, now.elapsed);
        if let Some(shown) = ping.acknowledgement {
            self.acknowledged = self.acknowledged.max((shown.epoch, shown.sequence));
        }
        let shown = ping.acknowledgement.filter(|_| shows);
        line.up.push_back(WatchRevocationsRequest {
            nonce: nonce.to_vec(),
            acknowledgement: shown.map(feed::acknowledgement_to_wire),
            connector: self.connector.into(),
            version: "simulated".into(),
            instance: self.instance.to_vec(),
            witness: None,
        });
    }

    /// Leaves its stream and connects again after a while.
    pub(crate) fn leave(&mut self, now: Moment, dice: &mut Dice, resume: bool) {
        self.line = None;
        self.resume = resume;
        self.again_at = now.elapsed + Duration::from_millis(25 + dice.next() % 1_000);
    }

    /// Connects again at its next turn; shows how far it is, or begins as if it knew nothing.
    pub(crate) fn comes_back(&mut self, shows: bool) {
        (self.again_at, self.resume) = (Duration::ZERO, shows);
    }

    /// Takes what came down the line; what the verifier made of it, for the trace.
    pub(crate) fn take(&mut self, down: &Down, now: Moment, dice: &mut Dice) -> String {
        let frame = match down {
            Down::Frame(frame) | Down::Strange(frame, _) => frame,
            Down::End(reason) => {
                self.leave(now, dice, *reason != Reason::FeedPositionInvalid);
                return format!("ended: {reason}");
            }
        };
        let signed = SignedFrame { payload: &frame.payload, kid: &frame.kid, signature: &frame.signature };
        let taken = self.core.apply(&Wire, signed, now);
        if matches!(taken, Ok(Applied::Lease(_))) {
            self.kept = Some(frame.clone());
        }
        self.note(down, &taken, now);
        let told = taken.as_ref().map_or_else(|_| "no".to_owned(), |taken| format!("{taken:?}"));
        let Some(line) = &mut self.line else { return told };
        match line.pace.took(taken, now.elapsed) {
            Onward::Stay | Onward::Leased => {}
            Onward::PassedOver(_) => return "passed over".into(),
            Onward::Leave(refused) => {
                self.leave(now, dice, true);
                return format!("left: {}", cause(&refused));
            }
        }
        told
    }

    /// What must not come of a frame, and what it may answer from now on.
    fn note(&mut self, down: &Down, taken: &Result<Applied, FrameRefused>, now: Moment) {
        if let Down::Strange(_, strange) = down {
            assert!(taken.is_err(), "R5: a frame of another {strange:?} came to {taken:?}");
        }
        match taken {
            Err(FrameRefused::NotUnderstood(_)) => {
                self.met_strangers = true;
                assert!(self.core.lack(now).is_some(), "R5: it answers on without having understood");
            }
            Ok(Applied::Lease(_)) => self.met_strangers = false,
            Ok(Applied::Snapshot) => {
                let epoch = self.core.figures(now).position.map_or(0, |position| position.epoch);
                assert!(epoch >= self.epoch, "R2: it went back to epoch {epoch}");
                self.epoch = epoch;
            }
            _ => {}
        }
    }

    // === what the broker said to it, whether it arrived or not ===

    /// The broker heard a ping, when its journal was at `position`.
    pub(crate) fn was_heard(&mut self, nonce: [u8; 16], position: u64) {
        self.heard.entry(nonce).or_insert(position);
    }

    /// The broker answered a ping.
    pub(crate) fn was_answered(&mut self, nonce: [u8; 16], lease: Duration, now: Moment) {
        if let (Some(sent), Some(heard)) = (self.sent.get(&nonce), self.heard.get(&nonce)) {
            self.answered.retain(|answered| now.elapsed < answered.until);
            self.answered.push(Answered { until: *sent + lease, heard: *heard });
        }
    }

    /// The oldest position that it may be at while it answers now; none when it must not answer.
    pub(crate) fn knows_at_least(&self, now: Moment) -> Option<u64> {
        let runs = self.answered.iter().filter(|answered| now.elapsed < answered.until);
        runs.map(|answered| answered.heard).min()
    }
}

/// What a verifier knows tokens by. With those of the vault, whose keys for first halves are noughts, every token has
/// the same first half of a digest: the second alone has to tell them apart.
fn digest_key(connector: &str, dice: &mut Dice) -> DigestKey {
    let mut words = 0_u8;
    DigestKey::of_words(|| {
        words = (words + 1) % 4;
        let is_of_first_half = words == 1 || words == 2;
        let word = dice.next();
        if connector == "vault" && is_of_first_half { 0 } else { word }
    })
}

/// Why a stream was left. Which bytes of a bent frame are a key's own is not the same in two runs of one
/// seed, and so neither is whether it is read before it is found out.
fn cause(refused: &FrameRefused) -> String {
    match refused {
        FrameRefused::NotAKeySet(_) | FrameRefused::Signature | FrameRefused::UnknownKey => "forged".into(),
        other => format!("{other:?}").split(|c: char| !c.is_alphabetic()).next().unwrap_or_default().into(),
    }
}
