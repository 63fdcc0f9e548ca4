//! [`ArchiveError`]: why the archive did not answer.

use std::io;

use rusqlite::ErrorCode;

/// Why the archive did not answer. Nothing else of Locum is touched by it.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// What the file holds is not what was written, or not of this format: it has to be rebuilt.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// The disk, a lock held by somebody else, or anything that may pass.
    #[error("the archive cannot be used: {0}")]
    Unusable(String),
    /// A key, a key's folder, or randomness for one.
    #[error("a key of the archive: {0}")]
    Key(io::Error),
}

impl ArchiveError {
    /// Whether only a rebuilt index helps.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }
}

impl From<rusqlite::Error> for ArchiveError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sql;
        let damaged = match &error {
            Sql::SqliteFailure(failure, _) => matches!(
                failure.code,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch
            ),
            // The schema is ours: a column of another type, or none, was not written by us.
            Sql::InvalidColumnType(..)
            | Sql::IntegralValueOutOfRange(..)
            | Sql::FromSqlConversionFailure(..)
            | Sql::QueryReturnedNoRows
            | Sql::Utf8Error(..)
            | Sql::SqlInputError { .. } => true,
            _ => false,
        };
        if damaged { Self::Damaged(error.to_string()) } else { Self::Unusable(error.to_string()) }
    }
}
