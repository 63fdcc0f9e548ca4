//! One HTTP/1.1 request over a connection of its own, as small as the demo needs it.
//!
//! Only what the demo's API answers is understood (RFC 9112), answers are bounded and a call has a
//! deadline. A plugin of yours uses its HTTP library and, where that is a tower service, the SDK's
//! `BearerLayer`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use locum_sdk::Token;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// The `error` of a `WWW-Authenticate` header (RFC 6750 section 3).
    pub(crate) error: Option<String>,
}

/// `POST path` with the token.
pub(crate) async fn post(address: SocketAddr, path: &str, token: &Token) -> io::Result<Answered> {
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: ").into_bytes();
    head.extend_from_slice(token.header().as_bytes());
    head.extend_from_slice(b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&head).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        read(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
    };
    timeout(TIMEOUT, exchange).await?
}

fn read(answer: &[u8]) -> Option<Answered> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let mut lines = std::str::from_utf8(&answer[..end]).ok()?.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()?;
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    let challenge = fields.find(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
    let error = challenge.and_then(|(_, value)| value.split("error=\"").nth(1)?.split('"').next());
    Some(Answered { status, error: error.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_or_refused() {
        let ok = |status, error: Option<&str>| Some(Answered { status, error: error.map(str::to_owned) });
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", ok(200, None)),
            (
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer error=\"invalid_token\"\r\n\r\n",
                ok(401, Some("invalid_token")),
            ),
            ("HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer\r\n\r\n", ok(401, None)),
            ("HTTP/1.1 200 OK\r\ncontent-le", None),
            ("SSH-2.0\r\n\r\n", None),
            ("HTTP/1.1 abc\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text:?}");
        }
    }
}
