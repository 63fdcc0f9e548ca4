//! May they? (policy set, prepared registry, request) → [`Permit`] or [`Denial`].
//!
//! [`compile`] turns policy texts into a [`PolicySet`], or says what is wrong with them and where;
//! [`RegistryEntities`] is a registry prepared for decisions; [`decide`] judges one request. Policies are written in Cedar against [`SCHEMA`];
//! what a permit demands is written as annotations from a closed vocabulary:
//!
//! [`explain`] tells why a decision came out as it did, [`diff`] what changed between two sets.
//!
//! | annotation | on | value | meaning |
//! |---|---|---|---|
//! | `@id` | all, required | a name, unique in the set | how the policy is called in records |
//! | `@description` | all | one line of text | for people |
//! | `@ttl_max` | permit | `"60s"`, `"5m"` | the token lives no longer |
//! | `@single_use` | permit | `"true"` | the token may be used once |
//! | `@proof_of_possession` | permit | `"required"` | the token is bound to a key proved on the request |
//! | `@justification` | permit | `"required"` | the task was started with a justification |
//!
//! What always holds: a permit covers exactly the scope that was asked; no policy, an
//! unsatisfied demand, a forbid, or **any policy that cannot be evaluated** is a denial (Cedar
//! alone skips a policy that fails, forbids included); the same inputs give the same answer.
//!
//! What this crate does not do: no IO, clock, randomness or mutable state, but for contexts that are kept
//! beside the facts they were made of ([`RegistryEntities`]), which changes no answer; it does not know
//! tasks, tokens or locks; free text is no input to any decision.
//!
//! Standard: the Cedar policy language 4 (strict validation).

mod annotation;
mod candidates;
mod case;
mod compile;
mod decide;
mod demand;
mod denial;
mod diff;
mod entities;
mod explain;
mod facts;
mod parts;
mod problem;
#[cfg(test)]
mod reference;
mod request;
mod set;
mod statement;
mod vocabulary;

pub use compile::compile;
pub use decide::decide;
pub use denial::Denial;
pub use diff::{Change, ChangeKind, diff};
pub use entities::RegistryEntities;
pub use explain::{ConditionStory, Explanation, OperationStory, PolicyStory, explain};
pub use problem::PolicyProblem;
pub use request::{Ask, Justification, Proof, Request, Subject};
pub use set::PolicySet;
pub use vocabulary::SCHEMA;

pub use locum_model::Permit;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
