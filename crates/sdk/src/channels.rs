//! [`Channels`] to the broker: one, and another one once the files were renewed that it was opened with.
//!
//! A connection shows the certificate that stood in the files when it was opened, for as long as it lives. A
//! workload's certificate often lives shorter than that, so what is called after a renewal goes over a new
//! connection; what runs on the old one ends there. Files that do not fit yet, as while they are being written,
//! leave the channel as it is.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use tonic::transport::Channel;

use crate::clock::moment;
use crate::options::Options;
use crate::tls;

/// How often the files are looked at, at most: when something is called.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// What tells one content of a file from another without reading it; none for a file that is not there.
type Stamp = Option<(u64, u64, i64, i64)>;

/// One that somebody else made, or one after the other over files.
pub(crate) enum Channels {
    Given(Channel),
    Files(Box<Files>),
}

/// How a channel over files is opened, and the one that is open.
pub(crate) struct Files {
    options: Options,
    open: Box<dyn Fn() -> Channel + Send + Sync>,
    current: Mutex<Current>,
}

struct Current {
    channel: Channel,
    opened_with: Vec<Stamp>,
    seen: Vec<Stamp>,
    looked: Duration,
}

impl Channels {
    /// Channels over the files that `options` name.
    pub(crate) fn over_files(options: &Options, open: Box<dyn Fn() -> Channel + Send + Sync>) -> Self {
        let stamps = stamps(options);
        let current =
            Current { channel: open(), opened_with: stamps.clone(), seen: stamps, looked: moment().elapsed };
        Self::Files(Box::new(Files { options: options.clone(), open, current: Mutex::new(current) }))
    }

    /// The channel to call over now.
    pub(crate) fn channel(&self) -> Channel {
        match self {
            Self::Given(channel) => channel.clone(),
            Self::Files(files) => files.channel(moment().elapsed),
        }
    }
}

impl Files {
    fn channel(&self, now: Duration) -> Channel {
        let mut current = self.current.lock();
        if now.saturating_sub(current.looked) >= LOOK_PERIOD {
            current.looked = now;
            let stamps = stamps(&self.options);
            // Changed, and not being written just now.
            let is_renewed = stamps != current.opened_with && stamps == current.seen;
            if is_renewed && tls::configuration(&self.options).is_ok() {
                current.channel = (self.open)();
                current.opened_with.clone_from(&stamps);
            }
            current.seen = stamps;
        }
        current.channel.clone()
    }
}

fn stamps(options: &Options) -> Vec<Stamp> {
    let pair = options.certificate.iter().flat_map(|pair| [&pair.cert_file, &pair.key_file]);
    std::iter::once(&options.ca_file).chain(pair).map(|file| stamp(file)).collect()
}

fn stamp(file: &Path) -> Stamp {
    let found = std::fs::metadata(file).ok()?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}
