//! Safety list D 59 to 64, without TLS around it.

use locum_jose::digest::sha256;
use locum_model::issue_record::Confirmation;
use locum_model::{Reason, Timestamp};
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, KeyUsagePurpose, NameConstraints, SanType,
};
use rustls_pki_types::CertificateDer;

use crate::authority::{Authority, NOW, REFUNDER, domain, reason, self_signed, set_time, trust, uri};
use crate::{Trust, peer};

struct World {
    root: Authority,
    other: Authority,
    trust: Trust,
}

fn world() -> World {
    let (root, other) = (Authority::root("acme root"), Authority::root("other root"));
    let trust = trust(vec![domain("acme.test", &root), domain("other.test", &other)], Vec::new());
    World { root, other, trust }
}

fn judged(world: &World, chain: &[CertificateDer<'_>]) -> Option<Reason> {
    reason(peer(&world.trust, chain, NOW))
}

#[test]
fn a_good_svid_names_its_workload_its_key_and_its_end() {
    let world = world();
    let svid = world.root.svid(REFUNDER);
    let peer = peer(&world.trust, &svid.chain, NOW).expect("a good SVID");
    assert_eq!(peer.spiffe_id().as_str(), REFUNDER);
    assert_eq!(peer.confirmation(), Confirmation::Certificate(sha256(&svid.chain[0])));
    assert_eq!(peer.expires_at(), Timestamp::from_seconds(NOW.as_seconds() + 3_600));
}

#[test]
fn the_first_end_on_the_path_counts() {
    let short_root = Authority::root_with("short root", |params| set_time(params, -60, 1_000));
    let short_ca = short_root.below_with("short CA", |params| set_time(params, -60, 100));
    let trust = trust(vec![domain("acme.test", &short_root)], Vec::new());
    let end = |chain: &[CertificateDer<'_>]| {
        peer(&trust, chain, NOW).expect("a good SVID").expires_at().as_seconds() - NOW.as_seconds()
    };
    assert_eq!(end(&short_root.svid(REFUNDER).chain), 1_000);
    assert_eq!(end(&short_ca.svid(REFUNDER).chain), 100);
}

#[test]
fn other_names_and_no_extended_usage_do_no_harm() {
    let world = world();
    let svid = world.root.svid_with(REFUNDER, |params| {
        params.subject_alt_names.push(SanType::DnsName("refunder.acme.test".try_into().expect("ASCII")));
        params.extended_key_usages.clear();
        params.is_ca = IsCa::NoCa;
    });
    assert_eq!(judged(&world, &svid.chain), None);
}

type Edit = fn(&mut CertificateParams);

#[test]
fn a_leaf_that_breaks_one_rule_is_refused() {
    let invalid = Reason::IdentityInvalid;
    let cases: &[(&str, Reason, Edit)] = &[
        ("expired", Reason::IdentityExpired, |p| set_time(p, -7_200, -1)),
        ("not yet valid", Reason::IdentityExpired, |p| set_time(p, 1, 3_600)),
        ("server only", invalid, |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        ("two URIs", invalid, |p| p.subject_alt_names.push(uri("spiffe://acme.test/agents/admin"))),
        ("the same URI twice", invalid, |p| p.subject_alt_names.push(uri(REFUNDER))),
        ("an https URI too", invalid, |p| p.subject_alt_names.push(uri("https://acme.test"))),
        ("SPIFFE as DNS", invalid, |p| {
            p.subject_alt_names.push(SanType::DnsName("spiffe://acme.test/admin".try_into().expect("ASCII")));
        }),
        ("SPIFFE as mail", invalid, |p| {
            p.subject_alt_names.push(SanType::Rfc822Name("SPIFFE://acme.test/a".try_into().expect("ASCII")));
        }),
        ("SPIFFE as other name", invalid, |p| {
            let name = (vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], "spiffe://acme.test/admin".into());
            p.subject_alt_names.push(SanType::OtherName(name));
        }),
        ("no name", invalid, |p| p.subject_alt_names.clear()),
        ("only a common name", invalid, |p| {
            p.subject_alt_names.clear();
            p.distinguished_name.push(DnType::CommonName, REFUNDER);
        }),
        ("only DNS", invalid, |p| {
            p.subject_alt_names = vec![SanType::DnsName("refunder.acme.test".try_into().expect("ASCII"))];
        }),
        ("only https", invalid, |p| p.subject_alt_names = vec![uri("https://acme.test/agents/refunder")]),
        ("root", invalid, |p| p.subject_alt_names = vec![uri("spiffe://acme.test")]),
        ("root with slash", invalid, |p| p.subject_alt_names = vec![uri("spiffe://acme.test/")]),
        ("upper case", invalid, |p| p.subject_alt_names = vec![uri("spiffe://ACME.test/a")]),
        ("dots", invalid, |p| p.subject_alt_names = vec![uri("spiffe://acme.test/a/../admin")]),
        ("query", invalid, |p| p.subject_alt_names = vec![uri("spiffe://acme.test/a?b")]),
        ("percent", invalid, |p| p.subject_alt_names = vec![uri("spiffe://acme.test/%61")]),
        ("port", invalid, |p| p.subject_alt_names = vec![uri("spiffe://acme.test:443/a")]),
        ("CA", invalid, |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ("no key usage", invalid, |p| p.key_usages.clear()),
        ("signs nothing", invalid, |p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
        ("signs certificates", invalid, |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign)),
        ("signs CRLs", invalid, |p| p.key_usages.push(KeyUsagePurpose::CrlSign)),
        ("unknown critical extension", invalid, |p| {
            let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
            extension.set_criticality(true);
            p.custom_extensions.push(extension);
        }),
        ("another key usage", invalid, |p| {
            p.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![3, 2, 7, 128]));
        }),
        ("another alternative name", invalid, |p| {
            let names = vec![0x30, 3, 0x86, 1, b'a'];
            p.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 17], names));
        }),
        ("unknown domain", Reason::IdentityUntrustedIssuer, |p| {
            p.subject_alt_names = vec![uri("spiffe://unknown.test/agents/refunder")];
        }),
        ("a neighbour's domain", Reason::IdentityUntrustedIssuer, |p| {
            p.subject_alt_names = vec![uri("spiffe://other.test/agents/refunder")];
        }),
        ("a domain that begins alike", Reason::IdentityUntrustedIssuer, |p| {
            p.subject_alt_names = vec![uri("spiffe://acme.test.evil/agents/refunder")];
        }),
    ];
    let world = world();
    for (name, expected, edit) in cases {
        let svid = world.root.svid_with(REFUNDER, edit);
        assert_eq!(judged(&world, &svid.chain), Some(*expected), "{name}");
    }
}

#[test]
fn a_leaf_needs_a_ca_of_its_own_domain() {
    let world = world();
    let untrusted = Some(Reason::IdentityUntrustedIssuer);
    assert_eq!(judged(&world, &self_signed(REFUNDER).chain), untrusted);
    assert_eq!(judged(&world, &world.other.svid(REFUNDER).chain), untrusted);
    let namesake = Authority::root("acme root");
    assert!(judged(&world, &namesake.svid(REFUNDER).chain).is_some(), "same name, another key");
    // The stranger sends its root along.
    let mut chain = namesake.svid(REFUNDER).chain;
    chain.push(namesake.der());
    assert!(judged(&world, &chain).is_some());
    // Another domain's CA below ours does not make ours speak for theirs.
    let below = world.root.below("acme CA");
    assert_eq!(judged(&world, &below.svid("spiffe://other.test/agents/refunder").chain), untrusted);
}

#[test]
fn no_certificate_is_missing_and_no_bytes_are_a_certificate() {
    let world = world();
    assert_eq!(judged(&world, &[]), Some(Reason::IdentityMissing));
    for junk in [vec![], vec![0x30], vec![0x30, 0x80], vec![0xff; 100], vec![0; 20_000]] {
        assert_eq!(judged(&world, &[junk.into()]), Some(Reason::IdentityInvalid));
    }
    let mut long = world.root.svid(REFUNDER).chain[0].to_vec();
    long.push(0);
    assert_eq!(judged(&world, &[long.into()]), Some(Reason::IdentityInvalid));
}

#[test]
fn a_leaf_cut_or_with_one_bit_flipped_is_refused() {
    let world = world();
    let leaf = world.root.svid(REFUNDER).chain.remove(0).to_vec();
    for length in 0..leaf.len() {
        assert!(judged(&world, &[leaf[..length].to_vec().into()]).is_some(), "cut at {length}");
    }
    for bit in 0..leaf.len() * 8 {
        let mut flipped = leaf.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(judged(&world, &[flipped.into()]).is_some(), "bit {bit}");
    }
}

#[test]
fn an_intermediate_has_to_be_a_ca_in_its_time() {
    let cases: &[(&str, Option<Reason>, Edit)] = &[
        ("good", None, |_| {}),
        ("without key usage", None, |p| p.key_usages.clear()),
        ("no CA", Some(Reason::IdentityInvalid), |p| p.is_ca = IsCa::ExplicitNoCa),
        ("signs CRLs alone", Some(Reason::IdentityInvalid), |p| {
            p.key_usages = vec![KeyUsagePurpose::CrlSign]
        }),
        ("expired", Some(Reason::IdentityExpired), |p| set_time(p, -7_200, -1)),
        ("not yet valid", Some(Reason::IdentityExpired), |p| set_time(p, 1, 3_600)),
        ("server only", Some(Reason::IdentityInvalid), |p| {
            p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
        ("URI name constraints", Some(Reason::IdentityInvalid), |p| {
            // permitted: URI "acme.test"
            let content = [&[0x30, 0x0f, 0xa0, 0x0d, 0x30, 0x0b, 0x86, 0x09][..], b"acme.test"].concat();
            p.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 30], content));
        }),
    ];
    let world = world();
    for (name, expected, edit) in cases {
        let ca = world.root.below_with("acme CA", edit);
        assert_eq!(judged(&world, &ca.svid(REFUNDER).chain), *expected, "{name}");
    }
    let last = world.root.below_with("last CA", |p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    assert_eq!(judged(&world, &last.svid(REFUNDER).chain), None);
    let beyond = last.below("beyond").svid(REFUNDER);
    assert_eq!(judged(&world, &beyond.chain), Some(Reason::IdentityInvalid), "path length");
}

#[test]
fn a_chain_of_six_holds_and_of_seven_does_not() {
    let world = world();
    let mut chains = Vec::new();
    let mut ca = world.root.below("CA 1");
    for depth in 2..=6 {
        chains.push(ca.svid(REFUNDER).chain);
        ca = ca.below(&format!("CA {depth}"));
    }
    for chain in &chains {
        assert_eq!(judged(&world, chain), None, "{} certificates", chain.len());
    }
    let seven = ca.svid(REFUNDER).chain;
    assert_eq!(seven.len(), 7);
    assert_eq!(judged(&world, &seven), Some(Reason::IdentityInvalid));
}

#[test]
fn a_maze_of_cross_signed_authorities_leads_nowhere() {
    // All have the same name, so that each could have issued each; none was issued by the root.
    let world = world();
    let stranger = Authority::root("maze");
    let maze: Vec<_> = (0..5).map(|_| stranger.below("maze").der()).collect();
    let leaf = stranger.below("maze").svid(REFUNDER).chain.remove(0);
    assert!(judged(&world, &[vec![leaf.clone()], maze.clone()].concat()).is_some());
    // More of it is not even looked at.
    let thousand: Vec<_> = maze.iter().cycle().take(1_000).cloned().collect();
    let refused = peer(&world.trust, &[vec![leaf], thousand].concat(), NOW).expect_err("too long");
    assert_eq!(refused.detail(), "the chain has more than 6 certificates");
}

#[test]
fn a_bomb_of_name_constraints_stays_within_the_budget() {
    let world = world();
    let dns = |at: usize| format!("a{at}.b");
    let ca = world.root.below_with("bomb", |params| {
        let excluded = (0..600).map(|at| GeneralSubtree::DnsName(dns(at))).collect();
        let constraints = NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees: excluded };
        params.name_constraints = Some(constraints);
    });
    let svid = ca.svid_with(REFUNDER, |params| {
        let names = (1_000..1_600).map(|at| SanType::DnsName(dns(at).try_into().expect("ASCII")));
        params.subject_alt_names.extend(names);
    });
    let refused = peer(&world.trust, &svid.chain, NOW).expect_err("too much work");
    assert_eq!(refused.reason(), Reason::IdentityInvalid);
    assert!(refused.detail().contains("MaximumNameConstraintComparisonsExceeded"), "{refused}");
}

#[test]
fn an_authority_that_expires_takes_its_svids_along() {
    let old = Authority::root_with("old", |params| set_time(params, -86_400, 600));
    let new = Authority::root("new");
    let mut options = domain("acme.test", &old);
    options.bundle_pem.extend(new.pem());
    let trust = trust(vec![options], Vec::new());
    let (of_old, of_new) = (old.svid(REFUNDER), new.svid(REFUNDER));
    let at = |chain: &[CertificateDer<'_>], seconds: i64| {
        reason(peer(&trust, chain, Timestamp::from_seconds(NOW.as_seconds() + seconds)))
    };
    assert_eq!((at(&of_old.chain, 599), at(&of_new.chain, 599)), (None, None));
    let gone = Some(Reason::IdentityUntrustedIssuer);
    assert_eq!((at(&of_old.chain, 600), at(&of_new.chain, 600)), (gone, None));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = super::svid::leaf(&bytes);
    }
}
