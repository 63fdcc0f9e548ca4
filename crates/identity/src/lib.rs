//! Who is calling: a client certificate, a JWT-SVID or an OpenID assertion becomes a `Caller`.
//!
//! [`Trust`] is what is believed, as one immutable value; the server swaps it when a file changes.
//! [`client_certs`] lets rustls ask for a certificate and refuse a bad one in the handshake,
//! [`peer`] reads the certificate of a connection once, and [`caller`] joins it with the bearer of
//! one request. This is the only crate that makes a `Caller`.
//!
//! Always: one root store and one key set per trust domain and per issuer, and no two of them can
//! produce the same SPIFFE ID; a key is chosen by its id, never by trying; what cannot be judged
//! is refused. It follows SPIFFE-ID, X509-SVID section 5, JWT-SVID section 4 to 6, RFC 5280 (path
//! validation through webpki), RFC 7519, RFC 8705 section 3.1 and OpenID Connect Core section 2.
//!
//! Never: what a caller may do, sockets, files, a clock. Keys come as bytes, time as an argument.
//! An assertion's binding to the first key proved with it needs memory, so it is not judged here.

mod assertion;
#[cfg(test)]
mod authority;
mod bounds;
mod caller;
mod options;
mod peer;
mod refusal;
mod trust;
mod x509;

pub use assertion::keys::KeysProblem;
pub use assertion::template::TemplateProblem;
pub use caller::caller;
pub use options::{DomainOptions, IssuerOptions, IssuerRole, TrustOptions};
pub use peer::{Peer, peer};
pub use refusal::Refusal;
pub use trust::{Trust, TrustProblem};
pub use x509::bundle::BundleProblem;
pub use x509::client_certs::{CurrentTrust, client_certs};
pub use x509::fields::{Unreadable, holds_until};
