use locum_model::registry::Algorithm;
use proptest::prelude::*;

use super::*;
use crate::sign::SigningKey;

const PROFILE: Profile =
    Profile { bytes_max: 8192, members: &["alg", "kid", "typ"], types: &[Some("at+jwt")] };
const HEADER: &str = r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#;

fn token(header: &str) -> String {
    [header, "{}", "signature"].map(base64url::encode).join(".")
}

fn check(text: &str) -> Result<(), NotCompact> {
    Compact::parse(text, &PROFILE).map(|_| ())
}

fn pair(algorithm: Algorithm) -> SigningKey {
    let pkcs8 = SigningKey::generate(algorithm).expect("entropy");
    SigningKey::from_pkcs8(algorithm, &pkcs8).expect("new")
}

#[test]
fn a_good_token_falls_into_its_parts() {
    let text = token(HEADER);
    let parsed = Compact::parse(&text, &PROFILE).expect("well formed");
    assert_eq!(
        (parsed.algorithm(), parsed.kid(), parsed.typ()),
        (SignatureAlgorithm::Es256, "k", Some("at+jwt"))
    );
    assert_eq!((parsed.payload(), parsed.signature()), (&b"{}"[..], &b"signature"[..]));
    assert_eq!(parsed.header_text(), base64url::encode(HEADER));
    assert_eq!(parsed.signing_input(), format!("{}.e30", base64url::encode(HEADER)));
    assert!(!format!("{parsed:?}").contains("115"), "no byte of the signature is shown");
}

#[test]
fn three_parts_are_counted_before_anything_is_decoded() {
    let good = token(HEADER);
    let parts: Vec<_> = good.split('.').collect();
    let (h, p, s) = (parts[0], parts[1], parts[2]);
    for text in [
        String::new(),
        ".".into(),
        "..".into(),
        h.into(),
        format!("{h}.{p}"),
        format!("{h}.{p}."),
        format!("{h}..{s}"),
        format!(".{p}.{s}"),
        format!(".{good}"),
        format!("{good}."),
        format!("{h}.{p}.{s}.{s}"),
        // A JWE: five parts, whatever its header promises to unpack.
        format!(
            "{}.{p}.{s}.{p}.{s}",
            base64url::encode(r#"{"alg":"PBES2-HS256+A128KW","p2c":2147483648,"zip":"DEF"}"#)
        ),
        ".".repeat(8000),
    ] {
        assert_eq!(check(&text), Err(NotCompact::Parts), "{text}");
    }
}

#[test]
fn only_the_alphabet_and_dots_are_looked_at() {
    let good = token(HEADER);
    for text in [
        format!(" {good}"),
        format!("{good}\n"),
        format!("{good}\r\n"),
        format!("Bearer {good}"),
        format!("Bearer Bearer {good}"),
        format!("{good}="),
        good.replace('.', "\u{3002}"),
        good.replace('.', "\u{ff0e}"),
        good.replacen('.', "\u{0}.", 1),
        good.replacen('e', "е", 1),
        good.replacen('.', "+.", 1),
        good.replacen('.', "/.", 1),
        good.replacen('.', "%2E", 1),
    ] {
        assert_eq!(check(&text), Err(NotCompact::Alphabet), "{text:?}");
    }
}

#[test]
fn length_comes_first() {
    let long = "\u{0}".repeat(8193);
    assert_eq!(check(&long), Err(NotCompact::TooLong));
    let exactly = format!("{}{}", token(HEADER), "A".repeat(8192));
    assert_ne!(check(&exactly[..8192]), Err(NotCompact::TooLong));
}

#[test]
fn left_over_bits_are_refused_in_every_part() {
    // `e30` is `{}`; `e31` decodes to the same bytes where left-over bits are ignored.
    let text = |parts: [&str; 3]| check(&parts.join("."));
    let header = base64url::encode(HEADER);
    assert_eq!(header.len() % 4, 2);
    let loose = format!("{}{}", &header[..header.len() - 1], "R");
    assert_eq!(text([&header, "e30", "AA"]), Ok(()));
    assert_eq!(text([&loose, "e30", "AA"]), Err(NotCompact::Encoding));
    assert_eq!(text([&header, "e31", "AA"]), Err(NotCompact::Encoding));
    assert_eq!(text([&header, "e30", "AB"]), Err(NotCompact::Encoding));
    assert_eq!(text([&header, "e30", "A"]), Err(NotCompact::Encoding));
}

#[test]
fn a_header_has_the_listed_members_and_no_other() {
    for (member, why) in [
        (r#""jku":"https://evil.test/jwks""#, "RFC 7515 4.1.2"),
        (r#""jku":"http://169.254.169.254/""#, "RFC 7515 4.1.2"),
        (r#""x5u":"file:///etc/passwd""#, "RFC 7515 4.1.5"),
        (r#""jwk":{"kty":"EC"}"#, "RFC 7515 4.1.3"),
        (r#""x5c":["AA"]"#, "RFC 7515 4.1.6"),
        (r#""x5t":"AA""#, "RFC 7515 4.1.7"),
        (r#""x5t#S256":"AA""#, "RFC 7515 4.1.8"),
        (r#""crit":["b64"]"#, "RFC 7515 4.1.11"),
        (r#""crit":[]"#, "RFC 7515 4.1.11"),
        (r#""b64":false"#, "RFC 7797"),
        (r#""b64":false,"crit":["b64"]"#, "RFC 7797"),
        (r#""zip":"DEF""#, "RFC 7516"),
        (r#""enc":"A128GCM""#, "RFC 7516"),
        (r#""p2c":2147483648"#, "RFC 7518"),
        (r#""cty":"JWT""#, "RFC 7515 4.1.10"),
        (r#""nonce":"x""#, "RFC 8555"),
        (r#""":"""#, "nameless"),
        (r#""ALG":"none""#, "other case"),
    ] {
        let text = token(&format!("{},{member}}}", &HEADER[..HEADER.len() - 1]));
        assert_eq!(check(&text), Err(NotCompact::Member), "{member} {why}");
    }
}

#[test]
fn members_that_a_profile_adds_are_strings_that_nobody_looks_at() {
    let profile = Profile { members: &["alg", "kid", "typ", "x5t"], ..PROFILE };
    let with = |member| token(&format!("{},{member}}}", &HEADER[..HEADER.len() - 1]));
    assert!(Compact::parse(&with(r#""x5t":"AA""#), &profile).is_ok());
    for bad in [r#""x5t":["AA"]"#, r#""x5t":null"#, r#""x5c":"AA""#] {
        assert_eq!(Compact::parse(&with(bad), &profile).map(|_| ()), Err(NotCompact::Member), "{bad}");
    }
}

#[test]
fn alg_is_a_known_name() {
    let long = format!(r#""{}""#, "A".repeat(4000));
    for alg in [
        r#""none""#,
        r#""None""#,
        r#""NONE""#,
        r#""nOnE""#,
        r#""HS256""#,
        r#""RS384""#,
        r#""PS256""#,
        r#""ES256K""#,
        r#""ES512""#,
        r#""es256""#,
        r#""Ed25519""#,
        r#""dir""#,
        r#""""#,
        "null",
        "7",
        r#"["ES256"]"#,
        &long,
    ] {
        let text = token(&HEADER.replace(r#""ES256""#, alg));
        assert_eq!(check(&text), Err(NotCompact::Algorithm), "{alg}");
    }
    assert_eq!(check(&token(r#"{"kid":"k","typ":"at+jwt"}"#)), Err(NotCompact::Algorithm));
}

#[test]
fn kid_is_a_bounded_text_that_is_kept_as_it_is() {
    for bad in [r#""""#, "7", "null", r#"["k"]"#, r#"{"k":1}"#, &format!(r#""{}""#, "k".repeat(257))] {
        let refused = check(&token(&HEADER.replace(r#""k""#, bad)));
        assert!(matches!(refused, Err(NotCompact::KeyId | NotCompact::Member)), "{bad}: {refused:?}");
    }
    assert_eq!(check(&token(r#"{"alg":"ES256","typ":"at+jwt"}"#)), Err(NotCompact::KeyId));
    for (written, read) in [
        ("../../etc/passwd", "../../etc/passwd"),
        ("' OR 1=1 --", "' OR 1=1 --"),
        (r"\u0000", "\u{0}"),
        (r"\r\n\u001b[2J", "\r\n\u{1b}[2J"),
        ("*)(uid=*", "*)(uid=*"),
        ("🔑", "🔑"),
    ] {
        let text = token(&HEADER.replace(r#""k""#, &format!(r#""{written}""#)));
        let parsed = Compact::parse(&text, &PROFILE).expect("a text, to be looked up exactly");
        assert_eq!(parsed.kid(), read);
        assert!(!format!("{parsed:?}").contains(['\u{0}', '\n', '\u{1b}']), "escaped where shown");
    }
}

#[test]
fn typ_is_the_one_expected() {
    for bad in [r#""JWT""#, r#""AT+JWT""#, r#""application/at+jwt""#, r#""""#] {
        assert_eq!(check(&token(&HEADER.replace(r#""at+jwt""#, bad))), Err(NotCompact::Type), "{bad}");
    }
    assert_eq!(check(&token(r#"{"alg":"ES256","kid":"k"}"#)), Err(NotCompact::Type));
    assert_eq!(check(&token(&HEADER.replace(r#""at+jwt""#, "null"))), Err(NotCompact::Member));
}

#[test]
fn a_header_is_one_strict_object() {
    for bad in [
        "",
        "null",
        "[]",
        "{",
        r#""x""#,
        r#"{"alg":"ES256","kid":"k","typ":"at+jwt","kid":"l"}"#,
        r#"{"alg":"none","alg":"ES256","kid":"k","typ":"at+jwt"}"#,
        r#"{"alg":"ES256","kid":"k","typ":"at+jwt"} {}"#,
        "{\"alg\":\"ES256\",\"kid\":\"k\0\",\"typ\":\"at+jwt\"}",
    ] {
        let refused = check(&token(bad));
        assert!(matches!(refused, Err(NotCompact::Header | NotCompact::Parts)), "{bad:?}: {refused:?}");
    }
}

#[test]
fn a_signature_holds_under_its_key_and_algorithm_alone() {
    let (es256, ed25519) = (pair(Algorithm::Es256), pair(Algorithm::Ed25519));
    let sign = |key: &SigningKey, alg: &str| {
        let input = format!("{}.e30", base64url::encode(HEADER.replace("ES256", alg)));
        let signature = key.sign(input.as_bytes()).expect("entropy");
        format!("{input}.{}", base64url::encode(signature))
    };
    let judged = |text: &str, key: &SigningKey| {
        Compact::parse(text, &PROFILE).expect("well formed").verify(key.public())
    };
    assert_eq!(judged(&sign(&es256, "ES256"), &es256), Ok(()));
    assert_eq!(judged(&sign(&ed25519, "EdDSA"), &ed25519), Ok(()));
    assert_eq!(judged(&sign(&es256, "ES256"), &pair(Algorithm::Es256)), Err(NotVerified::Signature));
    for (key, alg) in
        [(&es256, "EdDSA"), (&es256, "ES384"), (&es256, "RS256"), (&ed25519, "ES256"), (&ed25519, "RS256")]
    {
        assert_eq!(judged(&sign(key, alg), key), Err(NotVerified::Algorithm), "{alg}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[A-Za-z0-9_.\\PC-]{0,200}") {
        let _ = Compact::parse(&text, &PROFILE);
    }

    #[test]
    fn no_header_makes_it_panic(header in any::<Vec<u8>>()) {
        let text = [&header[..], b"{}", b"s"].map(base64url::encode).join(".");
        let _ = Compact::parse(&text, &PROFILE);
    }
}
