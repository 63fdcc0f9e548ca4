//! What a registration is called where people read it.

use locum_model::registry::Registry;
use locum_model::{ConnectorNo, TenantNo, WorkloadNo};

/// A workload's name, or its number when it is gone.
pub(crate) fn workload_name(registry: &Registry, number: WorkloadNo) -> String {
    registry
        .workload(number)
        .map_or_else(|| format!("workload #{number}"), |workload| workload.name.to_string())
}

/// A connector's name, or its number when it is gone.
pub(crate) fn connector_name(registry: &Registry, number: ConnectorNo) -> String {
    registry
        .connector(number)
        .map_or_else(|| format!("connector #{number}"), |connector| connector.name.to_string())
}

/// A tenant's name, or its number when it is gone.
pub(crate) fn tenant_name(registry: &Registry, number: TenantNo) -> String {
    registry.tenant(number).map_or_else(|| format!("tenant #{number}"), |tenant| tenant.name.to_string())
}
