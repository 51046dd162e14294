use std::fmt;

/// A table in Markdown, whose columns are aligned: the first one to the left, the others to the right.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        Table { rows: vec![head.iter().map(|text| (*text).into()).collect()] }
    }

    /// Adds a row, with as many cells as the head has.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "one cell for each column");
        let escaped = cells.into_iter().map(|cell| cell.replace(['\n', '\r'], " ").replace('|', "\\|"));
        self.rows.push(escaped.collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..self.rows[0].len()).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    write!(f, "| {cell:<width$} |")?;
                } else {
                    write!(f, " {cell:>width$} |")?;
                }
            }
            writeln!(f)?;
            if number == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width + 1);
                    write!(f, "{}", if column == 0 { format!("|{dashes}-|") } else { format!("{dashes}:|") })?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_bars_escaped() {
        let mut table = Table::new(&["policy", "n"]);
        table.row(vec!["a|b".into(), "1 000".into()]);
        assert_eq!(table.to_string(), "| policy |     n |\n|--------|------:|\n| a\\|b   | 1 000 |\n");
    }
}
