//! [`Client`]: one broker, spoken to over one connection that comes back by itself.
//!
//! What can be asked of it stands in the files of the things that are asked for: tasks in `task_builder`, the
//! calls of operators in `admin`, and so on.
//!
//! Every call has a deadline, which the broker is told. A call that may be made twice is repeated
//! within its deadline when the broker cannot be reached; one that spends something is not.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use locum_model::Entropy;
use locum_model::limits::ASSERTION_BYTES_MAX;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::channels::Channels;
use crate::connector::Connector;
use crate::entropy::{SystemEntropy, jitter};
use crate::error::Error;
use crate::options::{Options, TIMEOUT_DEFAULT};
use crate::tls;
use crate::trace_parent::{TRACEPARENT, TraceParent};

const TRIES_MAX: u32 = 4;
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one broker. Cheap to clone; clones share the connection. Certificates that are renewed on disk are shown
/// by what is called some seconds later, over another connection.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    channels: Arc<Channels>,
    assertion_file: Option<PathBuf>,
    trace_parent: Option<TraceParent>,
    timeout: Duration,
    entropy: Box<dyn Entropy>,
}

/// Whether a call may be made again when nobody knows what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The same call again has the same effect.
    Safe,
    /// It spends something.
    Never,
}

impl Client {
    /// A client as the environment describes it, see [`Options::from_env`].
    ///
    /// # Errors
    ///
    /// As [`Options::from_env`] and [`Client::connect`].
    pub fn from_env() -> Result<Self, Error> {
        Self::connect(&Options::from_env()?)
    }

    /// A client for the broker that `options` name. Connects at the first call, and again whenever
    /// the connection is gone; the files are read now to find mistakes early.
    ///
    /// # Errors
    ///
    /// [`Error::Options`] for a bad address, files that cannot be used, or no tokio runtime.
    pub fn connect(options: &Options) -> Result<Self, Error> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::Options("a client is made within a tokio runtime".to_owned()));
        }
        let (connector, origin) = Connector::new(options)?;
        tls::configuration(options).map_err(|error| Error::Options(error.to_string()))?;
        let open = move || Self::open(&connector, &origin);
        let channels = Channels::over_files(options, Box::new(open));
        let (assertion, trace) = (options.assertion_file.clone(), options.trace_parent.clone());
        Ok(Self::with(Arc::new(channels), assertion, trace, options.timeout))
    }

    fn open(connector: &Connector, origin: &Uri) -> Channel {
        // The connector does TLS itself (own provider, files read anew), so the endpoint must not
        // look like one that tonic would wrap; requests still carry the `https` origin.
        Endpoint::from_static("http://broker.invalid")
            .origin(origin.clone())
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .connect_with_connector_lazy(connector.clone())
    }

    /// A client over a channel that somebody else made: for tests and for a broker in the same
    /// process. The channel's protection is its maker's business.
    pub fn over(channel: Channel) -> Self {
        Self::with(Arc::new(Channels::Given(channel)), None, None, TIMEOUT_DEFAULT)
    }

    fn with(
        channels: Arc<Channels>,
        assertion_file: Option<PathBuf>,
        trace_parent: Option<TraceParent>,
        timeout: Duration,
    ) -> Self {
        let entropy = Box::new(SystemEntropy::new());
        Self(Arc::new(Inner { channels, assertion_file, trace_parent, timeout, entropy }))
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        &*self.0.entropy
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// The same with a longer deadline, for a call that is asked to wait.
    pub(crate) fn waiting(&self, span: Duration) -> Self {
        let (assertion, trace) = (self.0.assertion_file.clone(), self.0.trace_parent.clone());
        Self::with(Arc::clone(&self.0.channels), assertion, trace, self.0.timeout.saturating_add(span))
    }

    pub(crate) fn channel(&self) -> Channel {
        self.0.channels.channel()
    }

    /// Makes a unary call within the deadline.
    pub(crate) async fn ask<M, R, F, Answering>(
        &self,
        repeat: Repeat,
        message: M,
        call: F,
    ) -> Result<R, Error>
    where
        M: Clone,
        F: Fn(Channel, Request<M>) -> Answering,
        Answering: Future<Output = Result<Response<R>, Status>>,
    {
        let attempts = async {
            let mut pause = PAUSE_FIRST;
            for _ in 1..TRIES_MAX {
                match self.attempt(message.clone(), &call).await {
                    Err(Error::Unreachable(_)) if repeat == Repeat::Safe => {}
                    answered => return answered,
                }
                tokio::time::sleep(jitter(self.entropy(), pause)).await;
                pause *= 4;
            }
            self.attempt(message.clone(), &call).await
        };
        match tokio::time::timeout(self.0.timeout, attempts).await {
            Ok(answered) => answered,
            Err(_) => Err(Error::TimedOut(self.0.timeout)),
        }
    }

    async fn attempt<M, R, F, Answering>(&self, message: M, call: &F) -> Result<R, Error>
    where
        F: Fn(Channel, Request<M>) -> Answering,
        Answering: Future<Output = Result<Response<R>, Status>>,
    {
        let mut request = self.signed(message).await?;
        request.set_timeout(self.0.timeout);
        match call(self.channel(), request).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(Error::of(&status)),
        }
    }

    /// A request with the assertion and the trace as they are now, where there are such.
    pub(crate) async fn signed<M>(&self, message: M) -> Result<Request<M>, Error> {
        let mut request = Request::new(message);
        if let Some(file) = &self.0.assertion_file {
            request.metadata_mut().insert("authorization", assertion(file).await?);
        }
        if let Some(value) = self.0.trace_parent.as_ref().and_then(TraceParent::header) {
            request.metadata_mut().insert(TRACEPARENT, value);
        }
        Ok(request)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("timeout", &self.0.timeout).finish_non_exhaustive()
    }
}

/// Reads the assertion: one token, surrounded by nothing but white space.
async fn assertion(file: &PathBuf) -> Result<MetadataValue<Ascii>, Error> {
    let refused = |why: &str| Error::Assertion {
        file: file.to_string_lossy().escape_debug().to_string(),
        why: why.to_owned(),
    };
    let text = tokio::fs::read_to_string(file).await.map_err(|error| refused(&error.to_string()))?;
    let text = zeroize::Zeroizing::new(text);
    let token = text.trim();
    if token.is_empty() || token.len() > ASSERTION_BYTES_MAX {
        return Err(refused("it is empty or too long"));
    }
    let header = zeroize::Zeroizing::new(format!("Bearer {token}"));
    match MetadataValue::try_from(header.as_str()) {
        Ok(mut value) if !token.contains(char::is_whitespace) => {
            value.set_sensitive(true);
            Ok(value)
        }
        _ => Err(refused("it is not one token")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(content: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("assertion");
        std::fs::write(&file, content).expect("written");
        match assertion(&file).await {
            Ok(value) => {
                assert!(value.is_sensitive());
                Ok(value.to_str().expect("ascii").to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    #[tokio::test]
    async fn an_assertion_is_one_token_and_never_shown() {
        assert_eq!(check("eyJ.abc.def\n").await, Ok("Bearer eyJ.abc.def".to_owned()));
        for bad in ["", "\n", "hush hush", "hush\nx-evil: 1", "hush\u{7f}", &"h".repeat(9000)] {
            let error = check(bad).await.expect_err("not a token");
            assert!(!error.contains("hush") && !error.contains("hhh"), "{error}");
        }
    }

    #[test]
    fn outside_a_runtime_there_is_no_client_and_no_panic() {
        let options = Options::new("https://b:1", "/nowhere");
        assert!(matches!(Client::connect(&options), Err(Error::Options(_))));
    }
}
