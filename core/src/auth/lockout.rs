//! The lock-out: the failures of each address, and the addresses that are locked out.
//!
//! Five failures lock an address out for three hours. What counts, and when:
//!
//! - An attempt counts **from the moment its proof arrives**, before the proof is looked at:
//!   [`LockOut::attempt`] charges it, [`Attempt::succeeded`] takes it back. One that is dropped, by
//!   a cut or an early return, has failed. So it does not matter how many sockets were opened
//!   beforehand: the sixth proof meets a locked table, whatever it proves.
//! - A connection that ends **before** it sent a proof does not count: it tried no password, and
//!   learnt nothing that helps to guess one. So an unreliable link locks no address out. The caller
//!   bounds such connections (by a deadline and a limit of half-open ones).
//! - [`Attempt`] borrows the table, so that no attempt can begin before the last one has ended, and
//!   honest clients that come at once are never in each other's way.
//! - An attempt while locked out is refused without being counted: it neither extends the lock nor
//!   lifts it.
//! - A success clears the address's count. So does time: a count is forgotten when its newest
//!   failure is as old as a lock-out lasts, which gives a guesser less than being locked out would.
//! - A client with a proven ticket may try from a locked-out address. That attempt counts
//!   against the ticket alone, and leaves the address locked whatever its outcome.
//!
//! IPv6 addresses are counted by /64, the smallest block that a household or a host is given; an
//! IPv4 address mapped into IPv6 counts as IPv4. The table is bounded: when it is full, the oldest
//! count that is no lock is evicted, else the lock that ends soonest. To evict a count, an attacker
//! must fail from as many addresses as the table holds.
//!
//! A known limit, and the article's own: a client with one login of a server clears the count of
//! its address with it, and so may guess at other logins for longer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::tickets::{ProvenTicket, TicketId};

/// The origin of a client, as far as failures are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerAddress {
    /// Over TCP.
    Ip(IpAddr),
    /// Over a Unix socket: the user id at its other end.
    User(u32),
    /// Over a named pipe, which only its own user may open: all that do are one.
    Pipe,
}

/// The number of leading bits of an IPv6 address that count.
const IPV6_PREFIX_BITS: u32 = 64;

impl PeerAddress {
    /// The address that stands for all that are counted as one.
    pub(crate) fn counted(self) -> Self {
        match self {
            Self::Ip(ip) => match ip.to_canonical() {
                IpAddr::V6(ip) => {
                    let prefix = ip.to_bits() & (u128::MAX << (128 - IPV6_PREFIX_BITS));
                    Self::Ip(IpAddr::V6(Ipv6Addr::from_bits(prefix)))
                }
                ip @ IpAddr::V4(_) => Self::Ip(ip),
            },
            Self::User(_) | Self::Pipe => self,
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.counted() {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "{ip}/{IPV6_PREFIX_BITS}"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::User(id) => write!(f, "user {id}"),
            Self::Pipe => write!(f, "the user of the pipe"),
        }
    }
}

/// The limits of a lock-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockOutPolicy {
    /// The failure that locks: 5 unless set. 0 counts as 1.
    pub failures_max: u32,
    /// The length of a lock-out. Default: three hours.
    pub locked_for: Duration,
    /// The most addresses remembered, and the most tickets: 65,536 each unless set. 0 counts as 1.
    pub entries_max: usize,
}

impl Default for LockOutPolicy {
    fn default() -> Self {
        Self { failures_max: 5, locked_for: Duration::from_secs(3 * 60 * 60), entries_max: 65_536 }
    }
}

/// An address that may not try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} is locked out for another {} s after too many failed logins; wait, or unlock it \
     at the server",
    remaining.as_secs()
)]
pub struct LockedOut {
    /// The locked-out address or user, as it is counted.
    pub address: PeerAddress,
    /// The time until the lock-out ends.
    pub remaining: Duration,
}

/// The table of failures. `now` is the time since the server's start, which never goes back.
#[derive(Clone, Debug)]
pub struct LockOut {
    locked_for: Duration,
    addresses: Counts<PeerAddress>,
    tickets: Counts<TicketId>,
}

impl LockOut {
    /// Creates a table without failures.
    pub fn new(policy: LockOutPolicy) -> Self {
        Self {
            locked_for: policy.locked_for,
            addresses: Counts::new(policy.failures_max, policy.entries_max),
            tickets: Counts::new(policy.failures_max, policy.entries_max),
        }
    }

    /// Begins an attempt, at the moment its proof arrives: it has failed until it is said to have
    /// succeeded. An error means that the proof must not be looked at.
    ///
    /// # Errors
    ///
    /// If the address, or the client that the ticket names, is locked out; says for how long.
    pub fn attempt(
        &mut self,
        address: PeerAddress,
        ticket: Option<ProvenTicket>,
        now: Duration,
    ) -> Result<Attempt<'_>, LockedOut> {
        let ticket = self.admit(address, ticket, now)?;
        let address = address.counted();
        let charged = match ticket {
            None => {
                self.addresses.charge(address, now, now.saturating_add(self.locked_for));
                Charged::Address(address)
            }
            Some(ticket) => {
                self.tickets.charge(ticket.id, now, ticket.expires);
                Charged::Ticket(ticket.id)
            }
        };
        Ok(Attempt { table: self, charged, now })
    }

    /// Checks whether an attempt could begin now, without counting one. With this, a server
    /// refuses a locked-out client early.
    ///
    /// # Errors
    ///
    /// As [`LockOut::attempt`] would.
    pub fn check(
        &self,
        address: PeerAddress,
        ticket: Option<ProvenTicket>,
        now: Duration,
    ) -> Result<(), LockedOut> {
        self.admit(address, ticket, now).map(drop)
    }

    /// Lifts a lock-out and forgets the failures of an address; says whether there were any.
    pub fn unlock(&mut self, address: PeerAddress) -> bool {
        self.addresses.forget(&address.counted())
    }

    /// Lists the addresses that are locked out now, ordered by the end of their lock-out.
    pub fn locked(&self, now: Duration) -> impl Iterator<Item = LockedOut> + '_ {
        self.addresses
            .locked(now)
            .map(move |(address, until)| LockedOut { address, remaining: until - now })
    }

    /// The ticket that an attempt is to be charged to; none where the address is not locked.
    fn admit(
        &self,
        address: PeerAddress,
        ticket: Option<ProvenTicket>,
        now: Duration,
    ) -> Result<Option<ProvenTicket>, LockedOut> {
        let address = address.counted();
        let Some(until) = self.addresses.locked_until(&address, now) else {
            return Ok(None);
        };
        match ticket {
            Some(ticket) if self.tickets.locked_until(&ticket.id, now).is_none() => {
                Ok(Some(ticket))
            }
            _ => Err(LockedOut { address, remaining: until - now }),
        }
    }
}

/// An attempt whose proof is being looked at. Dropped, it has failed.
#[derive(Debug)]
#[must_use = "an attempt that is dropped has failed"]
pub struct Attempt<'a> {
    table: &'a mut LockOut,
    charged: Charged,
    now: Duration,
}

#[derive(Debug)]
enum Charged {
    Address(PeerAddress),
    Ticket(TicketId),
}

impl Attempt<'_> {
    /// The proof was right: forgets the failures of the address, or of the ticket where the
    /// attempt was made with one.
    pub fn succeeded(self) {
        match self.charged {
            Charged::Address(address) => self.table.addresses.forget(&address),
            Charged::Ticket(id) => self.table.tickets.forget(&id),
        };
    }

    /// The proof was wrong. Some where this failure has locked the address out.
    pub fn failed(self) -> Option<LockedOut> {
        let Charged::Address(address) = self.charged else {
            return None;
        };
        let until = self.table.addresses.locked_until(&address, self.now)?;
        Some(LockedOut { address, remaining: until - self.now })
    }
}

/// Failures by key, bounded.
#[derive(Clone, Debug)]
struct Counts<K> {
    failures_max: u32,
    entries_max: usize,
    counts: BTreeMap<K, Count>,
    /// The keys that are not locked, the one whose count is forgotten soonest first.
    open: BTreeSet<(Duration, K)>,
    /// The keys that are locked, the one whose lock ends soonest first.
    locked: BTreeSet<(Duration, K)>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    failures: u32,
    locked: bool,
    /// The time at which the entry is forgotten.
    until: Duration,
}

impl<K: Copy + Ord> Counts<K> {
    fn new(failures_max: u32, entries_max: usize) -> Self {
        Self {
            failures_max: failures_max.max(1),
            entries_max: entries_max.max(1),
            counts: BTreeMap::new(),
            open: BTreeSet::new(),
            locked: BTreeSet::new(),
        }
    }

    /// Counts one more failure, to be forgotten at `until`.
    fn charge(&mut self, key: K, now: Duration, until: Duration) {
        self.forget_expired(now);
        let failures = 1 + self.counts.get(&key).map_or(0, |count| count.failures);
        self.forget(&key);
        if self.counts.len() >= self.entries_max {
            self.make_room();
        }
        let locked = failures >= self.failures_max;
        self.counts.insert(key, Count { failures, locked, until });
        self.order(locked).insert((until, key));
        debug_assert!(self.counts.len() <= self.entries_max);
        debug_assert_eq!(self.counts.len(), self.open.len() + self.locked.len());
    }

    fn forget(&mut self, key: &K) -> bool {
        let Some(count) = self.counts.remove(key) else {
            return false;
        };
        self.order(count.locked).remove(&(count.until, *key))
    }

    fn make_room(&mut self) {
        let first = self.open.first().or(self.locked.first());
        if let Some(&(_, key)) = first {
            self.forget(&key);
        }
    }

    fn forget_expired(&mut self, now: Duration) {
        for locked in [false, true] {
            while let Some(&(until, key)) = self.order(locked).first()
                && until <= now
            {
                self.forget(&key);
            }
        }
    }

    fn order(&mut self, locked: bool) -> &mut BTreeSet<(Duration, K)> {
        if locked { &mut self.locked } else { &mut self.open }
    }

    fn locked_until(&self, key: &K, now: Duration) -> Option<Duration> {
        let count = self.counts.get(key)?;
        (count.locked && count.until > now).then_some(count.until)
    }

    fn locked(&self, now: Duration) -> impl Iterator<Item = (K, Duration)> + '_ {
        let locked = self.locked.iter().map(|&(until, key)| (key, until));
        locked.filter(move |(_, until)| *until > now)
    }
}

#[cfg(test)]
mod tests;
