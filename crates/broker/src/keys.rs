//! `ListKeys`, `RotateKey` and the keys' schedule: published before use, retired after the last
//! token that they signed.

use locum_model::event::{By, KeyMoved, KeyPurpose};
use locum_model::limits::{CLOCK_SKEW_MAX, TOKEN_TTL_MAX};
use locum_model::registry::Algorithm;
use locum_model::{Event, KeyId, Reason, Target, Timestamp};
use locum_token::{KeyRing, KeyState, RingKey};
use tokio::sync::oneshot::error::TryRecvError;

use crate::broker::Broker;
use crate::key_move::KeyMove;
use crate::operator::Operator;
use crate::refusal::Refusal;

/// What becomes of a key.
enum Step {
    Activate,
    Retire,
}

/// The keys that a broker cannot do without.
const NEEDED: [(KeyPurpose, Algorithm); 4] = [
    (KeyPurpose::KeysetRoot, Algorithm::Es256),
    (KeyPurpose::Feed, Algorithm::Es256),
    (KeyPurpose::Token, Algorithm::Es256),
    (KeyPurpose::Token, Algorithm::Ed25519),
];

impl Broker {
    /// Makes the keys that are missing. At the first start there is nobody who could know an older
    /// key, so they sign at once; the committer has to be running.
    ///
    /// # Errors
    ///
    /// What keeps a key from being made, stored or written down.
    pub async fn prepare_keys(&self) -> Result<(), Refusal> {
        for (purpose, algorithm) in NEEDED {
            if self.fold.pin().world.keys.signer(purpose, algorithm).is_some_and(RingKey::can_sign) {
                continue;
            }
            let kid = self.publish_key(purpose, algorithm, By::Broker).await?;
            self.activate_key(kid, By::Broker).await?;
        }
        Ok(())
    }

    /// Every published key, newest first.
    pub fn list_keys(&self) -> Vec<KeyView> {
        let mut keys: Vec<_> = self.fold.pin().world.keys.keys().map(KeyView::of).collect();
        keys.sort_by_key(|key| (std::cmp::Reverse(key.published_at), key.kid));
        keys
    }

    /// The keys in force, for signing and publishing what is not a token.
    pub fn key_ring(&self) -> KeyRing {
        self.fold.pin().world.keys.clone()
    }

    /// The keys in force, and the number of the set that they make: it grows with every change.
    pub fn key_set(&self) -> (u64, KeyRing) {
        let pinned = self.fold.pin();
        (pinned.world.key_set, pinned.world.keys.clone())
    }

    /// Publishes a new key for tokens; it signs once it has been published long enough.
    ///
    /// # Errors
    ///
    /// KEY_WAITING while the key before is still waiting to sign.
    pub async fn rotate_key(
        &self,
        operator: &Operator,
        algorithm: Algorithm,
    ) -> Result<(KeyView, Timestamp), Refusal> {
        let noted = |refusal| self.denied_operator(&operator.name, "RotateKey", refusal);
        operator.needs_all().map_err(noted)?;
        let ahead = self.options.key_publish_ahead;
        if let Some(key) = waiting(&self.key_ring(), KeyPurpose::Token, algorithm) {
            let detail = format!("it signs from {}", key.published_at().plus(ahead));
            return Err(noted(Refusal::new(Reason::KeyWaiting, detail)));
        }
        let kid = self.publish_key(KeyPurpose::Token, algorithm, By::Operator(operator.name.clone())).await?;
        let keys = self.key_ring();
        let key = keys.key(&kid).ok_or(Reason::Internal)?;
        Ok((KeyView::of(key), key.published_at().plus(ahead)))
    }

    /// Moves the keys whose time has come; at most one of each kind a call.
    pub(crate) fn keep_keys(&self, now: Timestamp) {
        // One round at a time: what was asked for has to be settled before it is looked at again.
        let mut moves = self.key_moves.lock();
        moves.retain_mut(|asked| !self.settled(asked));
        if !moves.is_empty() {
            return;
        }
        let keys = self.key_ring();
        let ahead = self.options.key_publish_ahead;
        for key in keys.keys() {
            let moved = KeyMoved { kid: *key.kid(), by: By::Broker, at: now };
            let event = match self.next_step(&keys, key, now) {
                Some(Step::Activate) => Event::KeyActivated(moved),
                Some(Step::Retire) => Event::KeyRetired(moved),
                None => continue,
            };
            // A queue that is full is tried again at the next tick.
            moves.extend(self.commits.submit(event).ok().map(|answer| KeyMove { answer, made: None }));
        }
        for (purpose, algorithm) in NEEDED {
            let due = keys.signer(purpose, algorithm).is_some_and(|key| {
                let old = now.since(key.changed_at()) + ahead >= self.options.key_rotate_every;
                self.is_revoked(key) || (purpose == KeyPurpose::Token && old)
            });
            if due && waiting(&keys, purpose, algorithm).is_none() {
                moves.extend(self.publish_scheduled(purpose, algorithm, now));
            }
        }
    }

    /// What a key's time has come for.
    ///
    /// A revoked key is replaced at once, published or not long enough: whoever has its private half
    /// could sign whatever they like, so that it goes as soon as another one signs.
    fn next_step(&self, keys: &KeyRing, key: &RingKey, now: Timestamp) -> Option<Step> {
        let (age, revoked) = (now.since(key.changed_at()), self.is_revoked(key));
        let urgent = || keys.signer(key.purpose(), key.algorithm()).is_some_and(|key| self.is_revoked(key));
        match key.state() {
            // Its private half is lost: it would stand in the way of the next for ever.
            KeyState::Published if revoked || !key.can_sign() => Some(Step::Retire),
            KeyState::Published if age >= self.options.key_publish_ahead || urgent() => Some(Step::Activate),
            KeyState::Superseded if revoked || age >= TOKEN_TTL_MAX + CLOCK_SKEW_MAX => Some(Step::Retire),
            KeyState::Published | KeyState::Active | KeyState::Superseded => None,
        }
    }

    fn is_revoked(&self, key: &RingKey) -> bool {
        self.fold.table.watermark(Target::SigningKey(*key.kid())).is_some()
    }

    fn publish_scheduled(
        &self,
        purpose: KeyPurpose,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Option<KeyMove> {
        let made = self.make_key(purpose, algorithm, By::Broker, now);
        let event =
            made.inspect_err(|refusal| tracing::error!(%refusal, "the scheduled key could not be made"));
        let Ok(Event::KeyPublished(published)) = event else { return None };
        let kid = published.kid;
        match self.commits.submit(Event::KeyPublished(published)) {
            Ok(answer) => Some(KeyMove { answer, made: Some(kid) }),
            Err(_full) => {
                self.forget_private_half(kid);
                None
            }
        }
    }

    /// Whether what was asked for is settled; the private half of a key that was refused is removed.
    fn settled(&self, asked: &mut KeyMove) -> bool {
        match (asked.answer.try_recv(), asked.made) {
            (Err(TryRecvError::Empty), _) => false,
            (Ok(Err(_refused)), Some(kid)) => {
                self.forget_private_half(kid);
                true
            }
            _ => true,
        }
    }

    fn forget_private_half(&self, kid: KeyId) {
        if let Err(cause) = self.key_store.delete(&kid) {
            tracing::warn!(%cause, %kid, "the private half of an unpublished key could not be removed");
        }
    }

    async fn publish_key(&self, purpose: KeyPurpose, algorithm: Algorithm, by: By) -> Result<KeyId, Refusal> {
        let event = self.make_key(purpose, algorithm, by, self.now()?)?;
        let Event::KeyPublished(published) = &event else { return Err(Reason::Internal.into()) };
        let kid = published.kid;
        self.commits.commit(event).await?;
        Ok(kid)
    }

    async fn activate_key(&self, kid: KeyId, by: By) -> Result<(), Refusal> {
        let at = self.now()?;
        self.commits.commit(Event::KeyActivated(KeyMoved { kid, by, at })).await?;
        Ok(())
    }

    /// Makes a key and stores its private half before anybody can hear of the public one.
    fn make_key(
        &self,
        purpose: KeyPurpose,
        algorithm: Algorithm,
        by: By,
        at: Timestamp,
    ) -> Result<Event, Refusal> {
        let failed = |cause: &dyn std::fmt::Display| {
            tracing::error!(%cause, "a key could not be made");
            Refusal::new(Reason::Internal, "a key could not be made")
        };
        let (published, private) =
            locum_token::generate(algorithm, purpose, by, at).map_err(|cause| failed(&cause))?;
        self.key_store.save(&published.kid, &private).map_err(|cause| failed(&cause))?;
        Ok(Event::KeyPublished(published))
    }
}

/// A key's public face.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// Its id.
    pub kid: KeyId,
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was published.
    pub published_at: Timestamp,
    /// When it reached its state.
    pub changed_at: Timestamp,
}

impl KeyView {
    fn of(key: &RingKey) -> Self {
        Self {
            kid: *key.kid(),
            purpose: key.purpose(),
            algorithm: key.algorithm(),
            state: key.state(),
            published_at: key.published_at(),
            changed_at: key.changed_at(),
        }
    }
}

/// The key of this kind that is published and does not sign yet.
fn waiting(keys: &KeyRing, purpose: KeyPurpose, algorithm: Algorithm) -> Option<&RingKey> {
    let kind = (purpose, algorithm, KeyState::Published);
    keys.keys().find(|key| (key.purpose(), key.algorithm(), key.state()) == kind)
}
