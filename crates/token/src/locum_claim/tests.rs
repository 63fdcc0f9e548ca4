use proptest::prelude::*;

use super::*;
use crate::sample::{ISSUER, any_record, record};
use locum_model::limits::{
    CLOCK_SKEW_MAX, FEED_ENTRIES_PER_FRAME, FEED_UNREAD_LOOKS_MAX, FEED_UPKEEP, TOKEN_TTL_MAX,
    VERIFIER_NONCES_MAX, VERIFIER_WATERMARKS_MAX,
};
use locum_model::{KeyId, Level};

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

/// What others build their verifiers from.
const PAGE: &str = include_str!("../../../../docs/reference/verifier.md");

#[test]
fn the_page_for_other_verifiers_says_the_same_bytes() {
    let cells = PAGE.lines().filter_map(|line| line.strip_suffix("` |")?.rsplit_once("| `"));
    let told: String = cells.map(|(_, hex)| hex).collect();
    let hex: String = encode(&claims()).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(told, hex);
}

#[test]
fn the_page_for_other_verifiers_names_every_level() {
    for level in Level::ALL {
        let row = format!("| {} {} | ", level as u8, level.as_str());
        assert_eq!(PAGE.matches(&row).count(), 1, "{row}");
    }
    assert_eq!(
        PAGE.lines().filter(|line| line.contains(" | its own |") || line.contains(" | every ")).count(),
        Level::ALL.len()
    );
}

#[test]
fn the_page_for_other_verifiers_says_the_bounds() {
    let grouped = |n: usize| {
        let digits = n.to_string();
        let from_end = digits.as_bytes().rchunks(3).rev().map(|d| String::from_utf8_lossy(d).into_owned());
        from_end.collect::<Vec<_>>().join(",")
    };
    for bound in [
        format!("{} entries at most", grouped(VERIFIER_WATERMARKS_MAX)),
        format!("{} in a frame", grouped(FEED_ENTRIES_PER_FRAME)),
        format!("{VERIFIER_NONCES_MAX} nonces"),
        format!("most {} min after `iat`", TOKEN_TTL_MAX.as_secs() / 60),
        format!("more than {} s apart", CLOCK_SKEW_MAX.as_secs()),
        format!("read of for {} s", (FEED_UPKEEP * FEED_UNREAD_LOOKS_MAX).as_secs()),
        format!("how many actors, 1 to {ACTORS_MAX};"),
        format!("how many tasks, 1 to {TASK_DEPTH_MAX};"),
    ] {
        assert!(PAGE.contains(&bound), "{bound}");
    }
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
