//! [`Keys`]: one key for each tenant and day, each in a file of its own.
//!
//! A file is `<tenant number>-<day>.key`, 32 random bytes, mode 0600. It is read whenever it is
//! needed and never kept: removing the file, by whatever means, erases what it sealed from that
//! moment on. A key that is gone is never made again for reading; sealing on the same day makes
//! another one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use locum_model::{Entropy, TenantNo, Timestamp};
use zeroize::Zeroizing;

use crate::error::ArchiveError;

/// Bytes of a key: AES-256.
pub(crate) const KEY_BYTES: usize = 32;
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// A key's bytes; wiped when they go.
pub(crate) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// A day, counted from 1970-01-01 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

/// The folder of keys.
pub(crate) struct Keys {
    dir: PathBuf,
    entropy: Arc<dyn Entropy>,
}

// === impl Day ===

impl Day {
    /// The day of a moment.
    pub fn of(at: Timestamp) -> Self {
        Self(i32::try_from(at.as_millis().div_euclid(DAY_MILLIS)).unwrap_or(i32::MAX))
    }

    /// Its first moment.
    pub fn start(self) -> Timestamp {
        Timestamp::from_millis(i64::from(self.0) * DAY_MILLIS)
    }
}

/// `2026-11-22`.
impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.start().to_string().split('T').next().unwrap_or_default())
    }
}

// === impl Keys ===

impl Keys {
    pub(crate) fn open(dir: PathBuf, entropy: Arc<dyn Entropy>) -> Result<Self, ArchiveError> {
        private_dir(&dir).map_err(ArchiveError::Key)?;
        Ok(Self { dir, entropy })
    }

    /// The key; none when there is none or no longer.
    pub(crate) fn find(&self, tenant: TenantNo, day: Day) -> Result<Option<Key>, ArchiveError> {
        match self.read(&self.path(tenant, day)) {
            Ok(key) => Ok(Some(key)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ArchiveError::Key(error)),
        }
    }

    /// The key, made if need be; durable before it is given out.
    pub(crate) fn find_or_make(&self, tenant: TenantNo, day: Day) -> Result<Key, ArchiveError> {
        if let Some(key) = self.find(tenant, day)? {
            return Ok(key);
        }
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        self.entropy
            .fill(&mut *key)
            .map_err(|failed| ArchiveError::Key(io::Error::other(failed.to_string())))?;
        self.write(&self.path(tenant, day), &*key).map_err(ArchiveError::Key)?;
        Ok(key)
    }

    /// Every key there is.
    pub(crate) fn list(&self) -> Result<Vec<(TenantNo, Day)>, ArchiveError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(ArchiveError::Key)? {
            let name = entry.map_err(ArchiveError::Key)?.file_name();
            found.extend(name.to_str().and_then(|name| self.named(name)));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Removes a key, overwritten first; fine when it is gone already.
    pub(crate) fn remove(&self, tenant: TenantNo, day: Day) -> Result<(), ArchiveError> {
        let path = self.path(tenant, day);
        let removed = || {
            let mut file = OpenOptions::new().write(true).open(&path)?;
            file.write_all(&[0; KEY_BYTES])?;
            file.sync_all()?;
            fs::remove_file(&path)?;
            self.sync()
        };
        match removed() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(ArchiveError::Key),
        }
    }

    fn path(&self, tenant: TenantNo, day: Day) -> PathBuf {
        self.dir.join(format!("{}-{day}.key", tenant.0))
    }

    fn named(&self, name: &str) -> Option<(TenantNo, Day)> {
        let (tenant, rest) = name.strip_suffix(".key")?.split_once('-')?;
        let day = day_of_text(rest)?;
        let tenant = TenantNo(tenant.parse().ok()?);
        (self.path(tenant, day).file_name()?.to_str()? == name).then_some((tenant, day))
    }

    fn read(&self, path: &Path) -> io::Result<Key> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        File::open(path)?.read_exact(&mut *key)?;
        Ok(key)
    }

    fn write(&self, path: &Path, key: &[u8]) -> io::Result<()> {
        let fresh = path.with_extension("new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(key)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

/// Makes `dir` for its owner alone, if it is not there.
pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The day written `yyyy-mm-dd`, in the proleptic Gregorian calendar (Howard Hinnant's
/// `days_from_civil`).
fn day_of_text(text: &str) -> Option<Day> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    i32::try_from(days).ok().map(Day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_survives_its_text() {
        for day in (0..60_000).step_by(17).map(Day) {
            assert_eq!(day_of_text(&day.to_string()), Some(day), "{day}");
            assert_eq!(Day::of(day.start()), day);
            assert_eq!(Day::of(Timestamp::from_millis(day.start().as_millis() - 1)).0, day.0 - 1);
        }
        assert_eq!(Day::of(Timestamp::from_seconds(1_795_305_279)).to_string(), "2026-11-21");
        for bad in ["", "2026-13-01", "2026-1", "x-1-1", "2026-01-32", "1969-01-01"] {
            assert_eq!(day_of_text(bad), None, "{bad}");
        }
    }
}
