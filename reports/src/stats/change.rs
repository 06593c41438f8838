//! The change between two sets of repeats.

use super::spread::{Estimate, Scale, Spread, Sums};
use super::{CONFIDENCE, median};

/// The variance of a median of averages (or differences) of two over that of the mean, for many
/// values of a normal distribution: π/3.
const PAIRWISE_VARIANCE: f64 = std::f64::consts::FRAC_PI_3;

/// The way in which two sets of repeats belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// The values at one position were measured side by side, so that a disturbance hits both.
    Paired,
    /// They were measured at different times.
    Apart,
}

/// The change from one set of repeats to another.
///
/// Its estimate is the one of Hodges and Lehmann (*Estimates of location based on rank tests*,
/// 1963): the median of the ratios of every new repeat to every one before; of pairs the median of
/// the averages of two ratios. Both waste less than a ratio of two medians, and one wild repeat
/// moves them as little. Where a value is not positive, differences stand for ratios.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    estimate: Estimate,
    scale: Scale,
    /// The way in which it was found.
    pub sides: Sides,
}

impl Change {
    /// Returns the change; `None` if a side has fewer repeats than
    /// [`REPEATS_MIN`](super::REPEATS_MIN). Of two sides that are not equally long, none is paired.
    pub fn between(base: &[f64], new: &[f64], sides: Sides) -> Option<Self> {
        let scale = Scale::of(&[base, new]);
        let (base, new) = (scale.apply(base), scale.apply(new));
        match sides {
            Sides::Paired if base.len() == new.len() => {
                let steps: Vec<f64> = new.iter().zip(&base).map(|(new, old)| new - old).collect();
                let spread = Spread::of(&steps)?;
                let estimate = spread.around(centre(&steps), PAIRWISE_VARIANCE);
                Some(Self { estimate, scale, sides })
            }
            _ => {
                // One machine made both: what one side says of its disturbances helps the other.
                let rho = Sums::of(&base).and(Sums::of(&new)).rho();
                let of = |values: &[f64]| {
                    Some(Spread::with_rho(values, rho)?.around(0.0, PAIRWISE_VARIANCE))
                };
                let all = new.iter().flat_map(|new| base.iter().map(move |old| new - old));
                let centre = median(&all.collect::<Vec<_>>())?;
                let estimate = of(&new)?.difference(of(&base)?, centre);
                Some(Self { estimate, scale, sides: Sides::Apart })
            }
        }
    }

    /// Returns the ratio of the new values to those before; `None` where values are not positive.
    pub fn ratio(&self) -> Option<f64> {
        (self.scale == Scale::Ratio).then(|| self.estimate.centre.exp())
    }

    /// Returns the ends of the ratio's 95 % interval.
    pub fn ratio_interval(&self) -> Option<(f64, f64)> {
        let (low, high) = self.estimate.interval(CONFIDENCE);
        (self.scale == Scale::Ratio).then(|| (low.exp(), high.exp()))
    }

    /// Returns the probability of a rise as large as this one if the truth is one of `share` (0.02
    /// is 2 %), or of `amount` if values are compared by their differences. The larger of both
    /// counts; `base` is the value before.
    pub fn p_rise(&self, base: f64, share: f64, amount: f64) -> f64 {
        self.estimate.p_above(self.bound(base, share, amount))
    }

    /// Returns the same for a fall.
    pub fn p_fall(&self, base: f64, share: f64, amount: f64) -> f64 {
        let mirrored = Estimate { centre: -self.estimate.centre, ..self.estimate };
        mirrored.p_above(self.bound(base, share, amount))
    }

    fn bound(&self, base: f64, share: f64, amount: f64) -> f64 {
        match self.scale {
            Scale::Ratio => share.max(amount / base).ln_1p(),
            Scale::Difference => amount.max(share * base.abs()),
        }
    }

    /// Returns whether the 95 % interval lies within these bounds: there is no change of note.
    pub fn is_within(&self, base: f64, share: f64, amount: f64) -> bool {
        let bound = self.bound(base, share, amount);
        let (low, high) = self.estimate.interval(CONFIDENCE);
        -bound <= low && high <= bound
    }
}

/// The median of the averages of two values, each with itself included.
fn centre(values: &[f64]) -> f64 {
    let pairs = values.iter().enumerate();
    let averages =
        pairs.flat_map(|(at, one)| values[at..].iter().map(move |other| (one + other) / 2.0));
    median(&averages.collect::<Vec<_>>()).unwrap_or_default()
}

/// Judges many tests at once, so that the probability of any false alarm among them stays below
/// `level` (Holm, *A simple sequentially rejective multiple test procedure*, 1979). Returns for
/// each whether it is significant.
pub fn holm(probabilities: &[f64], level: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let mut significant = vec![false; probabilities.len()];
    for (rank, at) in order.iter().enumerate() {
        if probabilities[*at] > level / (probabilities.len() - rank) as f64 {
            break;
        }
        significant[*at] = true;
    }
    significant
}
