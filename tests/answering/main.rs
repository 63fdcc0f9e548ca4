//! A backend that does nothing but check, over and over, and tells every answer: a process of its own,
//! so that a test can stop it where it stands.
//!
//! Told by its environment whom to follow ([`locum_sdk::VerifierOptions::from_env`]) and by its arguments
//! for which connector and audience. On standard input come the tokens, a line each: `NUMBER TOKEN`. On
//! standard output go the answers, a line each: `ASKED ANSWERED NUMBER VERDICT`, times as BOOTTIME in
//! nanoseconds. It ends when its input does.
//!
//! Every round asks about the first tokens, the newest and a few others in turn, so that its rounds stay
//! short however many it was told.

use std::error::Error;
use std::io::{BufRead, BufWriter, Write, stdin, stdout};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use locum_sdk::{CheckAnswer, Verifier};
use locum_tests::clock::boottime;

/// The first tokens, asked about in every round.
const FIRST: usize = 8;
/// The newest, likewise.
const NEWEST: usize = 8;
/// Of all others, so many in a round.
const IN_TURN: usize = 4;
/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(3);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let connector = arguments.next().ok_or("a connector")?;
    let audience = arguments.next().ok_or("an audience")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let verifier = {
        let _inside = runtime.enter();
        Verifier::from_env(&connector, &audience)?
    };
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    answer(&verifier, &told)
}

/// Answers until nobody can ask for more.
fn answer(verifier: &Verifier, told: &Receiver<String>) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(stdout().lock());
    let mut tokens: Vec<(u32, String)> = Vec::new();
    for round in 0.. {
        loop {
            match told.try_recv() {
                Ok(line) => {
                    let (number, token) = line.split_once(' ').ok_or("a number and a token")?;
                    tokens.push((number.parse()?, token.to_owned()));
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        for at in chosen(round, tokens.len()) {
            let (number, token) = &tokens[at];
            let asked_at = boottime();
            let verdict = match verifier.check(token.as_str()) {
                CheckAnswer::Active(_) => "active",
                CheckAnswer::Inactive(_) => "inactive",
                CheckAnswer::Unknown(_) => "unknown",
            };
            writeln!(out, "{} {} {number} {verdict}", asked_at.as_nanos(), boottime().as_nanos())?;
        }
        out.flush()?;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Which of so many tokens a round asks about; each at most once.
fn chosen(round: usize, count: usize) -> Vec<usize> {
    let (first, newest) = (FIRST.min(count), count.saturating_sub(NEWEST).max(FIRST.min(count)));
    let between = newest - first;
    let in_turn = (0..IN_TURN.min(between)).map(|n| first + (round * IN_TURN + n) % between);
    (0..first).chain(in_turn).chain(newest..count).collect()
}
