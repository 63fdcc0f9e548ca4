//! Every bound of the product, with its unit. A limit that is not here does not exist.

use std::time::Duration;

/// Longest compact token that any check looks at, in bytes. Longer input is refused undecoded.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Longest compact token that Locum signs, in bytes (semantics: token).
pub const ISSUED_TOKEN_BYTES_MAX: usize = 1536;
/// Longest bearer assertion (JWT-SVID or OIDC), in bytes.
pub const ASSERTION_BYTES_MAX: usize = 8 * 1024;
/// Longest life of any token; watermarks are kept this long plus [`CLOCK_SKEW_MAX`].
pub const TOKEN_TTL_MAX: Duration = Duration::from_secs(15 * 60);
/// Life of a token when neither request, policy nor connector says otherwise.
pub const TOKEN_TTL_DEFAULT: Duration = Duration::from_secs(120);
/// Shortest life worth signing; a request that could only get less is refused.
pub const TOKEN_TTL_MIN: Duration = Duration::from_secs(1);
/// Longest life of a token for a connector with `check = "jwks"`: its backend cannot hear a revocation.
pub const JWKS_TOKEN_TTL_MAX: Duration = Duration::from_secs(60);
/// How far `nbf` is dated back, so that a verifier slightly behind does not refuse a new token.
pub const NOT_BEFORE_BACKDATE: Duration = Duration::from_secs(5);
/// Largest clock difference between Locum and its peers that is designed for.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);
/// How far an identity assertion's `exp` may lie ahead.
pub const ASSERTION_TTL_MAX: Duration = Duration::from_secs(60 * 60);

/// Levels in a chain of tasks, the root included.
pub const TASK_DEPTH_MAX: usize = 8;
/// Actors in a chain.
pub const ACTORS_MAX: usize = 3;
/// Longest hard deadline of a task, counted from its start.
pub const TASK_DEADLINE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Hard deadline when the caller names none.
pub const TASK_DEADLINE_DEFAULT: Duration = Duration::from_secs(60 * 60);
/// Bounds of the soft lease.
pub const TASK_LEASE_MIN: Duration = Duration::from_secs(1);
/// Longest soft lease.
pub const TASK_LEASE_MAX: Duration = Duration::from_secs(10 * 60);
/// Soft lease when the caller names none.
pub const TASK_LEASE_DEFAULT: Duration = Duration::from_secs(30);
/// How long a task outlives the loss of its `HoldTask` stream.
pub const HOLD_GRACE: Duration = Duration::from_secs(10);
/// Live tasks of one workload.
pub const TASKS_PER_WORKLOAD_MAX: usize = 10_000;
/// Live tasks of one tenant.
pub const TASKS_PER_TENANT_MAX: usize = 100_000;
/// Live children of one task.
pub const CHILDREN_PER_TASK_MAX: usize = 1_000;
/// Live tokens of one workload.
pub const TOKENS_PER_WORKLOAD_MAX: usize = 1_000_000;
/// `HoldTask` streams of one workload.
pub const HOLDS_PER_WORKLOAD_MAX: usize = 10_000;
/// Request ids remembered per workload.
pub const REQUEST_IDS_PER_WORKLOAD_MAX: usize = 100_000;
/// A request id is remembered until the token's `exp` plus this.
pub const REQUEST_ID_KEPT_AFTER_EXP: Duration = Duration::from_secs(60);

/// Bytes of a holder secret.
pub const HOLDER_SECRET_BYTES: usize = 32;
/// Longest `request_id`, in bytes (printable ASCII).
pub const REQUEST_ID_BYTES_MAX: usize = 64;
/// Longest justification, in bytes of UTF-8.
pub const JUSTIFICATION_BYTES_MAX: usize = 1024;
/// Longest reason of an operator, in bytes of UTF-8.
pub const REASON_TEXT_BYTES_MAX: usize = 512;
/// Longest purpose code, name or action, in bytes.
pub const NAME_BYTES_MAX: usize = 63;
/// Longest SPIFFE ID, in bytes (SPIFFE-ID section 2.3).
pub const SPIFFE_ID_BYTES_MAX: usize = 2048;
/// Longest trust domain name, in bytes (SPIFFE-ID section 2.3).
pub const TRUST_DOMAIN_BYTES_MAX: usize = 255;
/// Longest SPIFFE ID of a registered workload, in bytes: it has to fit into a token.
pub const WORKLOAD_ID_BYTES_MAX: usize = 192;
/// Longest audience, in bytes.
pub const AUDIENCE_BYTES_MAX: usize = 192;
/// Actions in one scope.
pub const SCOPE_GRANTS_MAX: usize = 16;
/// Resource patterns under one action.
pub const RESOURCES_PER_GRANT_MAX: usize = 8;
/// Longest resource or resource pattern, in bytes.
pub const RESOURCE_BYTES_MAX: usize = 128;
/// Segments of a resource.
pub const RESOURCE_SEGMENTS_MAX: usize = 8;
/// Uses of a use-limited token.
pub const TOKEN_USES_MAX: u32 = 1_000;

/// Entries of each kind in a registry.
pub const REGISTRY_ENTRIES_MAX: usize = 10_000;
/// Actions of one connector.
pub const ACTIONS_PER_CONNECTOR_MAX: usize = 256;
/// Largest registry file set, in bytes.
pub const REGISTRY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Policies in one revision.
pub const POLICIES_MAX: usize = 10_000;
/// Largest policy text of one revision, in bytes.
pub const POLICY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Deepest nesting of brackets in a policy text. The parser takes about 52 KiB of stack a level in
/// an unoptimised build, and threads may have 2 MiB.
pub const POLICY_NESTING_MAX: usize = 16;
/// Longest text of one policy, in bytes: it bounds what one evaluation costs.
pub const POLICY_STATEMENT_BYTES_MAX: usize = 16 * 1024;
/// Operators, member accesses and conditions in one policy: what nests without brackets.
pub const POLICY_OPERATORS_MAX: usize = 256;
/// Problems told about one refused policy set.
pub const POLICY_PROBLEMS_MAX: usize = 100;
/// Longest message about a policy, in characters.
pub const POLICY_MESSAGE_CHARS_MAX: usize = 400;
/// Registration numbers of one kind that a broker ever gives out.
pub const REGISTRATION_NUMBERS_MAX: u32 = 1 << 20;
/// Locks in force at once.
pub const LOCKS_MAX: usize = 10_000;
/// Longest lock.
pub const LOCK_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Registrations that one glob may expand to.
pub const SELECTOR_EXPANSION_MAX: usize = 1_000;

/// Largest encoded event, in bytes.
pub const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Events in one batch.
pub const BATCH_EVENTS_MAX: usize = 1_024;
/// Requests that may wait for the writer, per lane.
pub const COMMIT_QUEUE_MAX: usize = 16 * 1024;
/// Rows that one tick of the reaper frees.
pub const REAP_ROWS_PER_TICK: usize = 16 * 1024;
/// Tasks that one tick of the reaper lapses or ends.
pub const REAP_TASKS_PER_TICK: usize = 1_024;
/// The reaper may be this late before new tasks and tokens are refused.
pub const REAPER_LAG_MAX: Duration = Duration::from_secs(10);
/// Denials of one workload are coalesced over this span.
pub const DENIAL_SPAN: Duration = Duration::from_secs(10);
/// Coalesced denials held in memory, over all workloads.
pub const DENIALS_MAX: usize = 10_000;

/// Largest gRPC message that the server takes, in bytes.
pub const GRPC_MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Tokens in one batch of the `IntrospectTokens` stream.
pub const INTROSPECT_BATCH_MAX: usize = 256;
/// Largest HTTP/2 header list, in bytes.
pub const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// Streams per connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 256;
/// Connections at once.
pub const CONNECTIONS_MAX: usize = 16 * 1024;
/// Stream resets that we cause before the connection ends (CVE-2025-8671).
pub const LOCAL_RESETS_MAX: usize = 1_024;
/// A TLS handshake has to end within this.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A unary request has to end within this.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests of one connection handled at once.
pub const REQUESTS_PER_CONNECTION_MAX: usize = 256;
/// Entries of one page of a listing.
pub const PAGE_SIZE_MAX: usize = 1_000;
/// Entries of a page when the caller names no size.
pub const PAGE_SIZE_DEFAULT: usize = 100;
/// Frames that may wait for one follower of the revocation feed.
pub const FEED_BUFFER_FRAMES: usize = 1_024;
/// Followers of the revocation feed at once.
pub const FEED_FOLLOWERS_MAX: usize = 10_000;
/// Entries in one frame.
pub const FEED_ENTRIES_PER_FRAME: usize = 1_024;
