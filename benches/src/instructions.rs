//! How many instructions a path takes, and whether that is more than it was.
//!
//! Instructions, unlike times, are the same on a busy machine. A path runs twice under callgrind, with few
//! and with many repetitions; what setting up takes falls out of the difference.

use std::collections::BTreeMap;

/// How much more than its baseline a path may take. Random hash seeds and allocations move counts by
/// about a hundredth; a change that costs a twentieth is one to look at.
pub const TOLERANCE: f64 = 0.05;
/// What keys, drawn anew by each run, may cost beyond that, in instructions: a probe more on a short path.
const SLACK: f64 = 16.0;

/// Instructions of one run of each path, by name.
pub type Counts = BTreeMap<String, f64>;

/// What a path came to beside its baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The path.
    pub path: String,
    /// Its baseline; none for a path that is new.
    pub before: Option<f64>,
    /// Its count now; none for a path that is gone.
    pub now: Option<f64>,
}

impl Compared {
    /// Whether it may stay so: it is there on both sides and takes no more than the tolerance allows.
    pub fn holds(&self) -> bool {
        let most = |before: f64| before * (1.0 + TOLERANCE) + SLACK;
        matches!((self.before, self.now), (Some(before), Some(now)) if now <= most(before))
    }

    /// Whether it takes so much less that the baseline should be recorded anew.
    pub fn is_better(&self) -> bool {
        matches!((self.before, self.now), (Some(before), Some(now)) if now < before * (1.0 - TOLERANCE))
    }
}

/// Every path of either side.
pub fn compare(before: &Counts, now: &Counts) -> Vec<Compared> {
    let mut paths: Vec<&String> = before.keys().chain(now.keys()).collect();
    paths.sort();
    paths.dedup();
    let one = |path: &String| Compared {
        path: path.clone(),
        before: before.get(path).copied(),
        now: now.get(path).copied(),
    };
    paths.into_iter().map(one).collect()
}

/// Instructions of one repetition, from two runs as `(repetitions, instructions)`.
pub fn each((few, of_few): (u64, u64), (many, of_many): (u64, u64)) -> f64 {
    assert!(many > few, "two different numbers of repetitions");
    of_many.saturating_sub(of_few) as f64 / (many - few) as f64
}

/// The sum that callgrind says on stderr: `==1== Collected : 123`.
pub fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.split_once("Collected : "))?;
    line.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, f64)]) -> Counts {
        of.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect()
    }

    fn held(before: &[(&str, f64)], now: &[(&str, f64)]) -> bool {
        compare(&counts(before), &counts(now)).iter().all(Compared::holds)
    }

    #[test]
    fn a_planted_regression_is_caught() {
        let before = [("lookup", 1_000.0), ("sign", 200_000.0)];
        assert!(held(&before, &before));
        assert!(held(&before, &[("lookup", 1_049.0), ("sign", 100_000.0)]), "within, and better");
        assert!(!held(&before, &[("lookup", 1_067.0), ("sign", 200_000.0)]), "beyond");
        assert!(!held(&before, &[("lookup", 1_000.0)]), "a path that is gone");
        assert!(!held(&before[..1], &before), "a path without a baseline");
        assert!(!held(&before, &[("lookup", f64::NAN), ("sign", 1.0)]), "no number");
    }

    #[test]
    fn better_is_told() {
        let before = counts(&[("lookup", 1_000.0)]);
        assert!(compare(&before, &counts(&[("lookup", 900.0)]))[0].is_better());
        assert!(!compare(&before, &counts(&[("lookup", 960.0)]))[0].is_better());
    }

    #[test]
    fn setting_up_falls_out() {
        assert!((each((10, 5_000), (110, 15_000)) - 100.0).abs() < 1e-9);
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 123456\n"), Some(123_456));
        assert_eq!(collected("==7== nothing"), None);
    }
}
