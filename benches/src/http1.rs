//! HTTP/1.1 as peers speak it: one connection, one question at a time.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use prost::bytes::Bytes;
use tokio::net::TcpStream;

use crate::drive::Slot;

/// A connection.
pub struct Plain(SendRequest<Full<Bytes>>);

/// What to ask: method, path, headers, body.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Headers beside `host`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

/// A slot that goes through questions in turn.
pub struct Asks {
    line: Plain,
    questions: Arc<[Question]>,
    good: fn(&[u8]) -> bool,
}

impl Plain {
    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn open(address: SocketAddr) -> Result<Self, String> {
        let tcp = TcpStream::connect(address).await.map_err(|cause| cause.to_string())?;
        tcp.set_nodelay(true).map_err(|cause| cause.to_string())?;
        let (send, connection) = handshake(TokioIo::new(tcp)).await.map_err(|cause| cause.to_string())?;
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self(send))
    }

    /// Asks, and gives status and body.
    ///
    /// # Errors
    ///
    /// A transport's failure.
    pub async fn ask(&mut self, question: &Question) -> Result<(u16, Bytes), String> {
        let mut request =
            Request::builder().method(&question.method).uri(&question.path).header("host", "localhost");
        for (name, value) in &question.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(question.body.clone())).map_err(|cause| cause.to_string())?;
        self.0.ready().await.map_err(|cause| cause.to_string())?;
        let answer = self.0.send_request(request).await.map_err(|cause| cause.to_string())?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(|cause| cause.to_string())?;
        Ok((status, body.to_bytes()))
    }
}

impl Question {
    /// A question with a body of this type; an empty type goes without.
    pub fn new(method: Method, path: &str, (kind, body): (&str, &str)) -> Self {
        let kind = HeaderValue::from_str(kind).expect("plain");
        let headers = Vec::from_iter((!kind.is_empty()).then_some((http::header::CONTENT_TYPE, kind)));
        Self { method, path: path.to_owned(), headers, body: body.to_owned().into() }
    }

    /// The same with one more header.
    ///
    /// # Panics
    ///
    /// When it is no header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header");
        self.headers.push((HeaderName::from_static(name), value));
        self
    }
}

impl Asks {
    /// `slots` slots with a connection each.
    ///
    /// # Panics
    ///
    /// When one cannot be opened.
    pub async fn slots(
        address: SocketAddr,
        slots: usize,
        questions: &Arc<[Question]>,
        good: fn(&[u8]) -> bool,
    ) -> Vec<Self> {
        let mut opened = Vec::with_capacity(slots);
        for _ in 0..slots {
            let line = Plain::open(address).await.expect("a connection");
            opened.push(Self { line, questions: Arc::clone(questions), good });
        }
        opened
    }
}

impl Slot for Asks {
    async fn ask(&mut self, number: u64) -> Result<(), String> {
        let question = &self.questions[number as usize % self.questions.len()];
        let (status, body) = self.line.ask(question).await?;
        if (200..300).contains(&status) && (self.good)(&body) {
            return Ok(());
        }
        Err(format!("status {status}: {}", String::from_utf8_lossy(&body)))
    }
}
