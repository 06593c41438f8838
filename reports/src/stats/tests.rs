//! The promises of intervals and tests, checked on many synthetic measurements.

use rand::{RngExt as _, SeedableRng};
use rand_pcg::Pcg64;

use super::*;

/// The number of synthetic measurements of each kind.
const ROUNDS: usize = 600;

/// A value of the standard normal distribution (Box and Muller).
fn normal(random: &mut Pcg64) -> f64 {
    let (u, v): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Costs around a median of 100, each of which resembles the one before it.
fn costs(random: &mut Pcg64, count: usize, rho: f64, noise: f64) -> Vec<f64> {
    let mut state = normal(random);
    let step = (1.0 - rho * rho).sqrt();
    let values = (0..count).map(|_| {
        let now = state;
        state = rho * state + step * normal(random);
        100.0 * (noise * now).exp()
    });
    values.collect()
}

/// The share of synthetic measurements whose interval holds the true median.
fn coverage(interval: impl Fn(&[f64]) -> (f64, f64), count: usize, rho: f64) -> f64 {
    let mut random = Pcg64::seed_from_u64(7);
    let held = (0..ROUNDS).filter(|_| {
        let (low, high) = interval(&costs(&mut random, count, rho, 0.03));
        low <= 100.0 && 100.0 <= high
    });
    held.count() as f64 / ROUNDS as f64
}

fn ours(values: &[f64]) -> (f64, f64) {
    summary(values).and_then(|summary| summary.interval).expect("there are enough repeats")
}

/// As if the repeats were independent.
fn naive(values: &[f64]) -> (f64, f64) {
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let spread = Spread::with_rho(&logs, 0.0).expect("there are enough repeats");
    let centre = median(&logs).expect("there are some");
    let (low, high) = spread.around(centre, MEDIAN_VARIANCE).interval(CONFIDENCE);
    (low.exp(), high.exp())
}

#[test]
fn intervals_of_independent_repeats_hold_the_truth_as_often_as_they_claim() {
    for count in [3, 4, 5, 8, 20, 50] {
        let share = coverage(ours, count, 0.0);
        assert!(share >= 0.93, "{count} repeats: {share}");
    }
}

#[test]
fn intervals_of_dependent_repeats_do_so_too_where_naive_ones_fail() {
    for (count, rho) in [(30, 0.6), (60, 0.6), (60, 0.8)] {
        let (ours, naive) = (coverage(ours, count, rho), coverage(naive, count, rho));
        assert!(ours >= 0.88, "{count} repeats, correlation {rho}: {ours}");
        assert!(naive < 0.82, "{count} repeats, correlation {rho}: even a naive one has {naive}");
    }
}

#[test]
fn more_repeats_narrow_the_interval() {
    let mut random = Pcg64::seed_from_u64(1);
    let mut width = |count| {
        let widths = (0..100).map(|_| {
            let (low, high) = ours(&costs(&mut random, count, 0.0, 0.03));
            high / low
        });
        median(&widths.collect::<Vec<_>>()).expect("there are some")
    };
    assert!(width(3) > width(5) && width(5) > width(20) && width(20) > width(80));
}

#[test]
fn a_few_or_equal_or_vanishing_values_are_no_surprise() {
    assert_eq!(summary(&[]), None);
    assert_eq!(summary(&[3.0, 5.0]).map(|s| (s.median, s.interval)), Some((4.0, None)));
    let same = summary(&[4.7; 5]).expect("there are some").interval.expect("there are enough");
    assert!((same.0 - 4.7).abs() < 1e-9 && (same.1 - 4.7).abs() < 1e-9, "{same:?}");
    assert_eq!(summary(&[0.0, 0.0, 0.0]).expect("some").interval, Some((0.0, 0.0)));
    let (low, high) = summary(&[0.0, 1.0, 2.0]).expect("some").interval.expect("enough");
    assert!(low < 0.0 && high > 2.0, "as differences: {low} {high}");
}

/// The share of pairs of five repeats in which a rise is found at the level that Holm's method
/// begins with for twelve figures.
fn found(rise: f64, noise: f64, rho: f64) -> f64 {
    found_by(5, rise, noise, rho)
}

/// The same with another number of repeats.
fn found_by(repeats: usize, rise: f64, noise: f64, rho: f64) -> f64 {
    let mut random = Pcg64::seed_from_u64(3);
    let found = (0..ROUNDS).filter(|_| {
        let base = costs(&mut random, repeats, rho, noise);
        let new: Vec<f64> =
            costs(&mut random, repeats, rho, noise).iter().map(|v| v * (1.0 + rise)).collect();
        let change = Change::between(&base, &new, Sides::Apart).expect("there are enough");
        change.p_rise(100.0, 0.02, 0.0) <= 0.025 / 12.0
    });
    found.count() as f64 / ROUNDS as f64
}

#[test]
fn a_rise_is_found_and_noise_is_not() {
    assert!(found(0.10, 0.01, 0.0) > 0.95);
    assert!(found(0.10, 0.02, 0.0) > 0.5);
    assert!(found(0.10, 0.06, 0.0) < 0.2 && found_by(40, 0.10, 0.06, 0.0) > 0.95);
    for noise in [0.01, 0.03, 0.1] {
        assert!(found(0.0, noise, 0.0) < 0.004, "{noise}");
        assert!(found(0.0, noise, 0.5) < 0.01, "{noise}");
    }
}

#[test]
fn pairs_cancel_a_disturbance_that_hits_both() {
    let mut random = Pcg64::seed_from_u64(5);
    let base = costs(&mut random, 8, 0.5, 0.2);
    let new: Vec<f64> =
        base.iter().map(|value| value * 1.05 * (0.005 * normal(&mut random)).exp()).collect();
    let width = |sides| {
        let change = Change::between(&base, &new, sides).expect("there are enough");
        let (low, high) = change.ratio_interval().expect("all are positive");
        assert!(low < 1.05 && 1.05 < high, "{low} {high}");
        high / low
    };
    assert!(width(Sides::Paired) < 1.02, "{}", width(Sides::Paired));
    assert!(width(Sides::Apart) > 1.2, "{}", width(Sides::Apart));
}

#[test]
fn one_wild_repeat_moves_no_ratio() {
    let (base, wild) = ([100.0, 101.0, 99.0, 100.5, 99.5], [100.0, 101.0, 99.0, 100.5, 400.0]);
    let change = Change::between(&base, &wild, Sides::Apart).expect("there are enough");
    assert!((change.ratio().expect("all are positive") - 1.0).abs() < 0.02, "{change:?}");
    assert!(change.p_rise(100.0, 0.02, 0.0) > 0.1);
}

#[test]
fn holm_stops_at_the_first_test_that_is_not_significant() {
    assert_eq!(holm(&[0.04, 0.001, 0.02], 0.05), [true, true, true]);
    assert_eq!(holm(&[0.04, 0.001, 0.03], 0.05), [false, true, false]);
    assert_eq!(holm(&[], 0.05), [] as [bool; 0]);
}
