//! Positions inside of events.

use locum_model::Position;

use super::{DecodeError, Stored, form};

impl Stored for Position {
    type Form = form::Position;

    fn to_form(&self) -> form::Position {
        form::Position { home: self.home.into(), epoch: self.epoch, sequence: self.sequence }
    }

    fn from_form(form: form::Position) -> Result<Self, DecodeError> {
        let home = u16::try_from(form.home).map_err(|_beyond| DecodeError::Invalid("position.home"))?;
        Ok(Self { home, epoch: form.epoch, sequence: form.sequence })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::tests::check_round_trip;
    use super::*;

    pub(crate) fn any_position() -> impl Strategy<Value = Position> {
        any::<(u16, u32, u64)>().prop_map(|(home, epoch, sequence)| Position { home, epoch, sequence })
    }

    proptest! {
        #[test]
        fn survives(position in any_position()) {
            check_round_trip(&position);
        }
    }

    #[test]
    fn a_home_has_16_bits() {
        let form = form::Position { home: 65_536, epoch: 1, sequence: 1 };
        assert_eq!(Position::from_form(form), Err(DecodeError::Invalid("position.home")));
    }
}
