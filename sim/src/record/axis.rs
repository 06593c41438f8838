//! The time axis of a case's series, and the functions that put measures on it.

use crate::measure::over_time::WINDOWS_MAX;

/// Buckets of equal width, whose borders are multiples of the width on the shared clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// The time at which the load began.
    pub(super) start_ns: u64,
    /// The time at which the series end.
    pub(super) end_ns: u64,
    /// The width of a bucket, as a power of two of nanoseconds.
    pub(super) bits: u32,
}

impl Axis {
    /// Buckets between two instants that are at least 2^`bits` ns wide: so many that there are no
    /// more than [`WINDOWS_MAX`] of them.
    pub(super) fn new(start_ns: u64, end_ns: u64, bits: u32) -> Self {
        let end_ns = end_ns.max(start_ns + 1);
        let fits = |bits: &u32| ((end_ns - 1) >> bits) - (start_ns >> bits) < WINDOWS_MAX;
        Self { start_ns, end_ns, bits: (bits..63).find(fits).unwrap_or(63) }
    }

    /// The number of buckets.
    pub(super) fn len(&self) -> usize {
        (((self.end_ns - 1) >> self.bits) - (self.start_ns >> self.bits) + 1) as usize
    }

    /// The bucket that contains an instant; `None` outside.
    pub(super) fn bucket(&self, t_ns: u64) -> Option<usize> {
        let within = (self.start_ns..self.end_ns).contains(&t_ns);
        within.then(|| ((t_ns >> self.bits) - (self.start_ns >> self.bits)) as usize)
    }

    /// The bucket of a window by its number, if that is a number of windows of this width.
    pub(super) fn bucket_of_window(&self, number: u64) -> Option<usize> {
        let at = number.checked_sub(self.start_ns >> self.bits)?;
        usize::try_from(at).ok().filter(|at| *at < self.len())
    }

    /// The borders of a bucket: within the time of the axis.
    pub(super) fn borders(&self, bucket: usize) -> (u64, u64) {
        let first = (self.start_ns >> self.bits) + bucket as u64;
        let (from, to) = (first << self.bits, (first + 1) << self.bits);
        (from.max(self.start_ns), to.min(self.end_ns))
    }

    /// The length of a bucket within the time of the axis, in seconds.
    pub(super) fn seconds(&self, bucket: usize) -> f64 {
        let (from, to) = self.borders(bucket);
        to.saturating_sub(from).max(1) as f64 / 1e9
    }

    /// The begin of the first bucket, in seconds since the load began.
    pub(super) fn begin_seconds(&self) -> f64 {
        let begin_ns = self.start_ns >> self.bits << self.bits;
        -((self.start_ns - begin_ns) as f64) / 1e9
    }

    /// The width of a bucket, in seconds.
    pub(super) fn bucket_seconds(&self) -> f64 {
        (1_u64 << self.bits) as f64 / 1e9
    }

    /// Tells `each` the part of a stretch of time that lies in each bucket.
    pub(super) fn split(&self, from_ns: u64, to_ns: u64, mut each: impl FnMut(usize, u64, u64)) {
        let (mut from_ns, to_ns) = (from_ns.max(self.start_ns), to_ns.min(self.end_ns));
        while from_ns < to_ns {
            let Some(bucket) = self.bucket(from_ns) else { return };
            let until_ns = self.borders(bucket).1.min(to_ns);
            each(bucket, from_ns, until_ns);
            from_ns = until_ns;
        }
    }

    /// Returns the growth of a counter in each bucket, per second. The counter is read at instants,
    /// and grows evenly between them. `None` before the first reading and after the last.
    pub(super) fn growth(&self, readings: &[(u64, u64)]) -> Vec<Option<f64>> {
        let mut grown = vec![None; self.len()];
        let mut covered = vec![0_u64; self.len()];
        for pair in readings.windows(2) {
            let [(from_ns, from), (to_ns, to)] = [pair[0], pair[1]];
            let length_ns = to_ns.saturating_sub(from_ns).max(1) as f64;
            let growth = to.saturating_sub(from) as f64;
            self.split(from_ns, to_ns, |bucket, from_ns, to_ns| {
                let part_ns = to_ns - from_ns;
                *grown[bucket].get_or_insert(0.0) += growth * part_ns as f64 / length_ns;
                covered[bucket] += part_ns;
            });
        }
        let per_second = |(grown, covered): (Option<f64>, u64)| {
            Some(short(grown? * 1e9 / covered.max(1) as f64))
        };
        grown.into_iter().zip(covered).map(per_second).collect()
    }
}

/// A number with four digits that matter.
pub(crate) fn short(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let decimals = 3 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(decimals.abs());
    if decimals >= 0 { (value * scale).round() / scale } else { (value / scale).round() * scale }
}

/// A percentage with two decimals: cut and not rounded, so that 100 is exactly that.
pub(crate) fn percent(value: f64) -> f64 {
    (value * 100.0 + 1e-6).floor() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn an_axis_has_240_to_480_buckets_that_cover_its_time() {
        for seconds in [10, 30, 61, 600, 1_800, 86_400] {
            let axis = Axis::new(7 * S + 1, (7 + seconds) * S, 23);
            assert!((240..=480).contains(&axis.len()), "{seconds} s: {}", axis.len());
            assert_eq!(axis.bucket(7 * S + 1), Some(0));
            assert_eq!(axis.bucket((7 + seconds) * S - 1), Some(axis.len() - 1));
            assert_eq!(axis.bucket((7 + seconds) * S), None);
            let total: f64 = (0..axis.len()).map(|bucket| axis.seconds(bucket)).sum();
            assert!((total - seconds as f64).abs() < 1e-6, "{total}");
            assert!(axis.begin_seconds() <= 0.0 && -axis.begin_seconds() < axis.bucket_seconds());
        }
    }

    #[test]
    fn a_counter_read_seldom_grows_evenly_between_its_readings() {
        let axis = Axis::new(0, 1 << 33, 30);
        let read = [(1 << 30, 100), (3 << 30, 100 + 2 * (1 << 30)), (4 << 30, 100 + 2 * (1 << 30))];
        let grown = axis.growth(&read);
        assert_eq!(grown[0], None);
        assert_eq!(grown[1..5], [Some(1e9), Some(1e9), Some(0.0), None]);
    }

    #[test]
    fn numbers_are_short_and_never_rounded_up_to_perfection() {
        assert_eq!([short(0.123_456), short(1_234_567.0), short(0.0)], [0.1235, 1_235_000.0, 0.0]);
        assert_eq!([percent(99.999), percent(100.0), percent(99.83)], [99.99, 100.0, 99.83]);
    }
}
