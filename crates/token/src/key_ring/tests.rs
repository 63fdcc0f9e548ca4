use super::*;
use crate::key_store::MemoryKeyStore;
use crate::sample::{moved, publish};

fn states(ring: &KeyRing) -> Vec<(KeyId, KeyState)> {
    ring.keys().map(|key| (*key.kid(), key.state)).collect()
}

fn activate(ring: &mut KeyRing, store: &dyn KeyStore, kid: KeyId) -> Result<(), KeyRingError> {
    ring.apply(&Event::KeyActivated(moved(kid)), store)
}

fn retire(ring: &mut KeyRing, store: &dyn KeyStore, kid: KeyId) -> Result<(), KeyRingError> {
    ring.apply(&Event::KeyRetired(moved(kid)), store)
}

fn state(ring: &KeyRing, kid: KeyId) -> Option<KeyState> {
    ring.key(&kid).map(RingKey::state)
}

#[test]
fn a_key_is_published_then_active_then_superseded_then_gone() {
    let (mut ring, store) = (KeyRing::default(), MemoryKeyStore::default());
    let signer = |ring: &KeyRing| ring.signer(KeyPurpose::Token, Algorithm::Es256).map(|key| *key.kid());
    let first = publish(&mut ring, &store, KeyPurpose::Token, Algorithm::Es256);
    assert_eq!((state(&ring, first), signer(&ring)), (Some(KeyState::Published), None));
    activate(&mut ring, &store, first).expect("published");
    assert_eq!((state(&ring, first), signer(&ring)), (Some(KeyState::Active), Some(first)));
    let second = publish(&mut ring, &store, KeyPurpose::Token, Algorithm::Es256);
    assert_eq!(signer(&ring), Some(first), "publishing changes nothing");
    activate(&mut ring, &store, second).expect("published");
    assert_eq!(
        (state(&ring, first), state(&ring, second)),
        (Some(KeyState::Superseded), Some(KeyState::Active))
    );
    assert_eq!(signer(&ring), Some(second));
    retire(&mut ring, &store, first).expect("there");
    assert_eq!((state(&ring, first), signer(&ring)), (None, Some(second)));
    assert!(store.load(&first).is_err(), "its private half is gone too");
    retire(&mut ring, &store, second).expect("the active one too");
    assert_eq!((signer(&ring), ring.keys().count()), (None, 0));
}

#[test]
fn only_a_rival_of_the_same_purpose_and_algorithm_is_superseded() {
    let (mut ring, store) = (KeyRing::default(), MemoryKeyStore::default());
    let kinds = [
        (KeyPurpose::Token, Algorithm::Es256),
        (KeyPurpose::Token, Algorithm::Ed25519),
        (KeyPurpose::Feed, Algorithm::Es256),
        (KeyPurpose::KeysetRoot, Algorithm::Ed25519),
    ];
    let kids = kinds.map(|(purpose, algorithm)| {
        let kid = publish(&mut ring, &store, purpose, algorithm);
        activate(&mut ring, &store, kid).expect("published");
        kid
    });
    for ((purpose, algorithm), kid) in kinds.into_iter().zip(kids) {
        assert_eq!(ring.signer(purpose, algorithm).map(|key| *key.kid()), Some(kid));
    }
    activate(&mut ring, &store, kids[0]).expect("active already: nothing changes");
    assert!(states(&ring).iter().all(|(_, state)| *state == KeyState::Active));
}

#[test]
fn events_that_do_not_fit_leave_the_ring_alone() {
    let (mut ring, store) = (KeyRing::default(), MemoryKeyStore::default());
    let token = (KeyPurpose::Token, Algorithm::Es256);
    let (event, pkcs8) = generate(token.1, token.0, By::Broker, Timestamp::default()).expect("entropy");
    let first = event.kid;
    store.save(&first, &pkcs8).expect("memory");
    ring.apply(&Event::KeyPublished(event.clone()), &store).expect("new");
    activate(&mut ring, &store, first).expect("published");
    let second = publish(&mut ring, &store, token.0, token.1);
    activate(&mut ring, &store, second).expect("published");
    let third = publish(&mut ring, &store, token.0, token.1);
    retire(&mut ring, &store, third).expect("there");
    let before = states(&ring);

    let unknown = KeyId([9; 32]);
    let again = ring.apply(&Event::KeyPublished(event.clone()), &store);
    assert!(matches!(again, Err(KeyRingError::Repeated(kid)) if kid == first));
    assert!(matches!(activate(&mut ring, &store, first), Err(KeyRingError::Superseded(kid)) if kid == first));
    assert!(matches!(activate(&mut ring, &store, unknown), Err(KeyRingError::Unknown(_))));
    assert!(matches!(retire(&mut ring, &store, unknown), Err(KeyRingError::Unknown(_))));
    assert!(matches!(activate(&mut ring, &store, third), Err(KeyRingError::Retired(_))));
    assert!(matches!(retire(&mut ring, &store, third), Err(KeyRingError::Retired(_))));

    retire(&mut ring, &store, first).expect("there");
    let back = ring.apply(&Event::KeyPublished(event.clone()), &store);
    assert!(matches!(back, Err(KeyRingError::Retired(kid)) if kid == first), "it never comes back");

    let (fresh, _) = generate(token.1, token.0, By::Broker, Timestamp::default()).expect("entropy");
    let swapped = KeyPublished { public_key: event.public_key, ..fresh.clone() };
    let other_kind = KeyPublished { algorithm: Algorithm::Ed25519, ..fresh.clone() };
    let cut = KeyPublished { public_key: fresh.public_key[1..].to_vec(), ..fresh };
    for bad in [swapped, other_kind, cut] {
        let refused = ring.apply(&Event::KeyPublished(bad), &store);
        assert!(matches!(refused, Err(KeyRingError::Mismatch(_))));
    }
    assert_eq!(states(&ring), before.into_iter().filter(|(kid, _)| *kid != first).collect::<Vec<_>>());
}

#[test]
fn a_private_half_is_missed_only_when_it_is_to_sign() {
    let (mut ring, store) = (KeyRing::default(), MemoryKeyStore::default());
    let (event, pkcs8) =
        generate(Algorithm::Ed25519, KeyPurpose::Token, By::Broker, Timestamp::default()).expect("entropy");
    let kid = event.kid;
    ring.apply(&Event::KeyPublished(event), &store).expect("no private half yet");
    assert!(!ring.key(&kid).expect("published").can_sign());
    let missing = activate(&mut ring, &store, kid);
    assert!(
        matches!(&missing, Err(KeyRingError::NotLoaded { source, .. }) if source.kind() == io::ErrorKind::NotFound)
    );
    assert_eq!(missing.map_err(|error| error.reason()), Err(Reason::Internal));
    let key = ring.key(&kid).expect("active");
    assert_eq!((key.state(), key.can_sign()), (KeyState::Active, false));
    assert!(matches!(key.sign(b"x"), Err(KeyRingError::NoPrivateKey(_))));

    // The next start finds it, or finds another key under its name.
    let other = SigningKey::generate(Algorithm::Ed25519).expect("entropy");
    for (stored, loads) in [(&other[..], false), (b"garbage", false), (&pkcs8, true)] {
        store.save(&kid, stored).expect("memory");
        let mut again = ring.clone();
        assert_eq!(activate(&mut again, &store, kid).is_ok(), loads);
        assert_eq!(again.key(&kid).expect("active").can_sign(), loads);
    }
    assert!(!ring.key(&kid).expect("active").can_sign(), "the clones' parent did not change");
}

#[test]
fn a_clone_never_changes() {
    let (mut ring, store) = (KeyRing::default(), MemoryKeyStore::default());
    let kid = publish(&mut ring, &store, KeyPurpose::Token, Algorithm::Es256);
    let snapshot = ring.clone();
    activate(&mut ring, &store, kid).expect("published");
    assert_eq!(
        (state(&snapshot, kid), state(&ring, kid)),
        (Some(KeyState::Published), Some(KeyState::Active))
    );
    retire(&mut ring, &store, kid).expect("there");
    assert_eq!(state(&snapshot, kid), Some(KeyState::Published));
}

#[test]
fn the_jwk_set_has_the_token_keys_alone() {
    let (mut ring, store) = (KeyRing::default(), MemoryKeyStore::default());
    assert_eq!(ring.jwks(), r#"{"keys":[]}"#);
    let old = publish(&mut ring, &store, KeyPurpose::Token, Algorithm::Es256);
    let active = publish(&mut ring, &store, KeyPurpose::Token, Algorithm::Es256);
    let next = publish(&mut ring, &store, KeyPurpose::Token, Algorithm::Ed25519);
    let gone = publish(&mut ring, &store, KeyPurpose::Token, Algorithm::Ed25519);
    publish(&mut ring, &store, KeyPurpose::Feed, Algorithm::Es256);
    publish(&mut ring, &store, KeyPurpose::KeysetRoot, Algorithm::Es256);
    for kid in [old, active] {
        activate(&mut ring, &store, kid).expect("published");
    }
    retire(&mut ring, &store, gone).expect("there");
    let set = locum_jose::JwkSet::parse(ring.jwks().as_bytes()).expect("a set");
    let mut expected = [old, active, next].map(|kid| locum_jose::base64url::kid_text(&kid));
    expected.sort();
    assert_eq!(set.keys().map(|(kid, _)| kid).collect::<Vec<_>>(), expected);
    for kid in [old, active, next] {
        assert_eq!(set.key(&locum_jose::base64url::kid_text(&kid)), ring.key(&kid).map(RingKey::public));
    }
}

#[test]
fn a_jwk_has_the_members_of_rfc_7517() {
    let (mut ring, store) = (KeyRing::default(), MemoryKeyStore::default());
    let kid = publish(&mut ring, &store, KeyPurpose::Token, Algorithm::Ed25519);
    let (kid, x) =
        (locum_jose::base64url::kid_text(&kid), ring.key(&kid).expect("there").public().as_bytes());
    let x = locum_jose::base64url::encode(x);
    assert_eq!(
        ring.jwks(),
        format!(
            r#"{{"keys":[{{"crv":"Ed25519","kty":"OKP","x":"{x}","kid":"{kid}","use":"sig","alg":"EdDSA"}}]}}"#
        )
    );
}

#[test]
fn no_private_byte_is_shown() {
    let (mut ring, store) = (KeyRing::default(), MemoryKeyStore::default());
    let kid = publish(&mut ring, &store, KeyPurpose::Token, Algorithm::Ed25519);
    let pkcs8 = store.load(&kid).expect("saved");
    let seed = format!("{:?}", &pkcs8[16..48]);
    let shown = format!("{ring:?} {:?}", ring.key(&kid));
    assert!(ring.key(&kid).expect("there").can_sign() && !shown.contains(seed.trim_matches(['[', ']'])));
}
