//! Strict JSON (RFC 8259): no member of an object twice, integers apart from other numbers.
//!
//! A value is what was written and nothing else: `1.0` and `1e3` are not integers, an integer
//! beyond 64 bits is none either, text after the value is refused, and so is nesting deeper than
//! 128 levels. The caller bounds the length of the input.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number written without fraction or exponent that fits.
    Integer(i64),
    /// Any other number; nothing that we read is one.
    OtherNumber,
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// An object.
    Object(Object),
}

/// A JSON object: its members in the order written, no name twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(Vec<(String, Value)>);

/// A text that is not one JSON object in the strict sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a strict JSON object")]
pub struct NotAnObject;

/// The one object that `bytes` are.
///
/// # Errors
///
/// [`NotAnObject`] for anything else: another value, a repeated member at any depth, text after it.
pub fn parse_object(bytes: &[u8]) -> Result<Object, NotAnObject> {
    serde_json::from_slice(bytes).or(Err(NotAnObject))
}

/// Appends `text` as a JSON string, quotes included.
pub fn write_text(text: &str, out: &mut String) {
    // What is escaped is ASCII, so no character is ever cut.
    let escaped = |byte: u8| byte < 0x20 || matches!(byte, b'"' | b'\\');
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(escaped) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            control => {
                let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("a nibble is a digit");
                out.push_str("\\u00");
                out.push(digit(control >> 4));
                out.push(digit(control & 15));
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

// === impl Value ===

impl Value {
    /// The string, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The integer, where it is one.
    pub fn as_integer(&self) -> Option<i64> {
        if let Self::Integer(integer) = self { Some(*integer) } else { None }
    }

    /// The array, where it is one.
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    /// The object, where it is one.
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

// === impl Object ===

impl Object {
    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(theirs, _)| theirs == name).map(|(_, value)| value)
    }

    /// The member of this name, where it is a string.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_text)
    }

    /// The member of this name, where it is an integer.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(Value::as_integer)
    }

    /// All members in the order written.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Sorted, so that an object of thousands of members stays cheap.
    fn repeats_a_member(&self) -> bool {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Object(object) => Ok(object),
            _ => Err(D::Error::custom("not an object")),
        }
    }
}

// === the visitor ===

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::OtherNumber, Value::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::OtherNumber)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Object::default();
        while let Some(member) = members.next_entry::<String, Value>()? {
            object.0.push(member);
        }
        if object.repeats_a_member() {
            return Err(A::Error::custom("a member stands twice"));
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_object_is_read_as_written() {
        let object = parse_object(br#"{"b":1,"a":[null,true,-2,"x",{"c":"\u0041"}]}"#).expect("strict");
        assert_eq!(object.members().map(|(name, _)| name).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(object.integer("b"), Some(1));
        let list = object.get("a").and_then(Value::as_list).expect("a list");
        assert_eq!(list[..3], [Value::Null, Value::Bool(true), Value::Integer(-2)]);
        assert_eq!(list[4].as_object().and_then(|o| o.text("c")), Some("A"));
    }

    #[test]
    fn what_is_not_one_strict_object_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        for bad in [
            "",
            " ",
            "null",
            "1",
            "[]",
            "\"{}\"",
            "{",
            "{}{}",
            "{} x",
            "{\"a\":1,\"a\":1}",
            "{\"x\":{\"a\":1,\"\\u0061\":2}}",
            "{\"a\":1e400}",
            "{\"a\":01}",
            "{\"a\":+1}",
            "{\"a\":.5}",
            "{\"a\":NaN}",
            "{\"a\":1,}",
            "{'a':1}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\n\"}",
            "\u{feff}{}",
            "{a:1}",
            "{\"a\"}",
            "/**/{}",
            &deep,
        ] {
            assert_eq!(parse_object(bad.as_bytes()), Err(NotAnObject), "{bad:?}");
        }
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}"), Err(NotAnObject));
    }

    #[test]
    fn only_plain_integers_are_integers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("18446744073709551616", None),
            ("1.0", None),
            ("1e3", None),
            ("-0.0", None),
            ("\"1\"", None),
            ("true", None),
            ("null", None),
            ("[1]", None),
        ] {
            let object = parse_object(format!("{{\"a\":{text}}}").as_bytes()).expect("an object");
            assert_eq!(object.integer("a"), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_survives_its_writing(text in any::<String>()) {
            let mut out = String::from("{\"a\":");
            write_text(&text, &mut out);
            out.push('}');
            let object = parse_object(out.as_bytes()).expect("strict");
            prop_assert_eq!(object.text("a"), Some(text.as_str()));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_object(&bytes);
        }
    }
}
