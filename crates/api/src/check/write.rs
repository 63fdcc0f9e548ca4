//! Answers: `IntrospectTokenResponse` and `IntrospectTokensResponse`, written field by field.

use locum_model::{Confirmation, TaskId, Timestamp};
use prost::encoding::encode_varint;

use crate::convert::time::timestamp_to_wire;

/// What an active token says, for [`write_active`]; its scope comes beside it.
#[derive(Clone, Copy, Debug)]
pub struct Active<'a> {
    /// Its id, as 32 hexadecimal digits.
    pub jti: &'a str,
    /// On whose behalf.
    pub subject: &'a str,
    /// The SPIFFE ID of the workload that holds it.
    pub client_id: &'a str,
    /// The connector's audience.
    pub audience: &'a str,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Until when, exclusive.
    pub expires_at: Timestamp,
    /// The task that it is for.
    pub task: TaskId,
    /// The root of that task's tree.
    pub root_task: TaskId,
    /// The key that it is bound to.
    pub confirmation: Option<Confirmation>,
    /// Uses left, where they are limited.
    pub uses_left: Option<u32>,
}

/// The longest varint.
const VARINT_BYTES_MAX: usize = 10;
/// Wire types, as a key's three lowest bits.
const VARINT: u8 = 0;
const DELIMITED: u8 = 2;

/// Appends one answer of a batch, which `write` writes: an `IntrospectTokensResponse` is nothing else. The answer to a
/// token that must not be believed is empty: `active` is false, and that is not written.
pub fn entry(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    answer(1, out, write);
}

/// Appends the answer to an active token, with its grants: operations, and the patterns of the resources of each.
pub fn write_active<'a, R: Iterator<Item = &'a str>>(
    active: &Active<'_>,
    grants: impl Iterator<Item = (&'a str, R)>,
    out: &mut Vec<u8>,
) {
    number(1, 1, out);
    answer(2, out, |out| {
        text(1, active.jti, out);
        text(2, active.subject, out);
        text(3, active.client_id, out);
        text(4, active.audience, out);
        for (operation, resources) in grants {
            part(5, out, |out| {
                text(1, operation, out);
                // Of a repeated field, an empty text too is written.
                resources.for_each(|resource| delimited(2, resource.as_bytes(), out));
            });
        }
        timestamp(6, active.issued_at, out);
        timestamp(7, active.expires_at, out);
        part(8, out, |out| task_id(active.task, out));
        part(9, out, |out| task_id(active.root_task, out));
        match &active.confirmation {
            Some(Confirmation::Certificate(digest)) => part(10, out, |out| delimited(1, digest, out)),
            Some(Confirmation::Key(thumbprint)) => part(10, out, |out| delimited(2, thumbprint, out)),
            None => {}
        }
        if let Some(left) = active.uses_left {
            number(11, 1, out);
            if left > 0 {
                number(12, u64::from(left), out);
            }
        }
    });
}

// === fields ===

fn key(field: u8, wire_type: u8, out: &mut Vec<u8>) {
    debug_assert!(field < 16, "a key of one byte");
    out.push(field << 3 | wire_type);
}

fn number(field: u8, value: u64, out: &mut Vec<u8>) {
    key(field, VARINT, out);
    encode_varint(value, out);
}

fn delimited(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    key(field, DELIMITED, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Nothing for an empty text: that is what a missing one reads as.
fn text(field: u8, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        delimited(field, text.as_bytes(), out);
    }
}

/// An answer: its length nearly always takes two bytes.
fn answer(field: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    message(field, 2, out, write);
}

/// A part of one, of fewer bytes than 128 nearly always.
fn part(field: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    message(field, 1, out, write);
}

/// What `write` appends, with its length before it. It is written first, behind room for a length of so many bytes,
/// and moved where the length takes another number.
fn message(field: u8, length_bytes_likely: usize, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    key(field, DELIMITED, out);
    let at = out.len();
    let from = at + length_bytes_likely;
    out.resize(from, 0);
    write(out);
    let length = out.len() - from;
    let mut prefix = [0; VARINT_BYTES_MAX];
    let mut free = &mut prefix[..];
    encode_varint(length as u64, &mut free);
    let bytes = VARINT_BYTES_MAX - free.len();
    if bytes != length_bytes_likely {
        out.resize(at + bytes.max(length_bytes_likely) + length, 0);
        out.copy_within(from..from + length, at + bytes);
        out.truncate(at + bytes + length);
    }
    out[at..at + bytes].copy_from_slice(&prefix[..bytes]);
}

fn timestamp(field: u8, moment: Timestamp, out: &mut Vec<u8>) {
    let moment = timestamp_to_wire(moment);
    part(field, out, |out| {
        if moment.seconds != 0 {
            number(1, moment.seconds as u64, out);
        }
        if moment.nanos != 0 {
            number(2, moment.nanos as u64, out);
        }
    });
}

/// `task-<home>-<count>`, without the formatter: every answer has two of them.
fn task_id(task: TaskId, out: &mut Vec<u8>) {
    out.extend_from_slice(b"task-");
    decimal(u64::from(task.home()), out);
    out.push(b'-');
    decimal(task.count(), out);
}

fn decimal(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len() - 1;
    while value >= 10 {
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        at -= 1;
    }
    digits[at] = b'0' + value as u8;
    out.extend_from_slice(&digits[at..]);
}
