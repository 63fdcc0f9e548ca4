//! The policies that are shipped as samples compile, and decide what their comments say.

use locum_model::Reason;
use locum_model::event::PolicyText;

use crate::fixture::{Wish, decide, name, registry};
use crate::{Justification, PolicySet, Proof, compile};

fn samples() -> PolicySet {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/policies");
    let mut texts: Vec<PolicyText> = std::fs::read_dir(folder)
        .expect("the samples")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cedar"))
        .map(|path| PolicyText {
            name: path.file_name().expect("a file").to_string_lossy().into_owned(),
            text: std::fs::read_to_string(&path).expect("readable"),
        })
        .collect();
    texts.sort_by(|a, b| a.name.cmp(&b.name));
    compile(&texts).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn check(wish: &Wish, expected: Result<(Option<u64>, &[&str]), Reason>) {
    let decision = decide(&samples(), &registry(), &wish.request());
    let told = match &decision {
        Ok(permit) => Ok((permit.obligations().ttl_max.map(|ttl| ttl.as_secs()), permit.policies())),
        Err(denial) => Err(denial.reason()),
    };
    let expected = expected.map(|(ttl, ids)| (ttl, ids.iter().map(ToString::to_string).collect::<Vec<_>>()));
    assert_eq!(told.map(|(ttl, ids)| (ttl, ids.to_vec())), expected, "{decision:?} for {wish:?}");
}

#[test]
fn the_samples_decide_what_they_say() {
    let registry = registry();
    let wish = |number, scope: &[(&str, &[&str])]| Wish::of(&registry, number, scope);
    let justified = |wish: Wish| Wish { justification: Justification::Given, ..wish };

    check(&wish(2, &[("orders:read", &[])]), Ok((Some(300), &["readers-read"])));
    check(&wish(2, &[("orders:count", &[])]), Ok((Some(300), &["readers-read"])));
    check(&wish(3, &[("orders:read", &[])]), Err(Reason::PolicyDenied));
    check(&wish(2, &[("vault:read", &[])]), Err(Reason::JustificationRequired));
    check(&justified(wish(2, &[("vault:read", &[])])), Ok((Some(60), &["readers-read-high-tier"])));

    let both: &[(&str, &[&str])] = &[("orders:read", &["order/7"]), ("orders:refund", &["order/7"])];
    let refunds = ["readers-read", "refunder-reads-orders", "refunder-refunds-orders", "writers-write"];
    check(&wish(1, both), Ok((Some(30), &refunds)));
    check(&wish(2, both), Err(Reason::PolicyDenied));
    let exploring = Wish { purpose: name("explore"), ..wish(1, both) };
    check(&exploring, Err(Reason::PolicyDenied));

    check(&wish(1, &[("mail:send", &["customer/1"])]), Ok((Some(60), &["senders-send-once"])));
    check(&Wish { depth: 4, ..wish(1, &[("mail:send", &["customer/1"])]) }, Err(Reason::PolicyDenied));

    let rotate: &[(&str, &[&str])] = &[("vault:rotate", &[])];
    check(&wish(2, rotate), Err(Reason::JustificationRequired));
    check(&justified(wish(2, rotate)), Err(Reason::ProofRequired));
    let proved = Wish { proof: Proof::Proved, ..justified(wish(2, rotate)) };
    check(&proved, Ok((Some(30), &["platform-administers"])));
    check(&Wish { proof: Proof::Proved, ..justified(wish(1, rotate)) }, Err(Reason::PolicyDenied));
}

#[test]
fn a_send_is_single_use() {
    let (set, registry) = (samples(), registry());
    let wish = Wish::of(&registry, 1, &[("mail:send", &["customer/1"])]);
    let permit = decide(&set, &registry, &wish.request()).expect("permitted");
    assert!(permit.obligations().single_use);
    assert!(set.len() >= 10 && set.ids().any(|id| id == "no-offline-sends"));
}

#[test]
fn a_pattern_is_not_one_order_by_another_name() {
    let registry = registry();
    let decided = |resources: &[&str]| {
        let wish = Wish::of(&registry, 1, &[("orders:refund", resources)]);
        let permit = decide(&samples(), &registry, &wish.request()).expect("permitted by some");
        permit.policies().to_vec()
    };
    let refunds = "refunder-refunds-orders".to_owned();
    assert!(decided(&["order/7"]).contains(&refunds));
    assert!(!decided(&[]).contains(&refunds), "never all of them");
    assert!(!decided(&["order/*"]).contains(&refunds), "nor by another name");
    assert!(!decided(&["order/*", "refund/**"]).contains(&refunds), "nor spelled out");
}
