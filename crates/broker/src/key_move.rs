//! [`KeyMove`]: what the keys' schedule waits for.

use locum_model::KeyId;

use crate::commit::Answer;

/// A change of keys that was asked for and may not be settled yet.
pub(crate) struct KeyMove {
    pub(crate) answer: Answer,
    /// The key that was made for it.
    pub(crate) made: Option<KeyId>,
}
