//! [`Wire`]: the fields of a protobuf message, taken from its bytes in the order and in the form in which
//! this version writes them.
//!
//! Nothing is copied and nothing is allocated. What stands in another order or form, is not known, or is
//! left over is not judged here: every method then says `None`, and the generated form decides. So this may
//! understand less than the generated form, and never anything else.
//!
//! Briefs ([`super::brief`]) are values without keys, which are taken by the same means.

/// Wire types (protobuf encoding, "Message structure").
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const DELIMITED: u32 = 2;
/// A varint of 64 bits has at most this many bytes.
const VARINT_BYTES_MAX: usize = 10;

/// What is left of a message. Fields are asked for in ascending order. A copy goes its own way.
#[derive(Clone, Copy)]
pub(super) struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// Whether all of the message was taken.
    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    /// A message, or whatever else has a length; none where the field does not stand here.
    #[inline]
    pub(super) fn delimited(&mut self, field: u32) -> Option<Option<&'a [u8]>> {
        let before = *self;
        if !self.is_next(field, DELIMITED) {
            return Some(None);
        }
        let value = self.sized();
        if value.is_none() {
            // Where it is not whole it stays, so that nothing behind it is taken as if it were not there.
            *self = before;
        }
        value.map(Some)
    }

    /// A message; none where it does not stand here, or not whole.
    #[inline]
    pub(super) fn message(&mut self, field: u32) -> Option<Self> {
        self.delimited(field)?.map(Self)
    }

    /// Exactly `N` bytes.
    #[inline]
    pub(super) fn array<const N: usize>(&mut self, field: u32) -> Option<[u8; N]> {
        self.delimited(field)??.try_into().ok()
    }

    /// A text; empty where the field does not stand here.
    #[inline]
    pub(super) fn text(&mut self, field: u32) -> Option<&'a str> {
        str::from_utf8(self.delimited(field)?.unwrap_or_default()).ok()
    }

    /// An integer that may be absent.
    #[inline]
    pub(super) fn integer_if_any(&mut self, field: u32) -> Option<Option<u64>> {
        if self.is_next(field, VARINT) { self.varint().map(Some) } else { Some(None) }
    }

    /// An integer; zero where the field does not stand here.
    #[inline]
    pub(super) fn integer(&mut self, field: u32) -> Option<u64> {
        Some(self.integer_if_any(field)?.unwrap_or(0))
    }

    /// An integer of 32 bits that may be absent.
    #[inline]
    pub(super) fn number_if_any(&mut self, field: u32) -> Option<Option<u32>> {
        match self.integer_if_any(field)? {
            Some(number) => Some(Some(u32::try_from(number).ok()?)),
            None => Some(None),
        }
    }

    /// An integer of 32 bits; zero where the field does not stand here.
    #[inline]
    pub(super) fn number(&mut self, field: u32) -> Option<u32> {
        Some(self.number_if_any(field)?.unwrap_or(0))
    }

    /// A signed integer; zero where the field does not stand here.
    #[inline]
    pub(super) fn signed(&mut self, field: u32) -> Option<i64> {
        Some(self.integer(field)?.cast_signed())
    }

    /// An integer of eight bytes that may be absent.
    #[inline]
    pub(super) fn fixed_if_any(&mut self, field: u32) -> Option<Option<u64>> {
        if !self.is_next(field, FIXED64) {
            return Some(None);
        }
        let (value, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(Some(u64::from_le_bytes(*value)))
    }

    /// `N` bytes that have no key.
    #[inline]
    pub(super) fn bare_array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (value, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*value)
    }

    /// A text that has a length and no key.
    #[inline]
    pub(super) fn bare_text(&mut self) -> Option<&'a str> {
        str::from_utf8(self.sized()?).ok()
    }

    #[inline]
    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (value, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(value)
    }

    /// Takes the key of a field where that is what comes next. Keys have two bytes at most: fields up to 2,047.
    #[inline]
    fn is_next(&mut self, field: u32, kind: u32) -> bool {
        let key = field << 3 | kind;
        let (low, high) = ((key & 0x7f) as u8, (key >> 7) as u8);
        match *self.0 {
            [first, ref rest @ ..] if high == 0 && first == low => self.0 = rest,
            [first, second, ref rest @ ..] if high != 0 && first == low | 0x80 && second == high => {
                self.0 = rest;
            }
            _ => return false,
        }
        true
    }

    /// An integer that has no key.
    #[inline]
    pub(super) fn varint(&mut self) -> Option<u64> {
        let (&first, rest) = self.0.split_first()?;
        if first < 0x80 {
            self.0 = rest;
            return Some(first.into());
        }
        let mut value = 0;
        for (at, &byte) in self.0.iter().take(VARINT_BYTES_MAX).enumerate() {
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if at + 1 == VARINT_BYTES_MAX && byte > 1 {
                return None;
            }
            value |= bits << (7 * at);
            if byte < 0x80 {
                self.0 = &self.0[at + 1..];
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_are_read_as_they_are_written(number: u64) {
            let mut bytes = vec![0x08];
            prost::encoding::encode_varint(number, &mut bytes);
            let mut wire = Wire::of(&bytes);
            prop_assert_eq!((wire.integer(1), wire.end()), (Some(number), Some(())));
        }

        #[test]
        fn an_integer_is_read_as_the_library_reads_it_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut rest = bytes.as_slice();
            let theirs = prost::encoding::decode_varint(&mut rest);
            let mut wire = Wire(&bytes);
            if let Some(ours) = wire.varint() {
                prop_assert_eq!((Ok(ours), wire.0), (theirs, rest));
            }
        }
    }

    #[test]
    fn what_is_not_as_it_is_written_is_not_understood() {
        let second_first = [0x10, 1, 0x08, 1];
        let mut wire = Wire::of(&second_first);
        assert_eq!((wire.integer(1), wire.integer(2), wire.end()), (Some(0), Some(1), None));
        for (bytes, what) in [
            (&[0x0a, 3, 1, 2][..], "shorter than it says"),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "longer than anything"),
            (&[0x0a], "a key alone"),
            (&[0x0a, 1, 0xff], "not a text"),
        ] {
            assert_eq!(Wire::of(bytes).text(1), None, "{what}");
        }
        let mut wire = Wire::of(&[0x0a, 3, 0x10, 1]);
        assert!(wire.message(1).is_none());
        assert_eq!((wire.integer(2), wire.end()), (Some(0), None), "what is not whole is not passed over");
        let beyond = [0x92, 0x01, 1, 7];
        assert_eq!(Wire::of(&beyond).array::<1>(18), Some([7]));
        assert_eq!(Wire::of(&beyond).array::<2>(18), None);
        assert_eq!(Wire::of(&[0x08, 0x80, 0x80, 0x80, 0x80, 0x10]).number(1), None, "33 bits");
    }
}
