//! [`Histogram`]: latencies in log-linear buckets, as HdrHistogram has them.
//!
//! Each power of two has 64 buckets, so a quantile is at most 1/64 above the true value, from one
//! nanosecond to centuries, in 30 KiB.

use std::time::Duration;

const BITS: u32 = 6;
const PER_OCTAVE: usize = 1 << BITS;
const BUCKETS: usize = (65 - BITS as usize) * PER_OCTAVE;

/// How often each latency was seen.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    seen: u64,
    most: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], seen: 0, most: 0 }
    }
}

impl Histogram {
    /// Counts one latency.
    pub fn add(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.seen += 1;
        self.most = self.most.max(nanos);
    }

    /// Adds another histogram's counts.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.seen += other.seen;
        self.most = self.most.max(other.most);
    }

    /// How many were counted.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The latency that `share` of all (0 to 1) did not exceed; zero when there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = ((self.seen as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        for (index, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return Duration::from_nanos(upper_edge(index).min(self.most));
            }
        }
        Duration::ZERO
    }

    /// A quantile in microseconds.
    pub fn micros(&self, share: f64) -> f64 {
        self.quantile(share).as_secs_f64() * 1e6
    }
}

// === free functions ===

fn bucket(nanos: u64) -> usize {
    let octave = (u64::BITS - nanos.leading_zeros()).saturating_sub(BITS + 1);
    let within = (nanos >> octave) as usize;
    octave as usize * PER_OCTAVE + within
}

/// The largest value that falls into a bucket.
fn upper_edge(index: usize) -> u64 {
    let octave = (index / PER_OCTAVE).saturating_sub(1) as u32;
    let within = (index - octave as usize * PER_OCTAVE) as u128;
    let edge = ((within + 1) << octave) - 1;
    u64::try_from(edge).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket() {
        let mut value = 1_u64;
        while value < u64::MAX / 3 {
            for near in [value - 1, value, value + 1, value * 3 / 2] {
                let index = bucket(near);
                assert!(near <= upper_edge(index), "{near}");
                assert!(index == 0 || near > upper_edge(index - 1), "{near}");
            }
            value *= 2;
        }
        assert!(bucket(u64::MAX) < BUCKETS);
        assert_eq!(upper_edge(bucket(u64::MAX)), u64::MAX);
    }

    #[test]
    fn quantiles_are_within_a_bucket_of_the_truth() {
        let mut histogram = Histogram::default();
        for micros in 1..=10_000_u64 {
            histogram.add(Duration::from_micros(micros));
        }
        for share in [0.5, 0.9, 0.99, 0.999, 1.0] {
            let truth = 10_000.0 * share;
            let told = histogram.micros(share);
            assert!(told >= truth && told <= truth * (1.0 + 1.0 / 64.0), "{share}: {told}");
        }
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }

    #[test]
    fn merging_adds() {
        let mut one = Histogram::default();
        one.add(Duration::from_micros(1));
        let mut other = Histogram::default();
        other.add(Duration::from_secs(1));
        one.merge(&other);
        assert_eq!(one.seen(), 2);
        assert_eq!(one.quantile(1.0), Duration::from_secs(1));
    }
}
