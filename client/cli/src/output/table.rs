//! Tables without borders.
//!
//! Invariant: one row on one line, whatever is in a cell: a text of somebody else can neither move
//! the cursor nor begin a row. What this deliberately does not do: fit a terminal; who pipes gets
//! the same columns.

use comfy_table::Table;
use comfy_table::presets::NOTHING;

/// What stands between two columns.
const GAP: u16 = 2;

/// What stands for a cell without a value, so that columns can be counted.
const EMPTY: &str = "-";

/// The longest cell, in characters. The rest is in JSON.
const CELL_CHARS_MAX: usize = 80;

/// Rows with as much room for each column as its widest cell needs. Without rows only the header.
pub(crate) fn render(headers: Option<&[&str]>, rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if let Some(headers) = headers {
        table.set_header(headers);
    }
    for row in rows {
        table.add_row(row.iter().map(|text| cell(text)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    let text = table.trim_fmt();
    if text.is_empty() {
        return text;
    }
    text + "\n"
}

/// One row of a table that is not over: columns of a fixed width, which a long cell exceeds.
pub(crate) fn line<T: AsRef<str>>(cells: &[T], widths: &[usize]) -> String {
    let mut text = String::new();
    for (at, one) in cells.iter().enumerate() {
        let width = widths.get(at).copied().unwrap_or(0);
        let one = cell(one.as_ref());
        text += &format!("{one:<width$}  ");
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// A text without characters that would do something to a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control() || is_invisible(c);
            let kept = (!escaped).then_some(c);
            let escape = escaped.then(|| c.escape_default());
            kept.into_iter().chain(escape.into_iter().flatten())
        })
        .collect()
}

/// Characters that change the order of what is shown, or part lines.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn cell(text: &str) -> String {
    if text.is_empty() {
        return EMPTY.to_owned();
    }
    let text = printable(text);
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: &[[&str; 2]]) -> Vec<Vec<String>> {
        cells
            .iter()
            .map(|row| row.map(str::to_owned).to_vec())
            .collect()
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let text = render(
            Some(&["KEY", "STATE"]),
            rows(&[["a", "active"], ["long-key", ""]]),
        );
        assert_eq!(text, "KEY       STATE\na         active\nlong-key  -\n");
        assert_eq!(render(None, rows(&[["a", "b"]])), "a  b\n");
        assert_eq!(render(Some(&["KEY", "STATE"]), vec![]), "KEY  STATE\n");
        assert_eq!(render(None, vec![]), "");
    }

    #[test]
    fn a_cell_stays_on_its_line() {
        let odd = "a\nb\u{1b}[2J\u{202e}\tc";
        let text = render(None, rows(&[[odd, "x"]]));
        assert_eq!(text, "a\\nb\\u{1b}[2J\\u{202e}\\tc  x\n");
        assert_eq!(printable("schöne 日本 🦀"), "schöne 日本 🦀");
        let long = render(None, rows(&[[&"é".repeat(200), "x"]]));
        assert_eq!(long, format!("{}…  x\n", "é".repeat(80)));
    }

    #[test]
    fn lines_keep_their_columns() {
        assert_eq!(line(&["a", "b"], &[4, 4]), "a     b\n");
        assert_eq!(line(&["longer", "", "c"], &[4, 3]), "longer  -    c\n");
    }
}
