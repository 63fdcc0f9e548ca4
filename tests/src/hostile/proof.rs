//! What was shown beside the token: lines 28 and 29.

use locum_jose::{SigningKey, base64url};
use locum_model::registry::Algorithm;
use ring::digest::{SHA256, digest};

use super::proof_algorithm::makers;
use super::{Entry, Parts, Proof, Seeds, signed, stranger};

/// The request that comes with the token.
const METHOD: &str = "GET";
const URI: &str = "https://orders.acme.test/order/1";

pub(super) fn entries(seeds: &Seeds<'_>, good: &Parts<'_>) -> Vec<Entry> {
    let mut all = certificates(seeds);
    let thumbprint = base64url::encode(seeds.stranger.public().thumbprint().0);
    for (name, cnf, shown) in [
        ("no proof", format!(r#"{{"jkt":"{thumbprint}"}}"#), None),
        (
            "a certificate for a proof",
            format!(r#"{{"jkt":"{}"}}"#, base64url::encode([7; 32])),
            Some([7; 32]),
        ),
        ("bound to nothing", "{}".to_owned(), Some([7; 32])),
        ("bound to null", "null".to_owned(), None),
        ("bound to what nobody knows", r#"{"x":"y"}"#.to_owned(), None),
        ("a short thumbprint", r#"{"jkt":"AAAA"}"#.to_owned(), None),
    ] {
        let bound = good.payload.replacen(r#","locum":"#, &format!(r#","cnf":{cnf},"locum":"#), 1);
        let token = signed(seeds.own, &good.header_with("", ""), &bound);
        all.push(Entry { certificate: shown, ..Entry::new(29, name, token) });
    }
    all
}

fn certificates(seeds: &Seeds<'_>) -> Vec<Entry> {
    let (bound, shown) = (seeds.bound.to_owned(), seeds.certificate);
    let mut near = shown;
    near[31] ^= 1;
    let with = |entry: Entry, certificate: [u8; 32]| Entry { certificate: Some(certificate), ..entry };
    vec![
        Entry::new(28, "no certificate", bound.clone()),
        with(Entry::new(28, "another certificate", bound.clone()), near),
        with(Entry::new(28, "zeros for a certificate", bound.clone()), [0; 32]),
        with(Entry::new(28, "its certificate", bound).active(), shown),
        with(Entry::new(28, "a certificate with what is not bound", seeds.good.to_owned()).active(), near),
    ]
}

/// What a proof is made of; each entry has another text in one place.
struct Made<'a> {
    key: &'a SigningKey,
    header: String,
    claims: Vec<(&'static str, String)>,
}

impl<'a> Made<'a> {
    /// A good one, for a token at a time.
    fn good(key: &'a SigningKey, token: &str, id: usize, now: i64) -> Self {
        let ath = base64url::encode(digest(&SHA256, token.as_bytes()).as_ref());
        let claims = [
            ("jti", format!(r#""proof-{id}""#)),
            ("htm", format!(r#""{METHOD}""#)),
            ("htu", format!(r#""{URI}""#)),
            ("iat", now.to_string()),
            ("ath", format!(r#""{ath}""#)),
        ];
        let public = key.public();
        let header =
            format!(r#"{{"alg":"{}","jwk":{},"typ":"dpop+jwt"}}"#, public.algorithm(), public.to_jwk());
        Self { key, header, claims: claims.into() }
    }

    /// With another text for a claim, or one more; without it where the text is empty.
    fn with(mut self, name: &'static str, json: &str) -> Self {
        self.claims.retain(|(claim, _)| *claim != name);
        if !json.is_empty() {
            self.claims.push((name, json.to_owned()));
        }
        self
    }

    fn header(self, header: String) -> Self {
        Self { header, ..self }
    }

    fn claims_text(&self) -> String {
        let members: Vec<_> = self.claims.iter().map(|(name, json)| format!(r#""{name}":{json}"#)).collect();
        format!("{{{}}}", members.join(","))
    }

    fn text(&self) -> String {
        signed(self.key, &self.header, &self.claims_text())
    }
}

/// Line 29 with proofs.
pub(super) fn shown_at(seeds: &Seeds<'_>, good: &Parts<'_>, now: i64) -> Vec<Entry> {
    let [own, other, edwards] = [Algorithm::Es256, Algorithm::Es256, Algorithm::Ed25519].map(stranger);
    let bound_by = |jwk: &str| {
        let jkt = base64url::encode(digest(&SHA256, jwk.as_bytes()));
        let payload =
            good.payload.replacen(r#","locum":"#, &format!(r#","cnf":{{"jkt":"{jkt}"}},"locum":"#), 1);
        signed(seeds.own, &good.header_with("", ""), &payload)
    };
    let bound_to = |key: &SigningKey| bound_by(&key.public().to_jwk());
    let (token, of_edwards) = (bound_to(&own), bound_to(&edwards));
    let entry = |name: &str, token: &str, proof: String| {
        let proof = Some(Proof { proof, method: METHOD, uri: URI });
        Entry { proof, ..Entry::new(29, format!("proof: {name}"), token.to_owned()) }
    };
    let mut all = Vec::new();
    let made = |id: usize| Made::good(&own, &token, id, now);
    all.push(entry("good", &token, made(0).text()).active());
    let by_edwards = Made::good(&edwards, &of_edwards, 0, now);
    all.push(entry("good, EdDSA", &of_edwards, by_edwards.text()).active());
    all.push(Entry { is_replay: true, ..entry("shown before", &token, made(1).text()) });
    let certificate = Some(seeds.certificate);
    all.push(Entry { certificate, ..entry("and a certificate", &token, made(2).text()).active() });
    for (name, token) in [("what is not bound", seeds.good), ("what a certificate is bound to", seeds.bound)]
    {
        let proof = Made::good(&own, token, 3, now).text();
        all.push(Entry { certificate, ..entry(&format!("beside {name}"), token, proof) });
    }
    for (at, (name, claim, json, is_good)) in claims_of_proofs(now).into_iter().enumerate() {
        let entry = entry(&format!("{claim}, {name}"), &token, made(100 + at).with(claim, &json).text());
        all.push(if is_good { entry.active() } else { entry });
    }
    let unlike = Made::good(&own, seeds.good, 4, now).text();
    all.push(entry("for another token", &token, unlike));
    all.push(entry("another's key", &token, Made::good(&other, &token, 5, now).text()));
    all.extend(forms(&token, (&own, &other), now).into_iter().map(|(name, text)| entry(&name, &token, text)));
    for (at, maker) in makers().iter().enumerate() {
        let token = bound_by(&maker.canonical);
        // A key that is always the same: what was shown of another corpus is no replay.
        let id = format!(r#""{at} of {}""#, base64url::kid_text(&own.public().thumbprint()));
        let claims = Made::good(&own, &token, 0, now).with("jti", &id).claims_text();
        let header = format!(r#"{{"alg":"{}","jwk":{},"typ":"dpop+jwt"}}"#, maker.alg, maker.jwk);
        let input = format!("{}.{}", base64url::encode(header), base64url::encode(claims));
        let proof = format!("{input}.{}", base64url::encode((maker.sign)(input.as_bytes())));
        let entry = entry(&maker.name, &token, proof);
        all.push(if maker.is_good { entry.active() } else { entry });
    }
    all
}

/// Claims that are in the place of a good proof's, and whether that is as good.
fn claims_of_proofs(now: i64) -> Vec<(&'static str, &'static str, String, bool)> {
    let text = |text: &str| format!(r#""{text}""#);
    vec![
        ("with a query", "htu", text(&format!("{URI}?full=true")), true),
        ("with a fragment", "htu", text(&format!("{URI}#top")), true),
        ("in another case", "htu", text("HTTPS://Orders.Acme.Test/order/1"), true),
        ("with the port", "htu", text("https://orders.acme.test:443/order/1"), true),
        ("half a minute old", "iat", (now - 30).to_string(), true),
        ("a little ahead", "iat", (now + 5).to_string(), true),
        ("one more claim", "x", "[1]".to_owned(), true),
        ("another", "htm", text("POST"), false),
        ("in another case", "htm", text("get"), false),
        ("missing", "htm", String::new(), false),
        ("a list", "htm", r#"["GET"]"#.to_owned(), false),
        ("another path", "htu", text("https://orders.acme.test/order/2"), false),
        ("a path in another case", "htu", text("https://orders.acme.test/Order/1"), false),
        ("a slash more", "htu", text("https://orders.acme.test/order/1/"), false),
        ("a path below", "htu", text("https://orders.acme.test/order/1/lines"), false),
        ("another host", "htu", text("https://evil.test/order/1"), false),
        ("another port", "htu", text("https://orders.acme.test:8443/order/1"), false),
        ("another scheme", "htu", text("http://orders.acme.test/order/1"), false),
        ("somebody at the host", "htu", text("https://orders.acme.test@evil.test/order/1"), false),
        ("a path alone", "htu", text("/order/1"), false),
        ("missing", "htu", String::new(), false),
        ("missing", "ath", String::new(), false),
        ("empty", "ath", text(""), false),
        ("of nothing", "ath", text("47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"), false),
        ("old", "iat", (now - 70).to_string(), false),
        ("of an hour ago", "iat", (now - 3_600).to_string(), false),
        ("far ahead", "iat", (now + 3_600).to_string(), false),
        ("negative", "iat", "-1".to_owned(), false),
        ("beyond all time", "iat", "9223372036854775807".to_owned(), false),
        ("beyond all numbers", "iat", "1e400".to_owned(), false),
        ("a text", "iat", text(&now.to_string()), false),
        ("a fraction", "iat", format!("{now}.5"), false),
        ("null", "iat", "null".to_owned(), false),
        ("missing", "iat", String::new(), false),
        ("empty", "jti", text(""), false),
        ("a number", "jti", "7".to_owned(), false),
        ("of 257 bytes", "jti", text(&"j".repeat(257)), false),
        ("missing", "jti", String::new(), false),
    ]
}

/// Proofs that are none, whatever they say.
fn forms(token: &str, (own, other): (&SigningKey, &SigningKey), now: i64) -> Vec<(String, String)> {
    let made = |id: usize| Made::good(own, token, 1_000 + id, now);
    let (jwk, theirs) = (own.public().to_jwk(), other.public().to_jwk());
    let secret = format!(r#"{},"d":"{}"}}"#, &jwk[..jwk.len() - 1], base64url::encode([1; 32]));
    let symmetric = format!(r#"{{"kty":"oct","k":"{}"}}"#, base64url::encode([1; 32]));
    let header = |alg: &str, jwk: &str| format!(r#"{{"alg":"{alg}","jwk":{jwk},"typ":"dpop+jwt"}}"#);
    let mut all: Vec<(String, String)> = [
        ("alg none, signed", header("none", &jwk)),
        ("alg HS256, signed", header("HS256", &jwk)),
        ("alg EdDSA on P-256", header("EdDSA", &jwk)),
        ("alg ES384 on P-256", header("ES384", &jwk)),
        ("a private key", header("ES256", &secret)),
        ("a symmetric key", header("HS256", &symmetric)),
        ("another's key in it, our signature", header("ES256", &theirs)),
        ("a key of another curve", header("ES256", &jwk.replace("P-256", "P-384"))),
        ("no key", r#"{"alg":"ES256","typ":"dpop+jwt"}"#.to_owned()),
        ("a key by its name", r#"{"alg":"ES256","kid":"x","typ":"dpop+jwt"}"#.to_owned()),
        ("a kid beside the key", format!(r#"{{"alg":"ES256","jwk":{jwk},"kid":"x","typ":"dpop+jwt"}}"#)),
        ("crit", format!(r#"{{"alg":"ES256","crit":["exp"],"jwk":{jwk},"typ":"dpop+jwt"}}"#)),
        ("the type of a token", header("ES256", &jwk).replace("dpop+jwt", "at+jwt")),
        ("the type of any", header("ES256", &jwk).replace("dpop+jwt", "JWT")),
        ("no type", format!(r#"{{"alg":"ES256","jwk":{jwk}}}"#)),
        ("two keys", format!(r#"{{"alg":"ES256","jwk":{theirs},"jwk":{jwk},"typ":"dpop+jwt"}}"#)),
    ]
    .into_iter()
    .enumerate()
    .map(|(at, (name, header))| (name.to_owned(), made(at).header(header).text()))
    .collect();
    let good = made(100).text();
    let (input, signature) = good.rsplit_once('.').expect("three parts");
    let head = base64url::encode(header("none", &jwk));
    let body = input.split_once('.').expect("two parts").1;
    let twice = made(101).claims_text().replacen('{', r#"{"htm":"GET","#, 1);
    for (name, text) in [
        ("unsigned", format!("{input}.")),
        ("none, unsigned", format!("{head}.{body}.")),
        ("two parts", input.to_owned()),
        ("four parts", format!("{good}.{signature}")),
        ("a space before", format!(" {good}")),
        ("a line end", format!("{good}\n")),
        ("two in one", format!("{good},{good}")),
        ("the token itself", token.to_owned()),
        ("no JWS", "proof".to_owned()),
        ("a claim twice", signed(own, &made(102).header, &twice)),
        ("claims in a list", signed(own, &made(103).header, &format!("[{}]", made(103).claims_text()))),
        ("padded", format!("{good}=")),
        ("huge", made(104).with("x", &format!(r#""{}""#, "x".repeat(4_096))).text()),
        ("another's signature", {
            let theirs = Made { key: other, ..made(105) };
            theirs.text()
        }),
    ] {
        all.push((name.to_owned(), text));
    }
    all
}
