//! Which keys of a set may sign assertions.

use locum_jose::jwks::NotAKeySet;
use locum_model::registry::Algorithm;
use serde_json::{Value, json};

use super::{Keys, KeysProblem};
use crate::authority::{Signer, key_set};

fn kids(keys: Result<Keys, KeysProblem>) -> Result<Vec<String>, KeysProblem> {
    keys.map(|keys| keys.0.into_keys().collect())
}

#[test]
fn each_owner_has_its_own_use() {
    let es256 = |kid: &str| Signer::new(Algorithm::Es256, kid);
    let mut silent = es256("silent").jwk("");
    silent.as_object_mut().expect("an object").remove("use");
    let set = key_set(&[
        es256("svid").jwk("jwt-svid"),
        es256("sig").jwk("sig"),
        es256("x509").jwk("x509-svid"),
        es256("enc").jwk("enc"),
        silent,
        Signer::new(Algorithm::Ed25519, "ed").jwk("sig"),
        Signer::new(Algorithm::Ed25519, "ed-svid").jwk("jwt-svid"),
    ]);
    assert_eq!(kids(Keys::of_domain(&set)), Ok(vec!["silent".to_owned(), "svid".to_owned()]));
    assert_eq!(kids(Keys::of_issuer(&set)), Ok(vec!["sig".to_owned(), "silent".to_owned()]));
}

#[test]
fn a_set_without_a_usable_key_is_refused() {
    let signer = Signer::new(Algorithm::Es256, "k");
    let without_kid = |mut jwk: Value| {
        jwk.as_object_mut().expect("an object").remove("kid");
        jwk
    };
    let private = json!({"kty": "oct", "k": "AAAA", "kid": "k"});
    for (set, expected) in [
        (vec![], KeysProblem::Set(NotAKeySet::Malformed)),
        (b"{}".to_vec(), KeysProblem::Set(NotAKeySet::Malformed)),
        (key_set(&[]), KeysProblem::Empty),
        (signer.jwks("jwt-svid"), KeysProblem::Empty),
        (key_set(&[without_kid(signer.jwk("sig"))]), KeysProblem::Empty),
        (key_set(&[signer.jwk("sig"), private]), KeysProblem::Set(NotAKeySet::Private)),
        (key_set(&[signer.jwk("sig"), signer.jwk("sig")]), KeysProblem::Set(NotAKeySet::RepeatedKid)),
        (vec![b' '; 1 << 20], KeysProblem::Set(NotAKeySet::TooLong)),
    ] {
        assert_eq!(kids(Keys::of_issuer(&set)), Err(expected));
    }
}

#[test]
fn a_key_is_the_same_under_another_name() {
    let mut signer = Signer::new(Algorithm::Es256, "one");
    let one = Keys::of_issuer(&signer.jwks("sig")).expect("a set");
    signer.kid = "two".to_owned();
    let two = Keys::of_domain(&signer.jwks("jwt-svid")).expect("a set");
    assert!(one.shares_key(&two) && two.shares_key(&one));
    let other = Keys::of_issuer(&Signer::new(Algorithm::Es256, "one").jwks("sig")).expect("a set");
    assert!(!one.shares_key(&other));
}
