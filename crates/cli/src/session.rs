//! [`Session`]: the client of one command, made when it is first needed.
//!
//! Which broker: a context that is named (`--context`, `LOCUM_CONTEXT`), else the environment
//! (`LOCUM_ADDR` and its kin), else the current context. One of them, never a mixture, so that no
//! identity is shown to a broker that it was not meant for. Flags then say the rest.

use std::path::PathBuf;

use locum_model::Name;
use locum_sdk::{CertificateFiles, Client, Options};

use crate::args::Global;
use crate::context_file::{self, Contexts, Place};
use crate::failure::Failure;
use crate::output::escaped;

/// What the global flags say about the broker and about us.
pub(crate) struct Session {
    global: Global,
}

/// Where the contexts are.
pub(crate) fn contexts_path() -> Option<PathBuf> {
    context_file::path(|name| std::env::var_os(name).map(PathBuf::from))
}

impl Session {
    pub(crate) fn new(global: Global) -> Self {
        Self { global }
    }

    pub(crate) fn global(&self) -> &Global {
        &self.global
    }

    /// A client for the broker.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.options()?.timeout(self.global.timeout))?)
    }

    /// The broker's address, as it was given.
    pub(crate) fn addr(&self) -> Result<String, Failure> {
        self.options().map(|options| options.addr)
    }

    fn options(&self) -> Result<Options, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let contexts = || match contexts_path() {
            Some(path) => Contexts::read(&path),
            None => Ok(Contexts::default()),
        };
        options(resolve(&self.global, variable, contexts)?)
    }
}

/// The place that flags, environment and contexts name together.
fn resolve(
    global: &Global,
    variable: impl Fn(&str) -> Option<String>,
    contexts: impl FnOnce() -> Result<Contexts, Failure>,
) -> Result<Place, Failure> {
    let flags = Place {
        addr: global.addr.clone().filter(|addr| !addr.is_empty()),
        ca_file: global.ca_file.clone(),
        cert_file: global.cert_file.clone(),
        key_file: global.key_file.clone(),
        assertion_file: global.assertion_file.clone(),
    };
    if let Some(name) = global.context.clone().or_else(|| variable("LOCUM_CONTEXT")) {
        return Ok(flags.or(named(&name, contexts()?)?));
    }
    let file = |name: &str| variable(name).map(PathBuf::from);
    let surroundings = Place {
        addr: variable("LOCUM_ADDR"),
        ca_file: file("LOCUM_CA_FILE"),
        cert_file: file("LOCUM_CERT_FILE"),
        key_file: file("LOCUM_KEY_FILE"),
        assertion_file: file("LOCUM_ASSERTION_FILE"),
    };
    if flags.addr.is_some() || surroundings.addr.is_some() {
        return Ok(flags.or(surroundings));
    }
    let contexts = contexts()?;
    match contexts.current.clone() {
        Some(current) => Ok(flags.or(named(current.as_str(), contexts)?)),
        None => Ok(flags.or(surroundings)),
    }
}

fn named(name: &str, mut contexts: Contexts) -> Result<Place, Failure> {
    let unknown =
        || Failure::Usage(format!("there is no context `{}`: see `locum context list`", escaped(name)));
    let name: Name = name.parse().map_err(|_not_a_name| unknown())?;
    contexts.places.remove(&name).ok_or_else(unknown)
}

fn options(place: Place) -> Result<Options, Failure> {
    let missing = |flag: &str, variable: &str| Failure::Usage(format!("name `{flag}` or set `{variable}`"));
    let no_broker = || {
        Failure::Usage("name `--addr`, set `LOCUM_ADDR`, or use a context (`locum context add`)".to_owned())
    };
    let addr = place.addr.ok_or_else(no_broker)?;
    let ca_file = place.ca_file.ok_or_else(|| missing("--ca-file", "LOCUM_CA_FILE"))?;
    let mut options = Options::new(addr, ca_file);
    options.certificate = match (place.cert_file, place.key_file) {
        (Some(cert_file), Some(key_file)) => Some(CertificateFiles { cert_file, key_file }),
        (None, None) => None,
        (Some(_), None) => return Err(missing("--key-file", "LOCUM_KEY_FILE")),
        (None, Some(_)) => return Err(missing("--cert-file", "LOCUM_CERT_FILE")),
    };
    options.assertion_file = place.assertion_file;
    Ok(options)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Probe {
        #[command(flatten)]
        global: Global,
    }

    fn contexts() -> Contexts {
        let place = |host: &str| Place {
            addr: Some(format!("https://{host}:1")),
            ca_file: Some(format!("/{host}/ca").into()),
            assertion_file: Some(format!("/{host}/assertion").into()),
            ..Place::default()
        };
        let name = |text: &str| text.parse().expect("a name");
        let places = ["prod", "lab"].map(|host| (name(host), place(host)));
        Contexts { current: Some(name("prod")), places: places.into() }
    }

    /// The address and the assertion that a command would use.
    fn check(args: &[&str], variables: &[(&str, &str)]) -> Option<(String, String)> {
        let probe = Probe::try_parse_from([&["probe"], args].concat()).expect("flags");
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let place = resolve(&probe.global, find, || Ok(contexts())).ok()?;
        let assertion = place.assertion_file.map(|file| file.to_string_lossy().into_owned());
        Some((place.addr?, assertion.unwrap_or_default()))
    }

    #[test]
    fn one_source_names_the_broker_and_flags_say_the_rest() {
        let (addr, assertion) = (("LOCUM_ADDR", "https://env:1"), ("LOCUM_ASSERTION_FILE", "/env/assertion"));
        let context = ("LOCUM_CONTEXT", "lab");
        for (args, variables, expected) in [
            (&[][..], &[][..], ("https://prod:1", "/prod/assertion")),
            (&[], &[addr], ("https://env:1", "")),
            (&[], &[addr, assertion], ("https://env:1", "/env/assertion")),
            // Half an environment is not mixed into the current context.
            (&[], &[assertion], ("https://prod:1", "/prod/assertion")),
            (&[], &[addr, assertion, context], ("https://lab:1", "/lab/assertion")),
            (&["--context", "prod"], &[addr, context], ("https://prod:1", "/prod/assertion")),
            (&["--context", "prod", "--assertion-file", "/f"], &[], ("https://prod:1", "/f")),
            // Another broker than the current context's does not see the current context's identity.
            (&["--addr", "https://flag:1"], &[], ("https://flag:1", "")),
            (&["--addr", "https://flag:1"], &[assertion], ("https://flag:1", "/env/assertion")),
        ] {
            let expected = (expected.0.to_owned(), expected.1.to_owned());
            assert_eq!(check(args, variables), Some(expected), "{args:?} {variables:?}");
        }
        assert_eq!(check(&["--context", "nowhere"], &[]), None);
        assert_eq!(check(&[], &[("LOCUM_CONTEXT", "No Name")]), None);
    }
}
