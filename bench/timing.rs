//! Timing: the same work several times, the median told.

use std::hint::black_box;
use std::time::Instant;

/// Time for each item over several rounds, ns.
#[derive(Clone, Copy, Debug)]
pub struct Nanos {
    /// Median of the rounds.
    pub median: f64,
    /// Least of the rounds: what the machine can do when nobody else runs.
    pub best: f64,
}

/// Run `work` once unmeasured and then `rounds` times; each run handles `items` items.
pub fn per_item(rounds: usize, items: usize, mut work: impl FnMut() -> u64) -> Nanos {
    black_box(work());
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            black_box(work());
            start.elapsed().as_nanos() as f64 / items as f64
        })
        .collect();
    Nanos { best: times.iter().copied().fold(f64::INFINITY, f64::min), median: median(&mut times) }
}

/// The median; 0 of nothing.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        len if len % 2 == 1 => values[len / 2],
        len => (values[len / 2 - 1] + values[len / 2]) / 2.0,
    }
}
