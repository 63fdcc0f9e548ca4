//! The contract for workloads and backends, as generated from `proto/locum/broker`.

/// Package `locum.broker.v1`.
pub mod v1 {
    tonic::include_proto!("locum.broker.v1");
}
