use locum_model::event::{By, KeyMoved};
use locum_model::registry::Algorithm;
use locum_model::standing::Actor;
use locum_model::{Event, KeyId, OwnerNo, TaskId, Timestamp, TokenId, WorkloadNo};

use super::*;
use crate::key_store::MemoryKeyStore;
use crate::sample::{EXPIRES_AT, ISSUER, moved, part, publish, record, ring, scope, signer, token};

fn outcome(ring: &KeyRing, record: &IssueRecord) -> Result<SignedToken, Reason> {
    sign(ring, ISSUER, &Live::assertion(record.clone())).map_err(|error| error.reason())
}

fn drafted(record: &IssueRecord) -> Result<Draft, SignError> {
    Draft::of(ISSUER, &Arc::new(record.clone()))
}

#[test]
fn a_draft_is_signed_for_its_own_record_alone() {
    let ring = ring();
    let record = Arc::new(record(*signer(&ring, Algorithm::Es256).kid()));
    let draft = Draft::of(ISSUER, &record).expect("it fits");
    let live = |record: &IssueRecord| Live::assertion(record.clone());
    let signed = draft.sign(&ring, &Live::assertion(Arc::clone(&record))).expect("its own");
    assert_eq!(signed.compact().split('.').nth(1), token(&ring, &record).split('.').nth(1));
    assert!(draft.sign(&ring, &live(&record)).is_ok(), "the same record, elsewhere in memory");
    let changes: [fn(&mut IssueRecord); 4] = [
        |record| record.jti = TokenId([8; 16]),
        |record| record.scope = scope(&[("orders:refund", &[])]),
        |record| record.expires_at = record.expires_at.minus(std::time::Duration::from_secs(1)),
        |record| record.request = None,
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut other = IssueRecord::clone(&record);
        other.request = Some(locum_model::issue_record::RequestKey { id: "one".into(), hash: [1; 32] });
        let draft = Draft::of(ISSUER, &Arc::new(other.clone())).expect("it fits");
        change(&mut other);
        assert!(matches!(draft.sign(&ring, &live(&other)), Err(SignError::OtherRecord)), "change {at}");
    }
}

#[test]
fn a_token_is_its_record_under_the_records_key() {
    let ring = ring();
    for (algorithm, alg) in [(Algorithm::Es256, "ES256"), (Algorithm::Ed25519, "EdDSA")] {
        let key = signer(&ring, algorithm);
        let signed = outcome(&ring, &record(*key.kid())).expect("it fits");
        assert_eq!((signed.jti(), signed.expires_at()), (record(*key.kid()).jti, EXPIRES_AT));
        let kid = crate::kid_text(key.kid());
        assert_eq!(part(signed.compact(), 0), format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"at+jwt"}}"#));
    }
}

#[test]
fn a_retry_signs_identical_claims() {
    let ring = ring();
    let record = record(*signer(&ring, Algorithm::Es256).kid());
    let (first, second) = (token(&ring, &record), token(&ring, &record));
    let input = |text: &str| text.rsplit_once('.').map(|(input, _)| input.to_owned());
    assert_eq!(input(&first), input(&second));
}

#[test]
fn a_key_signs_when_active_or_superseded() {
    let (mut ring, store) = (KeyRing::default(), MemoryKeyStore::default());
    let first = publish(&mut ring, &store, KeyPurpose::Token, Algorithm::Es256);
    let second = publish(&mut ring, &store, KeyPurpose::Token, Algorithm::Es256);
    let feed = publish(&mut ring, &store, KeyPurpose::Feed, Algorithm::Es256);
    let apply = |ring: &mut KeyRing, event| ring.apply(&event, &store).expect("it fits");
    apply(&mut ring, Event::KeyActivated(moved(feed)));
    assert_eq!(outcome(&ring, &record(first)), Err(Reason::Internal), "only published");
    apply(&mut ring, Event::KeyActivated(moved(first)));
    assert!(outcome(&ring, &record(first)).is_ok());
    apply(&mut ring, Event::KeyActivated(moved(second)));
    assert!(outcome(&ring, &record(first)).is_ok(), "a retry of what was decided before");
    assert_eq!(outcome(&ring, &record(feed)), Err(Reason::Internal), "not a token key");
    assert_eq!(outcome(&ring, &record(KeyId([1; 32]))), Err(Reason::Internal), "no such key");
    let retired = KeyMoved { kid: first, by: By::Broker, at: Timestamp::default() };
    apply(&mut ring, Event::KeyRetired(retired));
    assert_eq!(outcome(&ring, &record(first)), Err(Reason::Internal), "retired");
}

#[test]
fn what_does_not_fit_is_refused_before_signing() {
    let ring = ring();
    let mut record = record(*signer(&ring, Algorithm::Es256).kid());
    let at_length = |record: &IssueRecord| outcome(&ring, record).map(|token| token.compact().len());
    let mut longest = 0;
    for padding in 0..1200 {
        record.subject = "s".repeat(padding + 1);
        match at_length(&record) {
            Ok(length) => longest = longest.max(length),
            Err(reason) => {
                assert_eq!(reason, Reason::TokenTooLarge);
                assert!(matches!(
                    drafted(&record),
                    Err(SignError::TooLarge { length }) if length > ISSUED_TOKEN_BYTES_MAX
                ));
                break;
            }
        }
        assert!(drafted(&record).is_ok());
    }
    assert!((ISSUED_TOKEN_BYTES_MAX - 1..=ISSUED_TOKEN_BYTES_MAX).contains(&longest), "{longest}");
}

#[test]
fn a_full_chain_of_common_length_fits() {
    let ring = ring();
    let mut record = record(*signer(&ring, Algorithm::Es256).kid());
    record.tasks = (1..=8).map(|count| TaskId::new(1, count)).collect();
    let actor = |number| Actor { workload: WorkloadNo(number), owner: OwnerNo(number), model: None };
    record.standing.actors = vec![actor(1), actor(2), actor(7)];
    record.confirmation = Some(locum_model::Confirmation::Certificate([1; 32]));
    record.scope = scope(&[("orders:read", &[]), ("orders:refund", &["order/4711"])]);
    assert!(token(&ring, &record).len() <= ISSUED_TOKEN_BYTES_MAX);
}

#[test]
fn a_record_that_no_token_may_say_is_refused() {
    let ring = ring();
    let good = record(*signer(&ring, Algorithm::Es256).kid());
    let seconds = |offset: i64| Timestamp::from_seconds(good.issued_at.as_seconds() + offset);
    let actor = good.standing.actors[0];
    let changes: [fn(&mut IssueRecord); 9] = [
        |record| record.audience.clear(),
        |record| record.audience = "a".repeat(193),
        |record| record.subject.clear(),
        |record| record.tasks.clear(),
        |record| record.tasks = vec![TaskId::new(1, 1); 9],
        |record| record.standing.actors.clear(),
        |record| record.scope = locum_model::Scope::default(),
        |record| record.decided_at.sequence = 1 << 48,
        |record| record.issued_at = Timestamp::from_millis(record.issued_at.as_millis() + 1),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad);
        assert_eq!(outcome(&ring, &bad), Err(Reason::Internal), "change {at}");
        assert!(matches!(drafted(&bad), Err(SignError::Record(_))), "change {at}");
    }
    let crowded = IssueRecord {
        standing: locum_model::Standing { actors: vec![actor; 4], ..good.standing.clone() },
        ..good.clone()
    };
    assert_eq!(outcome(&ring, &crowded), Err(Reason::Internal));
    for (not_before, expires_at, fits) in [
        (seconds(0), seconds(900), true),
        (seconds(0), seconds(901), false),
        (seconds(0), seconds(0), false),
        (seconds(0), seconds(-1), false),
        (seconds(60), seconds(60), false),
    ] {
        let record = IssueRecord { not_before, expires_at, ..good.clone() };
        assert_eq!(outcome(&ring, &record).is_ok(), fits, "{not_before} {expires_at}");
    }
    assert!(sign(&ring, "", &Live::assertion(good)).is_err(), "no issuer");
}
