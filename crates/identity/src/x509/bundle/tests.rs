//! What an operator may and may not put into a trust bundle.

use locum_model::TrustDomain;
use locum_model::limits::{BUNDLE_BYTES_MAX, BUNDLE_CERTIFICATES_MAX};
use rcgen::{BasicConstraints, CustomExtension, IsCa, KeyPair, KeyUsagePurpose};

use super::{Bundle, BundleProblem};
use crate::authority::{Authority, NOW, set_time, uri};

fn read(pem: &[u8]) -> Result<usize, BundleProblem> {
    let domain: TrustDomain = "acme.test".parse().expect("a name");
    Bundle::of(&domain, pem, NOW).map(|bundle| bundle.trusted_at(NOW).len())
}

fn uri_constraint(host: &[u8; 9]) -> CustomExtension {
    // excluded: a URI of this host
    let content = [&[0x30, 0x0f, 0xa1, 0x0d, 0x30, 0x0b, 0x86, 0x09][..], host].concat();
    CustomExtension::from_oid_content(&[2, 5, 29, 30], content)
}

#[test]
fn a_bundle_holds_authorities_and_comments() {
    let (one, two) = (Authority::root("one"), Authority::root("two"));
    let text = [b"# acme\n", &one.pem()[..], b"\nsecond:\n", &two.pem()[..]].concat();
    assert_eq!(read(&text), Ok(2));
    let later = Authority::root_with("later", |params| set_time(params, 60, 600));
    assert_eq!(read(&[one.pem(), later.pem()].concat()), Ok(1), "published ahead");
    let named =
        Authority::root_with("named", |params| params.subject_alt_names = vec![uri("spiffe://acme.test")]);
    assert_eq!(read(&named.pem()), Ok(1));
    assert_eq!(read(&one.below("below").pem()), Ok(1), "a CA need not be a root");
}

#[test]
fn what_is_no_bundle_of_authorities_is_refused() {
    let good = Authority::root("good").pem();
    let with = |edit: &dyn Fn(&mut rcgen::CertificateParams)| {
        [good.clone(), Authority::root_with("bad", |params| edit(params)).pem()].concat()
    };
    let key = KeyPair::generate().expect("a key").serialize_pem().into_bytes();
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
    let cut = good[..good.len() / 2].to_vec();
    let index = 2;
    for (name, text, expected) in [
        ("empty", vec![], BundleProblem::Empty),
        ("text", b"no certificate here".to_vec(), BundleProblem::Empty),
        ("private key", [good.clone(), key].concat(), BundleProblem::Foreign),
        ("cut", cut, BundleProblem::NotPem),
        ("no CA", with(&|p| p.is_ca = IsCa::ExplicitNoCa), BundleProblem::NotCa { index }),
        ("silent", with(&|p| p.is_ca = IsCa::NoCa), BundleProblem::NotCa { index }),
        (
            "signs no certificates",
            with(&|p| p.key_usages = vec![KeyUsagePurpose::DigitalSignature]),
            BundleProblem::NotCa { index },
        ),
        (
            "URI constraints",
            with(&|p| p.custom_extensions.push(uri_constraint(b"evil.test"))),
            BundleProblem::UriConstraints { index },
        ),
        (
            "URI constraints in disguise",
            with(&|p| p.custom_extensions.push(uri_constraint(b"evil\xfftest"))),
            BundleProblem::UriConstraints { index },
        ),
        (
            "another domain",
            with(&|p| p.subject_alt_names = vec![uri("spiffe://other.test")]),
            BundleProblem::OtherDomain { index, name: "`spiffe://other.test`".to_owned() },
        ),
        ("too many", good.repeat(BUNDLE_CERTIFICATES_MAX + 1), BundleProblem::TooMany),
        ("too long", vec![b'\n'; BUNDLE_BYTES_MAX + 1], BundleProblem::TooLong),
    ] {
        assert_eq!(read(&text), Err(expected), "{name}");
    }
    let refused = read(&[good, broken].concat());
    assert!(matches!(refused, Err(BundleProblem::Unreadable { index: 2, .. })), "{refused:?}");
}

#[test]
fn the_operator_reads_why_uri_constraints_are_refused() {
    let bad =
        Authority::root_with("bad", |params| params.custom_extensions.push(uri_constraint(b"evil.test")));
    let said = read(&bad.pem()).expect_err("refused").to_string();
    assert!(said.contains("URI name constraints"), "{said}");
}

#[test]
fn a_bundle_whose_authorities_are_all_out_of_time_is_refused() {
    let expired = Authority::root_with("old", |params| set_time(params, -600, 0));
    let early = Authority::root_with("early", |params| {
        set_time(params, 1, 600);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    assert_eq!(read(&[expired.pem(), early.pem()].concat()), Err(BundleProblem::NoneValid));
}
