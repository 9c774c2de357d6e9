//! The figures, printed as tables when all tests have ended.

use std::fmt::Display;
use std::io::Write;
use std::sync::{Mutex, Once, PoisonError};

use crate::common::sys;
use crate::random::seed;

struct Row {
    table: &'static str,
    cells: Vec<(&'static str, String)>,
}

static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

/// Adds a row; all rows of one table have the same columns.
pub fn add(table: &'static str, cells: &[(&'static str, &dyn Display)]) {
    static PRINTS: Once = Once::new();
    PRINTS.call_once(|| sys::at_exit(print));
    let cells = cells.iter().map(|(column, value)| (*column, value.to_string())).collect();
    ROWS.lock().unwrap_or_else(PoisonError::into_inner).push(Row { table, cells });
}

extern "C" fn print() {
    let rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = writeln!(std::io::stderr(), "\nCRASH_SEED={} repeats what was random.", seed());
    let mut tables: Vec<&str> = rows.iter().map(|row| row.table).collect();
    tables.sort_unstable();
    tables.dedup();
    for table in tables {
        let mut rows: Vec<_> = rows.iter().filter(|row| row.table == table).collect();
        rows.sort_by(|a, b| a.cells.cmp(&b.cells));
        let _ = writeln!(std::io::stderr(), "\n{table}\n\n{}", layout(&rows));
    }
}

/// A Markdown table, its columns aligned.
fn layout(rows: &[&Row]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let header: Vec<&str> = first.cells.iter().map(|(column, _)| *column).collect();
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row.cells[at].1.chars().count());
        cells.chain([header[at].chars().count()]).max().unwrap_or(0)
    };
    let line = |cells: &[&str]| {
        let padded = cells.iter().enumerate().map(|(at, cell)| format!("{cell:0$}", width(at)));
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule: Vec<String> = (0..header.len()).map(|at| "-".repeat(width(at))).collect();
    let mut text = line(&header) + &line(&rule.iter().map(String::as_str).collect::<Vec<_>>());
    for row in rows {
        text += &line(&row.cells.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>());
    }
    text
}
