//! An assertion binds to the first key that was proved with it.
//!
//! A bearer assertion is worth something to whoever steals it. Once its workload has shown a key along
//! with it (a client certificate), it is taken with that key alone, until it ends. Not kept over a
//! restart: assertions live for minutes, and whoever holds the key binds it again with the next call.

use std::collections::HashMap;

use locum_model::limits::{ASSERTION_TTL_MAX, BOUND_ASSERTIONS_MAX, CLOCK_SKEW_MAX};
use locum_model::{Caller, Confirmation, Reason, Timestamp};
use parking_lot::Mutex;

/// The first 30 bytes of a signature, in base64url: less than half of the shortest, 64 bytes.
const SIGNATURE_CHARS_FIXED: usize = 40;

/// Which assertion is bound to which key.
#[derive(Debug, Default)]
pub struct FirstKeys(Mutex<HashMap<[u8; 32], Bound>>);

#[derive(Debug)]
struct Bound {
    key: Confirmation,
    until: Timestamp,
}

// === impl FirstKeys ===

impl FirstKeys {
    /// Takes `caller`, who showed `assertion`, if it shows the key that the assertion is bound to;
    /// binds the assertion if it is the first to show a key.
    ///
    /// # Errors
    ///
    /// IDENTITY_MISMATCH for another key or none, OVERLOADED when too many assertions are bound.
    pub(crate) fn check(&self, assertion: &str, caller: &Caller, now: Timestamp) -> Result<(), Reason> {
        let digest = identity_of(assertion);
        let mut bound = self.0.lock();
        match (bound.get(&digest), caller.confirmation()) {
            (Some(first), shown) if shown == Some(first.key) => Ok(()),
            (Some(_), _) => Err(Reason::IdentityMismatch),
            (None, None) => Ok(()),
            (None, Some(key)) => {
                if bound.len() >= BOUND_ASSERTIONS_MAX {
                    bound.retain(|_, entry| entry.until > now);
                }
                // Forgetting a binding would let its thief in: whoever comes next has to wait.
                if bound.len() >= BOUND_ASSERTIONS_MAX {
                    return Err(Reason::Overloaded);
                }
                // The caller's proof may end with its certificate, before the assertion does.
                let until = now.plus(ASSERTION_TTL_MAX + CLOCK_SKEW_MAX);
                bound.insert(digest, Bound { key, until });
                Ok(())
            }
        }
    }
}

/// What stays the same however an assertion is presented. The second half of an ECDSA signature can be
/// changed without breaking it, its first half cannot; two replicas may be given the same claims.
fn identity_of(assertion: &str) -> [u8; 32] {
    let signature_at = assertion.rfind('.').map_or(0, |dot| dot + 1);
    let fixed = (signature_at + SIGNATURE_CHARS_FIXED).min(assertion.len());
    locum_token::sha256(&assertion.as_bytes()[..fixed])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn caller(key: Option<u8>) -> Caller {
        let key = key.map(|byte| Confirmation::Certificate([byte; 32]));
        Caller::assertion(None, None, key, NOW)
    }

    #[test]
    fn the_first_key_is_the_only_one() {
        let (keys, assertion) = (FirstKeys::default(), format!("h.p.{}", "s".repeat(86)));
        assert_eq!(keys.check(&assertion, &caller(None), NOW), Ok(()), "no key was proved with it yet");
        assert_eq!(keys.check(&assertion, &caller(Some(1)), NOW), Ok(()));
        assert_eq!(keys.check(&assertion, &caller(Some(1)), NOW), Ok(()));
        for stolen in [caller(None), caller(Some(2))] {
            assert_eq!(keys.check(&assertion, &stolen, NOW), Err(Reason::IdentityMismatch));
            let twin = format!("{}Y", &assertion[..assertion.len() - 1]);
            assert_eq!(
                keys.check(&twin, &stolen, NOW),
                Err(Reason::IdentityMismatch),
                "the signature's twin"
            );
        }
    }

    #[test]
    fn a_full_memory_lets_nobody_in_until_assertions_end() {
        let keys = FirstKeys::default();
        for at in 0..BOUND_ASSERTIONS_MAX {
            assert_eq!(keys.check(&format!("h.{at}.s"), &caller(Some(1)), NOW), Ok(()));
        }
        assert_eq!(keys.check("h.new.s", &caller(Some(1)), NOW), Err(Reason::Overloaded));
        assert_eq!(keys.check("h.0.s", &caller(None), NOW), Err(Reason::IdentityMismatch), "not forgotten");
        let later = NOW.plus(ASSERTION_TTL_MAX + CLOCK_SKEW_MAX);
        assert_eq!(keys.check("h.new.s", &caller(Some(1)), later), Ok(()));
    }
}
