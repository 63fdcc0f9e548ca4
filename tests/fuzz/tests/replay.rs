//! Every target over its seeds and over cheap mutations of them, the same ones each time. What a fuzzer once found
//! stands among the seeds.

use locum_fuzz::{TARGETS, Target};

/// Mutations of each target: some seconds in a build for tests.
const RUNS: u64 = 1_500;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        match dice.below(5) {
            _ if bytes.is_empty() => bytes.push(dice.next() as u8),
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.next() as u8,
            2 => bytes.truncate(at),
            3 => bytes.insert(at, dice.next() as u8),
            _ => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
        }
    }
    bytes
}

fn holds(name: &str) {
    let found = TARGETS.into_iter().find(|target| target.name == name);
    let Target { run, seeds, .. } = found.expect("a target");
    let (seeds, mut dice) = (seeds(), Dice(7));
    for seed in &seeds {
        run(seed);
    }
    for _ in 0..RUNS {
        run(&mutated(&seeds, &mut dice));
    }
}

#[test]
fn nothing_is_active_that_the_naive_check_refuses() {
    holds("token");
}

#[test]
fn no_frames_revive_or_outlast() {
    holds("frame");
}

#[test]
fn a_snapshot_is_taken_whole_or_not_at_all() {
    holds("snapshot");
}
