//! The text as a whole: lines 15 to 18 and 24.

use locum_jose::base64url;
use locum_model::limits::TOKEN_BYTES_MAX;
use serde_json::json;

use super::{Entry, Parts, Seeds, signed};

pub(super) fn entries(seeds: &Seeds<'_>, good: &Parts<'_>) -> Vec<Entry> {
    let (token, mut all) = (seeds.good, Vec::new());
    for length in 0..token.len() {
        all.push(Entry::new(15, format!("the first {length} bytes"), token[..length].to_owned()));
    }
    for from in [1, good.head.len() + 1, good.head.len() + good.body.len() + 2] {
        all.push(Entry::new(15, format!("without the first {from}"), token[from..].to_owned()));
    }
    for at in 0..token.len() {
        for bit in 0..8 {
            all.push(Entry::new(16, format!("bit {bit} of byte {at}"), flipped(token, at, bit)));
        }
    }
    dots(token, good, &mut all);
    encrypted(seeds, good, &mut all);
    for (name, text) in [
        ("a byte more than may be", "e".repeat(TOKEN_BYTES_MAX + 1)),
        ("as long as may be", "e".repeat(TOKEN_BYTES_MAX)),
        (
            "good, and padded to a byte more",
            format!("{token}{}", "A".repeat(TOKEN_BYTES_MAX + 1 - token.len())),
        ),
        ("dots alone", ".".repeat(TOKEN_BYTES_MAX)),
        ("a long payload, well signed", {
            let long =
                format!(r#"{},"x":"{}"}}"#, &good.payload[..good.payload.len() - 1], "x".repeat(4_000));
            signed(seeds.own, &good.header_with("", ""), &long)
        }),
        ("a megabyte", "e".repeat(1 << 20)),
    ] {
        all.push(Entry::new(24, name, text));
    }
    all
}

/// The highest bit has no place in ASCII; it makes the character of the same number beyond it.
fn flipped(token: &str, at: usize, bit: u32) -> String {
    let byte = token.as_bytes()[at] ^ (1 << bit);
    format!("{}{}{}", &token[..at], char::from(byte), &token[at + 1..])
}

fn dots(token: &str, good: &Parts<'_>, all: &mut Vec<Entry>) {
    let Parts { head, body, signature, .. } = good;
    for (name, text) in [
        ("nothing", String::new()),
        ("a dot", ".".to_owned()),
        ("two dots", "..".to_owned()),
        ("no dots", format!("{head}{body}{signature}")),
        ("one dot", format!("{head}.{body}")),
        ("three dots", format!("{token}.{signature}")),
        ("a dot before", format!(".{token}")),
        ("a dot after", format!("{token}.")),
        ("no header", format!(".{body}.{signature}")),
        ("no claims", format!("{head}..{signature}")),
        ("no signature", format!("{head}.{body}.")),
        ("full stops of another script", token.replace('.', "\u{3002}")),
        ("wide full stops", token.replace('.', "\u{ff0e}")),
        ("a space before", format!(" {token}")),
        ("a space after", format!("{token} ")),
        ("a space within", format!("{head}. {body}.{signature}")),
        ("a tab after", format!("{token}\t")),
        ("a line feed after", format!("{token}\n")),
        ("CRLF after", format!("{token}\r\n")),
        ("NUL after", format!("{token}\0")),
        ("a scheme", format!("Bearer {token}")),
        ("two schemes", format!("Bearer Bearer {token}")),
        ("the wrong scheme", format!("DPoP {token}")),
        ("quotes", format!("\"{token}\"")),
        ("padding", format!("{token}=")),
        ("padding in every part", format!("{head}=.{body}=.{signature}=")),
        ("the other alphabet", format!("{head}.{body}.+{}", &signature[1..])),
        ("a slash", format!("{head}.{body}./{}", &signature[1..])),
        ("percent", format!("{head}%2E{body}%2E{signature}")),
        ("twice", format!("{token}{token}")),
        ("twice with a comma", format!("{token},{token}")),
        ("a zero width space", format!("{token}\u{200b}")),
        ("no ASCII", "ключ.ключ.ключ".to_owned()),
    ] {
        all.push(Entry::new(17, name, text));
    }
}

fn encrypted(seeds: &Seeds<'_>, good: &Parts<'_>, all: &mut Vec<Entry>) {
    let Parts { body, signature, .. } = good;
    for (name, header) in [
        ("RSA-OAEP", json!({"alg": "RSA-OAEP", "enc": "A256GCM", "kid": good.kid()})),
        ("dir", json!({"alg": "dir", "enc": "A256GCM"})),
        ("zip", json!({"alg": "dir", "enc": "A256GCM", "zip": "DEF"})),
        (
            "PBES2 with 2^31 rounds",
            json!({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2s": "AAAA", "p2c": 2_147_483_648_u64}),
        ),
    ] {
        let head = base64url::encode(header.to_string());
        all.push(Entry::new(
            18,
            format!("{name}, five parts"),
            format!("{head}.{body}.{signature}.{body}.{signature}"),
        ));
        all.push(Entry::new(18, format!("{name}, three parts"), format!("{head}.{body}.{signature}")));
        all.push(Entry::new(
            18,
            format!("{name}, signed"),
            signed(seeds.own, &header.to_string(), &good.payload),
        ));
    }
}
