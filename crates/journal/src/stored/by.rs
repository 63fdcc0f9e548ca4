//! Who did something.

use locum_model::WorkloadNo;
use locum_model::event::By;

use super::form::{self, by::Who};
use super::{DecodeError, Stored, parsed, required};

impl Stored for By {
    type Form = form::By;

    fn to_form(&self) -> form::By {
        let who = match self {
            Self::Workload { number, id } => {
                Who::Workload(form::ByWorkload { number: number.0, spiffe_id: id.as_str().to_owned() })
            }
            Self::Operator(name) => Who::Operator(name.clone()),
            Self::Broker => Who::Broker(form::ByBroker {}),
        };
        form::By { who: Some(who) }
    }

    fn from_form(form: form::By) -> Result<Self, DecodeError> {
        Ok(match required(form.who, "by.who")? {
            Who::Workload(form) => Self::Workload {
                number: WorkloadNo(form.number),
                id: parsed(&form.spiffe_id, "by.workload.spiffe_id")?,
            },
            Who::Operator(name) => Self::Operator(name),
            Who::Broker(form::ByBroker {}) => Self::Broker,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use locum_model::SpiffeId;
    use proptest::prelude::*;

    use super::super::tests::check_round_trip;
    use super::*;

    pub(crate) fn any_spiffe_id() -> impl Strategy<Value = SpiffeId> {
        "spiffe://[a-z0-9.-]{1,20}(/[A-Za-z0-9_-]{1,12}){1,4}".prop_map(|id| id.parse().expect("a good id"))
    }

    pub(crate) fn any_by() -> impl Strategy<Value = By> {
        prop_oneof![
            (any::<u32>(), any_spiffe_id()).prop_map(|(n, id)| By::Workload { number: WorkloadNo(n), id }),
            any::<String>().prop_map(By::Operator),
            Just(By::Broker),
        ]
    }

    proptest! {
        #[test]
        fn survives(by in any_by()) {
            check_round_trip(&by);
        }
    }

    #[test]
    fn nobody_is_refused() {
        assert_eq!(By::from_form(form::By::default()), Err(DecodeError::Missing("by.who")));
        let stranger = form::ByWorkload { number: 1, spiffe_id: "spiffe://td".into() };
        let refused = By::from_form(form::By { who: Some(Who::Workload(stranger)) });
        assert_eq!(refused, Err(DecodeError::Invalid("by.workload.spiffe_id")));
    }
}
