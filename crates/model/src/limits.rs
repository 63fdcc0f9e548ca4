//! Every bound of the product, with its unit. A limit that is not here does not exist.

use std::time::Duration;

/// Longest compact token that any check looks at, in bytes. Longer input is refused undecoded.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Longest compact token that Locum signs, in bytes (semantics: token).
pub const ISSUED_TOKEN_BYTES_MAX: usize = 1536;
/// Longest proof of possession of a key (DPoP), in bytes: a proof by a large RSA key has half of it.
pub const PROOF_BYTES_MAX: usize = 4 * 1024;
/// How old a proof of possession may be: it is taken until so long after its `iat`.
pub const PROOF_AGE_MAX: Duration = Duration::from_secs(60);
/// How far a proof's `iat` may lie ahead: whose clock is further ahead has to set it right.
pub const PROOF_AHEAD_MAX: Duration = Duration::from_secs(10);
/// Proofs of a tenant that are remembered within the time in which each could be shown again (70 s); one more
/// is not taken. 3,700 a second; of one workload half as many. Of all tenants twice as many: 36 MiB at most for both
/// halves of what is remembered.
pub const PROOFS_REMEMBERED_MAX: usize = 262_144;
/// Longest `jti` of a proof, in bytes.
pub const PROOF_ID_BYTES_MAX: usize = 256;
/// Longest URI that a proof may be for, in bytes.
pub const PROOF_URI_BYTES_MAX: usize = 2048;
/// Longest bearer assertion (JWT-SVID or OIDC), in bytes.
pub const ASSERTION_BYTES_MAX: usize = 8 * 1024;
/// Assertions that are bound to a key at once; more callers with both are refused for a while.
pub const BOUND_ASSERTIONS_MAX: usize = 65_536;
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
/// Ended tasks that are remembered to be shown, over all workloads; the oldest are forgotten first.
pub const ENDED_TASKS_KEPT_MAX: usize = 100_000;
/// Revocation feeds that one workload follows at once.
pub const FOLLOWS_PER_WORKLOAD_MAX: usize = 256;
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
/// Cases of one file, and files with cases of one directory.
pub const POLICY_CASES_MAX: usize = 10_000;
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
/// Events that the archive indexes in one transaction.
pub const ARCHIVE_BATCH_EVENTS_MAX: usize = 1_024;
/// Entries, and rows of texts, that one step of the archive's retention removes.
pub const ARCHIVE_STEP_ENTRIES_MAX: usize = 2_000;
/// Days of which the archive's status tells what a retention took away.
pub const ARCHIVE_FORGOTTEN_SHOWN_MAX: usize = 31;
/// A shorter retention of the archive takes nothing away before it was announced for so long.
pub const ARCHIVE_NOTICE: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest retention of the archive: longer than anything lives whose beginning it holds.
pub const ARCHIVE_RETENTION_MIN: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The longest retention of the archive.
pub const ARCHIVE_RETENTION_MAX: Duration = Duration::from_secs(3_660 * 24 * 60 * 60);
/// The archive may be this many events behind before operators are warned.
pub const ARCHIVE_BEHIND_MAX: u64 = 10_000;
/// Entries of one page of a search end with about this many bytes, however many were asked for.
pub const AUDIT_PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Searches and exports of the archive at once; more are told to come back.
pub const ARCHIVE_READERS_MAX: usize = 4;
/// Criteria of one search that may be given more than once, each.
pub const ARCHIVE_CRITERIA_MAX: usize = 16;
/// Longest words to search for in reasons, in bytes.
pub const ARCHIVE_TEXT_BYTES_MAX: usize = 256;
/// Texts that wait for the archive, in memory; the oldest are dropped first.
pub const ARCHIVE_TEXTS_WAITING_MAX: usize = 8 * 1024;
/// Places of the journal that lookups remember.
pub const JOURNAL_MARKS_MAX: usize = 64 * 1024;
/// Events in one batch.
pub const BATCH_EVENTS_MAX: usize = 1_024;
/// Requests that may wait for the writer, per lane.
pub const COMMIT_QUEUE_MAX: usize = 16 * 1024;
/// Rows that one tick of the reaper frees: few, as checks on the same core wait for it.
pub const REAP_ROWS_PER_TICK: usize = 64;
/// Events of one kind that the reaper has under way: who asks for something may wait for as many. From when it
/// is half as late as it may be, they are more and more, and as many as a batch may have in the end.
pub const REAPER_ASKS_MAX: usize = 128;
/// Tasks that one tick of the reaper frees, besides those that its walk over all of them finds.
pub const REAP_TASKS_PER_TICK: usize = 32;
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
/// Frames of a partition of the revocation feed that are kept for those who read slowly or come back.
pub const FEED_RING_FRAMES: usize = 1_024;
/// The same in bytes, at most, of one partition.
pub const FEED_RING_BYTES_MAX: usize = 1024 * 1024;
/// The same in bytes of all partitions together, down to what a single frame needs.
pub const FEED_RINGS_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Entries that may wait for a partition's next frame; beyond, its followers start from a snapshot.
pub const FEED_WAITING_ENTRIES_MAX: usize = 64 * 1024;
/// How often a partition of the revocation feed is looked after.
pub const FEED_UPKEEP: Duration = Duration::from_secs(1);
/// A follower that takes nothing from its stream is ended when it is looked at so often in vain: after 15 s.
pub const FEED_UNREAD_LOOKS_MAX: u32 = 15;
/// Followers of the revocation feed at once.
pub const FEED_FOLLOWERS_MAX: usize = 10_000;
/// Entries in one frame of the revocation feed.
#[cfg(not(bug_zoo))]
pub const FEED_ENTRIES_PER_FRAME: usize = 1_024;
/// As few as a simulation has: snapshots of several parts, and chains that end.
#[cfg(bug_zoo)]
pub const FEED_ENTRIES_PER_FRAME: usize = 6;
/// How long an offline verifier may answer without hearing from Locum, when its connector does not say.
pub const STALENESS_BOUND_DEFAULT: Duration = Duration::from_secs(2);
/// The least that a connector may say.
pub const STALENESS_BOUND_MIN: Duration = Duration::from_millis(500);
/// The most that a connector may say.
pub const STALENESS_BOUND_MAX: Duration = Duration::from_secs(10 * 60);
/// How long a partition is kept that nobody follows, for those who come back.
pub const FEED_PARTITION_IDLE: Duration = Duration::from_secs(60);
/// A snapshot is shared by all who come within this.
pub const FEED_SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(10);
/// Pings of one follower that are read in a second; what is beyond waits.
pub const FEED_PINGS_PER_SECOND: u32 = 1_000;
/// Heartbeats of one follower are at least this far apart; pings in between are answered together.
pub const FEED_HEARTBEAT_SPACING: Duration = Duration::from_millis(10);
/// What a verifier's clock may be slower by, beside [`LEASE_DRIFT_DIVISOR`].
pub const LEASE_DRIFT: Duration = Duration::from_millis(100);
/// A verifier's clock may be slower by one part in so many: 2 %.
pub const LEASE_DRIFT_DIVISOR: u32 = 50;
/// The longest that a revocation waits for the verifiers; shorter than [`REQUEST_TIMEOUT`].
pub const REVOKE_WAIT_MAX: Duration = Duration::from_secs(20);
/// Longest version that a verifier tells of itself, in bytes of printable ASCII.
pub const VERIFIER_VERSION_BYTES_MAX: usize = 64;

// What comes over the wire, in files and from other issuers.

/// Longest message of one violation, in bytes.
pub const VIOLATION_MESSAGE_BYTES_MAX: usize = 192;
/// Violations that are reported of one message; what is beyond them is not collected.
pub const VIOLATIONS_MAX: usize = 16;
/// Largest payload that is looked at, in bytes.
pub const FEED_PAYLOAD_BYTES_MAX: usize = 128 * 1024;
/// Longest issuer, in bytes.
pub const ISSUER_BYTES_MAX: usize = 512;
/// Watermarks that an offline verifier keeps; beyond them it answers unknown.
pub const VERIFIER_WATERMARKS_MAX: usize = 4 << 20;
/// Tokens whose signature an offline verifier need not check again.
pub const VERIFIER_MEMO_TOKENS: usize = 64 * 1024;
/// Nonces of an offline verifier that wait for their heartbeat; older ones are forgotten.
pub const VERIFIER_NONCES_MAX: usize = 64;
/// Homes and epochs that one verifier follows one after another; beyond them it has to be started anew.
pub const VERIFIER_ERAS_MAX: usize = 64;
/// Keys in one set.
pub const FEED_KEYS_MAX: usize = 256;
/// Longest particulars, in bytes.
pub const REFUSAL_DETAIL_BYTES_MAX: usize = 256;
/// Entries that one history holds at most.
pub const HISTORY_ENTRIES_MAX: usize = 5_000;
/// Rows that a preview looks at before it says that its counts are a lower bound.
pub const PREVIEW_ROWS_MAX: usize = 200_000;
/// Workloads, and connectors, that the status counts rows of at most.
pub const ROW_COUNTS_MAX: usize = 100;
/// Certificates of a peer's chain, the leaf included. Counted before any of them is parsed, so
/// that a maze of cross-signed intermediates costs nothing.
pub const CHAIN_CERTIFICATES_MAX: usize = 6;
/// Longest certificate that is parsed, in bytes of DER.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Longest trust bundle, in bytes of PEM.
pub const BUNDLE_BYTES_MAX: usize = 1024 * 1024;
/// Certificates of one trust bundle.
pub const BUNDLE_CERTIFICATES_MAX: usize = 64;
/// Trust domains, and issuers, of one configuration.
pub const TRUSTED_MAX: usize = 256;
/// Longest issuer URL or subject, in bytes.
pub const CLAIM_BYTES_MAX: usize = 1024;
/// Audiences of one assertion.
pub const ASSERTION_AUDIENCES_MAX: usize = 16;
/// Names in one claim path of a subject template.
pub const CLAIM_PATH_NAMES_MAX: usize = 8;
/// Smallest RSA modulus, in bytes: 2048 bits.
pub const RSA_MODULUS_BYTES_MIN: usize = 256;
/// Largest RSA modulus, in bytes: 4096 bits, to bound the work of one verification.
pub const RSA_MODULUS_BYTES_MAX: usize = 512;
/// Largest RSA exponent, in bytes.
pub const RSA_EXPONENT_BYTES_MAX: usize = 4;
/// Largest key set, in bytes.
pub const JWK_SET_BYTES_MAX: usize = 64 * 1024;
/// Keys in one set.
pub const JWK_SET_KEYS_MAX: usize = 100;
/// Longest `kid`, in bytes.
pub const KID_BYTES_MAX: usize = 256;
/// Spans that wait for the collector of traces; more are counted and dropped.
pub const SPANS_WAITING_MAX: usize = 4096;
/// Spans that are told to the collector at once.
pub const SPANS_PER_BATCH_MAX: usize = 512;
/// One of at most so many requests without a trace of their own is traced.
pub const TRACE_ONE_IN_MAX: u64 = 1_000_000;

/// Largest settings file, in bytes.
pub const SETTINGS_BYTES_MAX: usize = 1024 * 1024;
/// Longest text of any key, in bytes.
pub const SETTING_BYTES_MAX: usize = 4096;
/// Most rows of a table that may stand many times, and most entries of a list.
pub const SETTINGS_ROWS_MAX: usize = 1024;
/// Largest bundle or key set, in bytes.
pub const TRUST_FILE_BYTES_MAX: usize = 1024 * 1024;
/// Frames of the least size that HTTP/2 allows (RFC 9113 section 4.2), in bytes.
pub const HTTP2_FRAME_BYTES_MAX: u32 = 16 * 1024;
/// Streams that the peer reset and that still wait for us (CVE-2023-44487).
pub const PENDING_RESETS_MAX: usize = 64;
/// Bytes in flight on one stream.
pub const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes in flight on one connection.
pub const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// How often a silent peer is pinged.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long it may take to answer.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection takes no new requests after this; what runs on it may finish.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// Longest URI, in bytes.
pub const URI_BYTES_MAX: usize = 8 * 1024;
/// Header fields of one request.
pub const HTTP_HEADERS_MAX: usize = 64;
/// The head of a request has to be here within this.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection ends after this, whatever it does.
pub const HTTP_CONNECTION_LIFE_MAX: Duration = Duration::from_secs(5 * 60);
/// Connections to the metrics listener at once.
pub const METRICS_CONNECTIONS_MAX: usize = 16;
/// Largest certificate chain or key file, in bytes.
pub const PEM_BYTES_MAX: usize = 256 * 1024;
/// Certificates of our own chain.
pub const OWN_CHAIN_CERTIFICATES_MAX: usize = 8;
/// Largest PKCS#8 document that is read, in bytes. P-256 takes 138, Ed25519 83.
pub const PRIVATE_KEY_BYTES_MAX: usize = 1024;
/// Finished connections that may wait for the HTTP layer.
pub const CONNECTIONS_READY_MAX: usize = 64;
/// Largest frame, in bytes.
pub const BATCH_BYTES_MAX: usize = 64 << 20;
