//! [`Options`]: where the broker is, whom to trust for it, and who we are.
//!
//! Files are named here and read when they are needed: certificates at every new connection, the
//! assertion at every call, because platforms rotate both. The environment is read in
//! [`Options::from_env`] and nowhere else.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::trace_parent::TraceParent;

/// The deadline of a call when nothing else is said.
pub(crate) const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// How to reach a broker and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `https://host:port`. There is no way to speak without TLS.
    pub addr: String,
    /// PEM file with the authorities that may vouch for the broker. No other is trusted.
    pub ca_file: PathBuf,
    /// The certificate to show, where the workload has one (X.509-SVID).
    pub certificate: Option<CertificateFiles>,
    /// The file with the assertion to show (JWT-SVID or OIDC); read again at every call.
    pub assertion_file: Option<PathBuf>,
    /// The deadline of every call.
    pub timeout: Duration,
    /// Says of which trace each call is a part.
    pub trace_parent: Option<TraceParent>,
}

/// A certificate chain and its key, both PEM; read again at every new connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub cert_file: PathBuf,
    /// The leaf's key.
    pub key_file: PathBuf,
}

impl Options {
    /// Options for a broker at `addr` that an authority of `ca_file` vouches for; no identity yet.
    pub fn new(addr: impl Into<String>, ca_file: impl Into<PathBuf>) -> Self {
        Self {
            addr: addr.into(),
            ca_file: ca_file.into(),
            certificate: None,
            assertion_file: None,
            timeout: TIMEOUT_DEFAULT,
            trace_parent: None,
        }
    }

    /// Shows this certificate.
    #[must_use]
    pub fn certificate(mut self, cert_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        self.certificate = Some(CertificateFiles { cert_file: cert_file.into(), key_file: key_file.into() });
        self
    }

    /// Shows the assertion in this file.
    #[must_use]
    pub fn assertion_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.assertion_file = Some(file.into());
        self
    }

    /// Gives every call this long.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes each call a part of the application's trace: `current` says the `traceparent` of the current
    /// span (W3C Trace Context), or that there is none.
    ///
    /// ```
    /// # fn current_span() -> Option<(u128, u64)> { None }
    /// # let options = locum_sdk::Options::new("https://locum.internal:8443", "ca.pem");
    /// // With OpenTelemetry: the ids of `Context::current().span().span_context()`.
    /// let options = options.trace_parent(|| {
    ///     let (trace, span) = current_span()?;
    ///     Some(format!("00-{trace:032x}-{span:016x}-01"))
    /// });
    /// ```
    #[must_use]
    pub fn trace_parent(mut self, current: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.trace_parent = Some(TraceParent::new(current));
        self
    }

    /// Reads `LOCUM_ADDR`, `LOCUM_CA_FILE`, `LOCUM_CERT_FILE` with `LOCUM_KEY_FILE`, and
    /// `LOCUM_ASSERTION_FILE`. An empty variable counts as absent.
    ///
    /// # Errors
    ///
    /// [`Error::Options`] when the address or the authorities are missing, or one of certificate
    /// and key without the other.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_lookup(environment)
    }

    pub(crate) fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let value = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let required = |name: &str, meaning: &str| {
            value(name).ok_or_else(|| Error::Options(format!("`{name}` is not set: {meaning}")))
        };
        let mut options = Self::new(
            required("LOCUM_ADDR", "the broker's address, for instance `https://locum.internal:8443`")?,
            required("LOCUM_CA_FILE", "a PEM file with the authorities that vouch for the broker")?,
        );
        options.certificate = match (value("LOCUM_CERT_FILE"), value("LOCUM_KEY_FILE")) {
            (Some(cert), Some(key)) => {
                Some(CertificateFiles { cert_file: cert.into(), key_file: key.into() })
            }
            (None, None) => None,
            (Some(_), None) => return Err(pair_broken("LOCUM_KEY_FILE", "LOCUM_CERT_FILE")),
            (None, Some(_)) => return Err(pair_broken("LOCUM_CERT_FILE", "LOCUM_KEY_FILE")),
        };
        options.assertion_file = value("LOCUM_ASSERTION_FILE").map(PathBuf::from);
        Ok(options)
    }
}

/// A variable of the environment; the one place where this crate reads it.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).and_then(|value| value.into_string().ok())
}

fn pair_broken(missing: &str, given: &str) -> Error {
    Error::Options(format!("`{given}` is set without `{missing}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Options, Error> {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Options::from_lookup(find)
    }

    const BASE: [(&str, &str); 2] = [("LOCUM_ADDR", "https://b:7443"), ("LOCUM_CA_FILE", "/ca")];

    #[test]
    fn the_environment_names_it_all() {
        let all = [
            &BASE[..],
            &[("LOCUM_CERT_FILE", "/c"), ("LOCUM_KEY_FILE", "/k"), ("LOCUM_ASSERTION_FILE", "/a")],
        ]
        .concat();
        let expected = Options::new("https://b:7443", "/ca").certificate("/c", "/k").assertion_file("/a");
        assert_eq!(read(&all).expect("all there"), expected);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (variables, named) in [
            (vec![], "LOCUM_ADDR"),
            (vec![("LOCUM_ADDR", "")], "LOCUM_ADDR"),
            (vec![BASE[0]], "LOCUM_CA_FILE"),
            (vec![BASE[0], BASE[1], ("LOCUM_CERT_FILE", "/c")], "LOCUM_KEY_FILE"),
            (vec![BASE[0], BASE[1], ("LOCUM_KEY_FILE", "/k")], "LOCUM_CERT_FILE"),
        ] {
            let error = read(&variables).expect_err("incomplete").to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
