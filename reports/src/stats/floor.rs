//! The floor of repeats that disturbances only raise.
//!
//! Another program or another virtual machine can make work take longer, and never shorter. Of such
//! repeats the low ones agree, and the high ones say how disturbed the machine was. The floor of
//! `n` repeats is their lowest tenth: the `k`-th lowest, `k` being a tenth of `n`, rounded, and at
//! least 1. It is estimated by the mean of that value over all samples that could be drawn from the
//! repeats (Harrell and Davis, *A new distribution-free quantile estimator*, 1982), and its
//! variance by that over these samples (Maritz and Jarrett, *A note on estimating the variance of
//! the sample median*, 1978). Both are sums over the repeats, with the probability that the `k`-th
//! lowest of a sample is a given repeat as weights.

use super::REPEATS_MIN;
use super::spread::{Estimate, Spread};

/// The share of repeats that are at the floor or below.
const LOWEST: f64 = 0.1;

/// The floor of values in their order, whose correlation is `rho`; `None` with fewer than
/// [`REPEATS_MIN`].
pub(super) fn floor(values: &[f64], rho: f64) -> Option<Estimate> {
    let effective = Spread::with_rho(values, rho)?.effective();
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let weights = weights(sorted.len());
    let weighted = || sorted.iter().zip(&weights);
    let centre: f64 = weighted().map(|(value, weight)| value * weight).sum();
    let variance: f64 =
        weighted().map(|(value, weight)| weight * (value - centre) * (value - centre)).sum();
    let dependent = values.len() as f64 / effective;
    let error = (variance * dependent).sqrt();
    debug_assert!(values.len() >= REPEATS_MIN, "a spread has more");
    Some(Estimate { centre, error, freedom: effective - 1.0 })
}

/// The probability of each of `n` sorted repeats to be the `k`-th lowest of `n` that are drawn from
/// them with replacement.
fn weights(n: usize) -> Vec<f64> {
    let k = ((LOWEST * n as f64).round() as usize).max(1);
    // That at most `k - 1` of those drawn are among the lowest `j`: a sum of the binomial
    // distribution, each term from the one before it.
    let above = |j: usize| {
        let share = j as f64 / n as f64;
        if j == n {
            return 0.0;
        }
        let mut term = (1.0 - share).powi(i32::try_from(n).unwrap_or(i32::MAX));
        let mut sum = term;
        for drawn in 1..k {
            term *= (n - drawn + 1) as f64 / drawn as f64 * share / (1.0 - share);
            sum += term;
        }
        sum
    };
    // Rounding leaves a little below zero where both are nearly one.
    (1..=n).map(|j| (above(j - 1) - above(j)).max(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_are_probabilities_and_lie_at_the_lowest_tenth() {
        for n in [3, 5, 20, 400] {
            let weights = weights(n);
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{n}");
            assert!(weights.iter().all(|weight| *weight >= 0.0), "{n}: {weights:?}");
            let lowest: f64 = weights[..n.div_ceil(3)].iter().sum();
            assert!(lowest > 0.7, "{n}: {lowest}");
        }
        // Of two draws of two, the lower is the lower one unless both are the higher one.
        assert_eq!(weights(2), [0.75, 0.25]);
    }

    #[test]
    fn half_of_the_repeats_may_be_disturbed() {
        let quiet: Vec<f64> = (0..20).map(|n| f64::from(n % 5) * 0.01).collect();
        let mut disturbed = quiet.clone();
        disturbed.iter_mut().step_by(2).for_each(|value| *value += 0.5);
        let [quiet, disturbed] = [quiet, disturbed].map(|values| floor(&values, 0.0).expect("20"));
        assert!((disturbed.centre - quiet.centre).abs() < 0.01, "{quiet:?} {disturbed:?}");
        assert!(disturbed.error < 0.02, "{disturbed:?}");
        assert_eq!(floor(&[1.0, 2.0], 0.0), None);
    }
}
