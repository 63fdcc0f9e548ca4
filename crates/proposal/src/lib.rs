//! What people write in files: registry, policies, and cases that policies have to pass.
//!
//! Files become proposals: read strictly and whole, every problem told with its place. What always
//! holds: nothing is kept or changed here, and reading is bounded. Whether a registry holds together
//! is judged by [`number`](locum_model::number_registry::number()), whether policies are policies by
//! `policy`.

mod bounded_file;
mod case_file;
mod duration;
mod policy_files;
mod problem;
mod registry_file;

pub use bounded_file::{files_of, read_bounded};
pub use case_file::{
    ASKED_AT, CaseFile, Denied, Expected, Permitted, PolicyCase, parse as parse_cases, read as read_cases,
};
pub use duration::{NotADuration, parse_duration, written};
pub use policy_files::read as read_policies;
pub use problem::{Place, Problem, Problems, line_of, shown};
pub use registry_file::{join, parse as parse_registry, read as read_registry};
