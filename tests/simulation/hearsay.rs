//! Every answer of every offline verifier, held against the model and against what the broker told it.
//!
//! What is asserted, of tokens that the model is sure about:
//!
//! - R6: *active* only while a ping that the broker answered lets it, counted from when it was sent, on
//!   the verifier's own BOOTTIME; never on a wall clock that is far off.
//! - R1, within the staleness bound: the broker had heard one of those pings before the token died.
//!   Everywhere: once `Revoke` may say so, no verifier says *active* any more.
//! - R5: a verifier has applied what it acknowledged, and refuses nothing that is alive.
//! - R2: what a verifier has refused for good stays refused, whatever its clock, the feed or the broker do.
//! - It answers again by itself, and right, once the network and the clocks are well.

use std::time::Duration;

use locum_model::{Clock, Position, Reason, Timestamp};
use locum_verifier::{Answer, Inactive, Moment, Presented, Unknown};

use crate::model::{Dead, is_of_earlier_epoch};
use crate::network::BREATH;
use crate::run::{Run, operator};
use crate::universe::{TENANTS, Who};

/// Wall clocks may differ by this, and by what the broker's own clock was set back.
const SKEW_MAX: Duration = Duration::from_secs(60 + 40);
/// A broker's time may be read this late: the longest lease, and what its clock was set back.
const TIME_LATE_MAX: Duration = Duration::from_secs(20 + 10);
/// Within this a verifier answers again: a silent stream is noticed, left, and begun anew.
const RECOVERY: Duration = Duration::from_secs(60);

/// When a token died of anything but its own end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death {
    /// The journal's position by which it was dead.
    position: u64,
    /// Some `Revoke` that came after it is everywhere.
    everywhere: bool,
}

/// A revocation that somebody waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait(pub(crate) Position);

impl Run {
    /// Notes who died of what was just read.
    pub(crate) fn note_deaths(&mut self) {
        let position = self.model.position;
        self.feed.deaths.resize(self.model.tokens.len(), None);
        for (death, token) in self.feed.deaths.iter_mut().zip(&self.model.tokens) {
            if death.is_none() && self.model.token_revoked(token) == Dead::Yes {
                *death = Some(Death { position, everywhere: false });
            }
        }
    }

    /// Asks whether revocations are everywhere by now.
    pub(crate) fn ask_who_is_missing(&mut self) {
        let mut waits = std::mem::take(&mut self.feed.waits);
        waits.retain(|Wait(position)| {
            let missing = self.broker.missing(&operator(&[]), *position);
            let is_everywhere = missing.is_everywhere();
            assert!(
                is_everywhere || self.broker.awaited(*position, None).is_some(),
                "R1: nobody says when to look again"
            );
            if is_everywhere {
                self.trace.say(format_args!("{} is everywhere", position.sequence));
                let reached = self.model.position_of(position.epoch, position.sequence);
                let deaths = self.feed.deaths.iter_mut().flatten();
                deaths.filter(|d| d.position <= reached).for_each(|d| d.everywhere = true);
            }
            !is_everywhere
        });
        self.feed.waits = waits;
    }

    // === answers ===

    /// Asks every verifier about every token of its tenant that may be alive, and some of the others.
    pub(crate) fn ask_stations(&mut self) {
        if self.blind {
            return;
        }
        let elapsed = self.clock.elapsed();
        for station in 0..self.feed.stations.len() {
            let now = self.feed.stations[station].moment(elapsed);
            for token in 0..self.model.tokens.len() {
                if self.is_asked_about(station, token) {
                    let _ = self.ask_station(station, token, now);
                }
            }
        }
    }

    fn is_asked_about(&mut self, station: usize, token: usize) -> bool {
        let station = &self.feed.stations[station];
        let token = &self.model.tokens[token];
        let own =
            self.model.tasks[token.task].who.tenant == station.tenant && token.connector == station.connector;
        let over = self.now().is_some_and(|now| now > token.expires_at.plus(Duration::from_secs(90)));
        token.compact.is_some() && (own || self.dice.percent(2)) && (!over || self.dice.percent(3))
    }

    /// Asks a verifier about a token, and judges what it says; whether it believes it.
    fn ask_station(&mut self, at: usize, which: usize, now: Moment) -> bool {
        let station = &mut self.feed.stations[at];
        let token = &self.model.tokens[which];
        let compact = token.compact.as_deref().unwrap_or_default();
        let answer = station.core.check(compact, &Presented::default(), now);
        let latest = station.latest_wall(now);
        let who = format!("verifier {at} of {}", station.connector);
        let believes = matches!(answer, Answer::Active(_));
        match answer {
            Answer::Active(_) => {
                self.trace.say(format_args!("    {at} believes {}", token.jti));
                self.may_be_active(at, which, now, &who);
            }
            Answer::Inactive(why) => {
                self.trace.say(format_args!("    {at} refuses {}", token.jti));
                self.may_be_inactive(at, which, why, latest, &who);
                // Who has not heard of the token's epoch does not know its key either.
                let lags = self.lags_an_epoch(at, which) || self.lags_keys(at, why, now);
                let is_final = !matches!(why, Inactive::WrongAudience) && !lags;
                if is_final {
                    self.feed.stations[at].refused.insert(which);
                }
            }
            Answer::Unknown(why) => self.may_be_unknown(at, which, why, &who),
        }
        believes
    }

    /// Whether a verifier believes a token now; whatever it says is judged.
    pub(crate) fn believes(&mut self, at: usize, which: usize) -> bool {
        let now = self.feed.stations[at].moment(self.clock.elapsed());
        self.ask_station(at, which, now)
    }

    fn may_be_active(&self, at: usize, which: usize, now: Moment, who: &str) {
        let (station, token) = (&self.feed.stations[at], &self.model.tokens[which]);
        let jti = token.jti;
        let own =
            self.model.tasks[token.task].who.tenant == station.tenant && token.connector == station.connector;
        assert!(own, "{who} believes {jti}, which is for another connector");
        assert!(token.uses_left.is_none(), "{who} believes {jti}, whose uses are counted");
        assert!(!station.refused.contains(&which), "R2: {who} believes {jti} again");
        let knows = station.knows_at_least(now);
        let Some(knows) = knows else { panic!("R6: {who} believes {jti} outside every lease") };
        if let Some(broker) = self.now() {
            let skew = now.wall.since(broker).max(broker.since(now.wall));
            assert!(skew <= SKEW_MAX, "{who} believes {jti} with a clock that is off by {skew:?}");
            let late = broker.since(token.expires_at);
            assert!(late <= TIME_LATE_MAX, "T3: {who} believes {jti} {late:?} after its end");
        }
        if let Some(death) = self.feed.deaths[which] {
            let dead = format!("{jti}, dead since {}", death.position);
            assert!(!death.everywhere, "R1: {who} believes {dead}, and that is everywhere");
            let acknowledged = self.model.position_of(station.acknowledged.0, station.acknowledged.1);
            assert!(acknowledged < death.position, "R5: {who} acknowledged the end of {dead}");
            assert!(knows < death.position, "R1, R6: {who} believes {dead}, at {knows} at least");
        }
    }

    /// R5: a verifier has exactly the broker's set, so that what is alive is not refused.
    fn may_be_inactive(&self, at: usize, which: usize, why: Inactive, latest: Timestamp, who: &str) {
        let is_right = self.is_rightly_inactive(at, which, why, latest);
        assert!(is_right, "R5: {who} refuses {}, which is alive: {why}", self.model.tokens[which].jti);
    }

    fn is_rightly_inactive(&self, at: usize, which: usize, why: Inactive, latest: Timestamp) -> bool {
        let (station, token) = (&self.feed.stations[at], &self.model.tokens[which]);
        let own =
            self.model.tasks[token.task].who.tenant == station.tenant && token.connector == station.connector;
        let revoked = self.model.token_revoked(token);
        match why {
            Inactive::WrongAudience => !own || !self.is_served(which) || revoked != Dead::No,
            Inactive::Revoked(_) => revoked != Dead::No,
            Inactive::Unproved(_) => false,
            Inactive::Refused(_) if self.lags_an_epoch(at, which) => true,
            _ if self.lags_keys(at, why, station.moment(self.clock.elapsed())) => true,
            Inactive::Refused(_) => {
                // The broker's clock may have been set back since it was read, and a fast one is ahead of
                // the true time by so much within the longest lease.
                let ahead = Duration::from_millis(500);
                let over = latest.max(self.clock.true_time()).plus(ahead) >= token.expires_at;
                over || revoked != Dead::No
            }
        }
    }

    fn may_be_unknown(&self, at: usize, which: usize, why: Unknown, who: &str) {
        let lack = self.lack(at);
        match why {
            Unknown::OnlineOnly => {}
            Unknown::Elsewhere => {
                assert!(self.lags_an_epoch(at, which), "{who} does not know the only broker that there is");
            }
            Unknown::NotUnderstood => {
                assert!(self.feed.stations[at].met_strangers, "{who} understands all there is");
            }
            Unknown::Full => panic!("{who}: {why}"),
            _ => assert!(lack.is_some(), "{who} lacks nothing and says {why}"),
        }
    }

    // === recovery ===

    /// Everything is well again, and every verifier answers by itself, and right.
    pub(crate) fn heal(&mut self) {
        self.drain_or_crash();
        self.trace.say("all is well");
        self.all_calm();
        self.clock.put_right();
        for _ in 0..RECOVERY.as_millis() / BREATH.as_millis() {
            self.clock.advance(BREATH);
            self.drain();
            // No pump is late any more: whoever is well has heard of what was committed last.
            self.turn_pumps();
            self.exchange();
            if self.feed.waits.is_empty() && (0..self.feed.stations.len()).all(|at| self.is_well(at)) {
                break;
            }
            self.ask_who_is_missing();
        }
        self.ask_who_is_missing();
        assert!(self.feed.waits.is_empty(), "R1: after {RECOVERY:?} a revocation is not everywhere");
        for at in 0..self.feed.stations.len() {
            assert!(self.is_well(at), "verifier {at} does not recover: {:?}", self.lack(at));
            if self.follows(at) {
                self.answers_right(at);
            }
        }
    }

    pub(crate) fn lack(&self, at: usize) -> Option<Unknown> {
        let station = &self.feed.stations[at];
        station.core.lack(station.moment(self.clock.elapsed()))
    }

    /// Whether a verifier's connector and workload are in the registry.
    fn follows(&self, at: usize) -> bool {
        let station = &self.feed.stations[at];
        let backend = Who { tenant: station.tenant, name: "backend" };
        let registered = self.model.workload_mark(backend).is_some();
        registered && self.model.connector_mark(station.tenant, station.connector).is_some()
    }

    /// Whether a verifier may answer, has heard of the epoch at hand and hears on, unless it cannot follow. One
    /// with nothing but a lease of before may not know what was revoked since.
    pub(crate) fn is_well(&self, at: usize) -> bool {
        let station = &self.feed.stations[at];
        let hears = station.line.as_ref().is_some_and(|line| line.course.is_some());
        let is_here = station.epoch == self.broker.status().position.epoch;
        !self.follows(at) || (self.lack(at).is_none() && is_here && hears)
    }

    fn answers_right(&mut self, at: usize) {
        let Some(time) = self.now() else { return };
        let now = self.feed.stations[at].moment(self.clock.elapsed());
        let latest = self.feed.stations[at].latest_wall(now);
        for which in 0..self.model.tokens.len() {
            let (station, token) = (&self.feed.stations[at], &self.model.tokens[which]);
            let own = self.model.tasks[token.task].who.tenant == station.tenant
                && token.connector == station.connector;
            let Some(compact) = token.compact.as_deref().filter(|_| own) else { continue };
            let answer = station.core.check(compact, &Presented::default(), now);
            let refused = station.refused.contains(&which);
            let tenant = TENANTS[station.tenant];
            let is_right = match (self.model.token_dead(token, time), &answer) {
                (Dead::Maybe, _) => true,
                (Dead::Yes, Answer::Active(_)) => false,
                (Dead::Yes, _) => true,
                // Uses are counted online; and a clock that was ahead ends tokens early for a while.
                (Dead::No, Answer::Unknown(Unknown::OnlineOnly)) => token.uses_left.is_some(),
                (Dead::No, Answer::Active(_)) => true,
                (Dead::No, Answer::Inactive(why)) => {
                    refused || self.is_rightly_inactive(at, which, *why, latest)
                }
                (Dead::No, Answer::Unknown(_)) => false,
            };
            assert!(is_right, "a verifier of {tenant} that is well says of {}: {answer:?}", token.jti);
        }
    }

    /// Whether a token was issued in an epoch of which a verifier has not heard.
    fn lags_an_epoch(&self, at: usize, which: usize) -> bool {
        let epoch = self.feed.stations[at].epoch;
        let followed = self.model.position_of(epoch, 0);
        is_of_earlier_epoch(followed, self.model.tokens[which].decided.read)
    }

    /// Whether a verifier may not know a key that took the place of a revoked one: that signs at once.
    fn lags_keys(&self, at: usize, why: Inactive, now: Moment) -> bool {
        let held = self.feed.stations[at].core.figures(now).key_set;
        let behind = || held.is_none_or(|held| held < self.broker.key_set().0);
        why.reason() == Reason::TokenUnknownKey && self.model.revoked_a_key() && behind()
    }

    fn is_served(&self, which: usize) -> bool {
        let token = &self.model.tokens[which];
        let tenant = self.model.tasks[token.task].who.tenant;
        self.model.connector_mark(tenant, &token.connector).as_ref() == Some(&token.connector_mark)
    }
}
