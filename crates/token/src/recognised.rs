//! The claims of a token whose very bytes are known to be ours.
//!
//! The hot table recognises a token by its digest, which the signer or a full verification left there.
//! Every spelling was judged then, so nothing is parsed twice or written again here: the claims are
//! picked out of their places. A payload with a claim that is rarely there takes the way over JSON.
//!
//! INVARIANT: called only with recognised bytes. Other bytes give some claims or none, never a panic.

use locum_jose::base64url;
use locum_model::{Grant, KeyId, Resources, Scope, Timestamp};

use crate::claims::Claims;
use crate::verify::{Refusal, read};
use crate::{header, locum_claim, parse_kid, payload};

/// Bytes of the decoded header, and where its `kid` stands: `ES256` and `EdDSA` are equally long.
const HEADER_BYTES: usize = 82;
const KID_AT: std::ops::Range<usize> = 22..65;

/// The claims of bytes that the table recognised: no signature, issuer or times, and no second look at
/// how they are spelled.
///
/// # Errors
///
/// [`Refusal`] as [`read`], for bytes that were not recognised after all.
pub fn read_recognised(compact: &str) -> Result<Claims, Refusal> {
    pick(compact).map_or_else(|| read(compact), Ok)
}

fn pick(compact: &str) -> Option<Claims> {
    let (header, rest) = compact.split_at_checked(header::TEXT_BYTES)?;
    let (payload, _signature) = rest.strip_prefix('.')?.split_once('.')?;
    let header: [u8; HEADER_BYTES] = base64url::decode_array(header).ok()?;
    let kid = parse_kid(std::str::from_utf8(&header[KID_AT]).ok()?).ok()?;
    let payload = base64url::decode(payload).ok()?;
    in_place(std::str::from_utf8(&payload).ok()?, kid).or_else(|| payload::read_spelled(&payload, kid).ok())
}

/// The claims of a payload with nothing optional in it, member by member.
fn in_place(payload: &str, kid: KeyId) -> Option<Claims> {
    let rest = &mut &*payload;
    let jti = text(rest, r#"{"jti":""#)?.parse().ok()?;
    let issuer = text(rest, r#","iss":""#)?.to_owned();
    let audience = text(rest, r#","aud":""#)?.to_owned();
    let subject = text(rest, r#","sub":""#)?.to_owned();
    let client_id = text(rest, r#","client_id":""#)?.parse().ok()?;
    let issued_at = time(rest, r#","iat":"#)?;
    let not_before = time(rest, r#","nbf":"#)?;
    let expires_at = time(rest, r#","exp":"#)?;
    let scope = scope(text(rest, r#","scope":""#)?)?;
    let locum = text(rest, r#","locum":""#)?;
    let locum = (*rest == "}").then(|| base64url::decode(locum))?.ok()?;
    let locum = locum_claim::decode(&locum)?;
    Some(Claims {
        jti,
        issuer,
        audience,
        subject,
        client_id,
        issued_at,
        not_before,
        expires_at,
        scope,
        confirmation: None,
        tasks: locum.tasks,
        standing: locum.standing,
        decided_at: locum.decided_at,
        online_only: locum.online_only,
        single_use: locum.single_use,
        canary: locum.canary,
        kid,
    })
}

/// The string behind `opening`, and its closing quote. One with an escape is not for here.
fn text<'p>(rest: &mut &'p str, opening: &str) -> Option<&'p str> {
    let (text, after) = rest.strip_prefix(opening)?.split_once('"')?;
    *rest = after;
    (!text.contains('\\')).then_some(text)
}

fn time(rest: &mut &str, opening: &str) -> Option<Timestamp> {
    let digits = rest.strip_prefix(opening)?;
    let (digits, after) = digits.split_at(digits.find(',')?);
    *rest = after;
    digits.parse().ok().map(Timestamp::from_seconds)
}

/// All resources of each operation: narrowed ones would stand in `authorization_details`.
fn scope(text: &str) -> Option<Scope> {
    let grant =
        |operation: &str| Some(Grant { operation: operation.parse().ok()?, resources: Resources::All });
    Scope::of(text.split(' ').map(grant).collect::<Option<Vec<_>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::{ISSUER, any_record, record};

    const KID: KeyId = KeyId([9; 32]);

    fn compact(kid: &KeyId, payload: &str) -> String {
        let header = header::text(locum_jose::SignatureAlgorithm::Es256, kid);
        format!("{header}.{}.{}", base64url::encode(payload), "A".repeat(86))
    }

    #[test]
    fn a_plain_payload_is_picked_in_place() {
        let claims = Claims::of(ISSUER, &record(KID));
        assert_eq!(in_place(&payload::write(&claims), KID), Some(claims));
    }

    #[test]
    fn what_stands_elsewhere_is_not_mistaken() {
        let plain = payload::write(&Claims::of(ISSUER, &record(KID)));
        for (from, to) in [
            (r#""scope":"#, r#""scope":"x:y","scope":"#),
            (r#"refunder","iat""#, r#"ref\"nder","iat""#),
            (r#","exp":1"#, r#","exp":"1"#),
            ("}", ",\"more\":1}"),
        ] {
            assert_eq!(in_place(&plain.replacen(from, to, 1), KID), None, "{to}");
        }
    }

    proptest! {
        #[test]
        fn recognised_claims_are_those_that_a_full_reading_gives(record in any_record()) {
            let claims = Claims::of(ISSUER, &record);
            let compact = compact(&claims.kid, &payload::write(&claims));
            prop_assert_eq!(read_recognised(&compact), Ok(claims.clone()));
            prop_assert_eq!(read(&compact), Ok(claims));
        }

        #[test]
        fn other_bytes_do_no_harm(text in ".{0,400}", at in 0_usize..500, byte in any::<u8>()) {
            let _ = read_recognised(&text);
            let _ = read_recognised(&compact(&KID, &text));
            let mut bytes = compact(&KID, &payload::write(&Claims::of(ISSUER, &record(KID)))).into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte & 0x7f;
            let _ = read_recognised(std::str::from_utf8(&bytes).expect("ASCII"));
        }
    }
}
