//! Tests of which failures lock an address out, which do not, and for how long.

use proptest::prelude::*;

use super::*;
use crate::auth::secret::ServerSecret;
use crate::auth::tickets::Tickets;

const NOW: Duration = Duration::from_secs(1000);
const THREE_HOURS: Duration = Duration::from_secs(3 * 60 * 60);
const SECOND: Duration = Duration::from_secs(1);

fn ip(text: &str) -> PeerAddress {
    PeerAddress::Ip(text.parse().expect("an address"))
}

fn here() -> PeerAddress {
    ip("192.0.2.1")
}

fn table() -> LockOut {
    LockOut::new(LockOutPolicy::default())
}

fn bounded(entries_max: usize) -> LockOut {
    LockOut::new(LockOutPolicy { entries_max, ..LockOutPolicy::default() })
}

fn fail(table: &mut LockOut, address: PeerAddress, times: usize, now: Duration) {
    for _ in 0..times {
        table.attempt(address, None, now).expect("not locked yet").failed();
    }
}

fn is_locked(table: &LockOut, address: PeerAddress, now: Duration) -> bool {
    table.check(address, None, now).is_err()
}

fn ticket(client: u64) -> ProvenTicket {
    let tickets = Tickets::new(&ServerSecret::new([1; 32]), Tickets::LIFETIME);
    let ticket = tickets.issue("app", client, NOW);
    tickets.prove(&ticket, "app", client, NOW).expect("just issued")
}

#[test]
fn the_fifth_failure_locks_and_says_so() {
    let mut table = table();
    for _ in 0..4 {
        assert_eq!(table.attempt(here(), None, NOW).expect("free").failed(), None);
    }
    let locked = LockedOut { address: here(), remaining: THREE_HOURS };
    assert_eq!(table.attempt(here(), None, NOW).expect("free").failed(), Some(locked));
    assert_eq!(table.attempt(here(), None, NOW).map(drop), Err(locked));
    assert!(!is_locked(&table, ip("192.0.2.2"), NOW), "others are not shut out");
}

#[test]
fn six_connections_opened_beforehand_get_five_attempts() {
    let mut table = table();
    let admitted = (0..6).filter(|_| table.check(here(), None, NOW).is_ok()).count();
    assert_eq!(admitted, 6, "opening a connection costs nothing");
    let looked_at = (0..6).filter(|_| table.attempt(here(), None, NOW).is_ok()).count();
    assert_eq!(looked_at, 5);
}

#[test]
fn an_attempt_that_is_dropped_has_failed() {
    let mut table = table();
    for _ in 0..5 {
        drop(table.attempt(here(), None, NOW).expect("free"));
    }
    assert!(is_locked(&table, here(), NOW));
}

#[test]
fn attempts_while_locked_neither_lift_the_lock_nor_extend_it() {
    let mut table = table();
    fail(&mut table, here(), 5, NOW);
    let end = NOW + THREE_HOURS;
    for minutes in 0..179 {
        let now = NOW + Duration::from_secs(60 * minutes);
        let error = table.attempt(here(), None, now).map(drop).expect_err("locked");
        assert_eq!(error.remaining, end - now);
    }
    assert!(is_locked(&table, here(), end - SECOND));
    assert!(!is_locked(&table, here(), end));
}

#[test]
fn after_three_hours_the_count_begins_anew() {
    let mut table = table();
    fail(&mut table, here(), 5, NOW);
    fail(&mut table, here(), 4, NOW + THREE_HOURS);
    assert!(!is_locked(&table, here(), NOW + THREE_HOURS));
    fail(&mut table, here(), 1, NOW + THREE_HOURS);
    assert!(is_locked(&table, here(), NOW + THREE_HOURS));
}

#[test]
fn a_success_clears_the_count() {
    let mut table = table();
    for _ in 0..3 {
        fail(&mut table, here(), 4, NOW);
        table.attempt(here(), None, NOW).expect("free").succeeded();
    }
    assert!(!is_locked(&table, here(), NOW));
}

#[test]
fn a_count_is_forgotten_as_late_as_a_lock() {
    let mut table = table();
    fail(&mut table, here(), 4, NOW);
    fail(&mut table, here(), 1, NOW + THREE_HOURS);
    assert!(!is_locked(&table, here(), NOW + THREE_HOURS));
    fail(&mut table, here(), 4, NOW + THREE_HOURS + THREE_HOURS - SECOND);
    assert!(is_locked(&table, here(), NOW + THREE_HOURS + THREE_HOURS - SECOND));
}

#[test]
fn an_ipv6_network_counts_as_one_address() {
    let mut table = table();
    for host in 1..=5 {
        fail(&mut table, ip(&format!("2001:db8:0:7::{host}")), 1, NOW);
    }
    assert!(is_locked(&table, ip("2001:db8:0:7:ffff:ffff:ffff:ffff"), NOW));
    assert!(!is_locked(&table, ip("2001:db8:0:8::1"), NOW));
    let shown = table.locked(NOW).next().expect("one").to_string();
    assert!(shown.starts_with("2001:db8:0:7::/64 is locked out for another 10800 s"), "{shown}");
}

#[test]
fn an_ipv4_address_in_ipv6_clothes_is_still_itself() {
    let mut table = table();
    fail(&mut table, ip("::ffff:192.0.2.1"), 5, NOW);
    assert!(is_locked(&table, here(), NOW));
    assert!(!is_locked(&table, ip("::ffff:192.0.2.2"), NOW));
}

#[test]
fn users_of_unix_sockets_are_counted_apart() {
    let mut table = table();
    fail(&mut table, PeerAddress::User(1000), 5, NOW);
    assert!(is_locked(&table, PeerAddress::User(1000), NOW));
    assert!(!is_locked(&table, PeerAddress::User(1001), NOW));
}

#[test]
fn an_operator_lifts_a_lock() {
    let mut table = table();
    fail(&mut table, ip("2001:db8::1"), 5, NOW);
    fail(&mut table, here(), 5, NOW + SECOND);
    let addresses: Vec<_> = table.locked(NOW + SECOND).map(|locked| locked.address).collect();
    assert_eq!(addresses, [ip("2001:db8::"), here()], "the soonest to end first");
    assert!(table.unlock(ip("2001:db8::2")), "by any address of the network");
    assert!(!table.unlock(ip("2001:db8::2")));
    assert_eq!(table.locked(NOW + SECOND).count(), 1);
    fail(&mut table, ip("2001:db8::1"), 4, NOW + SECOND);
    assert!(!is_locked(&table, ip("2001:db8::1"), NOW + SECOND), "and the count is gone too");
}

#[test]
fn a_full_table_forgets_the_oldest_count_before_any_lock() {
    let mut table = bounded(3);
    let (locked, older, newer) = (ip("192.0.2.1"), ip("192.0.2.2"), ip("192.0.2.3"));
    fail(&mut table, locked, 5, NOW);
    fail(&mut table, older, 4, NOW + SECOND);
    fail(&mut table, newer, 4, NOW + 2 * SECOND);
    let now = NOW + 3 * SECOND;
    fail(&mut table, ip("192.0.2.4"), 1, now);
    assert!(is_locked(&table, locked, now));
    fail(&mut table, newer, 1, now);
    assert!(is_locked(&table, newer, now), "its count was kept");
    fail(&mut table, older, 1, now);
    assert!(!is_locked(&table, older, now), "its count was forgotten");
}

#[test]
fn a_table_full_of_locks_gives_up_the_one_that_ends_soonest() {
    let mut table = bounded(2);
    fail(&mut table, ip("192.0.2.1"), 5, NOW);
    fail(&mut table, ip("192.0.2.2"), 5, NOW + SECOND);
    fail(&mut table, ip("192.0.2.3"), 1, NOW + SECOND);
    assert!(!is_locked(&table, ip("192.0.2.1"), NOW + SECOND));
    assert!(is_locked(&table, ip("192.0.2.2"), NOW + SECOND));
}

#[test]
fn a_table_stays_within_its_bound_however_many_addresses_fail() {
    let mut table = bounded(100);
    for number in 0..10_000_u32 {
        fail(&mut table, PeerAddress::User(number), 1 + number as usize % 5, NOW);
        assert!(table.addresses.counts.len() <= 100);
    }
    let later = NOW + THREE_HOURS;
    fail(&mut table, here(), 1, later);
    assert_eq!(table.addresses.counts.len(), 1, "what has expired is forgotten");
}

#[test]
fn a_ticket_passes_a_lock_and_leaves_it_in_place() {
    let mut table = table();
    fail(&mut table, here(), 5, NOW);
    for _ in 0..10 {
        table.attempt(here(), Some(ticket(1)), NOW).expect("it has a ticket").succeeded();
    }
    assert!(is_locked(&table, here(), NOW), "to those without");
}

#[test]
fn five_failures_kill_a_ticket_and_only_that_one() {
    let mut table = table();
    fail(&mut table, here(), 5, NOW);
    for _ in 0..5 {
        let attempt = table.attempt(here(), Some(ticket(1)), NOW).expect("it lives");
        assert_eq!(attempt.failed(), None, "the address's lock is not touched");
    }
    assert!(table.check(here(), Some(ticket(1)), NOW).is_err());
    assert!(table.check(here(), Some(ticket(2)), NOW).is_ok());
    // Nor does it come to life again with the next lock-out.
    let later = NOW + 2 * THREE_HOURS;
    fail(&mut table, here(), 5, later);
    assert!(table.check(here(), Some(ticket(1)), later).is_err());
}

#[test]
fn a_ticket_is_not_spent_where_no_lock_is() {
    let mut table = table();
    for _ in 0..5 {
        table.attempt(here(), Some(ticket(1)), NOW).expect("free").failed();
    }
    assert!(is_locked(&table, here(), NOW), "the address was charged");
    assert!(table.check(here(), Some(ticket(1)), NOW).is_ok(), "the ticket was not");
}

/// From hasty to just about as long as a lock.
fn waits_s() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..60, 0_u64..7_200, 10_700_u64..10_900]
}

proptest! {
    #[test]
    fn no_guesser_gets_a_sixth_look_within_three_hours(
        waits_s in prop::collection::vec(waits_s(), 0..200),
    ) {
        let mut table = table();
        let mut now = NOW;
        let mut looked_at = Vec::new();
        for wait_s in waits_s {
            now += Duration::from_secs(wait_s);
            if let Ok(attempt) = table.attempt(here(), None, now) {
                attempt.failed();
                looked_at.push(now);
            }
        }
        for six in looked_at.windows(6) {
            prop_assert!(six[5] - six[0] >= THREE_HOURS, "{six:?}");
        }
    }
}
