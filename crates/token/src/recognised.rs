//! [`Recognised`]: what a token says whose bytes the table recognised, found in place.
//!
//! Most of a check would be the full reading of claims that were judged before. These bytes are, byte for
//! byte, what was signed or verified here, so they have the one spelling that [`payload`](crate::payload)
//! writes: members stand in one order, and each text ends at the next quote. What an answer tells is
//! then cut out of the decoded payload, which is allocated once; nothing is copied, parsed or checked
//! that nobody asks for. Texts with an escape take the long way through [`Claims`].
//!
//! Never given bytes that were not recognised or verified: it judges no signature, issuer or time.

use std::ops::Range;

use locum_jose::base64url;
use locum_model::{Confirmation, ConnectorNo, Grant, ResourcePattern, Resources, Scope, TaskId, Timestamp};

use crate::claims::Claims;
use crate::verify::{Refusal, read};
use crate::{header, locum_claim, payload};

/// Characters of a `jti`.
const JTI_TEXT_BYTES: usize = 32;
/// How an entry of `authorization_details` begins, up to its connector.
const ENTRY: &str = r#"{"type":"locum","connector":""#;

/// What a recognised token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// The payload; every text is a part of it.
    text: String,
    jti: Range<usize>,
    audience: Range<usize>,
    subject: Range<usize>,
    client_id: Range<usize>,
    scope: Range<usize>,
    /// What stands between the brackets of `authorization_details`.
    details: Range<usize>,
    issued_at: Timestamp,
    expires_at: Timestamp,
    confirmation: Option<Confirmation>,
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
        Self {
            jti,
            audience,
            subject,
            client_id,
            scope,
            details,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            confirmation: claims.confirmation,
            rests: Rests { connector: claims.standing.connector, root: claims.tasks[0], task: claims.task() },
            text,
        }
    }

    /// `jti`, as 32 hexadecimal digits.
    pub fn jti(&self) -> &str {
        &self.text[self.jti.clone()]
    }

    /// `aud`: the one connector's audience.
    pub fn audience(&self) -> &str {
        &self.text[self.audience.clone()]
    }

    /// `sub`: on whose behalf.
    pub fn subject(&self) -> &str {
        &self.text[self.subject.clone()]
    }

    /// `client_id`: the SPIFFE ID of the workload that asked.
    pub fn client_id(&self) -> &str {
        &self.text[self.client_id.clone()]
    }

    /// `iat`.
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// `exp`, exclusive.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// `cnf`: the key that it is bound to.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.confirmation
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
        let operations = self.text[self.scope.clone()].split(' ');
        operations.map(|operation| (operation, texts(self.resources_of(operation))))
    }

    /// The whole scope. None cannot be for a token of ours, and allows nothing.
    pub fn scope(&self) -> Option<Scope> {
        let grant = |(operation, resources): (&str, _)| {
            let patterns = patterns(resources)?;
            Some(Grant { operation: operation.parse().ok()?, resources: Resources::of(patterns).ok()? })
        };
        Scope::of(self.grants().map(grant).collect::<Option<Vec<_>>>()?).ok()
    }

    /// The list of an operation's resources as it stands between its brackets; empty for all.
    fn resources_of(&self, operation: &str) -> &str {
        if self.details.is_empty() {
            return "";
        }
        let Some((connector, action)) = operation.split_once(':') else { return "" };
        let entries = self.text[self.details.clone()].split(ENTRY);
        let mut lists = entries.filter_map(|entry| {
            let actions = entry.strip_prefix(connector)?.strip_prefix(r#"","actions":["#)?;
            let (actions, resources) = actions.split_once(r#"],"resources":["#)?;
            texts(actions).any(|named| named == action).then_some(resources.split_once(']')?.0)
        });
        lists.next().unwrap_or_default()
    }
}

fn patterns<'t>(texts: impl Iterator<Item = &'t str>) -> Option<Vec<ResourcePattern>> {
    texts.map(|text| text.parse().ok()).collect()
}

/// The texts of a list, as it stands between its brackets. None of them has a comma or an escape in it.
fn texts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter_map(|text| text.strip_prefix('"')?.strip_suffix('"'))
}

// === in place ===

fn in_place(compact: &str) -> Option<Recognised> {
    let (_header, rest) = compact.split_at_checked(header::TEXT_BYTES)?;
    let (payload, _signature) = rest.strip_prefix('.')?.split_once('.')?;
    let payload = String::from_utf8(base64url::decode(payload).ok()?).ok()?;
    let mut rest = Rest { payload: &payload, at: 0 };
    let jti = rest.text(r#"{"jti":""#).filter(|jti| jti.len() == JTI_TEXT_BYTES)?;
    rest.text(r#","iss":""#)?;
    let audience = rest.text(r#","aud":""#)?;
    let subject = rest.text(r#","sub":""#)?;
    let client_id = rest.text(r#","client_id":""#)?;
    let issued_at = rest.time(r#","iat":"#)?;
    rest.time(r#","nbf":"#)?;
    let expires_at = rest.time(r#","exp":"#)?;
    let scope = rest.text(r#","scope":""#)?;
    let details = match rest.skip(payload::DETAILS_OPENING) {
        // Only its last entry is followed by the list's end.
        Some(()) => rest.until("}]").map(|inside| inside.start..inside.end + 1)?,
        None => rest.at..rest.at,
    };
    let confirmation = rest.confirmation()?;
    rest.actors()?;
    let locum = rest.text(r#","locum":""#)?;
    if &payload[rest.at..] != "}" {
        return None;
    }
    let rests = locum_claim::rests(&payload[locum])?;
    Some(Recognised {
        jti,
        audience,
        subject,
        client_id,
        scope,
        details,
        issued_at,
        expires_at,
        confirmation,
        rests,
        text: payload,
    })
}

/// What of a payload is not read yet.
struct Rest<'p> {
    payload: &'p str,
    at: usize,
}

impl Rest<'_> {
    /// Goes past `opening`, where it stands next.
    fn skip(&mut self, opening: &str) -> Option<()> {
        self.payload[self.at..].starts_with(opening).then(|| self.at += opening.len())
    }

    /// What stands before the next `end`; goes past both.
    fn until(&mut self, end: &str) -> Option<Range<usize>> {
        let from = self.at;
        let to = from + self.payload[from..].find(end)?;
        self.at = to + end.len();
        Some(from..to)
    }

    /// The string behind `opening`; goes past its closing quote. One with an escape is not for here.
    fn text(&mut self, opening: &str) -> Option<Range<usize>> {
        self.skip(opening)?;
        let rest = &self.payload.as_bytes()[self.at..];
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let from = self.at;
        self.at += length + 1;
        (rest[length] == b'"').then_some(from..from + length)
    }

    fn time(&mut self, opening: &str) -> Option<Timestamp> {
        self.skip(opening)?;
        let rest = &self.payload[self.at..];
        let digits = &rest[..rest.find(',')?];
        self.at += digits.len();
        digits.parse().ok().map(Timestamp::from_seconds)
    }

    /// The `cnf`, if there is one; none at all when it is not one of ours.
    fn confirmation(&mut self) -> Option<Option<Confirmation>> {
        type Kind = fn([u8; 32]) -> Confirmation;
        let kinds: [(&str, Kind); 2] = [
            (r#","cnf":{"x5t#S256":""#, Confirmation::Certificate),
            (r#","cnf":{"jkt":""#, Confirmation::Key),
        ];
        for (opening, kind) in kinds {
            if self.skip(opening).is_some() {
                let thumbprint = self.until(r#""}"#)?;
                return Some(Some(kind(base64url::decode_array(&self.payload[thumbprint]).ok()?)));
            }
        }
        Some(None)
    }

    /// Goes past `act`, if there is one: what it says stands in `locum` too.
    fn actors(&mut self) -> Option<()> {
        let mut depth = 0;
        while self.skip(r#","act":{"sub":""#).is_some() {
            self.at -= r#"""#.len();
            self.text(r#"""#)?;
            depth += 1;
        }
        (0..depth).try_for_each(|_| self.skip("}"))
    }
}

#[cfg(test)]
mod tests;
