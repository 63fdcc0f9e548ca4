//! What becomes of rows, one JSON object a line: shown, merged into one array, or recorded for the
//! documentation.
//!
//! - `show FILE...` prints them for people.
//! - `merge FILE...` prints one array.
//! - `record COMMIT FILE...` writes `benches/baseline/figures.json` and the table between the markers in
//!   `docs/performance/README.md`, and says what is left to write there by hand. Run it from the root.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use locum_benches::Row;
use locum_benches::row::short;
use serde_json::{Value, json};

const BASELINE: &str = "benches/baseline/figures.json";
const PAGE: &str = "docs/performance/README.md";
const BEGIN: &str = "<!-- figures: written by benches/run --record -->";
const END: &str = "<!-- end of figures -->";
/// Numbers of the goals.
const GOALS: std::ops::RangeInclusive<u8> = 1..=15;

type Error = Box<dyn std::error::Error>;

#[expect(clippy::print_stdout, reason = "the answer of a program")]
fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["show", files @ ..] => {
            for row in read(files)? {
                println!("{row}");
            }
        }
        ["merge", files @ ..] => {
            println!("{:#}", Value::Array(read(files)?.iter().map(Row::to_json).collect()));
        }
        ["record", commit, files @ ..] => record(commit, &read(files)?)?,
        _ => return Err("takes `show`, `merge` or `record COMMIT`, and files of rows".into()),
    }
    Ok(())
}

/// The rows of all files, by number.
fn read(files: &[&str]) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for file in files {
        for line in fs::read_to_string(file)?.lines() {
            let value = serde_json::from_str(line)?;
            rows.push(Row::from_json(&value).ok_or_else(|| format!("{file}: not a row: {value}"))?);
        }
    }
    rows.sort_by_key(|row| row.number);
    Ok(rows)
}

#[expect(clippy::print_stderr, reason = "what is left to do")]
fn record(commit: &str, rows: &[Row]) -> Result<(), Error> {
    let machine = machine();
    let baseline = json!({
        "machine": machine,
        "commit": commit,
        "method": "benches/run --record: every figure beside its alternative in one run; servers on the first \
                   core, the driver on the second; docs/performance/README.md says how",
        "rows": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
    });
    fs::create_dir_all(Path::new(BASELINE).parent().ok_or("no folder")?)?;
    fs::write(BASELINE, format!("{baseline:#}\n"))?;
    let page = fs::read_to_string(PAGE)?;
    let missing = numbers(GOALS.filter(|number| !rows.iter().any(|row| row.number == *number)));
    let missing = missing.map_or_else(String::new, |missing| format!("\nNot measured: {missing}.\n"));
    let table = format!("\nMeasured at {commit} on {machine}.\n{missing}\n{}", table(rows));
    fs::write(PAGE, between_markers(&page, &table).ok_or("the page has no markers")?)?;
    if let Some(unexplained) = numbers(unexplained(&page, rows).into_iter()) {
        eprintln!("{PAGE} does not say yet what stands in the way of: {unexplained}");
    }
    Ok(())
}

fn numbers(numbers: impl Iterator<Item = u8>) -> Option<String> {
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    (!numbers.is_empty()).then(|| numbers.join(", "))
}

/// Goals that are not met and have no paragraph of their own, which begins `**N.**`.
fn unexplained(page: &str, rows: &[Row]) -> Vec<u8> {
    let explained = |number: &u8| page.lines().any(|line| line.starts_with(&format!("**{number}.**")));
    let mut unmet: Vec<u8> =
        rows.iter().filter(|row| row.met() == Some(false)).map(|row| row.number).collect();
    unmet.dedup();
    unmet.retain(|number| !explained(number));
    unmet
}

fn table(rows: &[Row]) -> String {
    let mut out =
        String::from("| # | what | ours | beside | ratio | goal | met |\n|---|---|---|---|---|---|---|\n");
    for row in rows {
        let Row { number, what, unit, alternative, .. } = row;
        let (beside, ratio) = match row.ratio() {
            Some(ratio) => {
                (format!("{alternative}: {} {unit}", short(row.alternative_figure)), ratio_text(ratio))
            }
            None => (String::new(), String::new()),
        };
        let met = row.met().map_or("", |met| if met { "yes" } else { "**no**" });
        let figure = short(row.figure);
        let line =
            format!("| {number} | {what} | {figure} {unit} | {beside} | {ratio} | {} | {met} |", row.goal);
        writeln!(out, "{line}").expect("a string grows");
    }
    out
}

fn ratio_text(ratio: f64) -> String {
    // A hundred thousandth is easier to read as a fraction.
    if ratio < 0.01 { format!("1/{}", short(1.0 / ratio)) } else { format!("{}x", short(ratio)) }
}

/// The page with new text between its markers; none when it has none.
fn between_markers(page: &str, text: &str) -> Option<String> {
    let begin = page.find(BEGIN)? + BEGIN.len();
    let end = begin + page[begin..].find(END)?;
    Some(format!("{}\n{text}{}", &page[..begin], &page[end..]))
}

/// Processor, cores, memory, kernel.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let kib = field(&memory, "MemTotal").trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0);
    let cores = locum_benches::process::known_cores();
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    format!("{}, {cores} cores, {:.0} GiB, Linux {kernel}", field(&cpu, "model name"), kib / 1_048_576.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use locum_benches::Goal;

    #[test]
    fn the_table_goes_between_the_markers() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let written = between_markers(&page, "new\n").expect("markers");
        assert_eq!(written, format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert_eq!(between_markers(&written, "new\n").as_deref(), Some(written.as_str()));
        assert_eq!(between_markers("no markers", "new"), None);
    }

    #[test]
    fn a_row_is_one_line() {
        let row = Row::new(7, "Revoke", 400.0, "µs").beside("OpenBao", 57e6).goal(Goal::RatioAtMost(1e-5));
        let table = table(&[row]);
        assert!(
            table.ends_with(
                "| 7 | Revoke | 400 µs | OpenBao: 57 000 000 µs | 1/142 500 | ≤ 1/100000x | yes |\n"
            ),
            "{table}"
        );
    }

    #[test]
    fn what_is_not_met_is_to_be_explained() {
        let row = |number, figure| Row::new(number, "it", figure, "ms").goal(Goal::AtMost(1.0));
        let rows = [row(3, 2.0), row(3, 3.0), row(4, 0.5), row(6, 2.0)];
        assert_eq!(unexplained("**6.** The disk.\n", &rows), [3]);
        assert_eq!(unexplained("", &rows), [3, 6]);
        assert_eq!(numbers([3, 6].into_iter()).as_deref(), Some("3, 6"));
    }
}
