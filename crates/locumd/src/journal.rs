//! `locumd journal`: what was found, for people in lines and for programs in fields.

use std::path::Path;
use std::process::ExitCode;

use locum_server::journal_accept::{Accepted, accept_restore_now};
use locum_server::journal_check::{self, Progress, Report};
use serde_json::json;

use crate::answer::{self, Format};

/// Checks a journal. People see each file when it was found good; that nobody looks is told in the end.
pub(crate) fn verify(dir: &Path, output: Format) -> Result<ExitCode, String> {
    let mut files = Vec::new();
    let mut each = |at: Progress| match output {
        Format::Text => drop(answer::line(&format!("{}: good up to sequence {}", at.file, at.sequence))),
        Format::Json => files.push(json!({ "file": at.file, "sequence": at.sequence })),
    };
    let report = journal_check::verify(dir, &mut each).map_err(|error| error.to_string())?;
    let Report { head, events, batches, segments, snapshots, sealed, torn_bytes } = &report;
    let value = json!({
        "events": events,
        "batches": batches,
        "segments": segments,
        "snapshots": snapshots,
        "sealed": sealed,
        "torn_bytes": torn_bytes,
        "head": { "sequence": head.position.sequence, "hash": hex(&head.hash) },
        "files": files,
    });
    let is_sealed = if *sealed { "sealed" } else { "not sealed" };
    let text = format!(
        "good: {events} events in {batches} batches, {segments} segments, {snapshots} snapshots, {is_sealed}, {torn_bytes} torn bytes\nhead: sequence {}, hash {}",
        head.position.sequence,
        hex(&head.hash),
    );
    Ok(output.answer("journal", value, &text))
}

/// Accepts a restored copy, on the word of `by`.
pub(crate) fn accept_restore(dir: &Path, by: &str, output: Format) -> Result<ExitCode, String> {
    let accepted = accept_restore_now(dir, by).map_err(|error| error.to_string())?;
    let Accepted { epoch_before, epoch, tenants, signing_keys, head } = &accepted;
    let value = json!({
        "epoch_before": epoch_before,
        "epoch": epoch,
        "tenants_revoked": tenants,
        "signing_keys_retired": signing_keys,
        "head": { "sequence": head.position.sequence, "hash": hex(&head.hash) },
    });
    let text = format!(
        "accepted: epoch {epoch_before} became {epoch}; {tenants} tenants revoked, {signing_keys} signing keys retired\nhead: sequence {}, hash {}",
        head.position.sequence,
        hex(&head.hash),
    );
    Ok(output.answer("accepted", value, &text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
