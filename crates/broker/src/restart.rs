//! [`Restart`]: the fold of a journal that is being opened.
//!
//! Events of a snapshot are folded before all of it was checked ([`Replay`]). Nobody sees the fold before the
//! journal is open, and what a fold does outside of itself, to forget the private halves of retired keys, waits
//! until then.

use std::io;
use std::sync::Arc;

use locum_journal::Replay;
use locum_model::{Committed, DigestKey, Entropy, EntropyFailed, Event, KeyId};
use locum_token::KeyStore;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::fold::Fold;

/// Events that are applied between two looks ahead.
const REPLAYED_AT_ONCE: usize = 128;

/// A fold that may have to begin again.
pub(crate) struct Restart<'a> {
    home: u16,
    entropy: &'a dyn Entropy,
    keys: Arc<HeldKeys>,
    /// How many events are foreseen.
    room: usize,
    fold: Result<Arc<Fold>, EntropyFailed>,
}

/// A key store that forgets nothing while the journal is not open.
struct HeldKeys {
    store: Arc<dyn KeyStore>,
    /// What is to be forgotten; none once that is done at once.
    held: Mutex<Option<Vec<KeyId>>>,
}

// === impl Restart ===

impl<'a> Restart<'a> {
    /// Nothing happened yet; `room` events are foreseen.
    pub(crate) fn new(home: u16, keys: Arc<dyn KeyStore>, entropy: &'a dyn Entropy, room: usize) -> Self {
        let keys = Arc::new(HeldKeys { store: keys, held: Mutex::new(Some(Vec::new())) });
        let fold = fresh(home, &keys, entropy, room);
        Self { home, entropy, keys, room, fold }
    }

    /// The fold of everything; the journal is open.
    pub(crate) fn done(self) -> Result<Arc<Fold>, EntropyFailed> {
        self.keys.let_go();
        self.fold
    }
}

impl Replay for Restart<'_> {
    fn take(&mut self, events: &[Committed<Event>]) {
        if let Ok(fold) = &self.fold {
            events.chunks(REPLAYED_AT_ONCE).for_each(|some| fold.replay(some));
        }
    }

    fn start_over(&mut self) {
        *self.keys.held.lock() = Some(Vec::new());
        self.fold = fresh(self.home, &self.keys, self.entropy, self.room);
    }
}

fn fresh(
    home: u16,
    keys: &Arc<HeldKeys>,
    entropy: &dyn Entropy,
    room: usize,
) -> Result<Arc<Fold>, EntropyFailed> {
    let fold = Fold::new(home, Arc::clone(keys) as Arc<dyn KeyStore>, DigestKey::draw(entropy)?);
    // Nearly every event of a snapshot is a token. Without room for them rows move again and again, and
    // leave holes behind.
    fold.table.reserve(room);
    Ok(Arc::new(fold))
}

// === impl HeldKeys ===

impl HeldKeys {
    /// Forgets what was to be forgotten, and from now on at once.
    fn let_go(&self) {
        for kid in self.held.lock().take().unwrap_or_default() {
            // As in the ring: a private half that stays behind signs nothing that holds.
            let _ = self.store.delete(&kid);
        }
    }
}

impl KeyStore for HeldKeys {
    fn save(&self, kid: &KeyId, pkcs8: &[u8]) -> io::Result<()> {
        self.store.save(kid, pkcs8)
    }

    fn load(&self, kid: &KeyId) -> io::Result<Zeroizing<Vec<u8>>> {
        self.store.load(kid)
    }

    fn delete(&self, kid: &KeyId) -> io::Result<()> {
        if let Some(held) = &mut *self.held.lock() {
            held.push(*kid);
            return Ok(());
        }
        self.store.delete(kid)
    }
}

#[cfg(test)]
mod tests {
    use locum_model::event::{By, KeyMoved, KeyPurpose};
    use locum_model::registry::Algorithm;
    use locum_model::{Position, Timestamp};
    use locum_token::MemoryKeyStore;

    use super::*;

    struct Dice;

    impl Entropy for Dice {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
            bytes.fill(7);
            Ok(())
        }
    }

    const AT: Timestamp = Timestamp::from_seconds(1_000);

    /// A key that was published and then retired, and a store that has it.
    fn retired() -> (Arc<MemoryKeyStore>, KeyId, [Committed<Event>; 2]) {
        let made = locum_token::generate(Algorithm::Es256, KeyPurpose::Token, By::Broker, AT);
        let (published, private) = made.expect("a key");
        let kid = published.kid;
        let store = Arc::new(MemoryKeyStore::default());
        store.save(&kid, &private).expect("memory");
        let at = |sequence| Position { home: 1, epoch: 1, sequence };
        let moved = KeyMoved { kid, by: By::Broker, at: AT };
        let published = Committed::assertion(Event::KeyPublished(published), at(1));
        (store, kid, [published, Committed::assertion(Event::KeyRetired(moved), at(2))])
    }

    #[test]
    fn a_private_half_goes_when_the_journal_is_open_and_not_before() {
        let (store, kid, events) = retired();
        let mut restart = Restart::new(1, Arc::clone(&store) as _, &Dice, 0);
        restart.take(&events);
        assert!(store.load(&kid).is_ok(), "the journal may not hold");
        let fold = restart.done().expect("a fold");
        assert!(store.load(&kid).is_err());
        assert_eq!(fold.position().sequence, 2);
    }

    #[test]
    fn nothing_is_left_of_what_does_not_hold() {
        let (store, kid, [published, retired]) = retired();
        let mut restart = Restart::new(1, Arc::clone(&store) as _, &Dice, 100);
        restart.take(&[published.clone(), retired]);
        restart.start_over();
        restart.take(&[published]);
        let fold = restart.done().expect("a fold");
        assert!(store.load(&kid).is_ok(), "what retired it did not hold");
        let world = fold.pin().world;
        assert!(world.keys.key(&kid).is_some_and(|key| key.can_sign()));
        assert_eq!(fold.position().sequence, 1);
    }

    #[test]
    fn a_restart_that_failed_leaves_the_keys() {
        let (store, kid, events) = retired();
        let mut restart = Restart::new(1, Arc::clone(&store) as _, &Dice, 0);
        restart.take(&events);
        drop(restart);
        assert!(store.load(&kid).is_ok());
    }
}
