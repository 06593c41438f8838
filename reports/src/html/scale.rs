//! Scales of axes: from values to places, with ticks at round numbers.

use crate::units;

/// The unit of a plotted value. The script of the page formats the same units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Percent,
    Count,
    PerSecond,
    Microseconds,
    Bytes,
    BytesPerSecond,
    Seconds,
}

impl Unit {
    /// A value with its unit.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Percent => units::percent(value),
            Self::Count => units::count(value),
            Self::PerSecond => units::per_second(value),
            Self::Microseconds => units::microseconds(value),
            Self::Bytes => units::bytes(value),
            Self::BytesPerSecond => units::bytes(value) + "/s",
            Self::Seconds => units::seconds(value),
        }
    }

    /// The name by which the script knows it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Percent => "percent",
            Self::Count => "count",
            Self::PerSecond => "per-second",
            Self::Microseconds => "us",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes-per-second",
            Self::Seconds => "s",
        }
    }
}

/// A scale from values to a share of the axis, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// From zero to a round number that is at least `most`.
    pub(super) fn from_zero(most: f64) -> Self {
        let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
        let step = step(most / 4.0);
        Self { low: 0.0, high: (most / step).ceil() * step, log: false }
    }

    /// Between two values.
    pub(super) fn between(low: f64, high: f64) -> Self {
        Self { low, high: if high > low { high } else { low + 1.0 }, log: false }
    }

    /// A logarithmic scale between the powers of ten around these values. Values must be positive.
    pub(super) fn decades(least: f64, most: f64) -> Self {
        let (least, most) = (least.max(1e-9), most.max(1e-9));
        let low = 10_f64.powf(least.log10().floor());
        let mut high = 10_f64.powf(most.log10().ceil());
        if high <= low {
            high = low * 10.0;
        }
        Self { low, high, log: true }
    }

    /// The place of a value: 0 at the low end of the axis, 1 at the high end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = if self.log {
            (value.max(self.low) / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        place.clamp(0.0, 1.0)
    }

    /// The low end and the high end.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Returns whether the scale is logarithmic.
    pub(super) fn is_log(&self) -> bool {
        self.log
    }

    /// Round values to label: at most `count` of them, about.
    pub(super) fn ticks(&self, count: usize) -> Vec<f64> {
        if self.log {
            let decades = (self.high / self.low).log10().round() as i32;
            let every = (decades as usize).div_ceil(count.max(1)).max(1);
            let ticks = (0..=decades).step_by(every);
            return ticks.map(|decade| self.low * 10_f64.powi(decade)).collect();
        }
        let step = step((self.high - self.low) / count.max(1) as f64);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last.min(first + 100)).map(|at| at as f64 * step).collect()
    }
}

/// The least of 1, 2 and 5 times a power of ten that is at least `least`.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().map(|times| times * power);
    step.into_iter().find(|step| *step >= least * 0.999_999).unwrap_or(power * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        assert_eq!(Scale::from_zero(87.0).ticks(4), [0.0, 50.0, 100.0]);
        assert_eq!(Scale::between(0.0, 30.5).ticks(6), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(Scale::decades(30.0, 4_000.0).ticks(4), [10.0, 100.0, 1_000.0, 10_000.0]);
        assert_eq!(Scale::decades(1.0, 1e9).ticks(4).len(), 4);
        assert!(Scale::from_zero(0.0).ticks(4).len() > 1);
        assert!(Scale::from_zero(f64::NAN).ticks(4).len() > 1);
    }

    #[test]
    fn places_are_within_the_axis_whatever_the_value() {
        let scale = Scale::from_zero(100.0);
        assert_eq!([scale.place(0.0), scale.place(25.0), scale.place(1e9)], [0.0, 0.25, 1.0]);
        let scale = Scale::decades(10.0, 1_000.0);
        assert_eq!([scale.place(0.0), scale.place(100.0), scale.place(1e9)], [0.0, 0.5, 1.0]);
    }
}
