//! [`VerifierOptions`]: what an offline verifier is pinned to and whom it follows.

use locum_model::{KeyId, Name};
use locum_verifier::thumbprint;

use crate::error::Error;
use crate::options::{Options, environment};

/// What a verifier is pinned to, and the brokers that it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierOptions {
    /// The connector that the backend serves, by its registered name.
    pub connector: String,
    /// The connector's audience; tokens for any other are inactive.
    pub audience: String,
    /// The issuer's URL, character by character as in the tokens' `iss`.
    pub issuer: String,
    /// The thumbprint of the keyset root.
    pub root: KeyId,
    /// How to reach each broker, and as whom; tried in turn. At least one.
    pub brokers: Vec<Options>,
    /// What to tell operators about this verifier: 1 to 64 printable ASCII characters.
    pub version: String,
}

impl VerifierOptions {
    /// Options for a connector with this audience, as the environment describes the rest:
    /// `LOCUM_ISSUER`, `LOCUM_FEED_ROOT` (the `kid` of the `keyset-root` in `locum key list`), and the
    /// variables of [`Options::from_env`]. `LOCUM_FEED_ADDRS` names several brokers, separated by
    /// commas, in the place of `LOCUM_ADDR`.
    ///
    /// # Errors
    ///
    /// [`Error::Options`], naming what is missing or malformed.
    pub fn from_env(connector: &str, audience: &str) -> Result<Self, Error> {
        Self::from_lookup(connector, audience, environment)
    }

    pub(crate) fn from_lookup(
        connector: &str,
        audience: &str,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let value = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let required = |name: &str, meaning: &str| {
            value(name).ok_or_else(|| Error::Options(format!("`{name}` is not set: {meaning}")))
        };
        let issuer =
            required("LOCUM_ISSUER", "the `iss` of the tokens, for instance `https://locum.internal`")?;
        let root = required("LOCUM_FEED_ROOT", "the `kid` of the keyset-root in `locum key list`")?;
        let addrs = match value("LOCUM_FEED_ADDRS") {
            Some(addrs) => addrs.split(',').map(|addr| addr.trim().to_owned()).collect(),
            None => Vec::new(),
        };
        let first = addrs.first().cloned();
        let base = Options::from_lookup(|name| match (name, &first) {
            ("LOCUM_ADDR", Some(first)) => Some(first.clone()),
            _ => lookup(name),
        })?;
        let brokers = match addrs.as_slice() {
            [] => vec![base],
            addrs => addrs.iter().map(|addr| Options { addr: addr.clone(), ..base.clone() }).collect(),
        };
        let options = Self {
            connector: connector.to_owned(),
            audience: audience.to_owned(),
            issuer,
            root: thumbprint(&root).ok_or_else(|| {
                Error::Options("`LOCUM_FEED_ROOT` is not a thumbprint of 43 base64url characters".to_owned())
            })?,
            brokers,
            version: concat!("locum-sdk-rust/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        options.check()?;
        Ok(options)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |what: &str| Err(Error::Options(what.to_owned()));
        let printable = self.version.bytes().all(|b| (b' '..=b'~').contains(&b));
        if self.connector.parse::<Name>().is_err() {
            return wrong("the connector is not a registered name");
        }
        if self.audience.is_empty() || self.issuer.is_empty() {
            return wrong("the audience and the issuer are needed");
        }
        if self.brokers.is_empty() {
            return wrong("a verifier needs at least one broker to follow");
        }
        if !(1..=64).contains(&self.version.len()) || !printable {
            return wrong("the version is 1 to 64 printable ASCII characters");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "p6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6c";
    const BASE: [(&str, &str); 4] = [
        ("LOCUM_ADDR", "https://a:1"),
        ("LOCUM_CA_FILE", "/ca"),
        ("LOCUM_ISSUER", "https://locum.test"),
        ("LOCUM_FEED_ROOT", ROOT),
    ];

    fn read(variables: &[(&str, &str)]) -> Result<VerifierOptions, Error> {
        let find =
            |name: &str| variables.iter().rev().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        VerifierOptions::from_lookup("orders", "https://orders.test", find)
    }

    #[test]
    fn the_environment_names_it_all() {
        let options = read(&BASE).expect("all there");
        assert_eq!((options.root, options.issuer.as_str()), (KeyId([0xa7; 32]), "https://locum.test"));
        assert_eq!(options.brokers, [Options::new("https://a:1", "/ca")]);
        let several = [&BASE[1..], &[("LOCUM_FEED_ADDRS", "https://b:1, https://c:1")]].concat();
        let brokers = read(&several).expect("all there").brokers;
        assert_eq!(
            brokers.iter().map(|b| b.addr.as_str()).collect::<Vec<_>>(),
            ["https://b:1", "https://c:1"]
        );
    }

    #[test]
    fn what_is_missing_or_malformed_is_named() {
        for name in ["LOCUM_ADDR", "LOCUM_CA_FILE", "LOCUM_ISSUER", "LOCUM_FEED_ROOT"] {
            let error = read(&[&BASE[..], &[(name, "")]].concat()).expect_err("missing").to_string();
            assert!(error.contains(name), "{error}");
        }
        for root in ["x", &ROOT[1..], &format!("{ROOT}="), "p6en/6enp6enp6enp6enp6enp6enp6enp6enp6enp6c"] {
            let error = read(&[&BASE[..], &[("LOCUM_FEED_ROOT", root)]].concat()).expect_err("no thumbprint");
            assert!(error.to_string().contains("LOCUM_FEED_ROOT"), "{error}");
        }
    }
}
