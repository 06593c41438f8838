//! The spread of values that depend on each other.
//!
//! The model is an autoregressive process of the first order: each value resembles the one before
//! it with correlation ρ. Then `n` values say as much about their mean as
//! `n_eff = n / (1 + 2 Σ (1 − k/n) ρᵏ)` independent ones, the sum over lags `k` from 1 to `n − 1`
//! (Bayley and Hammersley, *The "effective" number of independent observations in an
//! autocorrelated time series*, 1946). ρ is estimated from the data, and the estimate's bias of
//! `−(1 + 4ρ)/n` (Marriott and Pope, 1954) is removed. Of what is left, one standard error is taken
//! off, so that a few independent values are not mistaken for dependent ones; a correlation below
//! zero counts as none.

use super::{REPEATS_MIN, median, student};

/// The largest correlation that is believed, so that the effective number does not vanish.
const RHO_MAX: f64 = 0.9;

/// The fewest effective repeats: less would say nothing at all, however many repeats there are.
const EFFECTIVE_MIN: f64 = 3.0;

/// The scale on which values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// As logarithms: differences are ratios.
    Ratio,
    /// As they are.
    Difference,
}

impl Scale {
    /// Ratios where all values are positive.
    pub(super) fn of(sets: &[&[f64]]) -> Self {
        let positive = sets.iter().all(|values| values.iter().all(|value| *value > 0.0));
        if positive { Self::Ratio } else { Self::Difference }
    }

    pub(super) fn to(self, value: f64) -> f64 {
        if self == Self::Ratio { value.ln() } else { value }
    }

    pub(super) fn back(self, value: f64) -> f64 {
        if self == Self::Ratio { value.exp() } else { value }
    }

    pub(super) fn apply(self, values: &[f64]) -> Vec<f64> {
        values.iter().map(|value| self.to(*value)).collect()
    }
}

/// The sums of some values in their order, from which spread and correlation come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    count: f64,
    sets: f64,
    squares: f64,
    products: f64,
}

impl Sums {
    pub(super) fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count.max(1.0);
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum();
        let pairs = values.windows(2);
        let products = pairs.map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
        Self { count, sets: 1.0, squares, products }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sets: self.sets + other.sets,
            squares: self.squares + other.squares,
            products: self.products + other.products,
        }
    }

    /// The correlation of consecutive values, estimated with caution.
    pub(super) fn rho(self) -> f64 {
        if self.squares <= 0.0 {
            return 0.0;
        }
        let raw = self.products / self.squares;
        let rho = raw + (1.0 + 4.0 * raw) / (self.count / self.sets);
        let error = ((1.0 - rho * rho).max(0.0) / self.count).sqrt();
        (rho - error).clamp(0.0, RHO_MAX)
    }
}

/// The spread of some values, as independent values of that number would have it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    /// The variance of one value.
    variance: f64,
    /// The effective number of values.
    effective: f64,
}

impl Spread {
    /// The spread of values in their order; `None` with fewer than [`REPEATS_MIN`].
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        Self::with_rho(values, Sums::of(values).rho())
    }

    /// The same with a known correlation.
    pub(super) fn with_rho(values: &[f64], rho: f64) -> Option<Self> {
        if values.len() < REPEATS_MIN {
            return None;
        }
        let n = values.len() as f64;
        let lags = (1..values.len()).map(|lag| (1.0 - lag as f64 / n) * rho.powf(lag as f64));
        let effective = (n / (1.0 + 2.0 * lags.sum::<f64>())).max(EFFECTIVE_MIN);
        // Dependent values lie closer to their own mean than to the true one.
        let variance = Sums::of(values).squares / n * effective / (effective - 1.0);
        // Rounding leaves a little where all values are the same.
        let least = median(values).unwrap_or_default().abs() * 1e-12;
        let variance = if variance.sqrt() <= least { 0.0 } else { variance };
        Some(Self { variance, effective })
    }

    /// An estimate of these values' centre. `factor` is its variance over that of their mean.
    pub(super) fn around(self, centre: f64, factor: f64) -> Estimate {
        let variance = factor * self.variance / self.effective;
        Estimate { centre, error: variance.sqrt(), freedom: self.effective - 1.0 }
    }
}

/// An estimated value with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    /// The estimated value.
    pub(super) centre: f64,
    /// Its standard error.
    pub(super) error: f64,
    /// The degrees of freedom of that.
    pub(super) freedom: f64,
}

impl Estimate {
    /// The difference of two independent estimates (Welch, 1947), around a centre of its own.
    pub(super) fn difference(self, base: Self, centre: f64) -> Self {
        let [this, that] = [self, base].map(|one| one.error * one.error);
        let all = this + that;
        let freedom = if all > 0.0 {
            all * all / (this * this / self.freedom + that * that / base.freedom)
        } else {
            self.freedom.min(base.freedom)
        };
        Self { centre, error: all.sqrt(), freedom }
    }

    /// The ends of the interval that holds the true value with this probability.
    pub(super) fn interval(self, confidence: f64) -> (f64, f64) {
        let half = self.error * student::quantile((1.0 - confidence) / 2.0, self.freedom);
        (self.centre - half, self.centre + half)
    }

    /// The probability of an estimate as high as this one, were the true value `bound`.
    pub(super) fn p_above(self, bound: f64) -> f64 {
        let gap = self.centre - bound;
        match self.error > 0.0 {
            true => student::above(gap / self.error, self.freedom),
            false if gap > 0.0 => 0.0,
            false => 1.0,
        }
    }
}
