//! From an instant to a height on the page.
//!
//! A run is mostly waiting, and what one wants to see happens within microseconds. So heights
//! follow time where something happens, with two exceptions: no two instants come closer than
//! [`STEP_PX`], so that their order can be read; and a stretch in which nothing happens for longer
//! than [`IDLE_PX`] would show is drawn as a break of [`BREAK_PX`] that says how long it was.

use std::collections::BTreeSet;

/// The length of the median flight of a message on the page.
const FLIGHT_PX: f64 = 40.0;
/// The least distance of two instants.
const STEP_PX: f64 = 5.0;
/// An idle stretch that would be higher than this becomes a break.
const IDLE_PX: f64 = 110.0;
/// The height of a break.
const BREAK_PX: f64 = 38.0;
/// The margin above the first instant and below the last.
const MARGIN_PX: f64 = 26.0;

/// The heights of all instants of a run.
#[derive(Debug)]
pub(super) struct Axis {
    /// Instants and their heights, both rising.
    knots: Vec<(u64, f64)>,
    breaks: Vec<Break>,
    height: f64,
}

/// A stretch in which nothing happened, drawn short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Break {
    /// Its upper edge.
    pub(super) top: f64,
    /// Its lower edge.
    pub(super) bottom: f64,
    /// The length of the idle time, in microseconds.
    pub(super) idle_us: u64,
}

impl Axis {
    /// An axis on which all `instants` have their own height, and a flight of `flight_us` is easy
    /// to see.
    pub(super) fn new(instants: &BTreeSet<u64>, flight_us: u64) -> Self {
        let px_per_us = FLIGHT_PX / flight_us.max(1) as f64;
        let mut axis = Self { knots: Vec::new(), breaks: Vec::new(), height: MARGIN_PX };
        let mut before = None;
        for &at_us in instants {
            if let Some(before) = before {
                let idle_us = at_us - before;
                axis.advance(idle_us, idle_us as f64 * px_per_us);
            }
            axis.knots.push((at_us, axis.height));
            before = Some(at_us);
        }
        axis.height += MARGIN_PX;
        axis
    }

    fn advance(&mut self, idle_us: u64, linear_px: f64) {
        let top = self.height;
        if linear_px > IDLE_PX {
            self.height += BREAK_PX;
            self.breaks.push(Break { top, bottom: self.height, idle_us });
        } else {
            self.height += linear_px.max(STEP_PX);
        }
    }

    /// The height of `at_us`; of the nearest instant before it, if it is not one of the axis.
    pub(super) fn y(&self, at_us: u64) -> f64 {
        let after = self.knots.partition_point(|&(instant, _)| instant <= at_us);
        after.checked_sub(1).and_then(|at| self.knots.get(at)).map_or(MARGIN_PX, |&(_, y)| y)
    }

    /// Instants to write on the axis: the first, the first after each break, and others at least
    /// `apart_px` from the one before.
    pub(super) fn ticks(&self, apart_px: f64) -> Vec<(u64, f64)> {
        let mut ticks: Vec<(u64, f64)> = Vec::new();
        for &(at_us, y) in &self.knots {
            if ticks.last().is_none_or(|&(_, last)| y - last >= apart_px) {
                ticks.push((at_us, y));
            }
        }
        ticks
    }

    pub(super) fn breaks(&self) -> &[Break] {
        &self.breaks
    }

    /// The height of the whole.
    pub(super) fn height(&self) -> f64 {
        self.height
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_follow_time_keep_their_distance_and_cut_idle_stretches() {
        let axis = Axis::new(&BTreeSet::from([0, 1, 1_001, 60_000_000]), 1_000);
        assert_eq!(axis.y(0), MARGIN_PX);
        assert_eq!(axis.y(1), MARGIN_PX + STEP_PX);
        assert_eq!(axis.y(1_001), MARGIN_PX + STEP_PX + FLIGHT_PX);
        let top = axis.y(1_001);
        let expected = Break { top, bottom: top + BREAK_PX, idle_us: 59_998_999 };
        assert_eq!(axis.breaks(), &[expected]);
        assert_eq!(axis.height(), top + BREAK_PX + MARGIN_PX);
    }

    #[test]
    fn an_empty_run_has_a_height_too() {
        let axis = Axis::new(&BTreeSet::new(), 0);
        assert_eq!((axis.y(7), axis.height()), (MARGIN_PX, 2.0 * MARGIN_PX));
        assert!(axis.ticks(10.0).is_empty());
    }

    #[test]
    fn ticks_are_never_closer_than_asked_for() {
        let axis = Axis::new(&(0..100).collect(), 1);
        let ticks = axis.ticks(100.0);
        assert!(ticks.len() > 10, "{ticks:?}");
        assert!(ticks.windows(2).all(|two| two[1].1 - two[0].1 >= 100.0), "{ticks:?}");
    }
}
