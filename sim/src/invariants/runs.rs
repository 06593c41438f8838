//! A set of counters as ranges: as small as it has gaps.

use serde::{Deserialize, Serialize};

/// Ranges are merged in one go if they are more than one in so many of those that are there.
const MERGED_SHARE: usize = 64;

/// Disjoint, inclusive ranges, in order, none adjacent to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Runs {
    ranges: Vec<(u64, u64)>,
}

impl Runs {
    /// Adds `first..=last`, and says how many of these were there already.
    pub(crate) fn insert(&mut self, first: u64, last: u64) -> u64 {
        if last < first {
            return 0;
        }
        match self.ranges.last_mut() {
            Some(end) if end.1.checked_add(1) == Some(first) => {
                end.1 = last;
                return 0;
            }
            Some(end) if end.1 >= first => {}
            _ => {
                self.ranges.push((first, last));
                return 0;
            }
        }
        // Every range that overlaps or touches becomes one.
        let from = self.ranges.partition_point(|range| range.1.saturating_add(1) < first);
        let to = self.ranges.partition_point(|range| range.0 <= last.saturating_add(1));
        let touched = &self.ranges[from..to];
        let overlap = touched.iter().map(|range| overlap(*range, (first, last))).sum();
        let joined = touched
            .iter()
            .fold((first, last), |joined, range| (joined.0.min(range.0), joined.1.max(range.1)));
        self.ranges.splice(from..to, [joined]);
        overlap
    }

    /// Adds all of `other`, and says how many of these were there already.
    pub(crate) fn insert_all(&mut self, other: &Runs) -> u64 {
        if other.ranges.len() < self.ranges.len() / MERGED_SHARE {
            return other.ranges.iter().map(|range| self.insert(range.0, range.1)).sum();
        }
        // Of two long lists, each range would move all that are behind it.
        let ours = std::mem::take(&mut self.ranges);
        let (mut ours, mut theirs) = (ours.into_iter().peekable(), other.ranges.iter().peekable());
        let mut twice = 0;
        loop {
            let next = match (ours.peek(), theirs.peek()) {
                (Some(one), Some(other)) if one.0 <= other.0 => ours.next(),
                (_, Some(_)) => theirs.next().copied(),
                (Some(_), None) => ours.next(),
                (None, None) => return twice,
            };
            let Some((first, last)) = next else { return twice };
            match self.ranges.last_mut() {
                Some(end) if end.1.saturating_add(1) >= first => {
                    twice += overlap(*end, (first, last));
                    end.1 = end.1.max(last);
                }
                _ => self.ranges.push((first, last)),
            }
        }
    }

    /// Removes everything above `last`.
    pub(crate) fn truncate(&mut self, last: u64) {
        self.ranges.retain(|range| range.0 <= last);
        if let Some(end) = self.ranges.last_mut() {
            end.1 = end.1.min(last);
        }
    }

    /// Closes the oldest gaps, so that no more than `ranges_max` ranges are left.
    pub(crate) fn close_gaps(&mut self, ranges_max: usize) {
        let Some(more) = self.ranges.len().checked_sub(ranges_max.max(1)) else { return };
        let first = self.ranges[0].0;
        self.ranges[more].0 = first;
        self.ranges.drain(..more);
    }

    /// Returns the number of counters.
    pub(crate) fn count(&self) -> u64 {
        self.ranges.iter().map(|range| range.1 - range.0 + 1).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(crate) fn first(&self) -> Option<u64> {
        self.ranges.first().map(|range| range.0)
    }

    pub(crate) fn last(&self) -> Option<u64> {
        self.ranges.last().map(|range| range.1)
    }

    /// The ranges, in order.
    pub(crate) fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }

    /// Returns the counters that are here and not in `other`.
    pub(crate) fn without(&self, other: &Runs) -> Runs {
        let mut rest = Runs::default();
        let mut others = other.ranges.iter().copied().peekable();
        for &(first, last) in &self.ranges {
            let mut next = Some(first);
            while let (Some(start), Some(&(from, to))) = (next, others.peek()) {
                if from > last {
                    break;
                }
                if from > start {
                    rest.insert(start, from - 1);
                }
                if to >= last {
                    // It may reach into the next range too: it stays for that.
                    next = None;
                } else {
                    next = Some(start.max(to + 1));
                    others.next();
                }
            }
            if let Some(start) = next {
                rest.insert(start, last);
            }
        }
        rest
    }

    /// Returns the counters that are both here and in `other`.
    pub(crate) fn both(&self, other: &Runs) -> Runs {
        self.without(&self.without(other))
    }
}

fn overlap(one: (u64, u64), other: (u64, u64)) -> u64 {
    let (first, last) = (one.0.max(other.0), one.1.min(other.1));
    if first <= last { last - first + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn runs(ranges: &[(u64, u64)]) -> (Runs, BTreeSet<u64>) {
        let (mut runs, mut set) = (Runs::default(), BTreeSet::new());
        for &(first, length) in ranges {
            let already = (first..=first + length).filter(|n| !set.insert(*n)).count();
            assert_eq!(runs.insert(first, first + length), already as u64);
        }
        (runs, set)
    }

    fn set_of(runs: &Runs) -> BTreeSet<u64> {
        runs.ranges.iter().flat_map(|range| range.0..=range.1).collect()
    }

    #[test]
    fn the_highest_counter_is_no_special_case() {
        let mut all = Runs::default();
        all.insert(0, u64::MAX);
        let mut top = Runs::default();
        top.insert(u64::MAX, u64::MAX);
        assert_eq!(all.without(&top).last(), Some(u64::MAX - 1));
        assert!(top.without(&all).is_empty());
        assert_eq!(top.without(&Runs::default()), top);
    }

    #[test]
    fn the_oldest_gaps_are_closed_first() {
        let (mut some, _) = runs(&[(1, 1), (5, 1), (9, 1), (13, 1)]);
        some.close_gaps(2);
        assert_eq!(some.ranges(), [(1, 10), (13, 14)]);
        some.close_gaps(2);
        assert_eq!(some.ranges().len(), 2);
    }

    proptest! {
        #[test]
        fn runs_are_a_set(
            ours in prop::collection::vec((0u64..120, 0u64..9), 0..25),
            theirs in prop::collection::vec((0u64..120, 0u64..9), 0..25),
            cut in 0u64..130,
        ) {
            let (mut one, set) = runs(&ours);
            let (other, other_set) = runs(&theirs);
            prop_assert_eq!(set_of(&one), set.clone());
            prop_assert!(one.ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            prop_assert_eq!(one.count(), set.len() as u64);
            prop_assert_eq!(set_of(&one.without(&other)), &set - &other_set);
            prop_assert_eq!(set_of(&one.both(&other)), &set & &other_set);
            let mut all = one.clone();
            prop_assert_eq!(all.insert_all(&other), (&set & &other_set).len() as u64);
            prop_assert_eq!(set_of(&all), &set | &other_set);
            prop_assert!(all.ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            one.truncate(cut);
            prop_assert_eq!(set_of(&one), set.into_iter().filter(|n| *n <= cut).collect());
        }
    }
}
