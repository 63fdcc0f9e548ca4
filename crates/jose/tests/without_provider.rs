//! A process that never installed the provider gets a refusal, not a panic.

use locum_jose::assertion::{self, JWT_SVID, NotAsserted};
use locum_jose::{Compact, SigningKey, base64url, provider};
use locum_model::registry::Algorithm;

#[test]
fn without_a_provider_nothing_is_asserted() {
    let pkcs8 = SigningKey::generate(Algorithm::Es256).expect("entropy");
    let key = SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).expect("new");
    let input = format!("{}.e30", base64url::encode(r#"{"alg":"ES256","kid":"k"}"#));
    let text = format!("{input}.{}", base64url::encode(key.sign(input.as_bytes()).expect("entropy")));
    let compact = Compact::parse(&text, &JWT_SVID).expect("well formed");
    assert!(!provider::is_installed());
    assert_eq!(assertion::verify(&compact, key.public()), Err(NotAsserted::Provider));
    assert_eq!(compact.verify(key.public()), Ok(()), "our own tokens need no provider");
}
