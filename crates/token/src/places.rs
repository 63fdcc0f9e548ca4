//! [`Places`]: where each member stands in a payload of the one spelling.
//!
//! Members of a payload that [`payload`](crate::payload) wrote stand in one order, and each text ends at the
//! next quote: so they are found without parsing, and nothing is allocated. That a text was found says nothing of
//! it; whoever believes a payload for its places either recognised its bytes or compares the whole
//! with what would have been written. Texts with an escape are not for here.

use std::ops::Range;

use locum_jose::base64url;
use locum_model::{Confirmation, Grant, ResourcePattern, Resources, Scope, Timestamp};

use crate::payload;

/// Characters of a `jti`.
const JTI_TEXT_BYTES: usize = 32;
/// How an entry of `authorization_details` begins, up to its connector.
const ENTRY: &str = r#"{"type":"locum","connector":""#;

/// Where each text of a payload stands, and what else it says in few bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) jti: Range<usize>,
    pub(crate) issuer: Range<usize>,
    pub(crate) audience: Range<usize>,
    pub(crate) subject: Range<usize>,
    pub(crate) client_id: Range<usize>,
    pub(crate) issued_at: Timestamp,
    pub(crate) not_before: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) scope: Range<usize>,
    /// What stands between the brackets of `authorization_details`.
    pub(crate) details: Range<usize>,
    pub(crate) confirmation: Option<Confirmation>,
    pub(crate) locum: Range<usize>,
}

impl Places {
    /// Where everything stands in `payload`; none when it is not of the one spelling, or has an escape in it.
    pub(crate) fn find(payload: &str) -> Option<Self> {
        let mut rest = Rest { payload, at: 0 };
        // Fields are found in the order in which they stand.
        let places = Self {
            jti: rest.text(r#"{"jti":""#).filter(|jti| jti.len() == JTI_TEXT_BYTES)?,
            issuer: rest.text(r#","iss":""#)?,
            audience: rest.text(r#","aud":""#)?,
            subject: rest.text(r#","sub":""#)?,
            client_id: rest.text(r#","client_id":""#)?,
            issued_at: rest.time(r#","iat":"#)?,
            not_before: rest.time(r#","nbf":"#)?,
            expires_at: rest.time(r#","exp":"#)?,
            scope: rest.text(r#","scope":""#)?,
            details: rest.details()?,
            confirmation: rest.confirmation()?,
            locum: rest.actors().and_then(|()| rest.text(r#","locum":""#))?,
        };
        (&payload[rest.at..] == "}").then_some(places)
    }

    /// Each operation of `payload` as `connector:action`, in order, with the patterns of its resources: none
    /// means all.
    pub(crate) fn grants<'p>(
        &self,
        payload: &'p str,
    ) -> impl Iterator<Item = (&'p str, impl Iterator<Item = &'p str> + use<'p>)> + use<'p> {
        let details = &payload[self.details.clone()];
        let operations = payload[self.scope.clone()].split(' ');
        operations.map(move |operation| (operation, texts(resources_of(operation, details))))
    }

    /// The whole scope of `payload`, if it is one.
    pub(crate) fn scope(&self, payload: &str) -> Option<Scope> {
        let grant = |(operation, resources): (&str, _)| {
            let patterns = patterns(resources)?;
            Some(Grant { operation: operation.parse().ok()?, resources: Resources::of(patterns).ok()? })
        };
        Scope::of(self.grants(payload).map(grant).collect::<Option<Vec<_>>>()?).ok()
    }
}

/// The list of an operation's resources as it stands between its brackets; empty for all.
fn resources_of<'p>(operation: &str, details: &'p str) -> &'p str {
    if details.is_empty() {
        return "";
    }
    let Some((connector, action)) = operation.split_once(':') else { return "" };
    let mut lists = details.split(ENTRY).filter_map(|entry| {
        let actions = entry.strip_prefix(connector)?.strip_prefix(r#"","actions":["#)?;
        let (actions, resources) = actions.split_once(r#"],"resources":["#)?;
        texts(actions).any(|named| named == action).then_some(resources.split_once(']')?.0)
    });
    lists.next().unwrap_or_default()
}

fn patterns<'t>(texts: impl Iterator<Item = &'t str>) -> Option<Vec<ResourcePattern>> {
    texts.map(|text| text.parse().ok()).collect()
}

/// The texts of a list, as it stands between its brackets. None of them has a comma or an escape in it.
fn texts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter_map(|text| text.strip_prefix('"')?.strip_suffix('"'))
}

/// What of a payload is not read yet.
struct Rest<'p> {
    payload: &'p str,
    at: usize,
}

// Compared in place with texts that are known when this is compiled: so these are inlined, for each of them.
impl Rest<'_> {
    /// Goes past `opening`, where it stands next.
    #[inline]
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
    #[inline]
    fn text(&mut self, opening: &str) -> Option<Range<usize>> {
        self.skip(opening)?;
        let rest = &self.payload.as_bytes()[self.at..];
        let length = memchr::memchr2(b'"', b'\\', rest)?;
        let from = self.at;
        self.at += length + 1;
        (rest[length] == b'"').then_some(from..from + length)
    }

    #[inline]
    fn time(&mut self, opening: &str) -> Option<Timestamp> {
        self.skip(opening)?;
        let rest = &self.payload[self.at..];
        // A search for the comma would take longer than to look at ten digits.
        let digits = &rest[..rest.bytes().position(|byte| !byte.is_ascii_digit())?];
        self.at += digits.len();
        digits.parse().ok().map(Timestamp::from_seconds)
    }

    /// What stands between the brackets of `authorization_details`: nothing, where there are none.
    fn details(&mut self) -> Option<Range<usize>> {
        match self.skip(payload::DETAILS_OPENING) {
            // Only its last entry is followed by the list's end.
            Some(()) => self.until("}]").map(|inside| inside.start..inside.end + 1),
            None => Some(self.at..self.at),
        }
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
