//! The broker: what Locum does, one file for each thing, named as the RPC is named.
//!
//! Every state change goes through one waist, [`commit`](Committer): durable first, then folded,
//! then answered. Everything else here decides, on a world that it pinned once, and asks the waist.
//!
//! It knows no wire format, no configuration, no socket, and no clock or randomness by name: those
//! are [`Surroundings`]. The simulator drives this very code.

mod activate;
mod archive;
mod archive_status;
mod authorize;
mod broker;
mod commit;
mod denials;
mod end_task;
mod feed;
mod fold;
mod get_task;
mod history;
mod hold_task;
mod index_archive;
mod introspect_token;
mod issue_token;
mod key_move;
mod keys;
mod leases;
mod list_tokens;
mod lock;
mod operator;
mod reaper;
mod record;
mod refusal;
mod restart;
mod rests_on;
mod revoke;
mod search_audit;
mod select;
mod shelf;
mod shown_name;
mod start_task;
mod state;
mod status;
mod task_access;
mod under_way;
mod verifiers;
mod watch_revocations;
mod who_am_i;
mod world;

pub use activate::{Activated, NotActivated};
pub use archive::ArchiveHealth;
pub use archive_status::{ArchiveStatus, PlannedRetention};
pub use authorize::Authorized;
pub use broker::{Broker, Options, StartError, Surroundings};
pub use commit::{BatchObserver, Committer, JournalFailed, Pumped};
pub use feed::{Cursor, FeedDelta, FeedEntry, Partition, Taken};
pub use get_task::{Page, TaskFilter, TaskPage, TaskState, TaskView};
pub use history::History;
pub use hold_task::Hold;
pub use index_archive::IndexStep;
pub use introspect_token::{ActiveToken, Checked, Checking, Presentation};
pub use issue_token::{Binding, IssueToken, Issued, ShownProof};
pub use keys::KeyView;
pub use list_tokens::{TokenView, TokensPage};
pub use locum_table::Place;
pub use operator::{Operator, Tenants};
pub use reaper::{NextTick, Ticked};
pub use record::RecordEntry;
pub use refusal::Refusal;
pub use revoke::{Previewed, RevokeDone};
pub use search_audit::{AuditFound, AuditPage, AuditQuery, Justifications};
pub use select::{Match, selector_text};
pub use start_task::StartTask;
pub use status::{RowCounts, Status};
pub use task_access::Holder;
pub use verifiers::{Awaited, Hello, Missing, VerifierKey, VerifierPlace, VerifierView};
pub use watch_revocations::Following;
pub use who_am_i::Registered;
