//! [`History`]: what verifiers answered and when, and the rules that no history may break.
//!
//! All times are BOOTTIME of one machine, which its processes share: what is compared here was read on
//! one clock. An answer counts from when it was *asked* for: a process that was stopped in between may
//! tell it as late as it likes. A revocation counts from when its caller was *told*; whether one that
//! was asked for and never answered is in force, nobody knows, so that either is right.
//!
//! The rules, each a [`Violation`]:
//!
//! 1. No *active* was asked for later than the staleness bound after the revocation was acknowledged.
//! 2. None at all after a revocation that was waited for had returned *everywhere*.
//! 3. Nothing is active again at a verifier that has said *inactive*.
//! 4. Nothing is inactive that nobody revoked.
//! 5. Whoever is cut off answers nothing but *unknown* once the staleness bound is over.
//! 6. Once all is well, what lives is active within a stated time.
//!
//! A rule that had nothing to judge has shown nothing: [`Coverage`] counts on how many answers each of
//! them bore.

use std::collections::HashMap;
use std::time::Duration;

/// A token, by the number that the test gave it.
pub type TokenNo = u32;

/// What a verifier said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The token may be believed.
    Active,
    /// It must not.
    Inactive,
    /// Nobody there can say.
    Unknown,
}

/// One answer of one verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which verifier.
    pub verifier: usize,
    /// About what.
    pub token: TokenNo,
    /// Before the check was called.
    pub asked_at: Duration,
    /// After it had returned.
    pub answered_at: Duration,
    /// What it said.
    pub verdict: Verdict,
}

/// The end of a token, as whoever asked for it saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// Whose.
    pub token: TokenNo,
    /// Before it was asked for.
    pub begun_at: Duration,
    /// After the broker had said that it is in force; none when it never answered.
    pub acknowledged_at: Option<Duration>,
    /// After the broker had said that it is everywhere; none when it never did.
    pub everywhere_at: Option<Duration>,
}

/// A time in which a verifier heard nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Whose.
    pub verifier: usize,
    /// Nothing that was sent from here on was answered.
    pub from: Duration,
    /// Before something could be again.
    pub until: Duration,
}

/// That all is well for a verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Healing {
    /// Whose.
    pub verifier: usize,
    /// A token that lives.
    pub token: TokenNo,
    /// Since when.
    pub from: Duration,
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// How long a verifier may answer without hearing from the broker.
    pub staleness_bound: Duration,
    /// Within what a verifier has to be back once all is well.
    pub heals_within: Duration,
    /// Every answer, in any order.
    pub answers: Vec<Answer>,
    /// Every revocation of a token that was begun.
    pub deaths: Vec<Death>,
    /// Every interruption.
    pub outages: Vec<Outage>,
    /// Every end of one.
    pub healings: Vec<Healing>,
}

/// A rule that was broken, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Active, and asked for so long after the acknowledgement.
    Stale(Answer, Duration),
    /// Active after it was everywhere.
    AfterEverywhere(Answer),
    /// Active after the same verifier had said inactive.
    Revived(Answer),
    /// Inactive, and nobody had asked for its end.
    Refused(Answer),
    /// Something was answered that the verifier could not know.
    Presumed(Answer),
    /// It was not active again within the time.
    NotHealed(Healing),
}

/// On how many answers each rule bore: how many would have been a violation, had they been otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Asked for after an acknowledgement and the bound.
    pub after_bound: usize,
    /// Asked for after everywhere.
    pub after_everywhere: usize,
    /// Asked for after the verifier had said inactive.
    pub after_inactive: usize,
    /// About tokens that nobody had begun to revoke.
    pub of_the_living: usize,
    /// Asked for after the bound of an outage, and answered within it.
    pub in_outages: usize,
    /// Ends of outages after which a token was active again.
    pub healings: usize,
}

// === impl History ===

impl History {
    /// Judges all of it.
    ///
    /// # Errors
    ///
    /// What breaks a rule.
    pub fn judge(&self) -> Result<Coverage, Vec<Violation>> {
        let mut judge = Judge { history: self, coverage: Coverage::default(), violations: Vec::new() };
        judge.the_dead();
        judge.the_refused();
        judge.the_cut_off();
        judge.the_healed();
        if judge.violations.is_empty() { Ok(judge.coverage) } else { Err(judge.violations) }
    }
}

struct Judge<'a> {
    history: &'a History,
    coverage: Coverage,
    violations: Vec<Violation>,
}

impl Judge<'_> {
    /// Rules 1, 2 and 4.
    fn the_dead(&mut self) {
        let deaths: HashMap<TokenNo, Death> = self.history.deaths.iter().map(|d| (d.token, *d)).collect();
        assert_eq!(deaths.len(), self.history.deaths.len(), "a token is revoked once");
        for answer in &self.history.answers {
            let (death, is_active) = (deaths.get(&answer.token), answer.verdict == Verdict::Active);
            if death.is_none_or(|death| answer.answered_at < death.begun_at) {
                self.coverage.of_the_living += 1;
                if answer.verdict == Verdict::Inactive {
                    self.violations.push(Violation::Refused(*answer));
                }
            }
            let Some(death) = death else { continue };
            let overrun = death.acknowledged_at.and_then(|at| answer.asked_at.checked_sub(at));
            if let Some(overrun) = overrun.filter(|overrun| *overrun > self.history.staleness_bound) {
                self.coverage.after_bound += 1;
                if is_active {
                    self.violations.push(Violation::Stale(*answer, overrun));
                }
            }
            if death.everywhere_at.is_some_and(|at| answer.asked_at > at) {
                self.coverage.after_everywhere += 1;
                if is_active {
                    self.violations.push(Violation::AfterEverywhere(*answer));
                }
            }
        }
    }

    /// Rule 3.
    fn the_refused(&mut self) {
        let mut first: HashMap<(usize, TokenNo), Duration> = HashMap::new();
        let is_inactive = |answer: &&Answer| answer.verdict == Verdict::Inactive;
        for answer in self.history.answers.iter().filter(is_inactive) {
            let at = first.entry((answer.verifier, answer.token)).or_insert(answer.answered_at);
            *at = answer.answered_at.min(*at);
        }
        for answer in &self.history.answers {
            let refused = first.get(&(answer.verifier, answer.token));
            if refused.is_some_and(|at| answer.asked_at > *at) {
                self.coverage.after_inactive += 1;
                if answer.verdict == Verdict::Active {
                    self.violations.push(Violation::Revived(*answer));
                }
            }
        }
    }

    /// Rule 5.
    fn the_cut_off(&mut self) {
        for outage in &self.history.outages {
            let from = outage.from + self.history.staleness_bound;
            let within = |a: &&Answer| {
                a.verifier == outage.verifier && a.asked_at > from && a.answered_at < outage.until
            };
            for answer in self.history.answers.iter().filter(within) {
                self.coverage.in_outages += 1;
                if answer.verdict != Verdict::Unknown {
                    self.violations.push(Violation::Presumed(*answer));
                }
            }
        }
    }

    /// Rule 6.
    fn the_healed(&mut self) {
        for healing in &self.history.healings {
            let until = healing.from + self.history.heals_within;
            let is_back = self.history.answers.iter().any(|answer| {
                (answer.verifier, answer.token) == (healing.verifier, healing.token)
                    && answer.verdict == Verdict::Active
                    && (healing.from..=until).contains(&answer.asked_at)
            });
            if is_back {
                self.coverage.healings += 1;
            } else {
                self.violations.push(Violation::NotHealed(*healing));
            }
        }
    }
}

#[cfg(test)]
mod tests;
