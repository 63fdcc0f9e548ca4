//! What was shown beside the token: lines 28 and 29.

use locum_jose::base64url;

use super::{Entry, Parts, Seeds, signed};

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
