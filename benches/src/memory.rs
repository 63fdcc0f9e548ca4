//! Resident memory, measured in a process of its own: what was allocated before would blur it.

use std::process::Command;

/// Bytes of this process that are in memory now.
///
/// # Panics
///
/// Where there is no `/proc`.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of its own");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().expect("a number");
    kibibytes * 1024
}

/// Runs this program once more with `arguments`, and gives the numbers that it printed.
///
/// # Panics
///
/// When that fails.
pub fn in_own_process(arguments: &[String]) -> Vec<f64> {
    in_own_process_under(arguments, &[])
}

/// The same with more variables in its environment.
///
/// # Panics
///
/// When that fails.
pub fn in_own_process_under(arguments: &[String], variables: &[(&str, &str)]) -> Vec<f64> {
    let program = std::env::current_exe().expect("it runs");
    let mut command = Command::new(program);
    let output = command.args(arguments).envs(variables.iter().copied()).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("numbers are text");
    text.split_whitespace().map(|number| number.parse().expect("a number")).collect()
}
