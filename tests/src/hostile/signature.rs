//! The third part: lines 11 to 14 and 25.

use locum_jose::base64url;

use super::{Entry, Parts, Seeds, signed};

/// The order n of P-256 (FIPS 186-5, SP 800-186 section 3.2.1.3).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

pub(super) fn entries(seeds: &Seeds<'_>, good: &Parts<'_>) -> Vec<Entry> {
    let with = |signature: &[u8]| format!("{}.{}.{}", good.head, good.body, base64url::encode(signature));
    let bytes = good.signature_bytes();
    let (r, s) = bytes.split_at(32);
    let mut all = Vec::new();
    for (name, r, s) in [
        ("r and s are 0", &[0; 32][..], &[0; 32][..]),
        ("r is 0", &[0; 32], s),
        ("s is 0", r, &[0; 32]),
        ("r is the order", &P256_ORDER, s),
        ("s is the order", r, &P256_ORDER),
        ("both are the order", &P256_ORDER, &P256_ORDER),
        ("r beyond the order", &[0xff; 32], s),
        ("s beyond the order", r, &[0xff; 32]),
        ("both beyond the order", &[0xff; 32], &[0xff; 32]),
        ("r and s are 1", &one(), &one()),
        ("the halves change places", s, r),
    ] {
        all.push(Entry::new(11, name, with(&[r, s].concat())));
    }
    for length in [1, 31, 32, 33, 63] {
        all.push(Entry::new(12, format!("{length} bytes"), with(&bytes[..length])));
    }
    for (name, longer) in [
        ("65 bytes", [&bytes[..], &[0]].concat()),
        ("a zero before", [&[0], &bytes[..]].concat()),
        ("twice, 128 bytes", [&bytes[..], &bytes].concat()),
        ("4 KiB", bytes.repeat(64)),
        ("DER", der(r, s)),
    ] {
        all.push(Entry::new(12, name, with(&longer)));
    }
    all.push(Entry::new(12, "0 bytes", format!("{}.{}.", good.head, good.body)));
    if good.alg() == "ES256" {
        let twin = with(&[r, &order_minus(s)].concat());
        all.push(Entry::new(13, "the same token in other bytes", twin).active());
    } else {
        // Ed25519: s + L is the same point, and refused (RFC 8032 section 5.1.7).
        all.push(Entry::new(13, "s + L", with(&[r, &plus_l(s)].concat())));
    }
    let other = Parts::of(seeds.other);
    let elsewhere = Parts::of(seeds.elsewhere);
    for (name, head, body, signature) in [
        ("another token's signature", good.head, good.body, other.signature),
        ("another token's claims", good.head, other.body, good.signature),
        ("another audience's header", elsewhere.head, good.body, good.signature),
        ("another audience's claims", good.head, elsewhere.body, good.signature),
        ("another audience's signature", good.head, good.body, elsewhere.signature),
        ("all but the signature of another", elsewhere.head, elsewhere.body, good.signature),
    ] {
        if (head, body, signature) != (good.head, good.body, good.signature) {
            all.push(Entry::new(14, name, format!("{head}.{body}.{signature}")));
        }
    }
    let header = good.header_with("", "");
    let staging = signed(seeds.stranger, &header, &good.payload);
    all.push(Entry::new(25, "another installation's key under our kid", staging));
    all
}

fn one() -> [u8; 32] {
    let mut one = [0; 32];
    one[31] = 1;
    one
}

/// n - s, big-endian.
fn order_minus(s: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut out = vec![0; 32];
    for at in (0..32).rev() {
        let difference = i16::from(P256_ORDER[at]) - i16::from(s[at]) - borrow;
        borrow = i16::from(difference < 0);
        out[at] = difference.rem_euclid(256) as u8;
    }
    out
}

/// s + L modulo 2^256, little-endian; L = 2^252 + 27742317777372353535851937790883648493.
fn plus_l(s: &[u8]) -> Vec<u8> {
    const L: [u8; 16] =
        [0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14];
    let mut l = [0; 32];
    l[..16].copy_from_slice(&L);
    l[31] = 0x10;
    let mut carry = 0;
    let sum = s.iter().zip(l).map(|(a, b)| {
        let sum = u16::from(*a) + u16::from(b) + carry;
        carry = sum >> 8;
        sum as u8
    });
    sum.collect()
}

/// SEQUENCE of two INTEGERs, as OpenSSL writes signatures.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let bare: Vec<u8> = half.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = if bare.first().is_some_and(|first| *first >= 0x80) { &[0][..] } else { &[] };
        let body = [sign, &bare].concat();
        [&[0x02, body.len() as u8][..], &body].concat()
    };
    let body = [integer(r), integer(s)].concat();
    [&[0x30, body.len() as u8][..], &body].concat()
}
