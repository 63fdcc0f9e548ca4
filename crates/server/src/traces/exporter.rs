//! [`Exporter`]: the loop that tells spans to the collector.
//!
//! What always holds: it keeps one batch and the queue, both of fixed size, whatever the collector does; what it
//! cannot tell is counted. A collector that is down, slow or wrong costs nothing but its spans. At the end of the
//! server it has [`LAST_WORDS_MAX`] for all that is left. A batch that was under way at that moment may be told twice.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use locum_model::limits::{SPANS_PER_BATCH_MAX, TRUST_FILE_BYTES_MAX};
use locum_otlp::{Collector, Delivered, Source, Span};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::config::{self, Problem, Problems};
use crate::metrics::{Metrics, SpanEnd};
use crate::private_file;
use crate::tasks::Stopping;

/// Spans that come close together go together.
const GATHER: Duration = Duration::from_secs(1);
/// One try, connecting included.
const TRY_MAX: Duration = Duration::from_secs(5);
/// Tries of one batch.
const TRIES_MAX: u32 = 5;
/// Between the first two tries; doubled after each.
const PAUSE: Duration = Duration::from_secs(1);
/// All that is left, at the end of the server.
const LAST_WORDS_MAX: Duration = Duration::from_secs(2);

/// The loop and what it holds.
pub(crate) struct Exporter {
    endpoint: Endpoint,
    source: Source,
    waiting: mpsc::Receiver<Span>,
    batch: Vec<Span>,
    metrics: Arc<Metrics>,
    collector_takes: bool,
}

/// The collector's address with its timeouts and whom to believe there.
///
/// # Errors
///
/// [`Problems`]: the CA file cannot be read or holds no certificate.
pub(crate) fn endpoint(settings: &config::Traces) -> Result<Endpoint, Problems> {
    let refused = |path: &Path, cause: String| Problems::from(Problem::in_file(path, None, "", cause));
    let url = &settings.collector;
    let endpoint = Endpoint::from_shared(url.clone())
        .map_err(|cause| refused(Path::new("telemetry.otlp"), cause.to_string()))?
        .connect_timeout(TRY_MAX)
        .timeout(TRY_MAX);
    let Some(path) = &settings.ca_file else { return Ok(endpoint) };
    let pem = private_file::read_public(path, TRUST_FILE_BYTES_MAX)
        .map_err(|cause| refused(path, cause.to_string()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(some) if !some.is_empty() => {}
        Ok(_none) => return Err(refused(path, "no certificate in it".to_owned())),
        Err(cause) => return Err(refused(path, cause.to_string())),
    }
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
    endpoint.tls_config(tls).map_err(|cause| refused(path, cause.to_string()))
}

impl Exporter {
    pub(super) fn new(
        endpoint: Endpoint,
        source: Source,
        waiting: mpsc::Receiver<Span>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { endpoint, source, waiting, batch: Vec::new(), metrics, collector_takes: true }
    }

    /// Tells what comes, until the server stops.
    pub(crate) async fn run(mut self, mut stopping: Stopping) -> Result<(), String> {
        let collector = Collector::new(self.endpoint.connect_lazy(), self.source.clone());
        tokio::select! {
            () = stopping.wait() => {}
            () = self.tell_what_comes(&collector) => {}
        }
        // Requests that are still being answered may add to it until they are over, or the time is.
        let _ = timeout(LAST_WORDS_MAX, self.tell_the_rest(&collector)).await;
        self.waiting.close();
        self.give_up();
        while self.waiting.recv_many(&mut self.batch, SPANS_PER_BATCH_MAX).await > 0 {
            self.give_up();
        }
        Ok(())
    }

    async fn tell_what_comes(&mut self, collector: &Collector) {
        while self.gather().await {
            let mut pause = PAUSE;
            for again in (0..TRIES_MAX).rev() {
                if self.try_once(collector).await == Tried::Over {
                    break;
                }
                if again > 0 {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
            self.give_up();
        }
        // Only with the server do those go who make spans.
        std::future::pending().await
    }

    async fn tell_the_rest(&mut self, collector: &Collector) {
        loop {
            if !self.batch.is_empty() {
                self.try_once(collector).await;
                self.give_up();
            }
            if self.waiting.recv_many(&mut self.batch, SPANS_PER_BATCH_MAX).await == 0 {
                return;
            }
        }
    }

    /// Fills the batch, from its first span on for so long; says whether more can come.
    async fn gather(&mut self) -> bool {
        if self.waiting.recv_many(&mut self.batch, SPANS_PER_BATCH_MAX).await == 0 {
            return false;
        }
        let over = tokio::time::sleep(GATHER);
        tokio::pin!(over);
        while self.batch.len() < SPANS_PER_BATCH_MAX {
            let room = SPANS_PER_BATCH_MAX - self.batch.len();
            tokio::select! {
                () = &mut over => break,
                more = self.waiting.recv_many(&mut self.batch, room) => if more == 0 { break },
            }
        }
        true
    }

    async fn try_once(&mut self, collector: &Collector) -> Tried {
        let told = timeout(TRY_MAX, collector.export(self.batch.clone())).await;
        match told.unwrap_or_else(|_late| Delivered::NotNow("no answer in time".to_owned())) {
            Delivered::Taken { refused } => {
                let sent = self.batch.drain(..).len() as u64;
                self.metrics.spans(SpanEnd::Exported, sent - refused);
                self.metrics.spans(SpanEnd::Refused, refused);
                if !self.collector_takes {
                    tracing::info!("the collector of traces takes spans again");
                }
                self.collector_takes = true;
                Tried::Over
            }
            Delivered::Never(cause) => {
                self.metrics.spans(SpanEnd::Refused, self.batch.drain(..).len() as u64);
                self.warn(&cause);
                Tried::Over
            }
            Delivered::NotNow(cause) => {
                self.warn(&cause);
                Tried::NotNow
            }
        }
    }

    /// Once when it begins, not for each batch.
    fn warn(&mut self, cause: &str) {
        if self.collector_takes {
            tracing::warn!(cause, "the collector of traces takes no spans; they are counted and dropped");
        }
        self.collector_takes = false;
    }

    /// For tests that look at what waits.
    #[cfg(test)]
    pub(super) fn next_waiting(&mut self) -> Option<Span> {
        self.waiting.try_recv().ok()
    }

    fn give_up(&mut self) {
        self.metrics.spans(SpanEnd::GivenUp, self.batch.drain(..).len() as u64);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tried {
    Over,
    NotNow,
}
