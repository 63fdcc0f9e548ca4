//! [`Waiting`]: texts on their way past the journal.
//!
//! A justification is committed to in the journal and kept here until the event that commits to it
//! comes by, found by the commitment itself: whoever indexes the event takes the text along. In
//! memory, bounded, and droppable: when the archive is behind, the oldest are dropped and counted;
//! when the process dies, they die with it. Putting a text here never waits for anything but a
//! short mutex.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use locum_model::event::Commitment;
use locum_model::limits::ARCHIVE_TEXTS_WAITING_MAX;
use parking_lot::Mutex;
use zeroize::Zeroizing;

/// A text, and the salt that its commitment was made with: whoever has both can open the commitment.
#[derive(Clone)]
pub struct Salted {
    /// 16 random bytes.
    pub salt: [u8; 16],
    /// What was said.
    pub text: Zeroizing<String>,
}

/// Texts by the commitment to them.
#[derive(Default)]
pub struct Waiting {
    texts: Mutex<Texts>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Texts {
    by_digest: HashMap<[u8; 32], Salted>,
    in_order: VecDeque<[u8; 32]>,
}

impl Waiting {
    /// Leaves a text until the event with this commitment is indexed. The oldest makes room.
    pub fn put(&self, commitment: &Commitment, salt: [u8; 16], text: &str) {
        let mut texts = self.texts.lock();
        while texts.in_order.len() >= ARCHIVE_TEXTS_WAITING_MAX {
            let oldest = texts.in_order.pop_front();
            // One whose event never came is no loss; it cannot be told from one that is late.
            if oldest.is_some_and(|digest| texts.by_digest.remove(&digest).is_some()) {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        texts.in_order.push_back(commitment.digest);
        let text = Zeroizing::new(text.to_owned());
        texts.by_digest.insert(commitment.digest, Salted { salt, text });
    }

    /// The text of a commitment. It stays until it is [done](Self::done) with.
    pub fn get(&self, commitment: &Commitment) -> Option<Salted> {
        self.texts.lock().by_digest.get(&commitment.digest).cloned()
    }

    /// Forgets the text of a commitment: it is kept elsewhere now.
    pub fn done(&self, commitment: &Commitment) {
        let mut texts = self.texts.lock();
        texts.by_digest.remove(&commitment.digest);
        // Those in front that are done with make room at once.
        while texts.in_order.front().is_some_and(|digest| !texts.by_digest.contains_key(digest)) {
            texts.in_order.pop_front();
        }
    }

    /// How many were dropped to make room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.texts.lock().by_digest.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commitment(number: u32) -> Commitment {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&number.to_be_bytes());
        Commitment { salt: [0; 16], digest }
    }

    #[test]
    fn a_text_waits_for_its_commitment_alone() {
        let waiting = Waiting::default();
        waiting.put(&commitment(1), [7; 16], "one");
        assert!(waiting.get(&commitment(2)).is_none());
        let found = waiting.get(&commitment(1)).expect("it waits");
        assert_eq!((found.salt, found.text.as_str()), ([7; 16], "one"));
        waiting.done(&commitment(1));
        assert!(waiting.get(&commitment(1)).is_none());
        assert!(waiting.is_empty());
    }

    #[test]
    fn the_oldest_makes_room() {
        let waiting = Waiting::default();
        let most = u32::try_from(ARCHIVE_TEXTS_WAITING_MAX).expect("a small bound");
        for number in 0..most + 5 {
            waiting.put(&commitment(number), [0; 16], "a text");
        }
        assert_eq!((waiting.len(), waiting.dropped()), (ARCHIVE_TEXTS_WAITING_MAX, 5));
        assert!(waiting.get(&commitment(4)).is_none());
        assert!(waiting.get(&commitment(5)).is_some());
        for number in 0..most + 5 {
            waiting.done(&commitment(number));
        }
        waiting.put(&commitment(0), [0; 16], "again");
        assert_eq!((waiting.len(), waiting.dropped()), (1, 5), "what is done with takes no room");
    }
}
