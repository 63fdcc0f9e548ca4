//! The payload: claims as JSON, in one order and one spelling, and back.
//!
//! INVARIANT: what is read is, byte for byte, what would have been written for the same claims.
//! So there is no unknown claim, no second order, no white space, no `act` or
//! `authorization_details` that says something else than the rest: the reader takes what it needs
//! and then compares the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Range;

use locum_jose::base64url;
use locum_jose::json::{self, Object, Value};
use locum_model::scope::Operation;
use locum_model::{Confirmation, Grant, KeyId, Name, ResourcePattern, Resources, Scope, Timestamp};

use crate::claims::{ClaimFault, Claims};
use crate::locum_claim;
use crate::places::Places;

/// `type` of our entries in `authorization_details` (RFC 9396 section 2).
const DETAILS_TYPE: &str = "locum";

// === writing ===

/// The payload of checked claims.
pub(crate) fn write(claims: &Claims) -> String {
    let mut out = String::with_capacity(1024);
    // `jti` comes first and has a fixed length: `jti_of` finds it in a fixed place.
    put(&mut out, format_args!(r#"{{"jti":"{}""#, claims.jti));
    for (name, text) in [
        ("iss", claims.issuer.as_str()),
        ("aud", &claims.audience),
        ("sub", &claims.subject),
        ("client_id", claims.client_id.as_str()),
    ] {
        put(&mut out, format_args!(r#","{name}":"#));
        json::write_text(text, &mut out);
    }
    for (name, time) in [("iat", claims.issued_at), ("nbf", claims.not_before), ("exp", claims.expires_at)] {
        put(&mut out, format_args!(r#","{name}":{}"#, time.as_seconds()));
    }
    put(&mut out, format_args!(r#","scope":"{}""#, claims.scope));
    write_details(&claims.scope, &mut out);
    match &claims.confirmation {
        Some(Confirmation::Certificate(thumbprint)) => {
            let thumbprint = base64url::encode(thumbprint);
            put(&mut out, format_args!(r#","cnf":{{"x5t#S256":"{thumbprint}"}}"#));
        }
        Some(Confirmation::Key(thumbprint)) => {
            put(&mut out, format_args!(r#","cnf":{{"jkt":"{}"}}"#, base64url::encode(thumbprint)));
        }
        None => {}
    }
    write_actors(claims, &mut out);
    out.push_str(r#","locum":""#);
    base64url::encode_to(locum_claim::encode(claims), &mut out);
    out.push_str(r#""}"#);
    out
}

/// How `authorization_details` begins, up to its entries.
pub(crate) const DETAILS_OPENING: &str = r#","authorization_details":["#;

/// One entry for all actions of a connector that share their resources.
pub(crate) fn write_details(scope: &Scope, out: &mut String) {
    type Line<'a> = (&'a Name, &'a BTreeSet<ResourcePattern>);
    let mut lines: BTreeMap<Line<'_>, Vec<&Name>> = BTreeMap::new();
    for (operation, resources) in scope.grants() {
        if let Resources::Only(patterns) = resources {
            lines.entry((&operation.connector, patterns)).or_default().push(&operation.action);
        }
    }
    if lines.is_empty() {
        return;
    }
    // Names and patterns have no character that JSON escapes.
    let quoted = |items: &mut dyn Iterator<Item = &str>| {
        items.map(|item| format!(r#""{item}""#)).collect::<Vec<_>>().join(",")
    };
    let entries = lines.into_iter().map(|((connector, patterns), actions)| {
        let actions = quoted(&mut actions.into_iter().map(Name::as_str));
        let resources = quoted(&mut patterns.iter().map(ResourcePattern::as_str));
        format!(
            r#"{{"type":"{DETAILS_TYPE}","connector":"{connector}","actions":[{actions}],"resources":[{resources}]}}"#
        )
    });
    put(out, format_args!("{DETAILS_OPENING}{}]", entries.collect::<Vec<_>>().join(",")));
}

/// `act` where more than one acts, the one acting now outermost (RFC 8693 section 4.1).
fn write_actors(claims: &Claims, out: &mut String) {
    if claims.standing.actors.len() < 2 {
        return;
    }
    let mut closing = 0;
    for actor in claims.actors() {
        out.push_str(r#","act":{"sub":"#);
        json::write_text(&actor, out);
        closing += 1;
    }
    (0..closing).for_each(|_| out.push('}'));
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string does not fail");
}

// === reading ===

/// The claims that `payload` is, under a header that names `kid`.
///
/// What decides is the comparison with what would have been written, so it does not matter how the claims were
/// found: in place, or, where that finds none that fit, member by member, which also says what is wrong.
pub(crate) fn read(payload: &[u8], kid: KeyId) -> Result<Claims, ClaimFault> {
    let found = in_place(payload, kid).ok_or(ClaimFault::Malformed("payload"));
    found.and_then(|claims| judged(claims, payload)).or_else(|_| judged(members(payload, kid)?, payload))
}

fn judged(claims: Claims, payload: &[u8]) -> Result<Claims, ClaimFault> {
    claims.check()?;
    if write(&claims).as_bytes() == payload { Ok(claims) } else { Err(ClaimFault::Malformed("payload")) }
}

fn in_place(payload: &[u8], kid: KeyId) -> Option<Claims> {
    let payload = str::from_utf8(payload).ok()?;
    let places = Places::find(payload)?;
    let text = |place: &Range<usize>| &payload[place.clone()];
    let locum = locum_claim::decode(&base64url::decode(text(&places.locum)).ok()?)?;
    Some(Claims {
        jti: text(&places.jti).parse().ok()?,
        issuer: text(&places.issuer).to_owned(),
        audience: text(&places.audience).to_owned(),
        subject: text(&places.subject).to_owned(),
        client_id: text(&places.client_id).parse().ok()?,
        issued_at: places.issued_at,
        not_before: places.not_before,
        expires_at: places.expires_at,
        scope: places.scope(payload)?,
        confirmation: places.confirmation,
        tasks: locum.tasks,
        standing: locum.standing,
        decided_at: locum.decided_at,
        online_only: locum.online_only,
        single_use: locum.single_use,
        canary: locum.canary,
        kid,
    })
}

fn members(payload: &[u8], kid: KeyId) -> Result<Claims, ClaimFault> {
    let object = json::parse_object(payload).or(Err(ClaimFault::Malformed("payload")))?;
    let locum = member(&object, "locum", |text| locum_claim::decode(&base64url::decode(text).ok()?))?;
    Ok(Claims {
        jti: member(&object, "jti", |text| text.parse().ok())?,
        issuer: member(&object, "iss", |text| Some(text.to_owned()))?,
        audience: member(&object, "aud", |text| Some(text.to_owned()))?,
        subject: member(&object, "sub", |text| Some(text.to_owned()))?,
        client_id: member(&object, "client_id", |text| text.parse().ok())?,
        issued_at: time(&object, "iat")?,
        not_before: time(&object, "nbf")?,
        expires_at: time(&object, "exp")?,
        scope: scope(&object)?,
        confirmation: confirmation(&object)?,
        tasks: locum.tasks,
        standing: locum.standing,
        decided_at: locum.decided_at,
        online_only: locum.online_only,
        single_use: locum.single_use,
        canary: locum.canary,
        kid,
    })
}

fn member<T>(
    object: &Object,
    name: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ClaimFault> {
    object.text(name).and_then(read).ok_or(ClaimFault::Malformed(name))
}

fn time(object: &Object, name: &'static str) -> Result<Timestamp, ClaimFault> {
    object.integer(name).map(Timestamp::from_seconds).ok_or(ClaimFault::Malformed(name))
}

fn scope(object: &Object) -> Result<Scope, ClaimFault> {
    let mut narrowed = match object.get("authorization_details") {
        None => BTreeMap::new(),
        Some(details) => details_of(details).ok_or(ClaimFault::Malformed("authorization_details"))?,
    };
    member(object, "scope", |text| {
        let grant = |operation: &str| {
            let operation: Operation = operation.parse().ok()?;
            let resources = narrowed.remove(&operation).unwrap_or(Resources::All);
            Some(Grant { operation, resources })
        };
        let grants = text.split(' ').map(grant).collect::<Option<Vec<_>>>()?;
        Scope::of(grants).ok()
    })
}

/// The resources of each operation that is narrowed.
fn details_of(details: &Value) -> Option<BTreeMap<Operation, Resources>> {
    let mut narrowed = BTreeMap::new();
    for entry in details.as_list()? {
        let entry = entry.as_object().filter(|entry| entry.text("type") == Some(DETAILS_TYPE))?;
        let connector: Name = entry.text("connector")?.parse().ok()?;
        let texts = |name| entry.get(name)?.as_list()?.iter().map(Value::as_text).collect::<Option<Vec<_>>>();
        let patterns = texts("resources")?.into_iter().map(|text| text.parse().ok());
        // No resources would read as all of them.
        let resources = Resources::of(patterns.collect::<Option<Vec<_>>>()?).ok()?;
        if resources == Resources::All {
            return None;
        }
        for action in texts("actions")? {
            let operation = Operation { connector: connector.clone(), action: action.parse().ok()? };
            if narrowed.insert(operation, resources.clone()).is_some() {
                return None;
            }
        }
    }
    Some(narrowed)
}

fn confirmation(object: &Object) -> Result<Option<Confirmation>, ClaimFault> {
    let Some(cnf) = object.get("cnf") else { return Ok(None) };
    let thumbprint = |name| {
        cnf.as_object().and_then(|cnf| cnf.text(name)).and_then(|text| base64url::decode_array(text).ok())
    };
    let certificate = thumbprint("x5t#S256").map(Confirmation::Certificate);
    let confirmation = certificate.or_else(|| thumbprint("jkt").map(Confirmation::Key));
    confirmation.map(Some).ok_or(ClaimFault::Malformed("cnf"))
}

#[cfg(test)]
mod tests;
