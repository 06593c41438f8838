//! Readings of a counter, and its growth over a stretch of time.

use std::collections::VecDeque;

/// The most readings that are kept: ten seconds of ten a second, and some.
const READINGS_MAX: usize = 128;

/// The newest readings of a counter that only grows.
#[derive(Clone, Debug, Default)]
pub(super) struct Readings(VecDeque<(u64, u64)>);

impl Readings {
    /// One more reading. One that is not newer than the last is left out.
    pub(super) fn push(&mut self, at_ns: u64, value: u64) {
        if self.0.back().is_some_and(|last| last.0 >= at_ns) {
            return;
        }
        if self.0.len() == READINGS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((at_ns, value));
    }

    /// The newest value.
    pub(super) fn newest(&self) -> Option<u64> {
        self.0.back().map(|reading| reading.1)
    }

    /// Returns the growth a second over a stretch of time, by the readings around it; `None` if
    /// there are no two.
    pub(super) fn per_second(&self, from_ns: u64, to_ns: u64) -> Option<f64> {
        let before = self.0.iter().rev().find(|reading| reading.0 <= from_ns);
        let before = before.or(self.0.front())?;
        let after = self.0.iter().find(|reading| reading.0 >= to_ns).or(self.0.back())?;
        let ns = after.0.checked_sub(before.0).filter(|ns| *ns > 0)?;
        Some(after.1.saturating_sub(before.1) as f64 * 1e9 / ns as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn growth_is_that_between_the_readings_around_a_stretch() {
        let mut readings = Readings::default();
        assert_eq!(readings.per_second(0, S), None);
        readings.push(0, 100);
        assert_eq!(readings.per_second(0, S), None);
        readings.push(S / 2, 200);
        readings.push(S, 400);
        readings.push(S, 9_999);
        assert_eq!(readings.per_second(S / 2, S), Some(400.0));
        assert_eq!(readings.per_second(S / 4, S / 3), Some(200.0));
        assert_eq!(readings.per_second(2 * S, 3 * S), None, "nothing was read since");
        assert_eq!(readings.newest(), Some(400));
    }
}
