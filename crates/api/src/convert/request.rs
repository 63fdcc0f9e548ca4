//! A request as one string of bytes, so that a retry can be told from another request.

use prost::Message;

/// The canonical bytes of a message: its encoding, fields in the order of their numbers.
///
/// The same message gives the same bytes within one version of the contract; messages with maps
/// are not asked for here. Clear secrets before hashing what this returns.
pub fn canonical(message: &impl Message) -> Vec<u8> {
    message.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::v1::RenewTaskRequest;

    #[test]
    fn another_request_has_other_bytes() {
        let of = |task: &str, secret: &[u8]| {
            canonical(&RenewTaskRequest { task_id: task.into(), holder_secret: secret.into() })
        };
        assert_eq!(of("task-1-1", b"a"), of("task-1-1", b"a"));
        assert_ne!(of("task-1-1", b"a"), of("task-1-2", b"a"));
        assert_ne!(of("task-1-1", b"a"), of("task-1-1", b""));
    }
}
