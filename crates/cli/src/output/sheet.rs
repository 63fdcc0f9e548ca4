//! [`Sheet`]: rows under headers, without lines.

use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table};

use super::escaped;

/// Spaces before and after a cell.
const PADDING: (u16, u16) = (0, 2);

/// Rows under headers. Cells are escaped here, so that no caller can forget it.
pub(crate) struct Sheet {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// A header, and how it shows.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    header: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Always whole: ids, states, times.
    Plain,
    /// Cut where the terminal ends.
    Long,
    /// Shown with `-o wide` alone.
    Wide,
}

/// A column that is always whole.
pub(crate) fn plain(header: &'static str) -> Column {
    Column { header, kind: Kind::Plain }
}

/// A column that is cut where the terminal ends.
pub(crate) fn long(header: &'static str) -> Column {
    Column { header, kind: Kind::Long }
}

/// A column for `-o wide`.
pub(crate) fn wide(header: &'static str) -> Column {
    Column { header, kind: Kind::Wide }
}

impl Sheet {
    pub(crate) fn new(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> Self {
        Self { columns: columns.to_vec(), rows: rows.into_iter().collect() }
    }

    /// The text; nothing at all without rows.
    pub(super) fn text(&self, is_wide: bool, width: Option<u16>) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let shown: Vec<usize> =
            (0..self.columns.len()).filter(|n| is_wide || self.columns[*n].kind != Kind::Wide).collect();
        let mut table = bare();
        table.set_header(shown.iter().map(|n| self.columns[*n].header));
        if let Some(width) = width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            table.set_truncation_indicator("…");
        }
        for row in &self.rows {
            let cells = shown.iter().map(|n| escaped(row.get(*n).map_or("", String::as_str)));
            let mut row = Row::from(cells.collect::<Vec<_>>());
            row.max_height(1);
            table.add_row(row);
        }
        for (column, n) in table.column_iter_mut().zip(&shown) {
            column.set_padding(PADDING);
            if self.columns[*n].kind != Kind::Long {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table.trim_fmt()
    }
}

/// Lines of name and fact.
pub(crate) fn facts(facts: impl IntoIterator<Item = (&'static str, String)>) -> String {
    table(&[], facts.into_iter().map(|(name, fact)| vec![name.to_owned(), fact]))
}

/// A table without lines, as wide as it is.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = bare();
    if !header.is_empty() {
        table.set_header(header);
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| escaped(cell)).collect::<Vec<_>>());
    }
    table.column_iter_mut().for_each(|column| {
        column.set_padding(PADDING);
    });
    table.trim_fmt()
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let row = |id: &str, text: &str| vec![id.to_owned(), text.to_owned(), "more".to_owned()];
        let columns = [plain("TASK"), long("PURPOSE"), wide("SUBJECT")];
        Sheet::new(&columns, [row("task-1-1", "short"), row("task-1-123456789", &"long words ".repeat(20))])
    }

    #[test]
    fn cells_cannot_steer_a_terminal() {
        let hostile = vec!["a\u{1b}[2J\u{202e}b".to_owned()];
        let sheet = Sheet::new(&[plain("NAME")], [hostile.clone()]);
        for shown in [table(&["NAME"], [hostile]), sheet.text(false, Some(80)), sheet.text(true, None)] {
            assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
            assert!(shown.contains("\\u{1b}"), "{shown:?}");
        }
    }

    #[test]
    fn a_terminal_s_width_is_kept_by_cutting_what_is_long() {
        for width in [40, 80, 120] {
            let text = sheet().text(false, Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}:\n{text}");
            assert!(text.contains("task-1-123456789") && text.contains('…'), "{text}");
            assert_eq!(text.lines().count(), 3, "{text}");
        }
        let wide = sheet().text(true, None);
        assert!(wide.contains("SUBJECT") && wide.contains(&"long words ".repeat(19)), "{wide}");
        assert!(!sheet().text(false, None).contains("SUBJECT"));
    }

    #[test]
    fn no_rows_are_no_text() {
        assert_eq!(Sheet::new(&[plain("TASK")], []).text(true, Some(80)), "");
    }
}
