//! What a signer of ours was made to sign: lines 19, 20, 22 and 23.

use locum_model::limits::TOKEN_TTL_MAX;
use serde_json::{Value, json};

use super::{Entry, Parts, Seeds, signed, signed_bytes};

pub(super) fn entries(seeds: &Seeds<'_>, good: &Parts<'_>) -> Vec<Entry> {
    let header = good.header_with("", "");
    let claims: Value = serde_json::from_str(&good.payload).expect("JSON");
    let own = |payload: &str| signed(seeds.own, &header, payload);
    // In its place, so that nothing but the one value is another.
    let with = |name: &str, json: &str| {
        let old = format!(r#""{name}":{}"#, claims[name]);
        assert!(good.payload.contains(&old), "{name} stands there once");
        own(&good.payload.replacen(&old, &format!(r#""{name}":{json}"#), 1))
    };
    let without = |name: &str| own(&good.payload.replacen(&format!(r#","{name}":{}"#, claims[name]), "", 1));
    let mut all = Vec::new();
    let number = |name: &str| claims[name].as_i64().expect("a number");
    let (issued, ends) = (number("iat"), number("exp"));
    let text = json!(ends.to_string()).to_string();
    let fraction = format!("{ends}.0");
    let power = format!("{ends}e0");
    let list = format!("[{ends}]");
    let values = [
        &text,
        &fraction,
        &power,
        &list,
        "1e400",
        "1e3",
        "-1",
        "0",
        "-0",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "253402300800",
        "null",
        "true",
        "{}",
        r#""""#,
    ];
    for name in ["exp", "nbf", "iat"] {
        // A time before its issue that would be fine for a start is no time to end.
        let plausible = |value: &&str| name == "exp" || !matches!(*value, "0" | "-0" | "-1");
        for value in values.into_iter().filter(plausible) {
            all.push(Entry::new(19, format!("{name} {value}"), with(name, value)));
        }
        all.push(Entry::new(19, format!("no {name}"), without(name)));
    }
    let twice = format!(r#"{},"exp":{}}}"#, &good.payload[..good.payload.len() - 1], ends + 60);
    all.push(Entry::new(19, "exp twice", own(&twice)));
    let cap = i64::try_from(TOKEN_TTL_MAX.as_secs()).expect("minutes");
    for (name, end) in
        [("a second", issued + cap + 1), ("a day", issued + 86_400), ("ten years", issued + 315_360_000)]
    {
        all.push(Entry::new(20, format!("{name} beyond"), with("exp", &end.to_string())));
    }
    let issuer = claims["iss"].as_str().expect("a text");
    let audience = claims["aud"].as_str().expect("a text");
    for (line, name, right) in [(22, "iss", issuer), (23, "aud", audience)] {
        let mut capital = right.to_owned();
        capital.replace_range(8..9, &right[8..9].to_ascii_uppercase());
        for (what, json) in [
            ("a slash more", json!(format!("{right}/"))),
            ("another case", json!(capital)),
            ("another scheme", json!(right.replace("https", "http"))),
            ("a homoglyph", json!(right.replacen('e', "\u{435}", 1))),
            ("a space after", json!(format!("{right} "))),
            ("a NUL after", json!(format!("{right}\0"))),
            ("a prefix", json!(right[..right.len() - 1])),
            ("a list of it", json!([right])),
            ("among others", json!([right, "https://evil.test"])),
            ("an empty list", json!([])),
            ("empty", json!("")),
            ("an object", json!({right: true})),
            ("null", json!(null)),
            ("another", json!("https://evil.test")),
        ] {
            all.push(Entry::new(line, what, with(name, &json.to_string())));
        }
        all.push(Entry::new(line, "missing", without(name)));
    }
    all.push(Entry::new(23, "another audience's good token", seeds.elsewhere.to_owned()));
    // Siblings: a payload that is not what a signer of ours writes.
    for (what, payload) in [
        ("a space", good.payload.replacen(',', ", ", 1)),
        ("a claim more", format!(r#"{},"admin":true}}"#, &good.payload[..good.payload.len() - 1])),
        ("iss twice", format!(r#"{},"iss":{}}}"#, &good.payload[..good.payload.len() - 1], json!(issuer))),
        ("a list of it", format!("[{}]", good.payload)),
        ("something after it", format!("{}{{}}", good.payload)),
        ("no JSON", "claims".to_owned()),
    ] {
        all.push(Entry::new(22, format!("the claims, {what}"), own(&payload)));
    }
    let bytes = [&good.payload.as_bytes()[..good.payload.len() - 1], b",\"x\":\"\xff\"}"].concat();
    all.push(Entry::new(22, "the claims, no UTF-8", signed_bytes(seeds.own, header.as_bytes(), &bytes)));
    all
}
