//! [`Facet`]: what an entry is about, in the one form that it is indexed and asked for.

use locum_model::{SubjectKey, TaskId, TokenId};
use rusqlite::types::Value;

/// Something that an entry is about. Registrations stand by their names, as they were when it
/// happened: a name finds what it meant over all its registrations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Facet {
    /// A task. What happens to a task is about every task above it too.
    Task(TaskId),
    /// A token.
    Token(TokenId),
    /// A caller's request id.
    Request(String),
    /// A subject, as a number.
    Subject(SubjectKey),
    /// An operator by name.
    Operator(String),
    /// A workload by its registered name, or by the SPIFFE ID that it proved.
    Workload(String),
    /// A connector by its registered name.
    Connector(String),
    /// An owner by name.
    Owner(String),
    /// A model by its registered name.
    Model(String),
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// Something was allowed.
    Permit,
    /// Something was refused.
    Denial,
}

// === impl Facet ===

impl Facet {
    /// The number of its kind in the file, ordered by how few entries one usually has. The numbers
    /// never change.
    pub(crate) fn kind(&self) -> i64 {
        match self {
            Self::Token(_) => 1,
            Self::Request(_) => 2,
            Self::Task(_) => 3,
            Self::Subject(_) => 4,
            Self::Operator(_) => 5,
            Self::Workload(_) => 6,
            Self::Model(_) => 7,
            Self::Connector(_) => 8,
            Self::Owner(_) => 9,
        }
    }

    /// Its id in the file.
    pub(crate) fn id(&self) -> Value {
        match self {
            Self::Task(id) => Value::Integer(stored(id.as_u64())),
            Self::Token(id) => Value::Blob(id.0.to_vec()),
            Self::Subject(key) => Value::Blob(key.0.to_vec()),
            Self::Request(text)
            | Self::Operator(text)
            | Self::Workload(text)
            | Self::Connector(text)
            | Self::Owner(text)
            | Self::Model(text) => Value::Text(text.clone()),
        }
    }

    /// The facet of a kind and id as they stand in the file.
    pub(crate) fn read(kind: i64, id: Value) -> Option<Self> {
        Some(match (kind, id) {
            (1, Value::Blob(bytes)) => Self::Token(TokenId(bytes.try_into().ok()?)),
            (2, Value::Text(text)) => Self::Request(text),
            (3, Value::Integer(id)) => Self::Task(TaskId::from_u64(unstored(id))),
            (4, Value::Blob(bytes)) => Self::Subject(SubjectKey(bytes.try_into().ok()?)),
            (5, Value::Text(text)) => Self::Operator(text),
            (6, Value::Text(text)) => Self::Workload(text),
            (7, Value::Text(text)) => Self::Model(text),
            (8, Value::Text(text)) => Self::Connector(text),
            (9, Value::Text(text)) => Self::Owner(text),
            _ => return None,
        })
    }
}

// === impl Decision ===

impl Decision {
    pub(crate) fn stored(self) -> i64 {
        match self {
            Self::Permit => 1,
            Self::Denial => 2,
        }
    }
}

/// A u64 as SQLite keeps it: the same 64 bits.
pub(crate) fn stored(number: u64) -> i64 {
    i64::from_be_bytes(number.to_be_bytes())
}

/// The reverse of [`stored`].
pub(crate) fn unstored(number: i64) -> u64 {
    u64::from_be_bytes(number.to_be_bytes())
}

/// A limit as SQLite takes it.
pub(crate) fn at_most(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read() {
        let text = || "orders".to_owned();
        for facet in [
            Facet::Task(TaskId::new(u16::MAX, 7)),
            Facet::Token(TokenId([9; 16])),
            Facet::Request(text()),
            Facet::Subject(SubjectKey([3; 16])),
            Facet::Operator(text()),
            Facet::Workload(text()),
            Facet::Connector(text()),
            Facet::Owner(text()),
            Facet::Model(text()),
        ] {
            assert_eq!(Facet::read(facet.kind(), facet.id()), Some(facet.clone()));
            assert_ne!(Facet::read(facet.kind() % 9 + 1, facet.id()), Some(facet));
        }
    }
}
