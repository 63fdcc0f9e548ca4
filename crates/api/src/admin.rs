//! The contract for operators, as generated from `proto/locum/admin`.

/// Package `locum.admin.v1`.
pub mod v1 {
    tonic::include_proto!("locum.admin.v1");
}
