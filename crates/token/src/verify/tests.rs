use locum_jose::base64url;
use locum_jose::{PublicKey, SigningKey};
use locum_model::limits::TOKEN_BYTES_MAX;
use locum_model::registry::Algorithm;
use locum_model::{Event, IssueRecord};
use proptest::prelude::*;

use super::*;
use crate::key_store::MemoryKeyStore;
use crate::sample::{
    EXPIRES_AT, ISSUED_AT, ISSUER, any_record, forged, moved, part, publish, record, ring, signer, token,
};
use crate::{jti_of, kid_text};

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Es256, Algorithm::Ed25519];

fn judge(ring: &KeyRing, text: &str) -> Result<Claims, Reason> {
    verify(ring, ISSUER, text, ISSUED_AT).map_err(|refusal| refusal.reason())
}

/// A ring, a good token of this algorithm, its record.
fn good(algorithm: Algorithm) -> (KeyRing, String, IssueRecord) {
    let ring = ring();
    let record = record(*signer(&ring, algorithm).kid());
    let text = token(&ring, &record);
    (ring, text, record)
}

#[test]
fn a_good_token_gives_its_records_claims() {
    for algorithm in ALGORITHMS {
        let (ring, text, record) = good(algorithm);
        let expected = Claims::of(ISSUER, &record);
        assert_eq!(judge(&ring, &text), Ok(expected.clone()));
        assert_eq!(read(&text), Ok(expected.clone()));
        assert_eq!((expected.task(), expected.subject_key()), (record.task(), record.subject_key));
    }
}

#[test]
fn times_are_judged_without_leeway() {
    let (ring, text, record) = good(Algorithm::Es256);
    let at = |millis: i64| verify(&ring, ISSUER, &text, Timestamp::from_millis(millis)).map(|_| ());
    let (begin, end) = (record.not_before.as_millis(), EXPIRES_AT.as_millis());
    assert_eq!(at(begin - 1), Err(Refusal::NotYetValid));
    assert_eq!(at(begin), Ok(()));
    assert_eq!(at(end - 1000), Ok(()));
    assert_eq!(at(end - 1), Ok(()));
    assert_eq!(at(end), Err(Refusal::Expired));
    assert_eq!(at(i64::MAX), Err(Refusal::Expired));
    assert_eq!(at(i64::MIN), Err(Refusal::NotYetValid));
    assert!(read(&text).is_ok(), "reading does not judge times");
}

#[test]
fn an_issuer_is_compared_character_by_character() {
    let (ring, text, _) = good(Algorithm::Es256);
    for other in ["", "https://locum.test/", "https://LOCUM.test", "https://lоcum.test", "https://locum.tes"]
    {
        assert_eq!(verify(&ring, other, &text, ISSUED_AT), Err(Refusal::Issuer), "{other}");
    }
}

#[test]
fn a_token_cut_anywhere_is_refused() {
    for algorithm in ALGORITHMS {
        let (ring, text, _) = good(algorithm);
        for length in 0..text.len() {
            assert!(judge(&ring, &text[..length]).is_err(), "{length}");
            assert!(judge(&ring, &text[length + 1..]).is_err(), "from {length}");
        }
    }
}

#[test]
fn a_token_with_any_bit_flipped_is_refused() {
    for algorithm in ALGORITHMS {
        let (ring, text, _) = good(algorithm);
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                if let Ok(flipped) = String::from_utf8(bytes) {
                    assert!(judge(&ring, &flipped).is_err(), "byte {at}, bit {bit}");
                }
            }
        }
    }
}

#[test]
fn every_other_header_is_refused_though_well_signed() {
    for algorithm in ALGORITHMS {
        let (ring, text, _) = good(algorithm);
        let (header, payload) = (part(&text, 0), part(&text, 1));
        let key = signer(&ring, algorithm);
        let (alg, other) = match algorithm {
            Algorithm::Es256 => (r#""alg":"ES256""#, r#""alg":"EdDSA""#),
            Algorithm::Ed25519 => (r#""alg":"EdDSA""#, r#""alg":"ES256""#),
        };
        let open = header.strip_suffix('}').expect("an object");
        let kid = format!(r#""kid":"{}""#, kid_text(key.kid()));
        let mut headers: Vec<String> = [
            "none", "None", "NONE", "nOnE", "HS256", "HS384", "RS256", "PS256", "ES384", "ES512", "ES256K",
            "Ed25519", "Ed448", "es256", "",
        ]
        .iter()
        .map(|name| header.replace(alg, &format!(r#""alg":"{name}""#)))
        .collect();
        headers.extend([
            header.replace(alg, other),
            header.replace(alg, r#""alg":null"#),
            header.replace(alg, r#""alg":256"#),
            header.replace(alg, &format!(r#""alg":["{}"]"#, &alg[7..12])),
            header.replace(&format!("{alg},"), ""),
            header.replace(alg, &format!("{alg},{alg}")),
            header.replace(&format!(",{kid}"), ""),
            header.replace(r#","typ":"at+jwt""#, ""),
            header.replace("at+jwt", "JWT"),
            header.replace("at+jwt", "application/at+jwt"),
            format!("{{{kid},{alg},\"typ\":\"at+jwt\"}}"),
            format!(r#"{{"typ":"at+jwt",{alg},{kid}}}"#),
            header.replace(',', ", "),
            format!("{header} "),
            header.replace("at+jwt", r"at\u002bjwt"),
        ]);
        for member in [
            r#""jku":"https://evil.test/jwks.json""#,
            r#""jku":"http://127.0.0.1:1/""#,
            r#""x5u":"http://169.254.169.254/latest/meta-data""#,
            r#""x5u":"file:///etc/passwd""#,
            r#""jku":"gopher://evil.test/""#,
            r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            r#""x5c":["MIIB"]"#,
            r#""x5t":"AAAA""#,
            r#""x5t#S256":"AAAA""#,
            r#""b64":false"#,
            r#""b64":false,"crit":["b64"]"#,
            r#""crit":["exp"]"#,
            r#""zip":"DEF""#,
            r#""cty":"JWT""#,
            r#""p2c":2147483648"#,
            r#""iss":"https://locum.test""#,
        ] {
            headers.push(format!("{open},{member}}}"));
        }
        for bad in headers {
            assert_ne!(bad, header);
            let refused = judge(&ring, &forged(key, &bad, &payload));
            assert_eq!(refused, Err(Reason::TokenMalformed), "{bad}");
            let unsigned = format!("{}.{}.AA", base64url::encode(&bad), base64url::encode(&payload));
            assert_eq!(judge(&ring, &unsigned), Err(Reason::TokenMalformed), "{bad}");
            let bare = format!("{}.{}.", base64url::encode(&bad), base64url::encode(&payload));
            assert_eq!(judge(&ring, &bare), Err(Reason::TokenMalformed), "{bad}");
        }
    }
}

#[test]
fn a_kid_is_looked_up_exactly() {
    let (ring, text, _) = good(Algorithm::Es256);
    let (header, payload) = (part(&text, 0), part(&text, 1));
    let key = signer(&ring, Algorithm::Es256);
    let kid = kid_text(key.kid());
    let stranger = kid_text(&locum_model::KeyId([1; 32]));
    for other in [
        stranger.as_str(),
        "../../etc/passwd",
        "' OR '1'='1",
        "*)(uid=*))(|(uid=*",
        r"\u0000",
        r"\r\n",
        r"\u001b[31m",
        "🔑",
        "0",
        &kid[..42],
        &format!("{kid}="),
        &format!("{kid}A"),
        &kid.to_lowercase(),
        &key.kid().to_string(),
    ] {
        let text = forged(key, &header.replace(&kid, other), &payload);
        assert_eq!(judge(&ring, &text), Err(Reason::TokenUnknownKey), "{other}");
    }
    for bad in [format!("\"{}\"", "k".repeat(6000)), "\"\"".into(), "7".into(), "null".into(), "[]".into()] {
        let text = forged(key, &header.replace(&format!("\"{kid}\""), &bad), "{}");
        assert_eq!(judge(&ring, &text), Err(Reason::TokenMalformed), "{}", &bad[..bad.len().min(20)]);
    }
}

#[test]
fn a_key_of_another_algorithm_or_purpose_does_not_verify() {
    let (ring, text, _) = good(Algorithm::Es256);
    let ed25519 = signer(&ring, Algorithm::Ed25519);
    let es256 = signer(&ring, Algorithm::Es256);
    let payload = part(&text, 1);
    // Each key under the other's id, with its own and with the other's algorithm.
    let header = |alg: &str, key: &RingKey| {
        format!(r#"{{"alg":"{alg}","kid":"{}","typ":"at+jwt"}}"#, kid_text(key.kid()))
    };
    let reason = |key, header: String| judge(&ring, &forged(key, &header, &payload)).err();
    assert_eq!(reason(ed25519, header("EdDSA", es256)), Some(Reason::TokenMalformed));
    assert_eq!(reason(ed25519, header("ES256", es256)), Some(Reason::TokenSignatureInvalid));
    assert_eq!(reason(es256, header("ES256", ed25519)), Some(Reason::TokenMalformed));
    assert_eq!(reason(es256, header("EdDSA", ed25519)), Some(Reason::TokenSignatureInvalid));

    let (mut ring, store) = (ring, MemoryKeyStore::default());
    for purpose in [KeyPurpose::Feed, KeyPurpose::KeysetRoot] {
        let kid = publish(&mut ring, &store, purpose, Algorithm::Es256);
        ring.apply(&Event::KeyActivated(moved(kid)), &store).expect("published");
        let key = ring.key(&kid).expect("there");
        let text = forged(key, &header("ES256", key), &payload);
        assert_eq!(judge(&ring, &text), Err(Reason::TokenUnknownKey), "{purpose:?}");
    }
}

#[test]
fn a_key_verifies_until_it_is_retired() {
    let (mut ring, store) = (KeyRing::default(), MemoryKeyStore::default());
    let first = publish(&mut ring, &store, KeyPurpose::Token, Algorithm::Es256);
    ring.apply(&Event::KeyActivated(moved(first)), &store).expect("published");
    let text = token(&ring, &record(first));
    let second = publish(&mut ring, &store, KeyPurpose::Token, Algorithm::Es256);
    ring.apply(&Event::KeyActivated(moved(second)), &store).expect("published");
    assert!(judge(&ring, &text).is_ok(), "superseded");
    let before = ring.clone();
    ring.apply(&Event::KeyRetired(moved(first)), &store).expect("there");
    assert_eq!(judge(&ring, &text), Err(Reason::TokenUnknownKey), "retired");
    assert!(judge(&before, &text).is_ok(), "the snapshot is of before");
    assert_eq!(judge(&KeyRing::default(), &text), Err(Reason::TokenUnknownKey), "no keys at all");
    assert!(read(&text).is_ok(), "reading asks no key");
}

#[test]
fn a_verifier_without_private_keys_verifies() {
    let (_, store) = (KeyRing::default(), MemoryKeyStore::default());
    let (event, pkcs8) =
        crate::generate(Algorithm::Es256, KeyPurpose::Token, locum_model::event::By::Broker, ISSUED_AT)
            .expect("entropy");
    let private = SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).expect("new");
    assert_eq!(PublicKey::from_bytes(Algorithm::Es256, &event.public_key).as_ref(), Ok(private.public()));
    let (mut theirs, mut ours) = (KeyRing::default(), KeyRing::default());
    theirs.apply(&Event::KeyPublished(event.clone()), &store).expect("public half");
    crate::KeyStore::save(&store, &event.kid, &pkcs8).expect("memory");
    ours.apply(&Event::KeyPublished(event.clone()), &store).expect("both halves");
    ours.apply(&Event::KeyActivated(moved(event.kid)), &store).expect("published");
    assert!(judge(&theirs, &token(&ours, &record(event.kid))).is_ok());
}

#[test]
fn parts_of_two_good_tokens_make_no_third() {
    for algorithm in ALGORITHMS {
        let (ring, first, record) = good(algorithm);
        let other = IssueRecord { jti: locum_model::TokenId([1; 16]), ..record };
        let second = token(&ring, &other);
        let third_kid = *signer(&ring, ALGORITHMS[usize::from(algorithm == ALGORITHMS[0])]).kid();
        let third = token(&ring, &IssueRecord { kid: third_kid, ..other });
        let parts = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let all = [parts(&first), parts(&second), parts(&third)];
        for header in &all {
            for payload in &all {
                for signature in &all {
                    let text = [&header[0][..], &payload[1], &signature[2]].join(".");
                    let whole = [&first, &second, &third].contains(&&text);
                    assert_eq!(judge(&ring, &text).is_ok(), whole, "{text}");
                }
            }
        }
    }
}

#[test]
fn a_signature_has_one_form() {
    let (ring, text, _) = good(Algorithm::Es256);
    let (input, signature) = text.rsplit_once('.').expect("three parts");
    let good = base64url::decode(signature).expect("canonical");
    let (r, s) = good.split_at(32);
    let zero = [0; 32];
    let positive = |n: &[u8]| if n[0] < 0x80 { n.to_vec() } else { [&[0], n].concat() };
    let (dr, ds) = (positive(r), positive(s));
    let (lr, ls) = (dr.len() as u8, ds.len() as u8);
    let der = [&[0x30, lr + ls + 4, 2, lr], &dr[..], &[2, ls], &ds].concat();
    for bad in [
        vec![0],
        good[..63].to_vec(),
        [&good[..], &[0]].concat(),
        [&good[..], &good].concat(),
        [zero, zero].concat(),
        [&zero, s].concat(),
        [r, &zero].concat(),
        [s, r].concat(),
        vec![0xff; 64],
        der,
    ] {
        let text = format!("{input}.{}", base64url::encode(&bad));
        assert_eq!(judge(&ring, &text), Err(Reason::TokenSignatureInvalid), "{bad:?}");
    }
    assert_eq!(judge(&ring, &format!("{input}.")), Err(Reason::TokenMalformed));
}

#[test]
fn other_shapes_are_refused_before_anything_is_decoded() {
    let (ring, text, _) = good(Algorithm::Es256);
    let part = |at: usize| text.split('.').nth(at).expect("three parts");
    let jwe =
        base64url::encode(r#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483648,"zip":"DEF"}"#);
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        part(0).to_owned(),
        format!("{}.{}", part(0), part(1)),
        format!("{text}."),
        format!(".{text}"),
        format!("{text}.{}", part(2)),
        format!("{}..{}", part(0), part(2)),
        format!("{jwe}.{}.{}.{}.{}", part(1), part(1), part(1), part(2)),
        text.replace('.', "\u{3002}"),
        text.replace('.', "\u{2024}"),
        format!(" {text}"),
        format!("{text} "),
        format!("{text}\n"),
        format!("{text}\u{0}"),
        format!("Bearer {text}"),
        format!("Bearer Bearer {text}"),
        format!("{text}="),
        text.replacen('.', "=.", 1),
        format!("{text},{text}"),
        "A".repeat(TOKEN_BYTES_MAX + 1),
        format!("{text}{}", "A".repeat(TOKEN_BYTES_MAX)),
        "€".repeat(4000),
    ] {
        assert_eq!(judge(&ring, &bad), Err(Reason::TokenMalformed), "{:?}", bad.chars().take(60));
        assert!(read(&bad).is_err());
    }
}

#[test]
fn well_signed_nonsense_is_refused() {
    let (ring, text, _) = good(Algorithm::Es256);
    let (header, payload) = (part(&text, 0), part(&text, 1));
    let key = signer(&ring, Algorithm::Es256);
    let edit = |from: &str, to: &str| {
        assert!(payload.contains(from), "{from}");
        verify(&ring, ISSUER, &forged(key, &header, &payload.replacen(from, to, 1)), ISSUED_AT)
    };
    assert_eq!(edit("1795305399", "1795306180"), Err(Refusal::LifeTooLong), "901 seconds");
    assert_eq!(edit("1795305399", "1795305279"), Err(Refusal::Claims("exp")));
    for bad in [
        "\"1795305399\"",
        "1e400",
        "-1",
        "9007199254740993",
        "9223372036854775808",
        "18446744073709551616",
        "null",
        "true",
        "[1795305399]",
        "1795305399.0",
    ] {
        assert!(edit("1795305399", bad).is_err(), "{bad}");
    }
    for (from, to) in [
        (r#""iss":"https://locum.test","#, ""),
        (r#""iss":"https://locum.test""#, r#""iss":["https://locum.test"]"#),
        (r#""aud":"https://orders.acme.test","#, ""),
        (r#""aud":"https://orders.acme.test""#, r#""aud":"""#),
        (r#""aud":"https://orders.acme.test""#, r#""aud":{}"#),
        (r#""aud":"https://orders.acme.test""#, r#""aud":["https://orders.acme.test"]"#),
        (r#""aud":"https://orders.acme.test""#, r#""aud":["https://orders.acme.test","https://b.test"]"#),
        (r#","exp":1795305399"#, ""),
        (r#","scope""#, r#","unknown":true,"scope""#),
    ] {
        assert_eq!(edit(from, to).map_err(|refusal| refusal.reason()), Err(Reason::TokenMalformed), "{to}");
    }
    assert_eq!(edit("https://locum.test", "https://locum.test/"), Err(Refusal::Issuer));
    for bad in ["null", "[]", "{}", "7", "\"x\"", "not JSON"] {
        let refused = judge(&ring, &forged(key, &header, bad));
        assert_eq!(refused, Err(Reason::TokenMalformed), "{bad}");
    }
}

#[test]
fn a_refusal_repeats_no_byte_of_the_token() {
    let (ring, text, _) = good(Algorithm::Es256);
    let kid = r"\u001b[31mcanary\r\n";
    let header = format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"at+jwt"}}"#);
    let hostile = forged(signer(&ring, Algorithm::Es256), &header, &part(&text, 1));
    let refusal = verify(&ring, ISSUER, &hostile, ISSUED_AT).expect_err("no such key");
    for shown in [refusal.to_string(), format!("{refusal:?}")] {
        assert!(!shown.contains("canary") && !shown.contains(char::is_control), "{shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_record_survives_signing_and_verifying(record in any_record(), ed25519 in any::<bool>()) {
        let ring = ring();
        let algorithm = if ed25519 { Algorithm::Ed25519 } else { Algorithm::Es256 };
        let record = IssueRecord { kid: *signer(&ring, algorithm).kid(), ..record };
        let live = locum_model::Live::assertion(record.clone());
        match crate::sign(&ring, ISSUER, &live) {
            Ok(signed) => {
                let claims = Claims::of(ISSUER, &record);
                prop_assert_eq!(verify(&ring, ISSUER, signed.compact(), record.issued_at), Ok(claims.clone()));
                prop_assert_eq!(read(signed.compact()), Ok(claims));
                prop_assert_eq!(jti_of(signed.compact()), Some(record.jti));
            }
            Err(error) => prop_assert_eq!(error.reason(), Reason::TokenTooLarge),
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[A-Za-z0-9_.\\PC-]{0,300}") {
        prop_assert!(verify(&KeyRing::default(), ISSUER, &text, ISSUED_AT).is_err());
        prop_assert!(read(&text).is_err());
    }
}
