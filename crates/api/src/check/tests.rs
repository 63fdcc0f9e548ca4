use locum_model::{Confirmation, TaskId, Timestamp};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::broker::v1 as wire;
use crate::convert::confirmation::{self, presented_from_wire};
use crate::convert::time::timestamp_to_wire;

// === questions ===

fn any_question() -> impl Strategy<Value = wire::IntrospectTokenRequest> {
    let certificate = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 32),
        prop::collection::vec(any::<u8>(), 0..40)
    ];
    let proof = (".{0,20}", ".{0,4}", prop_oneof![".{0,20}", "u{2040,2056}"]);
    let proof = proof.prop_map(|(proof, method, uri)| wire::PresentedProof { proof, method, uri });
    let presented = (certificate, prop::option::of(proof))
        .prop_map(|(certificate_sha256, proof)| wire::Presented { certificate_sha256, proof });
    (".{0,40}", ".{0,12}", prop::option::of(presented)).prop_map(|(token, connector, presented)| {
        wire::IntrospectTokenRequest { token, connector, presented }
    })
}

/// Whether two readings are of the same question.
fn same(ours: &Question<'_>, theirs: &wire::IntrospectTokenRequest) -> bool {
    let presented = presented_from_wire(theirs.presented.as_ref(), "presented");
    (ours.token, ours.connector) == (&theirs.token, &theirs.connector) && ours.presented() == presented
}

/// Both readings of any bytes: the same, or none.
fn check_one(bytes: &[u8]) {
    match (question(bytes), wire::IntrospectTokenRequest::decode(bytes)) {
        (Ok(ours), Ok(theirs)) => assert!(same(&ours, &theirs), "{bytes:?}"),
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("{bytes:?}: ours is {}, theirs {}", ours.is_ok(), theirs.is_ok()),
    }
}

fn check_many(bytes: &[u8]) {
    let mut read = Vec::new();
    match (questions(bytes, 3, &mut read), wire::IntrospectTokensRequest::decode(bytes)) {
        (Ok(count), Ok(theirs)) => {
            assert_eq!(count, theirs.tokens.len());
            assert_eq!(read.len(), count.min(3), "no more than asked for");
            assert!(read.iter().zip(&theirs.tokens).all(|(ours, theirs)| same(ours, theirs)));
        }
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("{bytes:?}: ours is {}, theirs {}", ours.is_ok(), theirs.is_ok()),
    }
}

#[test]
fn odd_requests_are_read_as_the_generated_messages_read_them() {
    for bytes in [
        &b""[..],
        b"\x0a\x00",
        // Twice: the later one holds.
        b"\x0a\x01a\x0a\x01b",
        // Unknown fields of every type, a group too.
        b"\x20\x01\x2a\x01x\x31\x00\x00\x00\x00\x00\x00\x00\x00\x3d\x00\x00\x00\x00\x43\x44\x0a\x01a",
        // A group that does not end, or ends as another.
        b"\x43",
        b"\x43\x4c",
        b"\x44",
        // `presented` twice: the second adds what it has.
        b"\x1a\x03\x0a\x01a\x1a\x00",
        b"\x1a\x03\x0a\x01a\x1a\x03\x0a\x01b",
        b"\x1a\x02\x18\x01",
        // A proof in two parts, one that is empty, one that is no message.
        b"\x1a\x05\x12\x03\x0a\x01p\x1a\x05\x12\x03\x12\x01m",
        b"\x1a\x02\x12\x00",
        b"\x1a\x03\x12\x01\x0a",
        b"\x1a\x02\x10\x01",
        // Another type, a number of nought, lengths beyond the end, no UTF-8, a varint without end.
        b"\x08\x01",
        b"\x18\x01",
        b"\x1a\x02\x08\x01",
        b"\x02\x00",
        b"\x0a\x05a",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a\x01\xff",
        b"\x0a\x01\xff\x0a\x01a",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x1a\x04\x0a\x05ab",
        b"\x0f",
    ] {
        check_one(bytes);
        check_many(bytes);
        let mut nested = vec![0x0a, u8::try_from(bytes.len()).expect("short")];
        nested.extend_from_slice(bytes);
        check_many(&nested);
    }
}

proptest! {
    #[test]
    fn requests_are_read_as_the_generated_messages_read_them(
        asked in prop::collection::vec(any_question(), 0..6),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        noise in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        for one in &asked {
            prop_assert!(question(&one.encode_to_vec()).is_ok_and(|ours| same(&ours, one)));
        }
        let many = wire::IntrospectTokensRequest { tokens: asked };
        let mut bytes = many.encode_to_vec();
        check_many(&bytes);
        check_one(&noise);
        check_many(&noise);
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            check_many(&bytes);
            check_many(&bytes[..at]);
        }
    }
}

// === answers ===

fn any_grants() -> impl Strategy<Value = Vec<wire::Grant>> {
    let grant = ("[a-z:]{0,12}", prop::collection::vec("[a-z/*]{0,40}", 0..9));
    let grant = grant.prop_map(|(operation, resources)| wire::Grant { operation, resources });
    prop::collection::vec(grant, 0..17)
}

fn any_confirmation() -> impl Strategy<Value = Option<Confirmation>> {
    let key = any::<[u8; 32]>();
    prop::option::of((key, any::<bool>()).prop_map(|(key, certificate)| {
        if certificate { Confirmation::Certificate(key) } else { Confirmation::Key(key) }
    }))
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![Just(0), 0..300_000_000_000_000_i64, any::<i64>()].prop_map(Timestamp::from_millis)
}

proptest! {
    #[test]
    fn an_answer_is_what_the_generated_message_is_encoded_to(
        texts in prop::array::uniform4(".{0,200}"),
        grants in any_grants(),
        times in prop::array::uniform2(any_time()),
        tasks in prop::array::uniform2(any::<u64>()),
        bound in any_confirmation(),
        uses_left in prop::option::of(any::<u32>()),
    ) {
        let [jti, subject, client_id, audience] = texts;
        let [issued_at, expires_at] = times;
        let [task, root_task] = tasks.map(TaskId::from_u64);
        let token = wire::ActiveToken {
            jti: jti.clone(),
            subject: subject.clone(),
            client_id: client_id.clone(),
            audience: audience.clone(),
            scope: grants.clone(),
            issue_time: Some(timestamp_to_wire(issued_at)),
            expire_time: Some(timestamp_to_wire(expires_at)),
            task_id: task.to_string(),
            root_task_id: root_task.to_string(),
            confirmation: bound.map(confirmation::to_wire),
            use_limited: uses_left.is_some(),
            uses_left: uses_left.unwrap_or(0),
        };
        let active = Active {
            jti: &jti,
            subject: &subject,
            client_id: &client_id,
            audience: &audience,
            issued_at,
            expires_at,
            task,
            root_task,
            confirmation: bound,
            uses_left,
        };
        let mut written = Vec::new();
        let grants = || grants.iter().map(|grant| {
            (grant.operation.as_str(), grant.resources.iter().map(String::as_str))
        });
        write_active(&active, grants(), &mut written);
        let answer = wire::IntrospectTokenResponse { active: true, token: Some(token) };
        prop_assert_eq!(&written, &answer.encode_to_vec());

        let mut batch = Vec::new();
        entry(&mut batch, |out| write_active(&active, grants(), out));
        entry(&mut batch, |_| {});
        let inactive = wire::IntrospectTokenResponse { active: false, token: None };
        let expected = wire::IntrospectTokensResponse { tokens: vec![answer, inactive] };
        prop_assert_eq!(batch, expected.encode_to_vec());
    }
}
