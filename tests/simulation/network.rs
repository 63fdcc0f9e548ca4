//! The revocation feed between the broker and its offline verifiers, over a network of every kind.
//!
//! The broker's side is the product's (`Track` and `Course` of the server, what they take from the broker's
//! fold, and who is let in); so is the verifier's. In between frames and pings are late, lost, doubled, out
//! of order, bent, replayed from anywhere and any time, and connections are cut.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use locum_api::broker::v1::{WatchRevocationsRequest, WatchRevocationsResponse};
use locum_api::feed;
use locum_model::event::KeyPurpose;
use locum_model::feed::Body;
use locum_model::registry::Algorithm;
use locum_model::{Clock, ConnectorNo, KeyId, Reason};
use locum_server::metrics::Metrics;
use locum_server::service::feed::{Around, Course, Next, Opening, Ping, Track, lost_position};

use crate::around::Dice;
use crate::forged::Strange;
use crate::hearsay::{Death, Wait};
use crate::run::Run;
use crate::station::{Down, Line, Station};
use crate::universe::{Who, name};

/// Who follows what.
const STATIONS: [(usize, &str); 4] = [(0, "orders"), (0, "orders"), (0, "vault"), (1, "orders")];
/// Old frames that somebody has kept.
const KEPT: usize = 48;
/// Frames that fit into a line; the broker goes on when they are read.
const LINE_FRAMES: usize = 8;

/// What the network is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Everything arrives at once.
    Calm,
    /// What is sent arrives some time later, in order.
    Slow,
    /// Anything may happen to a message.
    Bad,
    /// Nothing arrives; connections are cut.
    Cut,
}

/// A partition as the server keeps it.
struct Partition {
    track: Arc<Track>,
    opening: Option<Opening>,
}

/// Everything of the feed.
#[derive(Default)]
pub(crate) struct Feed {
    pub(crate) stations: Vec<Station>,
    weather: Vec<Weather>,
    partitions: BTreeMap<ConnectorNo, Partition>,
    kept: VecDeque<WatchRevocationsResponse>,
    /// When each token died, by its place among the model's.
    pub(crate) deaths: Vec<Option<Death>>,
    pub(crate) waits: Vec<Wait>,
}

impl Run {
    /// Backends start, each with a verifier that is pinned to the root.
    pub(crate) fn start_stations(&mut self) {
        let root = self.root();
        let stations = STATIONS.map(|(tenant, name)| Station::new(tenant, name, root, &mut self.dice));
        self.feed.stations.extend(stations);
        self.feed.weather = vec![Weather::Calm; STATIONS.len()];
    }

    /// A backend's process starts anew, and knows nothing but its pins.
    pub(crate) fn restart_station(&mut self, at: usize) {
        let (tenant, connector) = STATIONS[at];
        self.trace.say(format_args!("verifier {at} starts anew"));
        self.feed.stations[at] = Station::new(tenant, connector, self.root(), &mut self.dice);
    }

    /// What backends are to pin now.
    fn root(&self) -> KeyId {
        let (_, keys) = self.broker.key_set();
        *keys.signer(KeyPurpose::KeysetRoot, Algorithm::Es256).expect("a root is there").kid()
    }

    /// The process is gone, and with it every stream and all that was made for them.
    pub(crate) fn lose_streams(&mut self) {
        self.feed.partitions.clear();
        for at in 0..self.feed.stations.len() {
            self.cut(at);
        }
    }

    pub(crate) fn change_weather(&mut self) {
        let at = self.dice.below(self.feed.stations.len());
        let weather = self.dice.weighted(&[
            (5, Weather::Calm),
            (3, Weather::Slow),
            (3, Weather::Bad),
            (2, Weather::Cut),
        ]);
        self.trace.say(format_args!("weather of {at}: {weather:?}"));
        self.feed.weather[at] = weather;
    }

    /// The network and the clocks are well. Whose pinned root was revoked is told the new one.
    pub(crate) fn all_calm(&mut self) {
        self.feed.weather.fill(Weather::Calm);
        self.feed.stations.iter_mut().for_each(|station| station.set_wall(0));
        let root = self.root();
        for at in 0..self.feed.stations.len() {
            if self.feed.stations[at].root != root {
                self.restart_station(at);
            }
        }
    }

    /// Somebody sets a backend's clock.
    pub(crate) fn set_wall(&mut self) {
        let at = self.dice.below(self.feed.stations.len());
        let most = self.dice.weighted(&[(4, 1), (4, 5_000), (3, 50_000), (3, 3_600_000)]);
        let ahead = self.dice.below(2 * most) as i64 - most as i64;
        self.trace.say(format_args!("the wall clock of {at} is {ahead} ms ahead"));
        self.feed.stations[at].set_wall(ahead);
    }

    pub(crate) fn cut(&mut self, at: usize) {
        let elapsed = self.clock.elapsed();
        let station = &mut self.feed.stations[at];
        if station.line.is_some() {
            let now = station.moment(elapsed);
            station.leave(now, &mut self.dice, true);
        }
    }

    // === frames ===

    /// The pumps' turn: what the fold has published becomes frames. Small rings, so that some fall off.
    pub(crate) fn turn_pumps(&self) {
        for partition in self.feed.partitions.values() {
            while partition.track.turn(2_000).more {}
        }
    }

    /// The pumps' turn, and sometimes the end of one.
    fn turn_tracks(&mut self) {
        self.turn_pumps();
        if !self.feed.partitions.is_empty() && self.dice.percent(2) {
            // Nobody followed it for a while: it is given up, and begins anew with whoever comes.
            let at = self.dice.below(self.feed.partitions.len());
            let connector = *self.feed.partitions.keys().nth(at).expect("counted");
            self.feed.partitions.remove(&connector);
            for at in 0..self.feed.stations.len() {
                let line = self.feed.stations[at].line.as_ref();
                if line.and_then(|line| line.course.as_ref()).is_some() {
                    self.cut(at);
                }
            }
        }
    }

    // === exchanges ===

    /// Every line's turn, in the weather that it has.
    pub(crate) fn exchange(&mut self) {
        // A pump may be late: what is published is not a frame yet.
        if self.dice.percent(80) {
            self.turn_tracks();
        }
        for at in 0..self.feed.stations.len() {
            match self.feed.weather[at] {
                Weather::Calm => {
                    (0..3).for_each(|_| self.exchange_with(at, usize::MAX, usize::MAX));
                }
                Weather::Slow => {
                    let (up, down) = (self.dice.below(4), self.dice.below(6));
                    self.exchange_with(at, up, down);
                }
                Weather::Bad => {
                    self.meddle(at);
                    let (up, down) = (self.dice.below(6), self.dice.below(10));
                    self.exchange_with(at, up, down);
                }
                Weather::Cut => {
                    self.exchange_with(at, 0, 0);
                    if self.dice.percent(20) {
                        self.cut(at);
                    }
                }
            }
        }
    }

    pub(crate) fn exchange_with(&mut self, at: usize, up: usize, down: usize) {
        let now = self.feed.stations[at].moment(self.clock.elapsed());
        self.feed.stations[at].turn(now, &mut self.dice);
        self.broker_hears(at, up);
        self.broker_says(at);
        for _ in 0..down {
            let station = &mut self.feed.stations[at];
            let Some(next) = station.line.as_mut().and_then(|line| line.down.pop_front()) else { break };
            let told = station.take(&next, now, &mut self.dice);
            self.trace.say(format_args!("  {at} takes: {told}"));
        }
        self.broker_says(at);
    }

    pub(crate) fn line(&mut self, at: usize) -> Option<&mut Line> {
        self.feed.stations[at].line.as_mut()
    }

    /// At most so many pings arrive. The first opens the stream.
    pub(crate) fn broker_hears(&mut self, at: usize, most: usize) {
        for _ in 0..most {
            let Some(message) = self.line(at).and_then(|line| line.up.pop_front()) else { return };
            if let Err(reason) = self.hear(at, &message) {
                self.end(at, reason);
                return;
            }
        }
    }

    fn hear(&mut self, at: usize, message: &WatchRevocationsRequest) -> Result<(), Reason> {
        let ping = Ping::of(message).expect("a good ping");
        let position = self.broker.status().position;
        let position = self.model.position_of(position.epoch, position.sequence);
        if let Some(nonce) = ping.nonce {
            self.feed.stations[at].was_heard(nonce, position);
        }
        let Some(line) = self.line(at) else { return Ok(()) };
        if let Some(course) = &mut line.course {
            return course.hear(ping).map_err(|refusal| refusal.reason());
        }
        let course = self.accept(at, message, ping)?;
        if let Some(line) = self.line(at) {
            line.course = Some(course);
        }
        Ok(())
    }

    /// As the service does for the first message of a stream.
    fn accept(
        &mut self,
        at: usize,
        message: &WatchRevocationsRequest,
        first: Ping,
    ) -> Result<Course, Reason> {
        let (tenant, hello) = (self.feed.stations[at].tenant, self.feed.stations[at].hello());
        let caller = self.asker(Who { tenant, name: "backend" }).caller;
        let connector = name(&message.connector);
        let following = self.broker.watch_revocations(&caller, &connector, hello);
        let following = following.map_err(|refusal| refusal.reason())?;
        if let Some(told) = message.witness.as_ref().and_then(|kept| lost_position(&self.broker, kept)) {
            assert!(self.is_on_copy, "J4: a broker ends by a witness of its own history, up to {told}");
            self.trace.say(format_args!("  {at} proves that the journal was put back"));
            return Err(Reason::FeedPositionInvalid);
        }
        let track = match self.feed.partitions.get(&following.connector) {
            Some(partition) => Arc::clone(&partition.track),
            None => {
                let around = Around {
                    broker: Arc::clone(&self.broker),
                    clock: self.clock.clone(),
                    entropy: self.entropy.clone(),
                    metrics: Arc::new(Metrics::new(self.now().unwrap_or_default())),
                };
                let track = Arc::new(Track::open(around, following.connector)?);
                let partition = Partition { track: Arc::clone(&track), opening: None };
                self.feed.partitions.insert(following.connector, partition);
                track
            }
        };
        Course::begin(track, (caller, following.place), first).map_err(|refusal| refusal.reason())
    }

    fn end(&mut self, at: usize, reason: Reason) {
        if let Some(line) = self.line(at) {
            line.course = None;
            line.up.clear();
            line.down.push_back(Down::End(reason));
        }
    }

    /// What the broker has to say goes into the line, as far as there is room.
    pub(crate) fn broker_says(&mut self, at: usize) {
        loop {
            let Some(line) = self.line(at).filter(|line| line.down.len() < LINE_FRAMES) else { return };
            let Some(course) = &mut line.course else { return };
            match course.step() {
                Ok(Next::Say(frame)) => {
                    self.note(at, &frame);
                    if let Some(line) = self.line(at) {
                        line.down.push_back(Down::Frame(frame));
                    }
                }
                Ok(Next::Open) => {
                    if let Err(reason) = self.open(at) {
                        return self.end(at, reason);
                    }
                }
                Ok(Next::Wait) => return,
                Err(reason) => return self.end(at, reason),
            }
        }
    }

    /// Everything in force, made anew or taken from whoever came shortly before.
    fn open(&mut self, at: usize) -> Result<(), Reason> {
        let course = self.feed.stations[at].line.as_mut().and_then(|line| line.course.as_mut());
        let course = course.expect("asked by it");
        let partition = self.feed.partitions.get_mut(&course.connector()).expect("kept while it is followed");
        let known = partition.opening.take().filter(|opening| partition.track.serves(opening));
        let opening = match known {
            Some(opening) => opening,
            None => partition.track.make_opening()?,
        };
        course.open(&opening);
        partition.opening = Some(opening);
        Ok(())
    }

    /// Looks at what the broker says, and keeps some of it for those who replay.
    fn note(&mut self, at: usize, frame: &WatchRevocationsResponse) {
        let said = feed::decode(&frame.payload).expect("the broker's frames are good");
        self.trace.say(format_args!("  to {at}: {} at {}", kind(&said.body), said.sequence));
        if let Body::Heartbeat { nonce: Some(nonce), lease, .. } = said.body {
            let now = self.feed.stations[at].moment(self.clock.elapsed());
            self.feed.stations[at].was_answered(nonce, lease, now);
        }
        if self.dice.percent(30) {
            if self.feed.kept.len() == KEPT {
                let gone = self.dice.below(KEPT);
                self.feed.kept.swap_remove_back(gone);
            }
            self.feed.kept.push_back(frame.clone());
        }
    }

    // === those who meddle ===

    /// Something happens to what is on its way.
    fn meddle(&mut self, at: usize) {
        let kept = self.dice.pick(self.feed.kept.make_contiguous()).cloned();
        let Some(line) = self.feed.stations[at].line.as_mut() else { return };
        let dice = &mut self.dice;
        if let (true, Some(old)) = (dice.percent(40), kept) {
            let place = dice.below(line.down.len() + 1);
            line.down.insert(place, Down::Frame(old));
        }
        shake(&mut line.down, dice);
        shake(&mut line.up, dice);
        if dice.percent(20) && !line.down.is_empty() {
            let place = dice.below(line.down.len());
            let strange = *dice.pick(&Strange::ALL).expect("there are some");
            self.show_strange(at, place, strange);
        }
        let Some(line) = self.feed.stations[at].line.as_mut() else { return };
        let dice = &mut self.dice;
        if dice.percent(8) && !line.down.is_empty() {
            let place = dice.below(line.down.len());
            if let Down::Frame(frame) = &mut line.down[place] {
                bend(frame, dice);
            }
        }
    }
}

/// Loses, doubles and swaps messages.
fn shake<T: Clone>(queue: &mut VecDeque<T>, dice: &mut Dice) {
    if queue.is_empty() {
        return;
    }
    let place = dice.below(queue.len());
    match dice.below(6) {
        0 => drop(queue.remove(place)),
        1 => {
            let again = queue[place].clone();
            let later = place + dice.below(queue.len() - place + 1);
            queue.insert(later, again);
        }
        2 => {
            let other = dice.below(queue.len());
            queue.swap(place, other);
        }
        _ => {}
    }
}

/// Changes one bit.
fn bend(frame: &mut WatchRevocationsResponse, dice: &mut Dice) {
    let part = match dice.below(8) {
        0 => &mut frame.kid,
        1 => &mut frame.signature,
        _ => &mut frame.payload,
    };
    let mut bytes = part.to_vec();
    let at = dice.below(bytes.len());
    bytes[at] ^= 1 << dice.below(8);
    *part = bytes.into();
}

pub(crate) fn kind(body: &Body) -> String {
    match body {
        Body::KeySet { number, .. } => format!("key set {number}"),
        Body::SnapshotPart { part, entries, .. } => format!("part {part} of {}", entries.len()),
        Body::Delta { entries } => format!("delta of {}", entries.len()),
        Body::Heartbeat { lease, .. } => format!("heartbeat for {lease:?}"),
        Body::Reset => "reset".into(),
    }
}

/// How long two exchanges are apart, when all is well.
pub(crate) const BREATH: Duration = Duration::from_millis(250);
