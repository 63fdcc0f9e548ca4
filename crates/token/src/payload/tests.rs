use proptest::prelude::*;

use super::*;
use crate::sample::{ISSUER, any_record, record, scope};
use locum_model::standing::Actor;
use locum_model::{OwnerNo, WorkloadNo};

const KID: KeyId = KeyId([9; 32]);

#[test]
fn a_plain_payload_is_pinned_to_the_byte() {
    let payload = write(&Claims::of(ISSUER, &record(KID)));
    let expected = concat!(
        r#"{"jti":"5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a","iss":"https://locum.test","#,
        r#""aud":"https://orders.acme.test","sub":"spiffe://acme.test/agents/refunder","#,
        r#""client_id":"spiffe://acme.test/agents/refunder","#,
        r#""iat":1795305279,"nbf":1795305274,"exp":1795305399,"scope":"orders:read","#,
        r#""locum":"AQAAAQAAAAIAAAAFRk4AAAABAAAABAAAAAUAAAAGAQAAAAcAAAADAQAAAAIBAAEAAAAAACo"}"#,
    );
    assert_eq!(payload, expected);
}

#[test]
fn every_optional_claim_has_its_place_and_form() {
    let mut record = record(KID);
    record.scope = scope(&[
        ("orders:read", &[]),
        ("orders:refund", &["order/1", "order/2"]),
        ("orders:void", &["order/1", "order/2"]),
        ("crm:note", &["customer/*"]),
    ]);
    record.confirmation = Some(Confirmation::Certificate([0; 32]));
    let first = Actor { workload: WorkloadNo(1), owner: OwnerNo(1), model: None };
    record.standing.actors.insert(0, first);
    record.standing.actors.insert(1, Actor { workload: WorkloadNo(2), ..first });
    let payload = write(&Claims::of(ISSUER, &record));
    let expected = concat!(
        r#""scope":"crm:note orders:read orders:refund orders:void","authorization_details":["#,
        r#"{"type":"locum","connector":"crm","actions":["note"],"resources":["customer/*"]},"#,
        r#"{"type":"locum","connector":"orders","actions":["refund","void"],"resources":["order/1","order/2"]}],"#,
        r#""cnf":{"x5t#S256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"#,
        r#""act":{"sub":"spiffe://acme.test/agents/refunder","act":{"sub":"workload-2","act":{"sub":"workload-1"}}},"#,
        r#""locum":""#,
    );
    assert!(payload.contains(expected), "{payload}");
    record.confirmation = Some(Confirmation::Key([0; 32]));
    let payload = write(&Claims::of(ISSUER, &record));
    assert!(payload.contains(r#""cnf":{"jkt":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#), "{payload}");
    assert_eq!(read(payload.as_bytes(), KID), Ok(Claims::of(ISSUER, &record)));
}

/// What reading gives after `from` was replaced by `to` in the fullest payload.
fn edited(from: &str, to: &str) -> Result<Claims, ClaimFault> {
    let mut record = record(KID);
    record.scope = scope(&[("orders:read", &[]), ("orders:refund", &["order/1", "order/2"])]);
    record.confirmation = Some(Confirmation::Key([0; 32]));
    let first = Actor { workload: WorkloadNo(1), owner: OwnerNo(1), model: None };
    record.standing.actors.insert(0, first);
    let payload = write(&Claims::of(ISSUER, &record));
    assert!(payload.contains(from), "{from} is not in {payload}");
    read(payload.replacen(from, to, 1).as_bytes(), KID)
}

#[test]
fn times_are_integers_in_bounds() {
    for claim in ["exp", "iat", "nbf"] {
        let value = match claim {
            "exp" => "1795305399",
            "iat" => "1795305279",
            _ => "1795305274",
        };
        for bad in [
            format!("\"{value}\""),
            "1e400".into(),
            "-1".into(),
            "9007199254740993".into(),
            "9223372036854775808".into(),
            "18446744073709551616".into(),
            "9223372036854775807".into(),
            "null".into(),
            "true".into(),
            format!("[{value}]"),
            format!("{value}.0"),
            format!("{value}e0"),
            format!("+{value}"),
            format!("0{value}"),
            "{}".into(),
            "1e9".into(),
        ] {
            let refused = edited(&format!("\"{claim}\":{value}"), &format!("\"{claim}\":{bad}"));
            assert!(refused.is_err(), "{claim}: {bad}");
        }
        assert_eq!(edited(&format!("\"{claim}\":{value},"), ""), Err(ClaimFault::Malformed(claim)));
    }
}

#[test]
fn every_claim_is_a_text_and_there() {
    for (claim, value) in [
        ("jti", "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"),
        ("iss", "https://locum.test"),
        ("aud", "https://orders.acme.test"),
        ("sub", "spiffe://acme.test/agents/refunder"),
        ("client_id", "spiffe://acme.test/agents/refunder"),
        ("scope", "orders:read orders:refund"),
    ] {
        let written = format!("\"{claim}\":\"{value}\",");
        for bad in ["", "7", "null", "{}", "[]", "\"\"", &format!("[\"{value}\"]")] {
            let to = if bad.is_empty() { String::new() } else { format!("\"{claim}\":{bad},") };
            assert_eq!(edited(&written, &to), Err(ClaimFault::Malformed(claim)), "{claim}: {bad}");
        }
    }
    assert_eq!(edited("\"locum\":\"", "\"locum\":\"="), Err(ClaimFault::Malformed("locum")));
    assert_eq!(edited(",\"locum\":", ",\"locul\":"), Err(ClaimFault::Malformed("locum")));
}

#[test]
fn a_second_spelling_is_refused() {
    for (from, to) in [
        (r#"{"jti""#, r#" {"jti""#),
        (r#","iss""#, r#", "iss""#),
        ("https://locum.test", r"https:\/\/locum.test"),
        ("https://locum.test", r"https://locum.t\u0065st"),
        ("5a5a", "5A5A"),
        ("orders:read orders:refund", "orders:refund orders:read"),
        ("orders:read orders:refund", "orders:read  orders:refund"),
        (r#""order/1","order/2""#, r#""order/2","order/1""#),
        (r#""order/1","order/2""#, r#""order/1","order/2","order/2""#),
        (r#""actions":["refund"]"#, r#""actions":["void"]"#),
        (r#""actions":["refund"]"#, r#""actions":["refund","void"]"#),
        (r#""actions":["refund"]"#, r#""actions":[]"#),
        (r#""actions":["refund"]"#, r#""actions":["refund","refund"]"#),
        (r#""resources":["order/1","order/2"]"#, r#""resources":[]"#),
        (r#""resources":["order/1","order/2"]"#, r#""resources":["../x"]"#),
        (r#""type":"locum""#, r#""type":"other""#),
        (r#""connector":"orders""#, r#""connector":"crm""#),
        (r#""cnf":{"jkt""#, r#""cnf":{"x5t""#),
        (r#""cnf":{"jkt":""#, r#""cnf":{"x5t#S256":"AA","jkt":""#),
        (r#""act":{"sub":"spiffe"#, r#""act":{"sub":"Spiffe"#),
        (r#""act":{"sub":"workload-1"}"#, r#""act":{"sub":"workload-2"}"#),
        (r#","act":{"sub":"workload-1"}"#, ""),
        (r#","scope""#, r#","extra":1,"scope""#),
        (r#","scope""#, r#","may_act":{"sub":"x"},"scope""#),
        (r#","iat""#, r#","iat":1795305279,"iat""#),
        (r#"{"jti""#, r#"{"exp":1795305399,"jti""#),
    ] {
        assert!(edited(from, to).is_err(), "{from} -> {to}");
    }
}

#[test]
fn no_resources_never_read_as_all_of_them() {
    let refused = edited(r#""resources":["order/1","order/2"]"#, r#""resources":[]"#);
    assert_eq!(refused, Err(ClaimFault::Malformed("authorization_details")));
}

#[test]
fn lives_are_bounded() {
    assert!(edited("1795305399", &format!("{}", 1_795_305_279 + 900)).is_ok());
    assert_eq!(edited("1795305399", &format!("{}", 1_795_305_279 + 901)), Err(ClaimFault::LifeTooLong));
    assert_eq!(edited("1795305399", "1795305279"), Err(ClaimFault::Malformed("exp")), "no life at all");
    assert_eq!(edited("\"nbf\":1795305274", "\"nbf\":1795305399"), Err(ClaimFault::Malformed("nbf")));
}

/// Both ways of reading, each by itself.
fn both_ways(payload: &[u8]) -> (Option<Claims>, Option<Claims>) {
    let judged = |claims| judged(claims, payload).ok();
    (in_place(payload, KID).and_then(judged), members(payload, KID).ok().and_then(judged))
}

proptest! {
    #[test]
    fn found_in_place_or_by_member_they_are_the_same(record in any_record(), at in 0_usize..2_000, byte in any::<u8>()) {
        let claims = Claims { kid: KID, ..Claims::of(ISSUER, &record) };
        let mut payload = write(&claims).into_bytes();
        let (found, parsed) = both_ways(&payload);
        let has_escape = payload.contains(&b'\\');
        prop_assert_eq!(found, (!has_escape).then(|| claims.clone()));
        prop_assert_eq!(parsed, Some(claims));
        let at = at % payload.len();
        payload[at] = byte;
        let (found, parsed) = both_ways(&payload);
        prop_assert!(found.is_none() || found == parsed);
    }

    #[test]
    fn claims_survive_their_payload(record in any_record(), canary in any::<bool>()) {
        let mut claims = Claims { kid: KID, ..Claims::of(ISSUER, &record) };
        claims.canary = canary;
        let payload = write(&claims);
        prop_assert_eq!(&write(&claims), &payload);
        prop_assert_eq!(read(payload.as_bytes(), KID), Ok(claims));
    }

    #[test]
    fn no_payload_makes_it_panic(bytes in any::<Vec<u8>>()) {
        prop_assert!(read(&bytes, KID).is_err());
    }

    #[test]
    fn a_changed_byte_is_another_payload_or_none(at in 0_usize..400, byte in any::<u8>()) {
        let claims = Claims::of(ISSUER, &record(KID));
        let mut payload = write(&claims).into_bytes();
        let at = at % payload.len();
        prop_assume!(payload[at] != byte);
        payload[at] = byte;
        if let Ok(read) = read(&payload, KID) {
            prop_assert_ne!(read, claims);
        }
    }
}
