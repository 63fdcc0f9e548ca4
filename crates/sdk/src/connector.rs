//! [`Connector`]: opens one TLS connection to the broker, with the files as they are now.
//!
//! Tonic asks for a connection whenever it has none, so a rotated certificate is used from the
//! next connection on. Anything but `h2` in ALPN is refused.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::error::Error;
use crate::options::Options;
use crate::tls;

const PORT_DEFAULT: u16 = 443;
/// Time for the TCP and TLS handshakes together. On a wire that lost some of it a handshake gets no further, and
/// whoever asks meanwhile waits for the same one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens connections to one broker.
#[derive(Clone)]
pub(crate) struct Connector {
    options: Arc<Options>,
    host: Arc<str>,
    port: u16,
    name: ServerName<'static>,
}

type Opening = Pin<Box<dyn Future<Output = io::Result<TokioIo<TlsStream<TcpStream>>>> + Send>>;

impl Connector {
    /// A connector for the broker that `options` name, and the address as a URI.
    pub(crate) fn new(options: &Options) -> Result<(Self, Uri), Error> {
        let uri = address(&options.addr)?;
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let Ok(name) = ServerName::try_from(host.clone()) else {
            return Err(bad_address(&options.addr, "the host is neither a DNS name nor an IP address"));
        };
        let port = uri.port_u16().unwrap_or(PORT_DEFAULT);
        Ok((Self { options: Arc::new(options.clone()), host: host.into(), port, name }, uri))
    }

    async fn open(self) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let config = tls::configuration(&self.options).map_err(io::Error::other)?;
        let tcp = TcpStream::connect((&*self.host, self.port)).await?;
        tcp.set_nodelay(true)?;
        let stream = TlsConnector::from(Arc::new(config)).connect(self.name, tcp).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("the peer does not speak HTTP/2"));
        }
        Ok(TokioIo::new(stream))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Opening;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Opening {
        let open = self.clone().open();
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_TIMEOUT, open).await {
                Ok(opened) => opened,
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no connection within 5 s")),
            }
        })
    }
}

/// Parses `https://host[:port]`: no other scheme, no user, path or query.
fn address(text: &str) -> Result<Uri, Error> {
    let uri: Uri =
        text.parse().map_err(|error: http::uri::InvalidUri| bad_address(text, &error.to_string()))?;
    if uri.scheme_str() != Some("https") {
        return Err(bad_address(text, "it has to begin with `https://`"));
    }
    let authority = uri.authority().map(|a| a.as_str()).unwrap_or_default();
    // A port that does not fit reads as none: it must not become the default.
    if uri.host().map(str::len) != Some(authority.len()) && uri.port_u16().is_none() {
        return Err(bad_address(text, "the port is 1 to 65535"));
    }
    if authority.contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(bad_address(text, "it is `https://host:port` and nothing more"));
    }
    Ok(uri)
}

fn bad_address(text: &str, why: &str) -> Error {
    let shown: String = text.chars().take(120).collect();
    Error::Options(format!("`{}` is not a broker's address: {why}", shown.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_https_address_is_one() {
        for good in
            ["https://locum.internal:8443", "https://127.0.0.1:7443/", "https://[::1]:7443", "https://b"]
        {
            assert!(Connector::new(&Options::new(good, "/ca")).is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://b:1",
            "b:1",
            "https://",
            "https://user@b:1",
            "https://b:1/path",
            "https://b:1?x=1",
            "ftp://b",
            "https://b:99999",
            "https://a b",
        ] {
            assert!(Connector::new(&Options::new(bad, "/ca")).is_err(), "{bad}");
        }
    }
}
