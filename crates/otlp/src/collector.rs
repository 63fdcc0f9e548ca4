//! [`Collector`]: the one call of `opentelemetry.proto.collector.trace.v1.TraceService`.

use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::span::{Source, Span};
use crate::wire::{self, ExportTraceServiceRequest, ExportTraceServiceResponse};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Whom spans are told to.
#[derive(Clone, Debug)]
pub struct Collector {
    channel: Channel,
    source: Source,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It was taken, but for so many spans that the collector refused.
    Taken {
        /// How many it refused.
        refused: u64,
    },
    /// Not now: the same batch may be sent again.
    NotNow(String),
    /// Never: the same batch would be refused again.
    Never(String),
}

impl Collector {
    /// Tells `source`'s spans over `channel`, whose timeouts hold.
    pub fn new(channel: Channel, source: Source) -> Self {
        Self { channel, source }
    }

    /// Sends a batch once.
    pub async fn export(&self, batch: Vec<Span>) -> Delivered {
        let sent = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        match self.call(wire::request(&self.source, batch)).await {
            Ok(answer) => {
                let refused = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
                // A collector may say anything; it cannot refuse more than it was sent.
                Delivered::Taken { refused: u64::try_from(refused).unwrap_or(0).min(sent) }
            }
            Err(status) if may_be_sent_again(status.code()) => Delivered::NotNow(status.to_string()),
            Err(status) => Delivered::Never(status.to_string()),
        }
    }

    async fn call(&self, request: ExportTraceServiceRequest) -> Result<ExportTraceServiceResponse, Status> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|cause| Status::unavailable(cause.to_string()))?;
        let codec = ProstCodec::<ExportTraceServiceRequest, ExportTraceServiceResponse>::default();
        let answer = grpc.unary(Request::new(request), PathAndQuery::from_static(EXPORT), codec).await?;
        Ok(answer.into_inner())
    }
}

/// The protocol's table of codes after which a client may try again. `RESOURCE_EXHAUSTED` is not among them
/// without a word on when, for which we do not listen.
fn may_be_sent_again(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
    )
}
