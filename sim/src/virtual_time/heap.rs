//! Events to come, in the order of virtual time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Events by their time; those of one time in the order in which they were scheduled.
#[derive(Debug)]
pub(crate) struct Heap<E> {
    items: BinaryHeap<Item<E>>,
    scheduled: u64,
}

#[derive(Debug)]
struct Item<E> {
    /// In nanoseconds.
    at: u64,
    order: u64,
    event: E,
}

impl<E> PartialEq for Item<E> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl<E> Eq for Item<E> {}

impl<E> PartialOrd for Item<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Item<E> {
    /// The earliest is the greatest: it is popped first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl<E> Default for Heap<E> {
    fn default() -> Self {
        Heap { items: BinaryHeap::new(), scheduled: 0 }
    }
}

impl<E> Heap<E> {
    /// Lets `event` happen at `at`.
    pub(crate) fn push(&mut self, at: Duration, event: E) {
        self.scheduled += 1;
        let at = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        self.items.push(Item { at, order: self.scheduled, event });
    }

    /// Returns the time of the next event.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.items.peek().map(|item| Duration::from_nanos(item.at))
    }

    /// Takes the next event.
    pub(crate) fn pop(&mut self) -> Option<(Duration, E)> {
        self.items.pop().map(|item| (Duration::from_nanos(item.at), item.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_those_of_one_time_in_the_order_of_scheduling() {
        let mut heap = Heap::default();
        let at = Duration::from_millis;
        for (ms, name) in [(5, "c"), (1, "a"), (5, "d"), (1, "b")] {
            heap.push(at(ms), name);
        }
        assert_eq!(heap.next_at(), Some(at(1)));
        let order: String = std::iter::from_fn(|| heap.pop()).map(|next| next.1).collect();
        assert_eq!(order, "abcd");
    }
}
