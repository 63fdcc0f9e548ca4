//! A token's record straight into its bytes, which are those that the generated form would write.
//!
//! Every token passes here on the one thread that commits. The generated form is a copy of everything in the
//! record, made to be thrown away: some thirty small pieces of memory. A test compares the two.

use locum_model::{Confirmation, IssueRecord, Resources, Scope, Standing};

/// The field of [`super::form::Event`] that a record stands in.
const TOKEN_ISSUED: u32 = 9;

/// Wire types (protobuf encoding, "Message structure").
const VARINT: u32 = 0;
const DELIMITED: u32 = 2;

/// Appends fields to a message, which are given in ascending order.
struct Out<'a>(&'a mut Vec<u8>);

/// Appends the event that this record is.
pub(super) fn token_issued(record: &IssueRecord, buffer: &mut Vec<u8>) {
    Out(buffer).message(TOKEN_ISSUED, |out| issue_record(record, out));
}

fn issue_record(record: &IssueRecord, out: &mut Out<'_>) {
    out.bytes(1, &record.jti.0);
    if !record.tasks.is_empty() {
        out.message(2, |out| {
            record.tasks.iter().for_each(|task| out.0.extend_from_slice(&task.as_u64().to_le_bytes()));
        });
    }
    out.message(3, |out| standing(&record.standing, out));
    out.text(4, &record.subject);
    out.bytes(5, &record.subject_key.0);
    out.text(6, record.client_id.as_str());
    out.text(7, &record.audience);
    out.message(8, |out| scope(&record.scope, out));
    out.signed(9, record.issued_at.as_millis());
    out.signed(10, record.not_before.as_millis());
    out.signed(11, record.expires_at.as_millis());
    out.number_if_any(12, record.uses_max);
    match &record.confirmation {
        Some(Confirmation::Certificate(hash)) => out.bytes(13, hash),
        Some(Confirmation::Key(thumbprint)) => out.bytes(14, thumbprint),
        None => {}
    }
    out.bytes(15, &record.kid.0);
    out.message(16, |out| {
        out.number(1, record.decided_at.home.into());
        out.number(2, record.decided_at.epoch);
        out.integer(3, record.decided_at.sequence);
    });
    out.number(17, record.registry_revision.0);
    record.policies.iter().for_each(|policy| out.bytes(18, policy.as_bytes()));
    if let Some(request) = &record.request {
        out.message(19, |out| {
            out.text(1, &request.id);
            out.bytes(2, &request.hash);
        });
    }
    out.signed(20, record.at.as_millis());
}

fn standing(standing: &Standing, out: &mut Out<'_>) {
    for actor in &standing.actors {
        out.message(1, |out| {
            out.number(1, actor.workload.0);
            out.number(2, actor.owner.0);
            out.number_if_any(3, actor.model.map(|model| model.0));
        });
    }
    out.number(2, standing.tenant.0);
    out.number(3, standing.connector.0);
    out.number(4, standing.connector_owner.0);
    out.number(5, standing.policy_revision.0);
}

fn scope(scope: &Scope, out: &mut Out<'_>) {
    for (operation, resources) in scope.grants() {
        out.message(1, |out| {
            out.message(1, |out| {
                out.0.extend_from_slice(operation.connector.as_str().as_bytes());
                out.0.push(b':');
                out.0.extend_from_slice(operation.action.as_str().as_bytes());
            });
            match resources {
                Resources::All => out.message(2, |_nothing| {}),
                Resources::Only(patterns) => out.message(3, |out| {
                    patterns.iter().for_each(|pattern| out.bytes(1, pattern.as_str().as_bytes()));
                }),
            }
        });
    }
}

// === impl Out ===

impl Out<'_> {
    /// A message, or whatever else has a length, also where it is empty.
    fn message(&mut self, field: u32, write: impl FnOnce(&mut Out<'_>)) {
        self.key(field, DELIMITED);
        let at = self.0.len();
        self.0.push(0);
        write(&mut Out(self.0));
        let length = self.0.len() - at - 1;
        match u8::try_from(length) {
            Ok(length @ ..0x80) => self.0[at] = length,
            _ => {
                let mut long = Vec::with_capacity(5);
                Out(&mut long).varint(length as u64);
                self.0.splice(at..=at, long);
            }
        }
    }

    /// Bytes, also where there are none.
    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, DELIMITED);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A text; nothing for an empty one.
    fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    /// An integer; nothing for zero.
    fn integer(&mut self, field: u32, number: u64) {
        if number != 0 {
            self.key(field, VARINT);
            self.varint(number);
        }
    }

    /// An integer of 32 bits; nothing for zero.
    fn number(&mut self, field: u32, number: u32) {
        self.integer(field, number.into());
    }

    /// An integer of 32 bits that may be absent, and may be zero.
    fn number_if_any(&mut self, field: u32, number: Option<u32>) {
        if let Some(number) = number {
            self.key(field, VARINT);
            self.varint(number.into());
        }
    }

    /// A signed integer; nothing for zero.
    fn signed(&mut self, field: u32, number: i64) {
        self.integer(field, number.cast_unsigned());
    }

    fn key(&mut self, field: u32, kind: u32) {
        self.varint((field << 3 | kind).into());
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use locum_model::{Event, SubjectKey, Timestamp};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::super::{Stored as _, encode, token};
    use super::*;

    /// What is written is what the generated form writes, after whatever stood there.
    fn check(record: IssueRecord) {
        let event = Event::TokenIssued(Arc::new(record));
        let mut ours = b"before".to_vec();
        encode(&event, &mut ours);
        assert_eq!(ours[..6], *b"before");
        assert_eq!(ours[6..], event.to_form().encode_to_vec());
    }

    proptest! {
        #[test]
        fn a_record_is_written_as_the_generated_form_writes_it(record in token::tests::any_issued()) {
            check(record);
        }

        #[test]
        fn what_is_long_is_too(record in token::tests::any_issued(), subject in 0..40_000_usize) {
            check(IssueRecord { subject: "s".repeat(subject), ..record });
        }

        #[test]
        fn so_is_what_stands_for_nothing(record in token::tests::any_issued()) {
            let nought = Timestamp::from_millis(0);
            let before = IssueRecord { subject: String::new(), audience: String::new(), at: nought, ..record };
            let policies = vec![String::new(), String::new()];
            let before = IssueRecord { issued_at: nought, expires_at: nought, policies, ..before };
            check(IssueRecord { tasks: Vec::new(), not_before: Timestamp::from_millis(-1), ..before.clone() });
            check(IssueRecord { subject_key: SubjectKey([0; 16]), uses_max: Some(0), ..before });
        }
    }
}
