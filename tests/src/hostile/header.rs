//! What stands in the header: lines 1 to 10.

use locum_jose::base64url;
use serde_json::json;

use super::{Entry, Parts, Seeds, signed};

pub(super) fn entries(seeds: &Seeds<'_>, good: &Parts<'_>) -> Vec<Entry> {
    let mut all = Vec::new();
    algorithms(seeds, good, &mut all);
    kids(seeds, good, &mut all);
    members(seeds, good, &mut all);
    all
}

fn algorithms(seeds: &Seeds<'_>, good: &Parts<'_>, all: &mut Vec<Entry>) {
    let own = |header: &str| signed(seeds.own, header, &good.payload);
    for none in ["none", "None", "NONE", "nOnE"] {
        let header = good.header_with("alg", &json!(none).to_string());
        let bare = json!({"alg": none, "typ": "at+jwt"}).to_string();
        for (how, header) in [("with kid", header), ("without kid", bare)] {
            let head = base64url::encode(&header);
            all.push(Entry::new(1, format!("{none} {how}, unsigned"), format!("{head}.{}.", good.body)));
            let token = format!("{head}.{}.{}", good.body, good.signature);
            all.push(Entry::new(1, format!("{none} {how}, the old signature"), token));
            all.push(Entry::new(1, format!("{none} {how}, signed"), own(&header)));
        }
    }
    let others = ["ES256", "EdDSA", "RS256", "PS256", "RS384", "PS512", "ES384", "ES256K", "ES512"];
    for alg in others.into_iter().filter(|alg| *alg != good.alg()) {
        let header = good.header_with("alg", &json!(alg).to_string());
        all.push(Entry::new(2, format!("{alg}, signed"), own(&header)));
        let token = format!("{}.{}.{}", base64url::encode(&header), good.body, good.signature);
        all.push(Entry::new(2, format!("{alg}, the old signature"), token));
    }
    for (alg, algorithm) in [
        ("HS256", ring::hmac::HMAC_SHA256),
        ("HS384", ring::hmac::HMAC_SHA384),
        ("HS512", ring::hmac::HMAC_SHA512),
    ] {
        // The classic: what everybody knows of the key, taken for a secret.
        let public = seeds.own.public();
        for (what, secret) in [("bytes", public.as_bytes().to_vec()), ("JWK", public.to_jwk().into_bytes())] {
            let header = good.header_with("alg", &json!(alg).to_string());
            let input = format!("{}.{}", base64url::encode(&header), good.body);
            let tag = ring::hmac::sign(&ring::hmac::Key::new(algorithm, &secret), input.as_bytes());
            let token = format!("{input}.{}", base64url::encode(tag));
            all.push(Entry::new(2, format!("{alg} by the public key's {what}"), token));
        }
    }
    for alias in ["Ed25519", "ed25519", "EDDSA", "eddsa", "es256", "Es256", "ES256 ", " EdDSA", "ES256\u{0}"]
    {
        all.push(Entry::new(
            3,
            format!("{alias:?}"),
            own(&good.header_with("alg", &json!(alias).to_string())),
        ));
    }
    let long = json!("E".repeat(4_000)).to_string();
    let types = ["null", "256", "true", "{}", r#"["ES256"]"#, r#"["EdDSA"]"#, r#""""#, &long];
    for value in types {
        let name = format!("alg is {:.12}", value);
        all.push(Entry::new(4, name, own(&good.header_with("alg", value))));
    }
    let without = json!({"kid": good.kid(), "typ": "at+jwt"}).to_string();
    all.push(Entry::new(4, "alg is missing", own(&without)));
    let huge = json!("E".repeat(1 << 20)).to_string();
    all.push(Entry::new(4, "alg of a megabyte", own(&good.header_with("alg", &huge))));
}

fn kids(seeds: &Seeds<'_>, good: &Parts<'_>, all: &mut Vec<Entry>) {
    let own = |kid: &str| signed(seeds.own, &good.header_with("kid", kid), &good.payload);
    let theirs = base64url::kid_text(&seeds.stranger.public().thumbprint());
    let header = good.header_with("kid", &json!(theirs).to_string());
    all.push(Entry::new(5, "a stranger's own", signed(seeds.stranger, &header, &good.payload)));
    // Nobody tries all keys: the right signature under the wrong name is not looked for.
    all.push(Entry::new(5, "a stranger's, signed by us", own(&json!(theirs).to_string())));
    all.push(Entry::new(5, "nobody's, signed by us", own(&json!("A".repeat(43)).to_string())));
    let without = json!({"alg": good.alg(), "typ": "at+jwt"}).to_string();
    all.push(Entry::new(5, "none, signed by us", signed(seeds.own, &without, &good.payload)));
    let near = good.kid().to_owned();
    let swapped: String = near
        .chars()
        .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    for (what, kid) in [
        ("a path", "../../../../etc/passwd".to_owned()),
        ("a place", format!("{}/jwks.json", seeds.trap)),
        ("a path before it", format!("../keys/{near}")),
        ("SQL", format!("{near}' OR '1'='1")),
        ("LDAP", "*)(uid=*))(|(uid=*".to_owned()),
        ("NUL", format!("{near}\u{0}")),
        ("CRLF", format!("{near}\r\nx-injected: 1")),
        ("ANSI", "\u{1b}[2J\u{1b}]0;x\u{7}".to_owned()),
        ("emoji", "🔑".to_owned()),
        ("right to left", format!("\u{202e}{near}")),
        ("padding", format!("{near}=")),
        ("a space before", format!(" {near}")),
        ("other case", swapped),
        ("4 KiB", "k".repeat(4096)),
        ("64 KiB", "k".repeat(65_536)),
    ] {
        all.push(Entry::new(6, what, own(&json!(kid).to_string())));
    }
    for value in ["null", "1", "true", "[]", "{}"] {
        all.push(Entry::new(6, format!("kid is {value}"), own(value)));
    }
    all.push(Entry::new(6, "a list of it", own(&json!([near]).to_string())));
}

fn members(seeds: &Seeds<'_>, good: &Parts<'_>, all: &mut Vec<Entry>) {
    let mut add = |line: u8, name: &str, header: &str, by_stranger: bool| {
        let key = if by_stranger { seeds.stranger } else { seeds.own };
        all.push(Entry::new(line, name, signed(key, header, &good.payload)));
    };
    let trap = format!("{}/jwks.json", seeds.trap);
    for member in ["jku", "x5u"] {
        for (at, place) in [
            "https://evil.test/jwks.json",
            &trap,
            "http://127.0.0.1/jwks.json",
            "http://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_x",
        ]
        .into_iter()
        .enumerate()
        {
            // The trap has another port each time.
            let shown = if at == 1 { "the trap" } else { place };
            let header = good.header_and(member, &json!(place).to_string());
            add(7, &format!("{member} {shown}"), &header, true);
            add(7, &format!("{member} {shown}, our signature"), &header, false);
        }
    }
    let (theirs, ours) = (seeds.stranger.public().to_jwk(), seeds.own.public().to_jwk());
    for (what, member, json) in [
        ("their jwk", "jwk", theirs.clone()),
        ("our jwk", "jwk", ours),
        ("x5c", "x5c", json!([base64url::encode(theirs.as_bytes())]).to_string()),
        ("x5t of the right key", "x5t", json!(good.kid()).to_string()),
        ("x5t#S256", "x5t#S256", json!(good.kid()).to_string()),
    ] {
        add(8, what, &good.header_and(member, &json), true);
        add(8, &format!("{what}, our signature"), &good.header_and(member, &json), false);
    }
    add(
        8,
        "their jwk and no kid",
        &format!(r#"{{"alg":"{}","jwk":{theirs},"typ":"at+jwt"}}"#, good.alg()),
        true,
    );
    for value in ["false", "true"] {
        add(9, &format!("b64 {value}"), &good.header_and("b64", value), false);
        let both = format!(
            r#"{{"alg":"{}","b64":{value},"crit":["b64"],"kid":"{}","typ":"at+jwt"}}"#,
            good.alg(),
            good.kid()
        );
        add(9, &format!("b64 {value} and crit"), &both, false);
    }
    for (member, json) in [
        ("crit", r#"["exp"]"#),
        ("crit", "[]"),
        ("cty", r#""JWT""#),
        ("zip", r#""DEF""#),
        ("enc", r#""A256GCM""#),
        ("nonce", r#""x""#),
        ("x", "1"),
        ("", "1"),
        ("alg", r#""none""#),
        ("kid", r#""x""#),
        ("typ", r#""at+jwt""#),
    ] {
        add(10, &format!("{member:?} {json}"), &good.header_and(member, json), false);
    }
    for typ in [r#""JWT""#, r#""at+JWT""#, r#""application/at+jwt""#, r#""dpop+jwt""#, r#""""#, "null", "1"] {
        add(10, &format!("typ {typ}"), &good.header_with("typ", typ), false);
    }
    let bare = format!(r#"{{"alg":"{}","kid":"{}"}}"#, good.alg(), good.kid());
    add(10, "no typ", &bare, false);
    // Nothing but the one spelling.
    let turned = format!(r#"{{"typ":"at+jwt","kid":"{}","alg":"{}"}}"#, good.kid(), good.alg());
    add(10, "another order", &turned, false);
    add(10, "a space", &good.header_with("", "").replace(',', ", "), false);
    add(10, "an escape", &good.header_with("typ", r#""at\u002bjwt""#), false);
    add(10, "a byte order mark", &format!("\u{feff}{}", good.header_with("", "")), false);
    for deep in ["[", r#"{"a":"#] {
        let head = base64url::encode(deep.repeat(4_000 / deep.len()));
        all.push(Entry::new(10, format!("deep {deep}"), format!("{head}.{}.{}", good.body, good.signature)));
    }
}
