//! [`Row`]: one figure beside its alternative from the same run; [`Report`]: how a bench shows its rows.
//!
//! Every program of this package shows what it measured as rows, and nothing else on stdout, so that
//! `benches/run` can collect them. Progress goes to stderr.

use std::fmt;

use serde_json::{Value, json};

/// One figure beside its alternative, measured in the same run on the same machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Number of the goal that it answers, 1 to 15; see `docs/performance/README.md`.
    pub number: u8,
    /// What was measured, in words; `number` and `what` together name the row.
    pub what: String,
    /// What it came to.
    pub figure: f64,
    /// The unit of both figures, such as `ns`, `1/s`, `MiB`.
    pub unit: String,
    /// What it is compared with; empty when it stands alone.
    pub alternative: String,
    /// What that came to, in the same unit; zero when it stands alone.
    pub alternative_figure: f64,
    /// What is aimed at.
    pub goal: Goal,
}

/// What a row aims at. The ratio is always `figure / alternative_figure`, of rates and of costs alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// The ratio is to be this or more.
    RatioAtLeast(f64),
    /// The ratio is to be this or less.
    RatioAtMost(f64),
    /// The figure is to be this or more.
    AtLeast(f64),
    /// The figure is to be this or less.
    AtMost(f64),
    /// Nothing: the row is there to be looked at.
    Told,
}

/// How much is measured, by the same code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// What is recorded.
    #[default]
    Full,
    /// Less time and smaller tables.
    Quick,
    /// Just enough that every line runs and every answer is judged: what it shows means nothing.
    Smoke,
}

/// What a bench was asked for, and how it shows its rows.
#[derive(Debug, Default)]
pub struct Report {
    form: Form,
    json: bool,
    only: Option<u8>,
}

// === impl Row ===

impl Row {
    /// A figure that stands alone so far, without a goal.
    pub fn new(number: u8, what: impl Into<String>, figure: f64, unit: &str) -> Self {
        Self {
            number,
            what: what.into(),
            figure,
            unit: unit.to_owned(),
            alternative: String::new(),
            alternative_figure: 0.0,
            goal: Goal::Told,
        }
    }

    /// The same beside an alternative in the same unit.
    #[must_use]
    pub fn beside(mut self, alternative: impl Into<String>, figure: f64) -> Self {
        self.alternative = alternative.into();
        self.alternative_figure = figure;
        self
    }

    /// The same with a goal.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = goal;
        self
    }

    /// `figure / alternative_figure`; none when it stands alone.
    pub fn ratio(&self) -> Option<f64> {
        (self.alternative_figure > 0.0).then(|| self.figure / self.alternative_figure)
    }

    /// Whether the goal is met; none when there is none. A goal for a ratio that is missing is not met.
    pub fn met(&self) -> Option<bool> {
        let holds = |judge: &dyn Fn(f64) -> bool| Some(self.ratio().is_some_and(judge));
        match self.goal {
            Goal::RatioAtLeast(least) => holds(&|ratio| ratio >= least),
            Goal::RatioAtMost(most) => holds(&|ratio| ratio <= most),
            Goal::AtLeast(least) => Some(self.figure >= least),
            Goal::AtMost(most) => Some(self.figure <= most),
            Goal::Told => None,
        }
    }

    /// As an object `{row, figure, unit, alternative, alternative_figure, ratio, goal, met}`.
    pub fn to_json(&self) -> Value {
        json!({
            "row": format!("{}. {}", self.number, self.what),
            "figure": self.figure,
            "unit": self.unit,
            "alternative": self.alternative,
            "alternative_figure": self.ratio().map(|_| self.alternative_figure),
            "ratio": self.ratio(),
            "goal": self.goal.to_string(),
            "met": self.met(),
        })
    }

    /// The row behind an object of [`Row::to_json`]; none when it is none.
    pub fn from_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let row = text("row")?;
        let (number, what) = row.split_once(". ")?;
        Some(Self {
            number: number.parse().ok()?,
            what: what.to_owned(),
            figure: value["figure"].as_f64()?,
            unit: text("unit")?,
            alternative: text("alternative")?,
            alternative_figure: value["alternative_figure"].as_f64().unwrap_or(0.0),
            goal: Goal::parse(&text("goal")?)?,
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, what, unit, alternative, .. } = self;
        write!(f, "{number:>2}. {what:<58} {:>9} {unit:<5}", short(self.figure))?;
        if let Some(ratio) = self.ratio() {
            let other = short(self.alternative_figure);
            write!(f, " {:>9}x of {alternative} ({other} {unit})", short(ratio))?;
        }
        match self.met() {
            Some(true) => write!(f, "  goal {}: met", self.goal),
            Some(false) => write!(f, "  goal {}: NOT MET", self.goal),
            None => Ok(()),
        }
    }
}

// === impl Goal ===

impl Goal {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Told);
        }
        let (sign, bound) = text.split_once(' ')?;
        let ratio = bound.strip_suffix('x');
        let bound = ratio.unwrap_or(bound);
        let bound = match bound.strip_prefix("1/") {
            Some(parts) => 1.0 / parts.parse::<f64>().ok()?,
            None => bound.parse().ok()?,
        };
        match (sign, ratio.is_some()) {
            ("≥", true) => Some(Self::RatioAtLeast(bound)),
            ("≤", true) => Some(Self::RatioAtMost(bound)),
            ("≥", false) => Some(Self::AtLeast(bound)),
            ("≤", false) => Some(Self::AtMost(bound)),
            _ => None,
        }
    }
}

impl fmt::Display for Goal {
    /// `≥ 0.9x`, `≤ 1/100x` (a hundredth), `≤ 25` (a figure, in the row's unit), or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RatioAtMost(most) if *most <= 0.1 => write!(f, "≤ 1/{}x", (1.0 / most).round()),
            Self::RatioAtMost(most) => write!(f, "≤ {most}x"),
            Self::RatioAtLeast(least) => write!(f, "≥ {least}x"),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::Told => Ok(()),
        }
    }
}

// === impl Report ===

impl Report {
    /// What the command line asks for: `--quick`, `--smoke`, `--json`, `--only NUMBER`; a smoke run is that
    /// however else it is asked for. Whatever `cargo bench` adds is passed over.
    ///
    /// # Panics
    ///
    /// When `--only` has no number.
    pub fn asked() -> Self {
        let mut report = Self::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" if report.form == Form::Full => report.form = Form::Quick,
                "--smoke" => report.form = Form::Smoke,
                "--json" => report.json = true,
                "--only" => {
                    let number = arguments.next().and_then(|number| number.parse().ok());
                    report.only = Some(number.expect("--only takes the number of a row"));
                }
                _ => {}
            }
        }
        report
    }

    /// The size that the form asks for: of the full one, of the quick one, of a smoke run.
    pub fn sized<T>(&self, [full, quick, smoke]: [T; 3]) -> T {
        match self.form {
            Form::Full => full,
            Form::Quick => quick,
            Form::Smoke => smoke,
        }
    }

    /// Whether rows of this number are asked for.
    pub fn wants(&self, number: u8) -> bool {
        self.only.is_none_or(|only| only == number)
    }

    /// Prints a row that is asked for: for people, or as one line of JSON. At once, so that what was
    /// measured before a failure is not lost.
    #[expect(clippy::print_stdout, reason = "the answer of a bench")]
    pub fn show(&mut self, row: Row) {
        match (self.wants(row.number), self.json) {
            (false, _) => {}
            (true, false) => println!("{row}"),
            (true, true) => println!("{}", row.to_json()),
        }
    }

    /// Says on stderr what is going on.
    #[expect(clippy::print_stderr, reason = "the progress of a bench")]
    pub fn progress(&self, what: impl fmt::Display) {
        eprintln!("   … {what}");
    }
}

// === free functions ===

/// A figure in a few characters: three significant digits, thousands apart.
pub fn short(figure: f64) -> String {
    let size = figure.abs();
    if size >= 1000.0 {
        let digits = format!("{:.0}", size);
        let head = digits.len() % 3;
        let mut text = String::from(if figure < 0.0 { "-" } else { "" });
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && at % 3 == head {
                text.push(' ');
            }
            text.push(digit);
        }
        return text;
    }
    let places = match size {
        _ if size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 0.1 || size == 0.0 => 2,
        _ => 5,
    };
    format!("{figure:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row::new(4, "unary check", 30_000.0, "1/s").beside("empty call", 31_000.0)
    }

    #[test]
    fn goals_are_judged() {
        for (goal, met) in [
            (Goal::RatioAtLeast(0.9), Some(true)),
            (Goal::RatioAtLeast(1.0), Some(false)),
            (Goal::RatioAtMost(0.9), Some(false)),
            (Goal::RatioAtMost(1.0), Some(true)),
            (Goal::AtLeast(30_000.0), Some(true)),
            (Goal::AtLeast(30_001.0), Some(false)),
            (Goal::AtMost(29_999.0), Some(false)),
            (Goal::AtMost(30_000.0), Some(true)),
            (Goal::Told, None),
        ] {
            assert_eq!(row().goal(goal).met(), met, "{goal}");
        }
    }

    #[test]
    fn a_ratio_that_is_missing_meets_no_goal() {
        let alone = Row::new(4, "unary check", 30_000.0, "1/s");
        assert_eq!(alone.clone().goal(Goal::RatioAtMost(9.0)).met(), Some(false));
        assert_eq!(alone.goal(Goal::RatioAtLeast(0.0)).met(), Some(false));
    }

    #[test]
    fn json_comes_back() {
        for goal in [
            Goal::RatioAtLeast(0.9),
            Goal::RatioAtMost(1.3),
            Goal::RatioAtMost(0.01),
            Goal::AtLeast(5e5),
            Goal::AtMost(25.0),
            Goal::Told,
        ] {
            let row = row().goal(goal);
            assert_eq!(Row::from_json(&row.to_json()), Some(row));
        }
        let alone = Row::new(14, "binary", 12.0, "MiB").goal(Goal::AtMost(25.0));
        assert_eq!(Row::from_json(&alone.to_json()), Some(alone));
    }

    #[test]
    fn figures_are_short() {
        for (figure, text) in [
            (0.0, "0.00"),
            (0.954, "0.95"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1_234.5, "1 234"),
            (1_234_567.0, "1 234 567"),
            (0.000_17, "0.00017"),
        ] {
            assert_eq!(short(figure), text);
        }
    }
}
