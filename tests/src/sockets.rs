//! Which connections a process has begun, as the kernel sees them.

use std::collections::BTreeSet;
use std::fs;

/// Lines of `/proc/net/tcp` and `tcp6` for connections of a process that do not end at one of its own `listening`
/// ports: those that it began, or is about to. Short-lived ones are seen only while they last.
///
/// # Panics
///
/// When there is no such process, or another user's.
pub fn begun(process: u32, listening: &[u16]) -> Vec<String> {
    let open = fs::read_dir(format!("/proc/{process}/fd")).expect("a process of ours");
    // A descriptor may be closed meanwhile.
    let links = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let inodes: BTreeSet<String> = links
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{process}/net/{table}")));
    let begun = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let port = fields.get(1).and_then(|local| u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok());
        let is_of_process = fields.get(9).is_some_and(|inode| inodes.contains(*inode));
        is_of_process && port.is_some_and(|port| !listening.contains(&port))
    };
    let tables: Vec<String> = tables.into_iter().flatten().collect();
    tables.iter().flat_map(|table| table.lines()).filter(begun).map(str::to_owned).collect()
}
