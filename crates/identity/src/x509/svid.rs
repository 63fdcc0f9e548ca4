//! The rules for a leaf: X509-SVID section 2, 4.1, 4.3 and 5.2.
//!
//! Always: exactly one URI name, a SPIFFE ID with a path; no other kind of name looks like a
//! SPIFFE ID; not a CA; key usage is there, with `digitalSignature` and without `keyCertSign` and
//! `cRLSign`. webpki judges signatures, time and extended key usage afterwards.

use locum_model::spiffe::NotSpiffe;
use locum_model::{SpiffeId, Timestamp};
use x509_parser::extensions::{GeneralName, KeyUsage};

use super::fields::{Fields, Unreadable};
use crate::refusal::Shown;

/// What a leaf says. Whether it may be believed is for its chain to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// Its only URI name.
    pub(crate) spiffe_id: SpiffeId,
    /// Until when it holds.
    pub(crate) not_after: Timestamp,
}

/// Why a leaf is not an X509-SVID of a workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotSvid {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("the certificate has {0} URI names; an X509-SVID has exactly one")]
    UriNames(usize),
    #[error("the certificate's URI name {name} is not a workload's SPIFFE ID: {why}")]
    SpiffeId { name: String, why: NotSpiffe },
    #[error("a name of another type looks like a SPIFFE ID")]
    NameInDisguise,
    #[error("a CA certificate is not a workload's")]
    Ca,
    #[error("the certificate has no key usage")]
    KeyUsageMissing,
    #[error("the key usage lacks digitalSignature, or has keyCertSign or cRLSign")]
    KeyUsage,
}

/// Reads a leaf and holds it to the rules.
pub(crate) fn leaf(der: &[u8]) -> Result<Leaf, NotSvid> {
    let fields = Fields::of(der)?;
    if fields.is_ca()? {
        return Err(NotSvid::Ca);
    }
    let usage = fields.key_usage()?.ok_or(NotSvid::KeyUsageMissing)?;
    if !signs_only_handshakes(usage) {
        return Err(NotSvid::KeyUsage);
    }
    Ok(Leaf { spiffe_id: spiffe_id(fields.names()?)?, not_after: fields.not_after() })
}

fn signs_only_handshakes(usage: &KeyUsage) -> bool {
    usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign()
}

fn spiffe_id(names: &[GeneralName<'_>]) -> Result<SpiffeId, NotSvid> {
    let uris = names.iter().filter(|name| is_uri(name)).count();
    if uris != 1 {
        return Err(NotSvid::UriNames(uris));
    }
    if names.iter().any(in_disguise) {
        return Err(NotSvid::NameInDisguise);
    }
    let uri = names.iter().find_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
    let uri = uri.ok_or(Unreadable::Extension)?;
    uri.parse().map_err(|why| NotSvid::SpiffeId { name: Shown(uri).to_string(), why })
}

/// A URI name, or one that was meant to be and did not parse (context tag 6).
fn is_uri(name: &GeneralName<'_>) -> bool {
    match name {
        GeneralName::URI(_) => true,
        GeneralName::Invalid(tag, _) => tag.0 == 6,
        _ => false,
    }
}

fn in_disguise(name: &GeneralName<'_>) -> bool {
    match name {
        GeneralName::URI(_) | GeneralName::IPAddress(_) | GeneralName::RegisteredID(_) => false,
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) => holds_scheme(text.as_bytes()),
        GeneralName::OtherName(_, bytes) | GeneralName::Invalid(_, bytes) => holds_scheme(bytes),
        GeneralName::X400Address(any) | GeneralName::EDIPartyName(any) => holds_scheme(any.data),
        GeneralName::DirectoryName(name) => holds_scheme(name.as_raw()),
    }
}

fn holds_scheme(bytes: &[u8]) -> bool {
    bytes.windows(b"spiffe:".len()).any(|window| window.eq_ignore_ascii_case(b"spiffe:"))
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CustomExtension, IsCa};

    use super::*;
    use crate::authority::{Authority, REFUNDER, uri};

    fn refused(edit: impl FnOnce(&mut CertificateParams)) -> NotSvid {
        let svid = Authority::root("acme root").svid_with(REFUNDER, edit);
        leaf(&svid.chain[0]).expect_err("no SVID")
    }

    // Path validation would find these too; the rules here do not lean on it.
    #[test]
    fn the_rules_stand_without_path_validation() {
        let two = refused(|params| params.subject_alt_names.push(uri("spiffe://acme.test/admin")));
        assert_eq!(two, NotSvid::UriNames(2));
        assert_eq!(refused(|params| params.subject_alt_names.clear()), NotSvid::UriNames(0));
        let ca = refused(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
        assert_eq!(ca, NotSvid::Ca);
    }

    #[test]
    fn a_uri_that_does_not_parse_counts_as_one() {
        // A good one, then one that is no UTF-8.
        let good = [&[0x86, REFUNDER.len() as u8][..], REFUNDER.as_bytes()].concat();
        let names = [&good[..], &[0x86, 1, 0xff]].concat();
        let content = [&[0x30, names.len() as u8][..], &names].concat();
        let mangled = refused(|params| {
            params.subject_alt_names.clear();
            params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 17], content));
        });
        assert_eq!(mangled, NotSvid::UriNames(2));
    }
}
