//! Samples, their medians, and the files that keep them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::timing::median;

use super::servers::Which;

/// Median, least and most of some rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
    /// How many rounds.
    pub rounds: usize,
}

/// All that was measured.
#[derive(Debug, Default)]
pub struct Results {
    /// By cell, server and figure, in the order of measuring; the last word of a figure's name is its unit.
    samples: BTreeMap<(String, &'static str, String), Vec<f64>>,
    /// Cells in the order they ran, with their entries.
    pub cells: Vec<(&'static str, usize)>,
    /// Servers that could not do a cell, and why.
    pub failures: Vec<(&'static str, Which, String)>,
}

impl Results {
    /// Add a sample.
    pub fn add(&mut self, cell: &str, server: Which, figure: &str, value: f64) {
        self.samples.entry((cell.to_owned(), server.name(), figure.to_owned())).or_default().push(value);
    }

    /// A figure; `None` where it was not measured.
    pub fn get(&self, cell: &str, server: Which, figure: &str) -> Option<Figure> {
        self.samples.get(&(cell.to_owned(), server.name(), figure.to_owned())).map(|values| of(values))
    }

    /// The median of a figure.
    pub fn median(&self, cell: &str, server: Which, figure: &str) -> Option<f64> {
        self.get(cell, server, figure).map(|figure| figure.median)
    }

    /// Entries of a cell's list.
    pub fn entries(&self, cell: &str) -> Option<usize> {
        self.cells.iter().find(|(name, _)| *name == cell).map(|&(_, entries)| entries)
    }

    /// One line for each sample.
    pub fn to_tsv(&self) -> String {
        let mut text = String::from("cell\tserver\tfigure\tround\tvalue\n");
        for ((cell, server, figure), values) in &self.samples {
            for (round, value) in values.iter().enumerate() {
                let _ = writeln!(text, "{cell}\t{server}\t{figure}\t{}\t{value:.4}", round + 1);
            }
        }
        text
    }

    /// One line for each figure: median, least, most, rounds. Failures follow with the reason in place of numbers.
    pub fn to_medians(&self) -> String {
        let mut text = String::from("cell\tserver\tfigure\tmedian\tleast\tmost\trounds\n");
        for (cell, entries) in &self.cells {
            let _ = writeln!(text, "{cell}\t-\tentries\t{entries}\t{entries}\t{entries}\t1");
        }
        for ((cell, server, figure), values) in &self.samples {
            let Figure { median, least, most, rounds } = of(values);
            let _ = writeln!(text, "{cell}\t{server}\t{figure}\t{median:.4}\t{least:.4}\t{most:.4}\t{rounds}");
        }
        for (cell, server, why) in &self.failures {
            let _ = writeln!(text, "{cell}\t{}\tfailure\t{}\t\t\t1", server.name(), why.replace(['\t', '\n'], " "));
        }
        text
    }
}

/// Median, least and most.
fn of(values: &[f64]) -> Figure {
    let mut sorted = values.to_vec();
    Figure {
        median: median(&mut sorted),
        least: sorted.first().copied().unwrap_or(0.0),
        most: sorted.last().copied().unwrap_or(0.0),
        rounds: values.len(),
    }
}
