//! Zipf's law over ranks: rank `k` of `n` is drawn with a weight of `k` to the power of minus the exponent.
//!
//! Drawn by inverting the integral of the weights and rejecting what the integral gives too much (Hörmann and Derflinger 1996), so that
//! ten million ranks need no table. An exponent of 0 is the uniform distribution.

/// A distribution over the ranks 1 to `n`.
#[derive(Clone, Copy, Debug)]
pub struct Zipf {
    /// The last rank.
    n: f64,
    /// The exponent.
    exponent: f64,
    /// The integral at the lower end, less the first rank's weight.
    low: f64,
    /// The integral at the upper end.
    high: f64,
    /// Where a draw lies this little below its rank it is always taken.
    sure: f64,
}

impl Zipf {
    /// A distribution over `n` ranks, at least 1.
    pub fn new(n: usize, exponent: f64) -> Self {
        let mut zipf = Self { n: n.max(1) as f64, exponent, low: 0.0, high: 0.0, sure: 0.0 };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(zipf.n + 0.5);
        zipf.sure = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.weight(2.0));
        zipf
    }

    /// Draw a rank, 1 to `n`, out of numbers from 0 to 1.
    pub fn draw(&self, mut uniform: impl FnMut() -> f64) -> usize {
        loop {
            let area = self.high + uniform() * (self.low - self.high);
            let x = self.inverse(area);
            let rank = x.round().clamp(1.0, self.n);
            if rank - x <= self.sure || area >= self.integral(rank + 0.5) - self.weight(rank) {
                return rank as usize;
            }
        }
    }

    /// The weight of a rank.
    fn weight(&self, x: f64) -> f64 {
        x.powf(-self.exponent)
    }

    /// The integral of the weights from 1 to `x`.
    fn integral(&self, x: f64) -> f64 {
        let rest = 1.0 - self.exponent;
        if rest.abs() < 1e-9 { x.ln() } else { (x.powf(rest) - 1.0) / rest }
    }

    /// Where the integral has a value.
    fn inverse(&self, area: f64) -> f64 {
        let rest = 1.0 - self.exponent;
        if rest.abs() < 1e-9 { area.exp() } else { (1.0 + area * rest).max(0.0).powf(1.0 / rest) }
    }
}
