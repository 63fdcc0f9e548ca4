use locum_model::registry::Algorithm;
use proptest::prelude::*;

use super::*;
use crate::sample::{any_record, record, ring, signer, token};

#[test]
fn the_id_is_in_its_place_for_both_algorithms() {
    let ring = ring();
    for algorithm in [Algorithm::Es256, Algorithm::Ed25519] {
        let record = record(*signer(&ring, algorithm).kid());
        assert_eq!(jti_of(&token(&ring, &record)), Some(record.jti));
    }
}

#[test]
fn what_is_not_in_its_place_is_not_there() {
    let ring = ring();
    let good = token(&ring, &record(*signer(&ring, Algorithm::Es256).kid()));
    for length in 0..PAYLOAD_AT + OPENING.len() + DIGITS_TEXT_BYTES {
        assert_eq!(jti_of(&good[..length]), None, "{length}");
    }
    assert_eq!(jti_of(&format!("A{good}")), None);
    assert_eq!(jti_of(&good[1..]), None);
    assert_eq!(jti_of(&good.replacen("eyJqdGki", "eyJqdGkj", 1)), None);
    assert_eq!(jti_of(&format!("{}é{}", &good[..PAYLOAD_AT], &good[PAYLOAD_AT..])), None);
    let longer = format!("{{\"jti\":\"{}\",", "5a".repeat(17));
    assert_eq!(jti_of(&format!("{}{}", &good[..PAYLOAD_AT], base64url::encode(longer))), None);
    for at in PAYLOAD_AT..PAYLOAD_AT + OPENING.len() + DIGITS_TEXT_BYTES {
        let mut text = good.clone();
        text.replace_range(at..=at, "*");
        assert_eq!(jti_of(&text), None, "{at}");
    }
}

proptest! {
    #[test]
    fn every_id_is_found(record in any_record()) {
        let claims = crate::Claims::of("https://locum.test", &record);
        let text = format!("{}.{}", "A".repeat(header::TEXT_BYTES), base64url::encode(crate::payload::write(&claims)));
        prop_assert_eq!(jti_of(&text), Some(record.jti));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[\\PC.]{100,200}") {
        let _ = jti_of(&text);
    }
}
