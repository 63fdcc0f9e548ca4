//! The gRPC server with every guard set.
//!
//! tonic leaves two HTTP/2 guards off unless they are set: the number of streams and the number
//! of resets that a peer can make us send (CVE-2025-8671). Here all of them stand in one place:
//! streams, header list, frame, resets of both kinds, keep-alive, age of a connection, time of a
//! request, requests at once, load shedding. Compression is not offered, so a compressed request
//! is `UNIMPLEMENTED` and no bomb is ever inflated.
//!
//! The size of a message is a setting of each generated service: register it with
//! `max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)`.

use std::time::Duration;

use locum_model::limits::{
    HEADER_LIST_BYTES_MAX, LOCAL_RESETS_MAX, REQUEST_TIMEOUT, REQUESTS_PER_CONNECTION_MAX,
    STREAMS_PER_CONNECTION_MAX,
};
use tonic::transport::Server;

/// Frames of the least size that HTTP/2 allows (RFC 9113 section 4.2), in bytes.
const FRAME_BYTES_MAX: u32 = 16 * 1024;
/// Streams that the peer reset and that still wait for us (CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 64;
/// Bytes in flight on one stream.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes in flight on one connection.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// How often a silent peer is pinged.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long it may take to answer.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection takes no new requests after this; what runs on it may finish.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(60 * 60);

/// A server with every guard set; add layers and services to it.
///
/// The timeout bounds the time to the *response*: a unary call as a whole, a stream up to its
/// first answer. Streams end by lease, by shutdown or by their peer. There is no grace after the
/// connection's age: tonic would then cut streams that are held on purpose.
pub fn guarded() -> Server {
    Server::builder()
        .accept_http1(false)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_local_error_reset_streams(Some(LOCAL_RESETS_MAX))
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_connection_age(CONNECTION_AGE_MAX)
        .timeout(REQUEST_TIMEOUT)
        .concurrency_limit_per_connection(REQUESTS_PER_CONNECTION_MAX)
        .load_shed(true)
}
