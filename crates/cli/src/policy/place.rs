//! [`Place`]: policies and a registry from files, ready to be asked.

use std::path::Path;
use std::sync::Arc;

use locum_model::Registry;
use locum_model::event::PolicyText;
use locum_model::number_registry;
use locum_model::registry::Entries;
use locum_policy::{PolicyProblem, PolicySet, RegistryEntities};
use locum_proposal::Problems;

use crate::failure::Failure;
use crate::output::escaped;

/// Policies and a registry.
pub(crate) struct Place {
    pub(crate) set: PolicySet,
    pub(crate) known: RegistryEntities,
}

impl Place {
    /// Reads and compiles both.
    pub(crate) fn read(policies: &Path, registry: &Path) -> Result<Self, Failure> {
        Ok(Self { set: set(policies)?, known: known(registry)? })
    }
}

/// The policies of a directory, compiled.
pub(crate) fn set(dir: &Path) -> Result<PolicySet, Failure> {
    compiled(&locum_proposal::read_policies(dir).map_err(unreadable)?)
}

fn compiled(texts: &[PolicyText]) -> Result<PolicySet, Failure> {
    locum_policy::compile(texts).map_err(|problems| Failure::Denied(lines(&problems)))
}

/// `file:line:column: message`, as editors understand it.
fn lines(problems: &[PolicyProblem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    format!("the policies are not valid\n{}", lines.join("\n"))
}

/// A registry file or directory, numbered as if nothing were in force.
///
/// Numbers are given in the order of the files: a policy that names a workload by its number has to be
/// tested against the record.
pub(crate) fn known(path: &Path) -> Result<RegistryEntities, Failure> {
    let proposal = locum_proposal::read_registry(path).map_err(unreadable)?;
    let numbered = number_registry::number(&Entries::default(), &proposal);
    let numbered = numbered.map_err(|lines| {
        Failure::Usage(format!("`{}`: {}", escaped(&path.to_string_lossy()), lines.join("; ")))
    })?;
    Ok(RegistryEntities::of(Arc::new(Registry::of(numbered.entries))))
}

pub(crate) fn unreadable(problems: Problems) -> Failure {
    Failure::Usage(problems.to_string())
}
