//! The check of a live token in process, beside a signature check and a bare map.

use std::hint::black_box;
use std::time::Duration;

use dashmap::DashMap;
use locum_benches::{Even, ISSUED, filled_table, jti, nanos, record};
use locum_model::event::{By, KeyMoved, KeyPurpose};
use locum_model::registry::Algorithm;
use locum_model::{Event, Live, TaskId};
use locum_table::Lookup;
use locum_token::{KeyRing, MemoryKeyStore};

const LOOKED_AT: u64 = 100_000;
const CALLS: usize = 200_000;

#[expect(clippy::print_stdout, reason = "the answer of a bench")]
fn main() {
    let now = ISSUED.plus(Duration::from_secs(1));
    let verify = signature_check();
    println!("signature check of one of our tokens        {verify:>10.0} ns");
    for rows in [1_000, 100_000, 1_000_000] {
        let table = filled_table(rows);
        let filler = "x".repeat(880);
        let tokens: Vec<_> = (0..rows.min(LOOKED_AT))
            .map(|n| jti(n * (rows / rows.min(LOOKED_AT))))
            .map(|jti| (jti, format!("{jti}{filler}")))
            .collect();
        for (jti, compact) in &tokens {
            table.remember(*jti, compact);
        }
        let mut even = Even(7);
        let lookup = nanos(CALLS, |_| {
            let (jti, compact) = &tokens[(even.draw() % tokens.len() as u64) as usize];
            assert!(matches!(table.lookup(black_box(*jti), black_box(compact), now), Lookup::Live(_)));
        });
        let map: DashMap<u128, [u64; 8], std::hash::RandomState> = DashMap::default();
        for n in 0..rows {
            map.insert(u128::from_be_bytes(jti(n).0), [n; 8]);
        }
        let mut even = Even(7);
        let bare = nanos(CALLS, |_| {
            let (jti, compact) = &tokens[(even.draw() % tokens.len() as u64) as usize];
            black_box(locum_token::sha256(black_box(compact)));
            black_box(map.get(&u128::from_be_bytes(jti.0)).map(|row| *row));
        });
        println!(
            "check of a live token, {rows:>9} rows          {lookup:>10.0} ns   {:>6.1}x faster than a signature check   {:>5.2}x of SHA-256 and a bare DashMap get ({bare:.0} ns)",
            verify / lookup,
            lookup / bare,
        );
    }
}

/// What checking one of our tokens costs without the table.
fn signature_check() -> f64 {
    let store = MemoryKeyStore::default();
    let (published, private) =
        locum_token::generate(Algorithm::Es256, KeyPurpose::Token, By::Broker, ISSUED).expect("a key");
    locum_token::KeyStore::save(&store, &published.kid, &private).expect("stored");
    let (kid, mut ring) = (published.kid, KeyRing::default());
    ring.apply(&Event::KeyPublished(published), &store).expect("published");
    ring.apply(&Event::KeyActivated(KeyMoved { kid, by: By::Broker, at: ISSUED }), &store).expect("active");
    let issuer = "https://locum.acme.test";
    let mut allowed = record(jti(1), TaskId::new(1, 1));
    allowed.kid = kid;
    let token = locum_token::sign(&ring, issuer, &Live::assertion(allowed)).expect("signed");
    let now = ISSUED.plus(Duration::from_secs(1));
    nanos(2_000, |_| {
        black_box(locum_token::verify(&ring, issuer, black_box(token.compact()), now)).expect("verified");
    })
}
