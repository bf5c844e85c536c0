//! The table: figure, ours, target, rbldnsd's, met or missed.

use std::fmt::Write as _;

/// One row.
#[derive(Debug)]
struct Row {
    /// What was measured; a section's title when all else is empty.
    figure: String,
    /// What came out.
    ours: String,
    /// What the issue asks for.
    target: String,
    /// rbldnsd's figure on the same machine and file.
    rbldnsd: String,
    /// `met`, `missed` or nothing.
    verdict: String,
}

/// A target: an upper bound, and how to print it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The most that is allowed, in the unit of the figure.
    pub most: f64,
    /// The bound in words.
    pub text: String,
}

/// All rows, and lines that stand above them.
#[derive(Debug)]
pub struct Table {
    /// Whether sizes are those the targets speak of.
    judged: bool,
    /// Lines above the table.
    notes: Vec<String>,
    /// The rows.
    rows: Vec<Row>,
}

impl Table {
    /// An empty table; `judged` unless sizes are too small for the targets.
    pub fn new(judged: bool) -> Self {
        Self { judged, notes: Vec::new(), rows: Vec::new() }
    }

    /// Add a line above the table.
    pub fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    /// Start a section.
    pub fn section(&mut self, name: &str) {
        eprintln!("== {name}");
        let empty = String::new;
        self.rows.push(Row {
            figure: format!("**{name}**"),
            ours: empty(),
            target: empty(),
            rbldnsd: empty(),
            verdict: empty(),
        });
    }

    /// Add a figure. `value` is compared with the target; `ours` is how it is printed.
    pub fn row(&mut self, figure: &str, value: f64, ours: String, target: Option<&Target>, rbldnsd: Option<String>) {
        let verdict = match target {
            Some(_) if !self.judged => "small".to_owned(),
            Some(target) if value <= target.most => "met".to_owned(),
            Some(target) => format!("**missed** {:+.0} %", (value / target.most - 1.0) * 100.0),
            None => String::new(),
        };
        let row = Row {
            figure: figure.to_owned(),
            ours,
            target: target.map_or_else(String::new, |target| target.text.clone()),
            rbldnsd: rbldnsd.unwrap_or_default(),
            verdict,
        };
        eprintln!("{figure}: {} (target {}, rbldnsd {}) {}", row.ours, row.target, row.rbldnsd, row.verdict);
        self.rows.push(row);
    }

    /// The notes and the table as Markdown, columns aligned.
    pub fn to_markdown(&self) -> String {
        let mut cells = vec![["figure", "dnsbld", "target", "rbldnsd", "verdict"].map(str::to_owned)];
        cells.extend(self.rows.iter().map(|row| {
            [&row.figure, &row.ours, &row.target, &row.rbldnsd, &row.verdict].map(|cell| cell.replace('|', "/"))
        }));
        let widths: Vec<usize> =
            (0..5).map(|i| cells.iter().map(|row| row[i].chars().count()).max().unwrap_or(0)).collect();
        let mut text = String::new();
        for note in &self.notes {
            let _ = writeln!(text, "{note}\n");
        }
        for (i, row) in cells.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(text, "| {cell:width$} ");
            }
            text.push_str("|\n");
            if i == 0 {
                for width in &widths {
                    let _ = write!(text, "|{}", "-".repeat(width + 2));
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

impl Target {
    /// At most so many of a unit.
    pub fn most(most: f64, unit: &str) -> Self {
        Self { most, text: format!("≤ {most} {unit}") }
    }
}
