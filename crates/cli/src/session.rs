//! [`Session`]: the client of one command, made when it is first needed.

use locum_sdk::{CertificateFiles, Client, Options};

use crate::args::Global;
use crate::failure::Failure;

/// What the global flags say about the broker and about us.
pub(crate) struct Session {
    global: Global,
}

impl Session {
    pub(crate) fn new(global: Global) -> Self {
        Self { global }
    }

    /// A client for the broker.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let missing =
            |flag: &str, variable: &str| Failure::Usage(format!("name `{flag}` or set `{variable}`"));
        let addr = self.global.addr.as_deref().filter(|addr| !addr.is_empty());
        let addr = addr.ok_or_else(|| missing("--addr", "LOCUM_ADDR"))?;
        let ca_file = self.global.ca_file.as_ref().ok_or_else(|| missing("--ca-file", "LOCUM_CA_FILE"))?;
        let mut options = Options::new(addr, ca_file).timeout(self.global.timeout);
        options.certificate = match (&self.global.cert_file, &self.global.key_file) {
            (Some(cert), Some(key)) => {
                Some(CertificateFiles { cert_file: cert.clone(), key_file: key.clone() })
            }
            (None, None) => None,
            (Some(_), None) => return Err(missing("--key-file", "LOCUM_KEY_FILE")),
            (None, Some(_)) => return Err(missing("--cert-file", "LOCUM_CERT_FILE")),
        };
        options.assertion_file = self.global.assertion_file.clone();
        Ok(Client::connect(&options)?)
    }
}
