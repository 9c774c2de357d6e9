//! A table in Markdown, aligned so that it reads as text, too.

/// A table; the first column is of words, the others are of numbers.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    rows: Vec<Vec<String>>,
}

impl Grid {
    pub fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "{cells:?}");
        self.rows.push(cells);
    }

    /// The rows, without the header.
    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows[1..]
    }

    pub fn text(&self) -> String {
        let wide = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0).max(2)
        };
        let widths: Vec<usize> = (0..self.rows[0].len()).map(wide).collect();
        let mut lines = Vec::new();
        for (at, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            lines.push(cells.collect::<Vec<_>>());
            if at == 0 {
                let dashes = widths.iter().enumerate().map(|(column, &width)| match column {
                    0 => "-".repeat(width),
                    _ => "-".repeat(width - 1) + ":",
                });
                lines.push(dashes.collect());
            }
        }
        let lines = lines.iter().map(|cells| format!("| {} |\n", cells.join(" | ")));
        lines.collect::<Vec<_>>().concat()
    }
}
