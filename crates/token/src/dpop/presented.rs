//! [`Presented`]: what came with a token.

use locum_model::{Confirmation, Timestamp};

use super::{NotProved, Proof, Shown, check};

/// What the presenter of a token showed on this very request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presented<'a> {
    /// SHA-256 of the DER of the client certificate of the connection (RFC 8705).
    pub certificate: Option<[u8; 32]>,
    /// The proof of a key, with the request that it is for (RFC 9449).
    pub proof: Option<Shown<'a>>,
}

impl Presented<'_> {
    /// Whether this proves what a token is bound to. A proof still has to be let through, once everything
    /// else is found to be well ([`super::Proofs::admit`]).
    ///
    /// A proof beside a token that is not bound to its key is refused: whoever sends one means a bound
    /// token, and has not got one.
    ///
    /// # Errors
    ///
    /// [`NotProved`].
    pub fn proves(
        &self,
        bound: Option<Confirmation>,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Proof>, NotProved> {
        match (bound, &self.proof) {
            (None, None) => Ok(None),
            (Some(Confirmation::Key(key)), Some(shown)) => {
                let proof = check(shown, Some(token), now)?;
                if proof.key.0 == key { Ok(Some(proof)) } else { Err(NotProved::OtherKey) }
            }
            (Some(Confirmation::Certificate(thumbprint)), None) => match self.certificate {
                Some(shown) if shown == thumbprint => Ok(None),
                Some(_) => Err(NotProved::OtherKey),
                None => Err(NotProved::NotShown),
            },
            (Some(Confirmation::Key(_)), None) => Err(NotProved::NotShown),
            (_, Some(_)) => Err(NotProved::NotBound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dpop::ProofKey;

    #[test]
    fn a_token_is_worth_what_it_is_bound_to() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let (key, other) =
            (ProofKey::generate().expect("randomness"), ProofKey::generate().expect("randomness"));
        let target = ("GET", "https://orders.test/a");
        let made =
            |key: &ProofKey, token: &str| key.prove(target, Some(token), [1; 16], now).expect("randomness");
        let (good, theirs, unlike) = (made(&key, "t"), made(&other, "t"), made(&key, "u"));
        let shown = |proof| Some(Shown { proof, method: target.0, uri: target.1 });
        let (certificate, jkt) = (Confirmation::Certificate([7; 32]), Confirmation::Key(key.thumbprint().0));
        for (bound, certificate, proof, expected) in [
            (None, None, None, Ok(false)),
            (None, Some([7; 32]), None, Ok(false)),
            (None, None, shown(&good), Err(NotProved::NotBound)),
            (Some(certificate), Some([7; 32]), None, Ok(false)),
            (Some(certificate), Some([8; 32]), None, Err(NotProved::OtherKey)),
            (Some(certificate), None, None, Err(NotProved::NotShown)),
            (Some(certificate), Some([7; 32]), shown(&good), Err(NotProved::NotBound)),
            (Some(jkt), None, shown(&good), Ok(true)),
            (Some(jkt), Some([7; 32]), shown(&good), Ok(true)),
            (Some(jkt), None, None, Err(NotProved::NotShown)),
            (Some(jkt), Some(key.thumbprint().0), None, Err(NotProved::NotShown)),
            (Some(jkt), None, shown(&theirs), Err(NotProved::OtherKey)),
            (Some(jkt), None, shown(&unlike), Err(NotProved::OtherToken)),
            (Some(jkt), None, shown("x"), Err(NotProved::Form)),
        ] {
            let said = Presented { certificate, proof }.proves(bound, "t", now);
            assert_eq!(said.map(|proof| proof.is_some()), expected, "{bound:?} {certificate:?}");
        }
    }
}
