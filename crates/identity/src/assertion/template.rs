//! Subject templates: how an issuer's claims become a SPIFFE ID.
//!
//! Always: a claim fills exactly one path segment and nothing but one; the trust domain and the
//! number of segments stand in the template. So the IDs that an issuer can produce are known when
//! it is configured (see [`Template::pattern`]), whatever its assertions say.

use locum_jose::json::{Object, Value};
use locum_model::SpiffeId;
use locum_model::limits::CLAIM_PATH_NAMES_MAX;
use locum_model::spiffe::{NotSpiffe, SpiffePattern};

use crate::refusal::Shown;

/// A SPIFFE ID with claims in it.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// `spiffe:`, an empty one, the trust domain, then the path.
    segments: Vec<Segment>,
    pattern: SpiffePattern,
}

#[derive(Clone, Debug)]
enum Segment {
    Literal(String),
    /// Names from the outermost object to the claim.
    Claim(Vec<String>),
}

/// Why a subject template is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateProblem {
    /// A brace that is not around a whole segment.
    #[error("{0}: a claim must stand alone between two slashes")]
    PartOfSegment(String),
    /// A claim path that is empty, too long or has other characters.
    #[error(
        "{0}: a claim path is 1 to {CLAIM_PATH_NAMES_MAX} names of `A-Z a-z 0-9 _ - :` with dots between"
    )]
    ClaimPath(String),
    /// No claim: every workload of the issuer would be the same.
    #[error("no claim in it; every workload would have the same SPIFFE ID")]
    NoClaim,
    /// Without its claims it is no SPIFFE ID.
    #[error("{0}")]
    NotSpiffe(#[from] NotSpiffe),
}

/// Why an assertion's claims do not fill the template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfilled {
    #[error("claim {0} is missing")]
    Missing(String),
    #[error("claim {0} can be read in more than one way")]
    Ambiguous(String),
    #[error("claim {0} is not a string")]
    NotText(String),
    #[error("claim {0} is not one path segment of a SPIFFE ID")]
    NotSegment(String),
    #[error("the claims make no SPIFFE ID: {0}")]
    NotSpiffe(#[from] NotSpiffe),
}

// === impl Template ===

impl Template {
    /// Reads a template.
    pub(crate) fn of(text: &str) -> Result<Self, TemplateProblem> {
        let segments = text.split('/').map(Segment::of).collect::<Result<Vec<_>, _>>()?;
        let claims = segments.iter().filter(|segment| matches!(segment, Segment::Claim(_))).count();
        if claims == 0 {
            return Err(TemplateProblem::NoClaim);
        }
        // With a plain letter for every claim it has to be a SPIFFE ID: so no literal is a `*`,
        // and with `*` in a claim's place it is a pattern. The trust domain cannot be `*`.
        let written = |claim: &'static str| {
            let text = |segment: &Segment| match segment {
                Segment::Literal(text) => text.clone(),
                Segment::Claim(_) => claim.to_owned(),
            };
            segments.iter().map(text).collect::<Vec<_>>().join("/")
        };
        written("x").parse::<SpiffeId>()?;
        let pattern = written("*").parse()?;
        Ok(Self { segments, pattern })
    }

    /// Every SPIFFE ID that it can produce.
    pub(crate) fn pattern(&self) -> &SpiffePattern {
        &self.pattern
    }

    /// The SPIFFE ID that `claims` make.
    pub(crate) fn fill(&self, claims: &Object) -> Result<SpiffeId, Unfilled> {
        let mut text = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            text.push(match segment {
                Segment::Literal(text) => text.as_str(),
                Segment::Claim(names) => filled(names, claims)?,
            });
        }
        Ok(text.join("/").parse()?)
    }
}

// === impl Segment ===

impl Segment {
    fn of(text: &str) -> Result<Self, TemplateProblem> {
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match inner {
            None if text.contains(['{', '}']) => Err(TemplateProblem::PartOfSegment(Shown(text).to_string())),
            None => Ok(Self::Literal(text.to_owned())),
            Some(path) => {
                let names: Vec<String> = path.split('.').map(str::to_owned).collect();
                let fits = names.len() <= CLAIM_PATH_NAMES_MAX && names.iter().all(|name| is_name(name));
                if fits {
                    Ok(Self::Claim(names))
                } else {
                    Err(TemplateProblem::ClaimPath(Shown(text).to_string()))
                }
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':'))
}

fn filled<'a>(names: &[String], claims: &'a Object) -> Result<&'a str, Unfilled> {
    let path = || Shown(&names.join(".")).to_string();
    let mut found = Vec::new();
    readings(names, claims, &mut found);
    let value = match found.as_slice() {
        [] => return Err(Unfilled::Missing(path())),
        [value] => value.as_text().ok_or_else(|| Unfilled::NotText(path()))?,
        _ => return Err(Unfilled::Ambiguous(path())),
    };
    if is_segment(value) { Ok(value) } else { Err(Unfilled::NotSegment(path())) }
}

/// Every value that a path can mean. Names may have dots in them (`kubernetes.io`), so that
/// `kubernetes.io.namespace` is tried with each split; the caller refuses more than one meaning.
///
/// Cost: at most 2^[`CLAIM_PATH_NAMES_MAX`] look-ups, set by the operator, not by the assertion.
fn readings<'a>(names: &[String], claims: &'a Object, found: &mut Vec<&'a Value>) {
    for taken in 1..=names.len() {
        let Some(value) = claims.get(&names[..taken].join(".")) else { continue };
        match (&names[taken..], value) {
            ([], value) => found.push(value),
            (rest, Value::Object(inner)) => readings(rest, inner, found),
            _ => {}
        }
    }
}

fn is_segment(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use locum_jose::json::parse_object;
    use serde_json::json;

    const KUBERNETES: &str =
        "spiffe://k8s.acme.test/ns/{kubernetes.io.namespace}/sa/{kubernetes.io.serviceaccount.name}";

    fn fill(template: &str, claims: serde_json::Value) -> Result<String, Unfilled> {
        let template = Template::of(template).expect("a good template");
        let claims = parse_object(claims.to_string().as_bytes()).expect("an object");
        let id = template.fill(&claims)?;
        assert!(template.pattern().matches(&id), "{id} is outside of {}", template.pattern());
        Ok(id.as_str().to_owned())
    }

    #[test]
    fn claims_fill_their_segments() {
        let claims = json!({"kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "refunder"}}});
        let id = fill(KUBERNETES, claims).expect("filled");
        assert_eq!(id, "spiffe://k8s.acme.test/ns/shop/sa/refunder");
        let id = fill("spiffe://td/{a}/x/{a}", json!({"a": "..."})).expect("filled");
        assert_eq!(id, "spiffe://td/.../x/...");
    }

    #[test]
    fn a_claim_fills_exactly_one_segment_or_nothing() {
        for hostile in [
            json!("a/b"),
            json!("/"),
            json!(""),
            json!("."),
            json!(".."),
            json!("../admin"),
            json!("a\u{0}"),
            json!("a%2fb"),
            json!("a\\b"),
            json!("*"),
            json!("**"),
            json!("{b}"),
            json!("é"),
            json!("a b"),
            json!("a\n"),
            json!("a?b"),
            json!("a#b"),
            json!("a:b"),
            json!("x".repeat(3_000)),
            json!(1),
            json!(1.5),
            json!(true),
            json!(null),
            json!(["a"]),
            json!({"a": "b"}),
        ] {
            let refused = fill("spiffe://td/{a}", json!({ "a": hostile }));
            assert!(refused.is_err(), "{hostile} gave {refused:?}");
        }
        assert!(matches!(fill("spiffe://td/{a.b}", json!({"a": "b"})), Err(Unfilled::Missing(_))));
    }

    #[test]
    fn a_path_with_two_meanings_is_refused() {
        let claims = json!({"a": {"b": "x"}, "a.b": "x"});
        assert!(matches!(fill("spiffe://td/{a.b}", claims), Err(Unfilled::Ambiguous(_))));
    }

    #[test]
    fn a_template_is_a_spiffe_id_with_whole_segments_left_open() {
        for bad in [
            "",
            "spiffe://td",
            "spiffe://td/",
            "spiffe://td/a",
            "spiffe://{td}/a",
            "spiffe://td/{a}/",
            "spiffe://td//{a}",
            "spiffe://td/{a}x",
            "spiffe://td/x{a}",
            "spiffe://td/{a}{b}",
            "spiffe://td/{}",
            "spiffe://td/{a.}",
            "spiffe://td/{.a}",
            "spiffe://td/{a b}",
            "spiffe://td/{a",
            "spiffe://td/a}",
            "spiffe://td/{{a}}",
            "spiffe://td/*/{a}",
            "spiffe://td/{a}/**",
            "spiffe://td/../{a}",
            "{a}://td/{a}",
            "https://td/{a}",
            "spiffe://TD/{a}",
            "spiffe://td/{a.b.c.d.e.f.g.h.i}",
        ] {
            assert!(Template::of(bad).is_err(), "{bad}");
        }
        let pattern = Template::of(KUBERNETES).expect("good").pattern().as_str().to_owned();
        assert_eq!(pattern, "spiffe://k8s.acme.test/ns/*/sa/*");
    }
}
