//! [`Recognised`]: what a token says whose bytes the table recognised, found in place.
//!
//! Most of a check would be the full reading of claims that were judged before. These bytes are, byte for
//! byte, what was signed or verified here, so they have the one spelling that `payload`
//! writes. What an answer tells is then cut out of the decoded payload, which is allocated once; nothing is copied,
//! parsed or checked that nobody asks for. Texts with an escape take the long way through [`Claims`].
//!
//! Never given bytes that were not recognised or verified: it judges no signature, issuer or time.

use locum_jose::base64url;
use locum_model::{Confirmation, ConnectorNo, Scope, TaskId, Timestamp};

use crate::claims::Claims;
use crate::places::Places;
use crate::verify::{Refusal, read};
use crate::{header, locum_claim, payload};

/// What a recognised token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// The payload; every place is a part of it.
    text: String,
    places: Places,
    rests: Rests,
}

/// What of the `locum` claim is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rests {
    pub(crate) connector: ConnectorNo,
    pub(crate) root: TaskId,
    pub(crate) task: TaskId,
}

impl Recognised {
    /// What these bytes say, which the table recognised or a full verification has just believed.
    ///
    /// # Errors
    ///
    /// [`Refusal`] as [`read`], for bytes that are no token of ours after all.
    pub fn read(compact: &str) -> Result<Self, Refusal> {
        in_place(compact).map_or_else(|| read(compact).map(|claims| Self::of(&claims)), Ok)
    }

    /// The same as of claims that were read in full.
    pub fn of(claims: &Claims) -> Self {
        let mut text = String::new();
        let mut part = |write: &dyn Fn(&mut String)| {
            let from = text.len();
            write(&mut text);
            from..text.len()
        };
        let jti = part(&|text| text.push_str(&claims.jti.to_string()));
        let audience = part(&|text| text.push_str(&claims.audience));
        let subject = part(&|text| text.push_str(&claims.subject));
        let client_id = part(&|text| text.push_str(claims.client_id.as_str()));
        let scope = part(&|text| text.push_str(&claims.scope.to_string()));
        let details = part(&|text| payload::write_details(&claims.scope, text));
        let opening = payload::DETAILS_OPENING.len();
        let details = if details.is_empty() { details } else { details.start + opening..details.end - 1 };
        let places = Places {
            jti,
            // Nobody asks for these two.
            issuer: 0..0,
            locum: 0..0,
            audience,
            subject,
            client_id,
            scope,
            details,
            issued_at: claims.issued_at,
            not_before: claims.not_before,
            expires_at: claims.expires_at,
            confirmation: claims.confirmation,
        };
        let rests =
            Rests { connector: claims.standing.connector, root: claims.tasks[0], task: claims.task() };
        Self { text, places, rests }
    }

    /// `jti`, as 32 hexadecimal digits.
    pub fn jti(&self) -> &str {
        &self.text[self.places.jti.clone()]
    }

    /// `aud`: the one connector's audience.
    pub fn audience(&self) -> &str {
        &self.text[self.places.audience.clone()]
    }

    /// `sub`: on whose behalf.
    pub fn subject(&self) -> &str {
        &self.text[self.places.subject.clone()]
    }

    /// `client_id`: the SPIFFE ID of the workload that asked.
    pub fn client_id(&self) -> &str {
        &self.text[self.places.client_id.clone()]
    }

    /// `iat`.
    pub fn issued_at(&self) -> Timestamp {
        self.places.issued_at
    }

    /// `exp`, exclusive.
    pub fn expires_at(&self) -> Timestamp {
        self.places.expires_at
    }

    /// `cnf`: the key that it is bound to.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.places.confirmation
    }

    /// The registration of the connector that it is for.
    pub fn connector(&self) -> ConnectorNo {
        self.rests.connector
    }

    /// The task that it is for: the leaf of its chain.
    pub fn task(&self) -> TaskId {
        self.rests.task
    }

    /// The root of that chain.
    pub fn root_task(&self) -> TaskId {
        self.rests.root
    }

    /// Each operation as `connector:action`, in order, with the patterns of its resources: none means all.
    pub fn grants(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        self.places.grants(&self.text)
    }

    /// The whole scope. None cannot be for a token of ours, and allows nothing.
    pub fn scope(&self) -> Option<Scope> {
        self.places.scope(&self.text)
    }
}

fn in_place(compact: &str) -> Option<Recognised> {
    let (_header, rest) = compact.split_at_checked(header::TEXT_BYTES)?;
    // From behind: a signature is shorter than a payload.
    let (payload, _signature) = rest.strip_prefix('.')?.rsplit_once('.')?;
    let text = String::from_utf8(base64url::decode(payload).ok()?).ok()?;
    let places = Places::find(&text)?;
    let rests = locum_claim::rests(&text[places.locum.clone()])?;
    Some(Recognised { text, places, rests })
}

#[cfg(test)]
mod tests;
