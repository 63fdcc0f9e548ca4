//! [`Obligations`]: what a permit demands.

use std::time::Duration;

/// What has to hold for a permitted token; the strictest of all that the deciding policies say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obligations {
    /// The longest life of the token.
    pub ttl_max: Option<Duration>,
    /// The token may be used once.
    pub single_use: bool,
    /// The token must be bound to a key that the caller proved on this request.
    pub proof_of_possession: bool,
    /// The task must have been started with a justification.
    pub justification: bool,
}

impl Obligations {
    /// Both at once: whatever either demands.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let shorter = match (self.ttl_max, other.ttl_max) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, None) | (None, one) => one,
        };
        Self {
            ttl_max: shorter,
            single_use: self.single_use || other.single_use,
            proof_of_possession: self.proof_of_possession || other.proof_of_possession,
            justification: self.justification || other.justification,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_wins() {
        let short = Obligations { ttl_max: Some(Duration::from_secs(10)), ..Obligations::default() };
        let long = Obligations {
            ttl_max: Some(Duration::from_secs(60)),
            single_use: true,
            ..Obligations::default()
        };
        let both = short.and(&long);
        assert_eq!(both, long.and(&short));
        assert_eq!((both.ttl_max, both.single_use), (Some(Duration::from_secs(10)), true));
    }
}
