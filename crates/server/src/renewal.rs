//! Renewed files: the server's certificate and key, bundles and key sets come into force without anybody's doing.
//!
//! Whoever renews them, cert-manager, SPIRE's helper or a kubelet, rarely can signal a process, and cannot at all in
//! an image without a shell. So the files are looked at, and read when they have changed and then stood still for one
//! look: what is being written just now is not read. Registry and policies are not looked at: putting those in force
//! is an act of an operator's.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Settings;
use crate::reload::Reload;

/// What tells one content of a file from another without reading it; none for a file that is not there. Links are
/// followed: a kubelet replaces a folder behind one.
type Stamp = Option<(u64, u64, i64, i64)>;

/// The files, as they were when they were last read and when they were last looked at.
pub(crate) struct Renewal {
    reload: Arc<Reload>,
    files: Vec<PathBuf>,
    read: Vec<Stamp>,
    looked: Vec<Stamp>,
}

impl Renewal {
    /// What is in force was read from these files just now.
    pub(crate) fn new(reload: Arc<Reload>) -> Self {
        let files = files(&reload.settings);
        let read = stamps(&files);
        Self { reload, looked: read.clone(), read, files }
    }

    /// One look: puts in force what has changed since it was read, and not since the last look. What is refused is
    /// told once, and read again when it changes again.
    pub(crate) fn look(mut self) -> Self {
        let now = stamps(&self.files);
        if now != self.read && now == self.looked {
            match self.reload.trust() {
                Ok(()) => tracing::info!("renewed certificates or bundles are in force"),
                Err(cause) => {
                    tracing::error!(%cause, "certificates or bundles were refused; what was in force stays");
                }
            }
            self.read.clone_from(&now);
        }
        self.looked = now;
        self
    }
}

fn files(settings: &Settings) -> Vec<PathBuf> {
    let own = [&settings.server.cert_file, &settings.server.key_file];
    let domains = settings.trust_domains.iter();
    let bundles =
        domains.flat_map(|domain| std::iter::once(&domain.bundle_file).chain(&domain.jwt_keys_file));
    let issuers = settings.oidc_issuers.iter().map(|issuer| &issuer.jwks_file);
    own.into_iter().chain(bundles).chain(issuers).cloned().collect()
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let found = std::fs::metadata(file).ok()?;
        Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    };
    files.iter().map(stamp).collect()
}
