//! Certificates: bundles, X509-SVIDs, chains, and what rustls asks of them.

pub(crate) mod bundle;
pub(crate) mod chain;
pub(crate) mod client_certs;
pub(crate) mod fields;
pub(crate) mod svid;
