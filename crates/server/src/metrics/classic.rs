//! From OpenMetrics text to the classic text format 0.0.4.
//!
//! They differ in four things that we use: classic text has no `# EOF` and no `# UNIT`, declares a
//! counter under the name of its samples (`…_total`), and does not end help texts with a dot.

/// The same series as classic text.
pub(super) fn of(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    // The help line comes before the type that decides the name.
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            declare(&mut out, help.take(), rest);
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn declare(out: &mut String, help: Option<(&str, &str)>, rest: &str) {
    let Some((name, kind)) = rest.split_once(' ') else { return };
    let suffix = if kind == "counter" { "_total" } else { "" };
    if let Some((_, text)) = help {
        let text = text.strip_suffix('.').unwrap_or(text);
        out.push_str(&format!("# HELP {name}{suffix} {text}\n"));
    }
    out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
}
