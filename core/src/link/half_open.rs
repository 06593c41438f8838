//! Places for connections that are not logged in, and their eviction when none is left.
//!
//! Anyone who can connect can hold places, so a newcomer is not simply turned away when all are
//! taken:
//!
//! - An address that holds more places than the newcomer's address will, with this one, loses its
//!   oldest connection. So a peer with few addresses keeps no other peer out.
//! - Otherwise the oldest connection is evicted: the oldest of all or, if the newcomer's own
//!   address has as many as it may, the oldest of that address. No connection is evicted before
//!   [`UNDISTURBED`], in which any honest login is done. So a rush of honest clients passes a part
//!   at a time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::auth::PeerAddress;

/// A place is the holder's for this long, unless its address holds more than others do.
const UNDISTURBED: Duration = Duration::from_secs(2);

/// The number of unauthenticated connections that a server allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// In all.
    pub(super) places: usize,
    /// Of one address.
    pub(super) per_address: usize,
}

/// All places of a server.
#[derive(Debug)]
pub(super) struct Places {
    limits: Limits,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// By address, then in the order in which they were taken.
    by_address: BTreeMap<PeerAddress, BTreeMap<u64, Holder>>,
    taken: u64,
}

#[derive(Debug)]
struct Holder {
    since: Duration,
    gives_way: oneshot::Sender<()>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: PeerAddress,
    number: u64,
    lost: oneshot::Receiver<()>,
}

impl Places {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Places { limits, held: Mutex::default() })
    }

    /// Takes a place for a connection from `address`, at `now`, the time since the server's start.
    /// `crowded`: there is room for it only if another connection is evicted. Returns `None` if
    /// none can be.
    pub(super) fn take(
        self: &Arc<Self>,
        address: PeerAddress,
        now: Duration,
        crowded: bool,
    ) -> Option<Place> {
        let address = address.counted();
        let mut held = self.held.lock();
        let ours = held.by_address.get(&address).map_or(0, BTreeMap::len);
        if ours >= self.limits.per_address {
            held.oldest_of(address, now)?;
            held.dismiss(address);
        } else if crowded || held.total() >= self.limits.places {
            let (heaviest, most) = held.heaviest()?;
            let gives_way = match most > ours + 1 {
                true => heaviest,
                false => held.oldest(now)?,
            };
            held.dismiss(gives_way);
        }
        let (gives_way, lost) = oneshot::channel();
        held.taken += 1;
        let number = held.taken;
        let holder = Holder { since: now, gives_way };
        held.by_address.entry(address).or_default().insert(number, holder);
        drop(held);
        Some(Place { places: Arc::clone(self), address, number, lost })
    }
}

impl Held {
    fn total(&self) -> usize {
        self.by_address.values().map(BTreeMap::len).sum()
    }

    /// The address with the most places, and how many; of several the one that holds its first for
    /// the longest.
    fn heaviest(&self) -> Option<(PeerAddress, usize)> {
        let first = |of_one: &BTreeMap<u64, Holder>| of_one.keys().next().copied();
        let weight = |of_one| (BTreeMap::len(of_one), Reverse(first(of_one)));
        let heaviest = self.by_address.iter().max_by_key(|(_, of_one)| weight(of_one));
        heaviest.map(|(address, of_one)| (*address, of_one.len()))
    }

    /// The address that holds a place for the longest, if that is long enough.
    fn oldest(&self, now: Duration) -> Option<PeerAddress> {
        let first = |of_one: &BTreeMap<u64, Holder>| of_one.keys().next().copied();
        let (address, _) = self.by_address.iter().min_by_key(|(_, of_one)| first(of_one))?;
        self.oldest_of(*address, now)
    }

    /// This address, if it holds a place for long enough.
    fn oldest_of(&self, address: PeerAddress, now: Duration) -> Option<PeerAddress> {
        let (_, holder) = self.by_address.get(&address)?.first_key_value()?;
        (now.saturating_sub(holder.since) >= UNDISTURBED).then_some(address)
    }

    /// Takes its oldest place from an address.
    fn dismiss(&mut self, address: PeerAddress) {
        let Some(of_one) = self.by_address.get_mut(&address) else { return };
        if let Some((_, holder)) = of_one.pop_first() {
            // An error means that it is just leaving by itself.
            let _ = holder.gives_way.send(());
        }
        if of_one.is_empty() {
            self.by_address.remove(&address);
        }
    }
}

impl Place {
    /// Waits until the place has been given to another.
    pub(super) async fn lost(&mut self) {
        // The sender is dropped with the place alone, and not before.
        let _ = (&mut self.lost).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held.lock();
        if let Some(of_one) = held.by_address.get_mut(&self.address) {
            of_one.remove(&self.number);
            if of_one.is_empty() {
                held.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn host(number: u8) -> PeerAddress {
        PeerAddress::Ip(IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)))
    }

    fn places(places: usize, per_address: usize) -> Arc<Places> {
        Places::new(Limits { places, per_address })
    }

    fn is_lost(place: &mut Place) -> bool {
        place.lost.try_recv().is_ok()
    }

    #[test]
    fn who_holds_many_places_gives_way_at_once_to_who_holds_none() {
        let places = places(8, 4);
        let take = |number| places.take(host(number), SECOND, false);
        let mut greedy: Vec<_> = (0..8).map(|at| take(at % 2).expect("there is room")).collect();
        let mut honest = take(7).expect("one gives way");
        assert!(is_lost(&mut greedy[0]) && greedy[1..].iter_mut().all(|place| !is_lost(place)));
        let other = take(8).expect("one gives way");
        assert!(is_lost(&mut greedy[1]), "of the other, which has the most now");
        assert!(take(0).is_none() && take(1).is_none(), "they take from nobody");
        assert!(!is_lost(&mut honest));
        drop((honest, other, greedy));
        assert_eq!(places.held.lock().total(), 0);
    }

    #[test]
    fn among_equals_nobody_gives_way_before_a_login_can_be_done() {
        let places = places(2, 2);
        let take = |number, at| places.take(host(number), at, false);
        let (mut first, mut second) = (take(1, SECOND), take(2, SECOND * 2));
        assert!(take(3, SECOND * 2).is_none());
        let third = take(3, SECOND * 3);
        assert!(third.is_some() && first.as_mut().is_some_and(is_lost));
        assert!(take(4, SECOND * 3).is_none(), "the next one is not due");
        assert!(!second.as_mut().is_some_and(is_lost));
    }

    #[test]
    fn an_address_with_all_it_may_have_takes_from_itself_alone() {
        let places = places(100, 2);
        let take = |number, at| places.take(host(number), at, false);
        let mut elsewhere = take(9, Duration::ZERO).expect("there is room");
        let mut held = [take(1, SECOND), take(1, SECOND)].map(|place| place.expect("room"));
        assert!(take(1, SECOND * 2).is_none());
        assert!(take(1, SECOND * 3).is_some());
        assert!(is_lost(&mut held[0]) && !is_lost(&mut held[1]) && !is_lost(&mut elsewhere));
    }

    #[test]
    fn where_those_who_are_logged_in_leave_no_room_only_a_place_gives_way() {
        let places = places(8, 8);
        assert!(places.take(host(1), SECOND, true).is_none());
        let mut held = [0, 0].map(|_| places.take(host(1), SECOND, false).expect("room"));
        assert!(places.take(host(2), SECOND, true).is_some() && is_lost(&mut held[0]));
    }

    proptest! {
        /// However many come from wherever, no more places are held than there are.
        #[test]
        fn places_are_bounded(
            steps in prop::collection::vec((0u8..6, 0u64..4, any::<bool>()), 0..200),
        ) {
            let places = places(10, 4);
            let (mut now, mut held) = (Duration::ZERO, Vec::new());
            for (number, seconds, leaves) in steps {
                now += SECOND * u32::try_from(seconds).unwrap_or(0);
                held.extend(places.take(host(number), now, false));
                if leaves {
                    held.pop();
                }
                let there = held.iter_mut().filter_map(|place| (!is_lost(place)).then_some(()));
                prop_assert!(there.count() <= 10);
                let empty = Err(oneshot::error::TryRecvError::Empty);
                held.retain_mut(|place| place.lost.try_recv() == empty);
                let table = places.held.lock();
                let mut sizes = table.by_address.values().map(|of_one| of_one.len());
                prop_assert!(sizes.all(|size| (1..=4).contains(&size)));
                prop_assert_eq!(table.total(), held.len());
            }
        }
    }
}
