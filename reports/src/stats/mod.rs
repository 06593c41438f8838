//! Statistics of repeated measurements: the median with its interval, the change between two sets
//! of repeats, and many such changes judged at once.
//!
//! Repeats are few and noisy, and consecutive ones resemble each other: a machine that is busy now
//! is busy in a minute. `n` such values say less than `n` independent ones. All intervals and
//! tests here therefore use an effective number of repeats, see `spread`.
//!
//! | file | subject |
//! |---|---|
//! | `spread` | the spread of values that depend on each other |
//! | `change` | the ratio of two sets of repeats, with its interval |
//! | `student` | the distribution of Student's t |
//!
//! Values that are all positive are handled as logarithms, since costs and times vary by a factor
//! and not by an amount: an interval then lies around its median by a ratio.

mod change;
mod spread;
mod student;
#[cfg(test)]
mod tests;

pub use change::{Change, Sides, holm};

use spread::{Scale, Spread};

/// The fewest repeats that give an interval.
pub const REPEATS_MIN: usize = 3;

/// The probability that an interval holds the true value.
pub const CONFIDENCE: f64 = 0.95;

/// The variance of the median over that of the mean, for many values of a normal distribution:
/// π/2.
const MEDIAN_VARIANCE: f64 = std::f64::consts::FRAC_PI_2;

/// The median of some repeats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// The lower and the upper end of its 95 % interval; `None` with fewer repeats than
    /// [`REPEATS_MIN`].
    pub interval: Option<(f64, f64)>,
    /// The number of repeats.
    pub repeats: usize,
}

/// Returns the median of repeats in their order, with its interval; `None` of nothing.
///
/// The interval is `m ± t · √(π/2 · s² / n_eff)`: the large-sample variance of a median (Kendall
/// and Stuart, *The Advanced Theory of Statistics*, vol. 1, on the errors of quantiles) with the
/// effective number of repeats in place of their number, and with the quantile of Student's t for
/// `n_eff − 1` degrees of freedom.
///
/// ```
/// let summary = samestate_report::stats::summary(&[10.0, 11.0, 10.5, 10.2, 10.4]).unwrap();
/// assert_eq!(summary.median, 10.4);
/// let (low, high) = summary.interval.unwrap();
/// assert!(low < 10.4 && 10.4 < high);
/// assert_eq!(samestate_report::stats::summary(&[10.0, 11.0]).unwrap().interval, None);
/// ```
pub fn summary(values: &[f64]) -> Option<Summary> {
    let middle = median(values)?;
    let scale = Scale::of(&[values]);
    let spread = Spread::of(&scale.apply(values));
    let interval = spread.map(|spread| {
        let estimate = spread.around(scale.to(middle), MEDIAN_VARIANCE);
        let (low, high) = estimate.interval(CONFIDENCE);
        (scale.back(low), scale.back(high))
    });
    Some(Summary { median: middle, interval, repeats: values.len() })
}

/// Returns the median; `None` of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len().checked_sub(1)? / 2;
    let upper = sorted[sorted.len() / 2];
    Some((sorted[middle] + upper) / 2.0)
}
