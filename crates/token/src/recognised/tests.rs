use locum_model::KeyId;
use proptest::prelude::*;

use super::*;
use crate::sample::{ISSUER, any_record, record};

const KID: KeyId = KeyId([9; 32]);

fn compact(kid: &KeyId, payload: &str) -> String {
    let header = header::text(locum_jose::SignatureAlgorithm::Es256, kid);
    format!("{header}.{}.{}", base64url::encode(payload), "A".repeat(86))
}

fn plain() -> String {
    payload::write(&Claims::of(ISSUER, &record(KID)))
}

/// All that it tells, in words of its own.
fn told(of: &Recognised) -> String {
    let grants: Vec<(&str, Vec<&str>)> =
        of.grants().map(|(operation, of)| (operation, of.collect())).collect();
    let texts = [of.jti(), of.audience(), of.subject(), of.client_id()];
    format!(
        "{texts:?} {grants:?} {:?} {:?} {:?} {:?}",
        of.issued_at(),
        of.expires_at(),
        of.confirmation(),
        of.rests
    )
}

#[test]
fn a_payload_is_found_in_place() {
    let claims = Claims::of(ISSUER, &record(KID));
    let found = in_place(&compact(&KID, &plain())).expect("ours");
    assert_eq!(told(&found), told(&Recognised::of(&claims)));
    assert_eq!(found.jti(), claims.jti.to_string());
    assert_eq!((found.audience(), found.subject()), (claims.audience.as_str(), claims.subject.as_str()));
    assert_eq!((found.task(), found.root_task()), (claims.task(), claims.tasks[0]));
    assert_eq!((found.issued_at(), found.expires_at()), (claims.issued_at, claims.expires_at));
    assert_eq!(found.connector(), claims.standing.connector);
}

#[test]
fn what_stands_elsewhere_is_not_mistaken() {
    let plain = plain();
    for (from, to) in [
        (r#""scope":"#, r#""scope":"x:y","scope":"#),
        (r#"refunder","iat""#, r#"ref\"nder","iat""#),
        (r#","exp":1"#, r#","exp":"1"#),
        (r#","iat":"#, r#","iat":,"#),
        (r#","locum":""#, r#","cnf":{"x5t":"AA"},"locum":""#),
        (r#","locum":""#, r#","act":{"sub":"x","locum":""#),
        ("}", ",\"more\":1}"),
        ("}", ""),
    ] {
        assert_eq!(in_place(&compact(&KID, &plain.replacen(from, to, 1))), None, "{to}");
    }
}

/// Whoever is not ours to name may have any text: a quote in it ends nothing.
#[test]
fn a_subject_with_quotes_and_names_of_claims_in_it_stays_a_subject() {
    let mut odd = record(KID);
    odd.subject = r#"x","client_id":"spiffe://evil.test/a","iat":1,"scope":"all:all" \ é"#.to_owned();
    let found = Recognised::read(&compact(&KID, &payload::write(&Claims::of(ISSUER, &odd)))).expect("ours");
    assert_eq!(found.subject(), odd.subject);
    assert_eq!(found.client_id(), odd.client_id.as_str());
    assert_eq!(found.scope(), Some(odd.scope));
}

proptest! {
    #[test]
    fn it_tells_what_a_full_reading_tells(record in any_record()) {
        let claims = Claims::of(ISSUER, &record);
        let compact = compact(&claims.kid, &payload::write(&claims));
        let found = Recognised::read(&compact).expect("ours");
        prop_assert_eq!(told(&found), told(&Recognised::of(&read(&compact).expect("ours"))));
        prop_assert_eq!(found.subject(), &claims.subject);
        prop_assert_eq!(found.scope(), Some(claims.scope.clone()));
        let of_scope: Vec<(String, Vec<String>)> = claims.scope.grants().map(|(operation, resources)| {
            (operation.to_string(), resources.patterns().map(ToString::to_string).collect())
        }).collect();
        let told_grants: Vec<(String, Vec<String>)> = found.grants().map(|(operation, resources)| {
            (operation.to_owned(), resources.map(str::to_owned).collect())
        }).collect();
        prop_assert_eq!(told_grants, of_scope);
        let escaped = |char| matches!(char, '"' | '\\' | '\0'..'\x20');
        let escapes = [&claims.audience, &claims.subject].iter().any(|text| text.contains(escaped));
        prop_assert_eq!(in_place(&compact).is_none(), escapes, "the long way is for escapes alone");
    }

    #[test]
    fn other_bytes_do_no_harm(text in ".{0,400}", at in 0_usize..500, byte in any::<u8>()) {
        let tell = |compact: &str| Recognised::read(compact).is_ok_and(|found| {
            let _ = found.scope();
            told(&found).is_empty()
        });
        prop_assert!(!tell(&text) && !tell(&compact(&KID, &text)));
        let mut bytes = compact(&KID, &plain()).into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte & 0x7f;
        prop_assert!(!tell(std::str::from_utf8(&bytes).expect("ASCII")));
        let mut payload = plain().into_bytes();
        let at = at % payload.len();
        payload[at] = byte & 0x7f;
        prop_assert!(!tell(&compact(&KID, std::str::from_utf8(&payload).expect("ASCII"))));
    }
}
