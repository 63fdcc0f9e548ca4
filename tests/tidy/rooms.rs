//! Who may use whom, as data: the table "Rooms" of the architecture, read from the ground up.
//!
//! Both tables are allow-lists for normal and build dependencies: what they do not name is a
//! violation. Dev-dependencies are exempt: tests may look at a crate from anywhere.

/// Each crate and what it may import of ours. The arms (`identity`, `policy`, `token`, `table`,
/// `journal`) never import each other; they meet in `broker`.
pub(crate) const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("jose", &["model"]),
    // The arms.
    ("identity", &["model", "jose"]),
    ("policy", &["model"]),
    ("proposal", &["model"]),
    ("token", &["model", "jose"]),
    ("table", &["model"]),
    ("journal", &["model"]),
    ("archive", &["model"]),
    ("connector", &["model"]),
    // The middle.
    ("broker", &["model", "policy", "token", "table", "journal", "archive", "connector"]),
    // The edges.
    ("api", &["model"]),
    ("otlp", &[]),
    ("verifier", &["model", "jose", "token"]),
    ("sdk", &["model", "api", "verifier"]),
    ("server", SERVER),
    ("demo", &["server", "sdk"]),
    ("locumd", &["server", "demo"]),
    ("cli", &["model", "sdk", "policy", "proposal"]),
    ("console", &["model", "sdk"]),
    // Programs of our users: what they can reach, nothing below it.
    ("examples", &["model", "sdk"]),
];

/// The server wires everything together, but is not its own client.
const SERVER: &[&str] = &[
    "model",
    "proposal",
    "jose",
    "identity",
    "policy",
    "token",
    "table",
    "journal",
    "archive",
    "connector",
    "broker",
    "api",
    "otlp",
    "verifier",
];

/// Rooms that ship nothing and may use whatever they measure or test.
pub(crate) const EXEMPT: &[&str] = &["tests", "benches"];

/// Outside crates that any of our crates may use: they bring data shapes, not abilities.
pub(crate) const FREE: &[&str] = &["base64", "parking_lot", "thiserror", "zeroize"];

/// Outside crates that have owners: nobody else uses them.
pub(crate) const OWNED: &[(&str, &[&str])] = &[
    // Decodes many characters at once; those that do it seldom use the plain one.
    ("base64-simd", &["jose"]),
    // Finds a character among many at once: in the payload of every token that is checked.
    ("memchr", &["token"]),
    // Tells dates to people and parses them; everything else counts milliseconds.
    ("chrono", &["model"]),
    // Signatures.
    ("jsonwebtoken", &["jose"]),
    // Which part of ring is for whom stands in `RING_PARTS`.
    ("ring", &["jose", "table", "journal", "archive", "sdk", "server"]),
    // Peers. Identity verifies chains by itself; server and sdk terminate TLS.
    ("rustls", &["identity", "server", "sdk"]),
    ("rustls-pki-types", &["identity", "server", "sdk"]),
    ("tokio-rustls", &["server", "sdk"]),
    ("webpki", &["identity"]),
    ("x509-parser", &["identity"]),
    // The demo makes its own CA, in memory.
    ("rcgen", &["demo"]),
    ("tempfile", &["demo"]),
    // Decisions.
    ("cedar-policy", &["policy"]),
    // The hot table. Its guards never leave it.
    ("dashmap", &["table"]),
    // The table below the standard map: one that keeps no key beside what it finds by it.
    ("hashbrown", &["broker"]),
    // A list of one, nearly always, without a block of its own.
    ("smallvec", &["broker"]),
    // Schedules its threads, in models; in no build that ships.
    ("shuttle", &["table"]),
    // Stored and served formats.
    ("prost", &["api", "journal", "otlp"]),
    ("prost-build", &["journal"]),
    ("prost-types", &["api", "sdk"]),
    ("protox", &["api", "journal"]),
    ("crc32c", &["journal"]),
    ("tonic", &["api", "otlp", "sdk", "server"]),
    ("tonic-health", &["server"]),
    ("tonic-prost", &["api", "otlp"]),
    ("tonic-prost-build", &["api"]),
    ("tonic-reflection", &["server"]),
    ("tonic-types", &["api"]),
    ("toml", &["server", "cli", "proposal"]),
    ("config", &["server"]),
    ("serde", &["jose", "server", "proposal"]),
    ("serde_json", &["jose", "server", "cli", "demo", "locumd"]),
    // The system: files that are locked and synced, and clocks that count through suspend.
    ("rustix", &["journal", "sdk", "server", "cli"]),
    // Waiting. The arms are synchronous.
    ("tokio", &["broker", "sdk", "server", "demo", "locumd", "cli"]),
    ("tokio-stream", &["sdk", "server"]),
    ("futures-core", &["sdk", "server"]),
    ("futures-util", &["sdk", "server"]),
    ("arc-swap", &["broker", "verifier", "server", "table"]),
    // HTTP.
    ("axum", &["sdk", "server", "demo"]),
    ("http", &["sdk", "server"]),
    ("http-body-util", &["sdk", "server"]),
    ("hyper", &["sdk", "server"]),
    ("hyper-util", &["sdk", "server"]),
    ("tower", &["sdk", "server"]),
    ("tower-layer", &["sdk", "server"]),
    ("tower-service", &["sdk", "server"]),
    // Telling.
    ("tracing", &["broker", "sdk", "server"]),
    ("tracing-subscriber", &["server"]),
    ("prometheus-client", &["server"]),
    ("clap", &["cli", "locumd"]),
    ("clap_complete", &["cli"]),
    ("comfy-table", &["cli"]),
    // The searchable archive.
    ("rusqlite", &["archive"]),
];

/// Modules of ring and which rooms may name them; `rand` has the entropy files instead.
pub(crate) const RING_PARTS: &[(&str, &[&str])] = &[
    ("signature", &["jose"]),
    // The server tags its key set with one.
    ("digest", &["jose", "table", "journal", "archive", "sdk", "server"]),
    // Seals what people wrote.
    ("aead", &["archive"]),
    ("rand", &["jose", "sdk", "server"]),
    ("error", &["jose", "sdk", "server"]),
    // rustls's module of the same name.
    ("default_provider", &["identity", "sdk", "server"]),
];
