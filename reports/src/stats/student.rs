//! The distribution of Student's t, for degrees of freedom that need not be whole.

/// The probability that t is above `t`.
pub(super) fn above(t: f64, freedom: f64) -> f64 {
    if t.is_nan() {
        return 1.0;
    }
    // Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.1 with 26.5.27.
    let tail = 0.5 * incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5);
    if t >= 0.0 { tail } else { 1.0 - tail }
}

/// The value that t is above with probability `tail`, which is at most a half.
pub(super) fn quantile(tail: f64, freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while above(high, freedom) > tail && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if above(middle, freedom) > tail { low = middle } else { high = middle }
    }
    high
}

/// The regularised incomplete beta function, by its continued fraction (Abramowitz and Stegun,
/// 26.5.8), which converges fast below the mean of the distribution.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let factor = a * x.ln() + b * (-x).ln_1p() - ln_beta(a, b);
    factor.exp() / (a * fraction(x, a, b))
}

/// The most terms of the continued fraction; it needs fewer than 100 wherever it is used.
const TERMS: u32 = 400;

/// `1 + d1/(1 + d2/(1 + ...))`, from its end.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let mut value = 1.0;
    for term in (1..=TERMS).rev() {
        let m = f64::from(term / 2);
        let d = if term % 2 == 0 {
            m * (b - m) / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        value = 1.0 + d * x / value;
    }
    value
}

fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// The logarithm of the gamma function, by Stirling's series (Abramowitz and Stegun, 6.1.41) after
/// a shift to where it is exact enough.
fn ln_gamma(z: f64) -> f64 {
    let (mut z, mut shift) = (z, 0.0);
    while z < 12.0 {
        shift += z.ln();
        z += 1.0;
    }
    let half_ln_tau = 0.5 * std::f64::consts::TAU.ln();
    let series = 1.0 / (12.0 * z) - 1.0 / (360.0 * z.powi(3)) + 1.0 / (1260.0 * z.powi(5));
    (z - 0.5) * z.ln() - z + half_ln_tau + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_printed_tables() {
        let table = [
            (0.025, 1.0, 12.706),
            (0.025, 2.0, 4.303),
            (0.025, 4.0, 2.776),
            (0.025, 8.0, 2.306),
            (0.025, 30.0, 2.042),
            (0.005, 4.0, 4.604),
            (0.05, 10.0, 1.812),
            (0.025, 1e6, 1.960),
        ];
        for (tail, freedom, expected) in table {
            let found = quantile(tail, freedom);
            assert!((found - expected).abs() < 1e-3, "{tail} {freedom}: {found}");
            assert!((above(found, freedom) - tail).abs() < 1e-9, "{tail} {freedom}");
        }
    }

    #[test]
    fn both_tails_are_one_in_all() {
        for freedom in [0.5, 1.0, 2.7, 8.0, 100.0] {
            for t in [0.0, 0.3, 1.0, 4.0, 50.0] {
                let all = above(t, freedom) + above(-t, freedom);
                assert!((all - 1.0).abs() < 1e-9, "{t} {freedom}: {all}");
            }
        }
        assert_eq!(above(f64::INFINITY, 4.0), 0.0);
    }
}
