//! The one table that says which role may call which method.
//!
//! What always holds: a method that has no row is refused, for everybody. The tests read the
//! contract's descriptor set and prove that every method has a row and that there is no other row.
//! Deliberately not here: *whose* tasks, tokens and tenants a caller may touch; that is for the use
//! cases to judge, as is whether a workload serves the connector that it names.

/// What a caller is to a method, once its identity is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Anybody, identity or not.
    Anonymous,
    /// A registered workload.
    Workload,
    /// An operator who may look.
    Viewer,
    /// An operator who may revoke, lock and end.
    Operator,
    /// An operator who may approve.
    Approver,
    /// An operator who may check policies.
    Policy,
    /// An operator who may do everything.
    Admin,
}

const EVERYBODY: &[Role] = &Role::ALL;
const WORKLOADS: &[Role] = &[Role::Workload];
const OPERATORS: &[Role] = &[Role::Viewer, Role::Operator, Role::Approver, Role::Policy, Role::Admin];
const KNOWN: &[Role] =
    &[Role::Workload, Role::Viewer, Role::Operator, Role::Approver, Role::Policy, Role::Admin];
const REVOKERS: &[Role] = &[Role::Operator, Role::Admin];
const POLICY_CHECKERS: &[Role] = &[Role::Policy, Role::Admin];
const ADMINS: &[Role] = &[Role::Admin];

/// Every method and who may call it, in the contract's order.
pub const METHODS: &[(&str, &[Role])] = &[
    ("/locum.broker.v1.TaskService/StartTask", WORKLOADS),
    ("/locum.broker.v1.TaskService/HoldTask", WORKLOADS),
    ("/locum.broker.v1.TaskService/RenewTask", WORKLOADS),
    ("/locum.broker.v1.TaskService/EndTask", WORKLOADS),
    ("/locum.broker.v1.TaskService/GetTask", WORKLOADS),
    ("/locum.broker.v1.TaskService/ListTasks", WORKLOADS),
    ("/locum.broker.v1.TokenService/IssueToken", WORKLOADS),
    ("/locum.broker.v1.TokenService/RevokeToken", WORKLOADS),
    ("/locum.broker.v1.CheckService/IntrospectToken", WORKLOADS),
    ("/locum.broker.v1.CheckService/IntrospectTokens", WORKLOADS),
    ("/locum.broker.v1.CheckService/Authorize", WORKLOADS),
    ("/locum.broker.v1.FeedService/WatchRevocations", WORKLOADS),
    ("/locum.broker.v1.IdentityService/WhoAmI", KNOWN),
    ("/locum.admin.v1.RevocationService/PreviewRevoke", OPERATORS),
    ("/locum.admin.v1.RevocationService/Revoke", REVOKERS),
    ("/locum.admin.v1.RevocationService/Lock", REVOKERS),
    ("/locum.admin.v1.RevocationService/Unlock", REVOKERS),
    ("/locum.admin.v1.RevocationService/ListLocks", OPERATORS),
    ("/locum.admin.v1.InspectionService/GetStatus", OPERATORS),
    ("/locum.admin.v1.InspectionService/ListTasks", OPERATORS),
    ("/locum.admin.v1.InspectionService/ListTokens", OPERATORS),
    ("/locum.admin.v1.InspectionService/GetTask", OPERATORS),
    ("/locum.admin.v1.InspectionService/EndTask", REVOKERS),
    ("/locum.admin.v1.InspectionService/GetTaskHistory", OPERATORS),
    ("/locum.admin.v1.InspectionService/TailRecord", OPERATORS),
    ("/locum.admin.v1.InspectionService/ListVerifiers", OPERATORS),
    ("/locum.admin.v1.ArchiveService/SearchAudit", OPERATORS),
    ("/locum.admin.v1.ArchiveService/ExportAudit", OPERATORS),
    ("/locum.admin.v1.ArchiveService/GetArchiveStatus", OPERATORS),
    ("/locum.admin.v1.ArchiveService/ReindexArchive", ADMINS),
    ("/locum.admin.v1.ArchiveService/PlanRetention", OPERATORS),
    ("/locum.admin.v1.ControlService/ListKeys", OPERATORS),
    ("/locum.admin.v1.ControlService/RotateKey", ADMINS),
    ("/locum.admin.v1.ControlService/CheckPolicy", POLICY_CHECKERS),
    ("/locum.admin.v1.ControlService/Reload", ADMINS),
    ("/grpc.health.v1.Health/Check", EVERYBODY),
    ("/grpc.health.v1.Health/List", EVERYBODY),
    ("/grpc.health.v1.Health/Watch", EVERYBODY),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", EVERYBODY),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", EVERYBODY),
];

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] = [
        Self::Anonymous,
        Self::Workload,
        Self::Viewer,
        Self::Operator,
        Self::Approver,
        Self::Policy,
        Self::Admin,
    ];

    /// The word for it, as in the configuration of operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Workload => "workload",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Policy => "policy",
            Self::Admin => "admin",
        }
    }
}

/// Says to whoever may not call a method who may: it is for `policy` or `admin`.
pub fn told(roles: &[Role]) -> String {
    let words: Vec<String> = roles.iter().map(|role| format!("`{}`", role.as_str())).collect();
    format!("it is for {}", words.join(" or "))
}

/// Who may call the method at `path`, for instance `/locum.broker.v1.TaskService/StartTask`; none for
/// a method that has no row: nobody.
///
/// Paths are compared byte by byte. Costs one pass over the table.
pub fn may(path: &str) -> Option<&'static [Role]> {
    METHODS.iter().find(|(method, _)| *method == path).map(|(_, roles)| *roles)
}

/// Whether a caller of this role may call the method at `path`.
pub fn allows(path: &str, role: Role) -> bool {
    may(path).is_some_and(|roles| roles.contains(&role))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// The paths of every method that a descriptor set declares.
    fn methods_of(descriptors: &[u8]) -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(descriptors).expect("a descriptor set");
        let mut paths = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                let path = |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
                paths.extend(service.method.iter().map(|method| path(method.name())));
            }
        }
        paths
    }

    fn rows_of(prefix: &str) -> BTreeSet<String> {
        let paths = METHODS.iter().map(|(path, _)| (*path).to_owned());
        paths.filter(|path| path.starts_with(prefix)).collect()
    }

    #[test]
    fn every_method_of_the_contract_has_a_row_and_there_is_no_other() {
        let declared = methods_of(crate::FILE_DESCRIPTOR_SET);
        assert_eq!(rows_of("/locum."), declared);
        assert_eq!(declared.len(), 35);
    }

    #[test]
    fn every_served_method_of_others_has_a_row() {
        let health = methods_of(tonic_health::pb::FILE_DESCRIPTOR_SET);
        assert!(health.is_subset(&rows_of("/grpc.health.v1.Health/")) && !health.is_empty());
        let mut reflection = methods_of(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET);
        reflection.extend(methods_of(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET));
        assert_eq!(rows_of("/grpc.reflection."), reflection);
    }

    #[test]
    fn no_method_stands_twice_or_open_to_nobody() {
        let paths: BTreeSet<_> = METHODS.iter().map(|(path, _)| path).collect();
        assert_eq!(paths.len(), METHODS.len());
        assert!(METHODS.iter().all(|(_, roles)| !roles.is_empty()));
    }

    #[test]
    fn what_has_no_row_is_refused() {
        for path in [
            "",
            "/",
            "/locum.broker.v1.TaskService",
            "/locum.broker.v1.TaskService/",
            "/locum.broker.v1.TaskService/startTask",
            "/locum.broker.v1.TaskService/StartTask/",
            "//locum.broker.v1.TaskService/StartTask",
            "/locum.broker.v1.TaskService/../TaskService/StartTask",
            "/locum.broker.v1.TaskService/StartTask%00",
            "/locum.broker.v2.TaskService/StartTask",
            "/grpc.channelz.v1.Channelz/GetServers",
        ] {
            assert_eq!(may(path), None, "{path}");
            assert!(Role::ALL.iter().all(|role| !allows(path, *role)));
        }
    }

    #[test]
    fn the_rights_are_as_the_contract_says() {
        let who = |path: &str| -> Vec<&str> {
            Role::ALL.iter().filter(|role| allows(path, **role)).map(|role| role.as_str()).collect()
        };
        for (path, expected) in [
            ("/locum.broker.v1.TokenService/IssueToken", "workload"),
            ("/locum.broker.v1.FeedService/WatchRevocations", "workload"),
            ("/locum.broker.v1.IdentityService/WhoAmI", "workload viewer operator approver policy admin"),
            ("/locum.admin.v1.RevocationService/PreviewRevoke", "viewer operator approver policy admin"),
            ("/locum.admin.v1.RevocationService/Revoke", "operator admin"),
            ("/locum.admin.v1.InspectionService/EndTask", "operator admin"),
            ("/locum.admin.v1.InspectionService/ListVerifiers", "viewer operator approver policy admin"),
            ("/locum.admin.v1.InspectionService/TailRecord", "viewer operator approver policy admin"),
            ("/locum.admin.v1.ControlService/ListKeys", "viewer operator approver policy admin"),
            ("/locum.admin.v1.ControlService/CheckPolicy", "policy admin"),
            ("/locum.admin.v1.ControlService/RotateKey", "admin"),
            ("/locum.admin.v1.ControlService/Reload", "admin"),
            ("/grpc.health.v1.Health/Check", "anonymous workload viewer operator approver policy admin"),
        ] {
            assert_eq!(who(path).join(" "), expected, "{path}");
        }
    }

    #[test]
    fn workloads_and_operators_share_no_method_but_that_which_says_who_they_are() {
        let shared = "/locum.broker.v1.IdentityService/WhoAmI";
        assert_eq!(METHODS.iter().filter(|(path, _)| *path == shared).count(), 1);
        let own = METHODS.iter().filter(|(path, _)| path.starts_with("/locum.") && *path != shared);
        for (path, roles) in own {
            assert!(!roles.contains(&Role::Anonymous), "{path}");
            assert_eq!(path.starts_with("/locum.broker."), *roles == WORKLOADS, "{path}");
            assert_eq!(path.starts_with("/locum.admin."), roles.contains(&Role::Admin), "{path}");
        }
    }
}
