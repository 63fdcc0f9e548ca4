//! A good history passes; each that was made bad in one place is told for that place alone.

use super::*;

const LIVE: TokenNo = 1;
const DEAD: TokenNo = 2;
/// Revoked, and the broker never answered.
const DOUBTFUL: TokenNo = 3;

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn said(verifier: usize, token: TokenNo, asked: u64, verdict: Verdict) -> Answer {
    Answer { verifier, token, asked_at: at(asked), answered_at: at(asked + 1), verdict }
}

/// Two verifiers with a bound of 500 ms. `DEAD` is revoked at 1,000, acknowledged at 1,010, everywhere at
/// 1,400; the second is cut off from 3,000 to 5,000.
fn good() -> History {
    let mut answers = Vec::new();
    for (verifier, heard_at) in [(0, 1_012), (1, 1_395)] {
        for asked in (0..8_000).step_by(5) {
            let is_cut = verifier == 1 && (3_480..5_200).contains(&asked);
            let of_the_dead = if asked < heard_at { Verdict::Active } else { Verdict::Inactive };
            for (token, verdict) in [(LIVE, Verdict::Active), (DEAD, of_the_dead), (DOUBTFUL, of_the_dead)] {
                answers.push(said(verifier, token, asked, if is_cut { Verdict::Unknown } else { verdict }));
            }
        }
    }
    let death = Death {
        token: DEAD,
        begun_at: at(1_000),
        acknowledged_at: Some(at(1_010)),
        everywhere_at: Some(at(1_400)),
    };
    let doubtful = Death { token: DOUBTFUL, acknowledged_at: None, everywhere_at: None, ..death };
    History {
        staleness_bound: at(500),
        heals_within: at(2_000),
        answers,
        deaths: vec![death, doubtful],
        outages: vec![Outage { verifier: 1, from: at(3_000), until: at(5_000) }],
        healings: vec![Healing { verifier: 1, token: LIVE, from: at(5_100) }],
    }
}

/// The good history with one more answer.
fn with(answer: Answer) -> Vec<Violation> {
    let mut history = good();
    history.answers.push(answer);
    history.judge().expect_err("it is bad now")
}

#[test]
fn a_good_history_passes_and_every_rule_had_something_to_judge() {
    let coverage = good().judge().expect("all is well");
    let Coverage { after_bound, after_everywhere, after_inactive, of_the_living, in_outages, healings } =
        coverage;
    for (rule, bore_on) in [
        ("bound", after_bound),
        ("everywhere", after_everywhere),
        ("inactive", after_inactive),
        ("living", of_the_living),
        ("outages", in_outages),
    ] {
        assert!(bore_on > 100, "{rule}: {coverage:?}");
    }
    assert_eq!(healings, 1);
    let nothing = History { staleness_bound: at(500), ..History::default() };
    assert_eq!(nothing.judge(), Ok(Coverage::default()), "nothing is judged where nothing was seen");
}

#[test]
fn an_active_beyond_the_bound_is_found() {
    // Without a wait, so that only the bound speaks.
    let mut history = good();
    history.deaths[0].everywhere_at = None;
    history.answers.retain(|answer| answer.token != DEAD);
    let late = |asked| said(0, DEAD, asked, Verdict::Active);
    history.answers.push(late(1_510));
    assert!(history.judge().is_ok(), "at the bound it may be");
    history.answers.push(late(1_511));
    assert_eq!(history.judge(), Err(vec![Violation::Stale(late(1_511), at(501))]));
    // One that was asked for in time may be told as late as it likes: its process was stopped.
    history.answers.pop();
    history.answers.push(Answer { answered_at: at(7_000), ..late(1_500) });
    assert!(history.judge().is_ok());
}

#[test]
fn an_active_after_everywhere_is_found() {
    let mut history = good();
    history.answers.retain(|answer| answer.token != DEAD);
    let late = said(1, DEAD, 1_401, Verdict::Active);
    history.answers.push(late);
    assert_eq!(history.judge(), Err(vec![Violation::AfterEverywhere(late)]));
}

#[test]
fn a_token_that_comes_back_to_life_is_found_at_the_same_verifier_alone() {
    let back = said(0, DEAD, 1_100, Verdict::Active);
    assert_eq!(with(back), [Violation::Revived(back)]);
    // Its end was never acknowledged: what one verifier has heard binds that one.
    let back = said(0, DOUBTFUL, 7_999, Verdict::Active);
    assert_eq!(with(back), [Violation::Revived(back)]);
    let mut history = good();
    history.answers.push(said(1, DEAD, 1_100, Verdict::Active));
    assert!(history.judge().is_ok(), "the other may not have heard yet");
}

#[test]
fn a_refusal_of_what_lives_is_found() {
    let early = said(0, DEAD, 998, Verdict::Inactive);
    assert!(with(early).contains(&Violation::Refused(early)));
    let refused = said(1, LIVE, 7_998, Verdict::Inactive);
    assert_eq!(with(refused), [Violation::Refused(refused)]);
}

#[test]
fn an_answer_of_whoever_is_cut_off_is_found() {
    for (token, verdict) in [(LIVE, Verdict::Active), (DEAD, Verdict::Inactive)] {
        let presumed = said(1, token, 3_501, verdict);
        assert_eq!(with(presumed), [Violation::Presumed(presumed)]);
        let mut history = good();
        history.answers.push(said(1, token, 3_500, verdict));
        history.answers.push(said(1, token, 4_999, verdict));
        assert!(history.judge().is_ok(), "within the bound, and as the wire was mended");
        history.answers.push(said(0, token, 4_000, verdict));
        assert!(history.judge().is_ok(), "the other hears");
    }
}

#[test]
fn a_verifier_that_does_not_come_back_is_found() {
    let mut history = good();
    let is_late = |answer: &Answer| answer.verifier == 1 && answer.asked_at >= at(5_000);
    history.answers.retain(|answer| !is_late(answer));
    history.answers.push(said(1, LIVE, 7_101, Verdict::Active));
    assert_eq!(history.judge(), Err(vec![Violation::NotHealed(history.healings[0])]));
    history.answers.push(said(1, LIVE, 7_100, Verdict::Active));
    assert!(history.judge().is_ok());
    // Another token, or an answer of before, is none of it.
    history.answers.pop();
    history.answers.push(said(1, DEAD, 5_200, Verdict::Inactive));
    history.answers.push(said(1, LIVE, 5_099, Verdict::Unknown));
    assert_eq!(history.judge(), Err(vec![Violation::NotHealed(history.healings[0])]));
}
