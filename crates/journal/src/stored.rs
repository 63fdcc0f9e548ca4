//! The stored form of events: model to `locum.journal.v1` and back.
//!
//! One stored thing, one file, with its round-trip test. What is encoded decodes to the same
//! value. What is decoded is checked: a missing or unknown value, a wrong length, a list that
//! repeats what may stand once is a [`DecodeError`], never a default and never a panic, because a
//! record that is half understood could grant what was never decided.

use std::sync::Arc;

use locum_model::event::Event;
use prost::Message;

mod brief;
mod by;
mod decoder;
mod direct;
mod key;
mod own;
mod policy;
mod position;
mod registry;
mod request;
mod revocation;
mod scope;
mod selector;
mod summary;
mod task;
mod time;
mod token;
mod wire;
mod written;

pub(crate) use brief::{Briefs, Made};
pub(crate) use decoder::Decoder;

/// The generated types of `locum.journal.v1`. They never leave this module.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated; its comments are in the proto files"
)]
mod form {
    include!(concat!(env!("OUT_DIR"), "/locum.journal.v1.rs"));
}

use form::event::Kind;

/// Why bytes are not an event that this version knows.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Not protobuf of the right shape.
    #[error("not a stored event: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A required field has no value.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A field has a value that this version does not know, or that breaks its bounds.
    #[error("`{0}` has a value that is not one of its own")]
    Invalid(&'static str),
    /// A list repeats what may stand once.
    #[error("`{0}` repeats an entry")]
    Repeated(&'static str),
}

/// A value with a stored form.
trait Stored: Sized {
    /// The generated type.
    type Form;

    /// The stored form.
    fn to_form(&self) -> Self::Form;

    /// The value of a stored form.
    fn from_form(form: Self::Form) -> Result<Self, DecodeError>;
}

/// Appends the stored form of `event` to `buffer`.
pub(crate) fn encode(event: &Event, buffer: &mut Vec<u8>) {
    match event {
        Event::TokenIssued(record) => written::token_issued(record, buffer),
        other => other.to_form().encode(buffer).expect("a vector grows as it must"),
    }
}

/// The event of a stored form.
fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    Event::from_form(form::Event::decode(bytes)?)
}

impl Stored for Event {
    type Form = form::Event;

    fn to_form(&self) -> form::Event {
        let kind = match self {
            Self::KeyPublished(event) => Kind::KeyPublished(event.to_form()),
            Self::KeyActivated(event) => Kind::KeyActivated(key::activated(event)),
            Self::KeyRetired(event) => Kind::KeyRetired(key::retired(event)),
            Self::RegistryActivated(event) => Kind::RegistryActivated(event.to_form()),
            Self::PolicyActivated(event) => Kind::PolicyActivated(event.to_form()),
            Self::TaskStarted(event) => Kind::TaskStarted(event.to_form()),
            Self::TaskEnded(event) => Kind::TaskEnded(event.to_form()),
            Self::TaskLapsed(event) => Kind::TaskLapsed(event.to_form()),
            Self::TokenIssued(event) => Kind::TokenIssued(event.to_form()),
            Self::TokenUsed(event) => Kind::TokenUsed(event.to_form()),
            Self::ChecksSummed(event) => Kind::ChecksSummed(event.to_form()),
            Self::DenialsSummed(event) => Kind::DenialsSummed(event.to_form()),
            Self::Revoked(event) => Kind::Revoked(event.to_form()),
            Self::Locked(event) => Kind::Locked(event.to_form()),
            Self::Unlocked(event) => Kind::Unlocked(event.to_form()),
        };
        form::Event { kind: Some(kind) }
    }

    fn from_form(form: form::Event) -> Result<Self, DecodeError> {
        Ok(match required(form.kind, "event.kind")? {
            Kind::KeyPublished(form) => Self::KeyPublished(Stored::from_form(form)?),
            Kind::KeyActivated(form) => Self::KeyActivated(key::from_activated(form)?),
            Kind::KeyRetired(form) => Self::KeyRetired(key::from_retired(form)?),
            Kind::RegistryActivated(form) => Self::RegistryActivated(Box::new(Stored::from_form(form)?)),
            Kind::PolicyActivated(form) => Self::PolicyActivated(Box::new(Stored::from_form(form)?)),
            Kind::TaskStarted(form) => Self::TaskStarted(Arc::new(Stored::from_form(form)?)),
            Kind::TaskEnded(form) => Self::TaskEnded(Stored::from_form(form)?),
            Kind::TaskLapsed(form) => Self::TaskLapsed(Stored::from_form(form)?),
            Kind::TokenIssued(form) => Self::TokenIssued(Arc::new(Stored::from_form(form)?)),
            Kind::TokenUsed(form) => Self::TokenUsed(Stored::from_form(form)?),
            Kind::ChecksSummed(form) => Self::ChecksSummed(Stored::from_form(form)?),
            Kind::DenialsSummed(form) => Self::DenialsSummed(Stored::from_form(form)?),
            Kind::Revoked(form) => Self::Revoked(Box::new(Stored::from_form(form)?)),
            Kind::Locked(form) => Self::Locked(Box::new(Stored::from_form(form)?)),
            Kind::Unlocked(form) => Self::Unlocked(Stored::from_form(form)?),
        })
    }
}

// === pieces of decoding ===

fn required<T>(value: Option<T>, field: &'static str) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::Missing(field))
}

/// A required message.
fn restored<T: Stored>(form: Option<T::Form>, field: &'static str) -> Result<T, DecodeError> {
    T::from_form(required(form, field)?)
}

/// A message that may be absent.
fn restored_if_any<T: Stored>(form: Option<T::Form>) -> Result<Option<T>, DecodeError> {
    form.map(T::from_form).transpose()
}

fn all_restored<T: Stored>(forms: Vec<T::Form>) -> Result<Vec<T>, DecodeError> {
    forms.into_iter().map(T::from_form).collect()
}

/// Exactly `N` bytes.
fn exactly<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N], DecodeError> {
    bytes.try_into().map_err(|_wrong_length| DecodeError::Invalid(field))
}

/// A text that has a grammar.
fn parsed<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<T, DecodeError> {
    text.parse().map_err(|_not_of_the_grammar| DecodeError::Invalid(field))
}

/// The known value of an enum's number.
fn known<T: TryFrom<i32>>(number: i32, field: &'static str) -> Result<T, DecodeError> {
    T::try_from(number).map_err(|_unknown| DecodeError::Invalid(field))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fmt::Debug;

    use locum_model::Event;
    use proptest::prelude::*;

    use super::*;

    /// What goes in comes out, over the wire form too.
    pub(super) fn check_round_trip<T>(value: &T)
    where
        T: Stored + PartialEq + Debug,
        T::Form: Message + Default,
    {
        let bytes = value.to_form().encode_to_vec();
        let form = T::Form::decode(bytes.as_slice()).expect("what was encoded decodes");
        assert_eq!(T::from_form(form).as_ref(), Ok(value));
    }

    pub(crate) fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            key::tests::any_published().prop_map(Event::KeyPublished),
            key::tests::any_moved().prop_map(Event::KeyActivated),
            key::tests::any_moved().prop_map(Event::KeyRetired),
            registry::tests::any_activated().prop_map(|e| Event::RegistryActivated(Box::new(e))),
            policy::tests::any_activated().prop_map(|e| Event::PolicyActivated(Box::new(e))),
            task::tests::any_started().prop_map(|e| Event::TaskStarted(Arc::new(e))),
            task::tests::any_ended().prop_map(Event::TaskEnded),
            task::tests::any_lapsed().prop_map(Event::TaskLapsed),
            token::tests::any_issued().prop_map(|e| Event::TokenIssued(Arc::new(e))),
            token::tests::any_used().prop_map(Event::TokenUsed),
            summary::tests::any_checks().prop_map(Event::ChecksSummed),
            summary::tests::any_denials().prop_map(Event::DenialsSummed),
            revocation::tests::any_revoked().prop_map(|e| Event::Revoked(Box::new(e))),
            revocation::tests::any_locked().prop_map(|e| Event::Locked(Box::new(e))),
            revocation::tests::any_unlocked().prop_map(Event::Unlocked),
        ]
    }

    proptest! {
        #[test]
        fn every_event_survives(event in any_event()) {
            let mut bytes = Vec::new();
            encode(&event, &mut bytes);
            prop_assert_eq!(decode(&bytes), Ok(event));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_mangled_event_is_refused_or_another_event(
            event in any_event(),
            at in any::<prop::sample::Index>(),
            mask in 1..=255_u8,
        ) {
            let mut bytes = Vec::new();
            encode(&event, &mut bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            if let Ok(other) = decode(&bytes) {
                // What is understood is understood for good.
                let mut again = Vec::new();
                encode(&other, &mut again);
                prop_assert_eq!(decode(&again), Ok(other));
            }
        }

        #[test]
        fn a_shortened_event_never_passes_for_the_whole(event in any_event(), at in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            encode(&event, &mut bytes);
            let short = at.index(bytes.len());
            prop_assert_ne!(decode(&bytes[..short]), Ok(event));
        }
    }

    #[test]
    fn nothing_is_not_an_event() {
        assert_eq!(decode(&[]), Err(DecodeError::Missing("event.kind")));
        // A kind from the future: field 99, an empty message.
        assert_eq!(decode(&[0x9a, 0x06, 0x00]), Err(DecodeError::Missing("event.kind")));
    }
}
