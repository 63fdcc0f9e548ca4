use proptest::prelude::*;

use super::*;
use crate::sample::{ISSUER, any_record, record};
use locum_model::KeyId;

fn claims() -> Claims {
    Claims::of(ISSUER, &record(KeyId([0; 32])))
}

#[test]
fn version_1_is_pinned_to_the_byte() {
    let mut claims = claims();
    claims.online_only = true;
    let expected = [
        "0101",
        "0001",
        "00000002",
        "00000005464e",
        "00000001",
        "00000004",
        "00000005",
        "00000006",
        "01",
        "00000007",
        "00000003",
        "0100000002",
        "01",
        "000100000000002a",
    ]
    .concat();
    let hex: String = encode(&claims).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, expected);
}

#[test]
fn other_versions_and_unknown_flags_are_not_read() {
    let good = encode(&claims());
    assert!(decode(&good).is_some());
    for (at, value) in [(0, 0), (0, 2), (0, 255), (1, 8), (1, 128), (1, 255)] {
        let mut bytes = good.clone();
        bytes[at] = value;
        assert_eq!(decode(&bytes), None, "byte {at} = {value}");
    }
}

#[test]
fn a_part_of_it_or_more_than_it_is_not_read() {
    let good = encode(&claims());
    for length in 0..good.len() {
        assert_eq!(decode(&good[..length]), None, "{length}");
    }
    assert_eq!(decode(&[&good[..], &[0]].concat()), None);
    // A model is there or not; 2 is neither.
    let mut bytes = good;
    let model = 2 + 2 + 4 + 6 + 16 + 1 + 8;
    assert_eq!(bytes[model], 1);
    bytes[model] = 2;
    assert_eq!(decode(&bytes), None);
}

proptest! {
    #[test]
    fn it_survives_its_bytes(record in any_record()) {
        let claims = Claims::of(ISSUER, &record);
        let read = decode(&encode(&claims)).expect("our own");
        prop_assert_eq!((read.standing, read.tasks), (claims.standing, claims.tasks));
        prop_assert_eq!(read.decided_at, claims.decided_at);
        prop_assert_eq!(
            (read.online_only, read.single_use, read.canary),
            (claims.online_only, claims.single_use, claims.canary)
        );
    }

    #[test]
    fn no_two_byte_strings_mean_the_same(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let bytes = [&[1, 0][..], &bytes].concat();
        if let Some(read) = decode(&bytes) {
            let mut claims = claims();
            (claims.standing, claims.tasks, claims.decided_at) = (read.standing, read.tasks, read.decided_at);
            prop_assert_eq!(encode(&claims), bytes);
        }
    }
}
