//! Whether `htu` names the URI of a request (RFC 9449 section 4.3, check 9).

/// A target URI, as far as it is compared.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    scheme: String,
    authority: String,
    path: &'a str,
}

/// Whether both are the same `http` or `https` URI, query and fragment aside. Scheme and host in any case,
/// the scheme's own port or none, no path or `/`; of the path, every byte counts.
pub(super) fn is_same_target(one: &str, other: &str) -> bool {
    matches!((target(one), target(other)), (Some(one), Some(other)) if one == other)
}

fn target(uri: &str) -> Option<Target<'_>> {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'<' | b'>');
    let (scheme, rest) = uri.bytes().all(plain).then(|| uri.split_once("://"))??;
    let scheme = scheme.to_ascii_lowercase();
    let port = match &*scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = authority.to_ascii_lowercase();
    let authority = authority.strip_suffix(port).unwrap_or(&authority).to_owned();
    let named = !authority.is_empty() && !authority.contains('@');
    named.then_some(Target { scheme, authority, path: if path.is_empty() { "/" } else { path } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_is_the_same() {
        let own = "https://orders.test/order/1";
        for same in [
            own,
            "https://orders.test/order/1?full=true",
            "https://orders.test/order/1#top",
            "HTTPS://Orders.Test/order/1",
            "https://orders.test:443/order/1",
        ] {
            assert!(is_same_target(same, own) && is_same_target(own, same), "{same}");
        }
        assert!(is_same_target("https://orders.test", "https://orders.test/"));
        assert!(is_same_target("http://[::1]:80/a", "http://[::1]/a"));
    }

    #[test]
    fn what_is_another_is_another() {
        let own = "https://orders.test/order/1";
        for other in [
            "",
            "/order/1",
            "orders.test/order/1",
            "//orders.test/order/1",
            "http://orders.test/order/1",
            "https://orders.test:8443/order/1",
            "https://orders.test:80/order/1",
            "https://orders.test/order/1/",
            "https://orders.test/Order/1",
            "https://orders.test/order/%31",
            "https://orders.test//order/1",
            "https://orders.test/order/12",
            "https://orders.test/",
            "https://orders.test",
            "https://orders.test.evil.test/order/1",
            "https://evil@orders.test/order/1",
            "https://orders.test@evil.test/order/1",
            "https:///order/1",
            "https://orders.test\\order/1",
            " https://orders.test/order/1",
            "https://orders.test/order/1 ",
            "https://orders.test/order/1\0",
            "ftp://orders.test/order/1",
        ] {
            assert!(!is_same_target(other, own) && !is_same_target(own, other), "{other}");
        }
        assert!(!is_same_target("ftp://a.test/", "ftp://a.test/"), "no target at all");
    }
}
