//! The one corpus of hostile tokens: every check, online, offline and naive, has to say the same of all.
//!
//! It follows the list of hostile token bytes line by line ([`LINES`]); the name of an entry begins with
//! its line. A generator and not a file: it is made from [`Seeds`], tokens of a running issuer and the
//! very key that signed them, so that an entry is wrong in one thing alone and well signed wherever the
//! line is about what is signed. Nothing here judges; [`crate::naive`] does, and the checks do.

mod claims;
mod form;
mod header;
mod proof;
mod proof_algorithm;
mod signature;

use locum_jose::{SigningKey, base64url};
use locum_model::registry::Algorithm;
use serde_json::Value;

pub use crate::naive::{Shown, Verdict};

/// The lines of the list, with what gets an entry for each.
pub const LINES: [(u8, &str); 29] = [
    (1, "`alg` none, in every spelling"),
    (2, "an `alg` that is not the key's"),
    (3, "another name for the key's algorithm"),
    (4, "`alg` missing, of another type, huge"),
    (5, "a `kid` that nobody knows"),
    (6, "a `kid` that steers, of another type, huge"),
    (7, "`jku` and `x5u`"),
    (8, "a key or certificate in the header"),
    (9, "`b64` with and without `crit`"),
    (10, "any other member of the header"),
    (11, "r or s out of range"),
    (12, "a signature of another length or form"),
    (13, "the high-s twin, which is the same token"),
    (14, "parts of two good tokens"),
    (15, "truncated, at every length"),
    (16, "each single bit flipped"),
    (17, "dots, spaces, line ends, schemes"),
    (18, "encrypted, compressed, derived from a password"),
    (19, "`exp` that is no time"),
    (20, "a life beyond every cap, well signed"),
    (21, "`now == exp`, and the second before"),
    (22, "another `iss`, well signed"),
    (23, "another `aud`, well signed"),
    (24, "longer than any token"),
    (25, "keys that are gone, or another installation's"),
    (26, "the feed is not heard"),
    (27, "a position that is not reached yet"),
    (28, "bound to a certificate that was not shown"),
    (29, "bound to a key that was not proved"),
];

/// Lines about the time and the network rather than about bytes: whoever runs the corpus sets the scene.
pub const SCENES: [u8; 3] = [21, 25, 26];

/// Lines that ask for what no check offers: none takes a position that it should wait for, so that there
/// is nothing to get wrong (decision 27). Whoever adds that takes the line from here.
pub const NOT_OFFERED: [u8; 1] = [27];

/// What is presented, and what every check has to say of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The line that it is for.
    pub line: u8,
    /// What is wrong with it, after the number of its line.
    pub name: String,
    /// The token.
    pub token: String,
    /// SHA-256 of the certificate that is shown with it.
    pub certificate: Option<[u8; 32]>,
    /// The proof of a key that is shown with it.
    pub proof: Option<Proof>,
    /// It is shown once before, and that is believed.
    pub is_replay: bool,
    /// What every check has to say.
    pub expected: Verdict,
}

/// A proof of a key, and the request that it comes with.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The value of the `DPoP` header.
    pub proof: String,
    /// The request's method.
    pub method: &'static str,
    /// The request's URI, as its server knows it.
    pub uri: &'static str,
}

/// What a corpus is made from.
pub struct Seeds<'a> {
    /// A live token.
    pub good: &'a str,
    /// Another live token of the same audience.
    pub other: &'a str,
    /// A live token of the same issuer for another audience.
    pub elsewhere: &'a str,
    /// A live token that is bound to [`Seeds::certificate`].
    pub bound: &'a str,
    /// SHA-256 of the DER of a certificate.
    pub certificate: [u8; 32],
    /// The key that signed the tokens of this audience, misused here.
    pub own: &'a SigningKey,
    /// Somebody else's key of the same algorithm.
    pub stranger: &'a SigningKey,
    /// An origin, `http://127.0.0.1:1234`, where somebody waits whether anything in a token makes a check
    /// come.
    pub trap: &'a str,
}

/// A token taken apart.
pub(crate) struct Parts<'a> {
    head: &'a str,
    body: &'a str,
    signature: &'a str,
    header: Value,
    payload: String,
}

impl Entry {
    fn new(line: u8, name: impl std::fmt::Display, token: String) -> Self {
        let name = format!("{line}: {name}");
        let (certificate, proof, expected) = (None, None, Verdict::Inactive);
        Self { line, name, token, certificate, proof, is_replay: false, expected }
    }

    /// What is shown with it, for the naive check.
    pub fn shown(&self) -> Shown<'_> {
        let proof = self.proof.as_ref().map(|shown| (&*shown.proof, shown.method, shown.uri));
        Shown { certificate: self.certificate, proof }
    }

    fn active(self) -> Self {
        Self { expected: Verdict::Active, ..self }
    }
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Self {
        let mut parts = token.split('.');
        let mut next = || parts.next().expect("three parts");
        let (head, body, signature) = (next(), next(), next());
        let text =
            |part: &str| String::from_utf8(base64url::decode(part).expect("base64url")).expect("UTF-8");
        let header = serde_json::from_str(&text(head)).expect("JSON");
        Self { head, body, signature, header, payload: text(body) }
    }

    /// The key's algorithm by the name in the header.
    fn alg(&self) -> &str {
        self.header["alg"].as_str().expect("a name")
    }

    fn kid(&self) -> &str {
        self.header["kid"].as_str().expect("a text")
    }

    /// The header with other text in the place of a member's value.
    fn header_with(&self, name: &str, json: &str) -> String {
        let value = |member: &str| match member == name {
            true => json.to_owned(),
            false => self.header[member].to_string(),
        };
        format!(r#"{{"alg":{},"kid":{},"typ":{}}}"#, value("alg"), value("kid"), value("typ"))
    }

    /// The header with one member more.
    fn header_and(&self, name: &str, json: &str) -> String {
        let header = self.header_with("", "");
        format!(r#"{},"{name}":{json}}}"#, &header[..header.len() - 1])
    }

    fn signature_bytes(&self) -> Vec<u8> {
        base64url::decode(self.signature).expect("base64url")
    }
}

/// A token of these texts, signed.
fn signed(key: &SigningKey, header: &str, payload: &str) -> String {
    signed_bytes(key, header.as_bytes(), payload.as_bytes())
}

fn signed_bytes(key: &SigningKey, header: &[u8], payload: &[u8]) -> String {
    let input = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
    let signature = key.sign(input.as_bytes()).expect("randomness");
    format!("{input}.{}", base64url::encode(signature))
}

/// Every entry about bytes.
///
/// # Panics
///
/// When a seed is no token.
pub fn corpus(seeds: &Seeds<'_>) -> Vec<Entry> {
    let good = Parts::of(seeds.good);
    let mut all = vec![
        Entry::new(0, "a good token", seeds.good.to_owned()).active(),
        Entry::new(0, "another good token", seeds.other.to_owned()).active(),
    ];
    all.extend(header::entries(seeds, &good));
    all.extend(signature::entries(seeds, &good));
    all.extend(form::entries(seeds, &good));
    all.extend(claims::entries(seeds, &good));
    all.extend(proof::entries(seeds, &good));
    all
}

/// Every entry about proofs of keys. They are made at `now`, in seconds since 1970, and good for a minute.
///
/// # Panics
///
/// When a seed is no token.
pub fn proofs(seeds: &Seeds<'_>, now: i64) -> Vec<Entry> {
    proof::shown_at(seeds, &Parts::of(seeds.good), now)
}

/// A key of nobody.
///
/// # Panics
///
/// When the system gives no randomness.
pub fn stranger(algorithm: Algorithm) -> SigningKey {
    let pkcs8 = SigningKey::generate(algorithm).expect("randomness");
    SigningKey::from_pkcs8(algorithm, &pkcs8).expect("just made")
}

/// The claims of a token, signed with another key of its issuer.
///
/// # Panics
///
/// When it is no token.
pub fn signed_again(token: &str, key: &SigningKey) -> String {
    let kid = base64url::kid_text(&key.public().thumbprint());
    let parts = Parts::of(token);
    signed(key, &parts.header_with("kid", &format!("\"{kid}\"")), &parts.payload)
}

/// The `kid` in a token's header.
///
/// # Panics
///
/// When it is no token.
pub fn kid_of(token: &str) -> String {
    Parts::of(token).kid().to_owned()
}
