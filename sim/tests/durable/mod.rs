//! Durable sequencers: killed, and with disks that fail, hang or forget.

use std::time::Duration;

use samestate_proto::replication::Refused;
use samestate_sim::invariants::Invariant;
use samestate_sim::virtual_time::{Fate, InjectedFault};

use super::{Ask, Cluster, MS, as_is};

/// A durable sequencer, a relay and a leaf.
fn durable_chain() -> Cluster {
    let mut cluster = Cluster { durable: true, ..Cluster::empty() };
    for upstream in [None, Some(0), Some(1)] {
        cluster.add(upstream, as_is);
    }
    cluster.in_sync();
    cluster
}

#[test]
fn what_a_durable_sequencer_accepted_outlives_it_and_what_it_was_writing_need_not() {
    let mut cluster = durable_chain();
    for round in 0..30 {
        let slot = round % 3;
        assert!(matches!(cluster.come_to(slot, Ask::Add), Fate::Ok(_)));
        // Who is behind may have thought itself in sync until it heard of the last death.
        cluster.in_sync();
        // Under way when it dies: at its origin, on the wire, or on its way to the disk.
        for node in 0..3 {
            cluster.dispatch(node, Ask::Add, 0).expect("it is in sync");
        }
        cluster.run(Duration::from_micros(700 * round as u64 % 5_000));
        cluster.fault(InjectedFault::Kill { host: 0, silent: false, lasts: Some(MS) });
        cluster.in_sync();
    }
    let tally = cluster.settle();
    assert_eq!(tally.rolled_back, 0);
    let moments = cluster.world.moments();
    assert!(moments.writes_lost > 0 && moments.restores == 30, "{moments:?}");
}

#[test]
fn a_durable_sequencer_stalls_while_its_disk_fails_and_goes_on_with_all_that_it_accepted() {
    let mut cluster = durable_chain();
    for round in 0..10 {
        cluster.fault(InjectedFault::Disk { host: 0, lasts: 100 * MS, hangs: false });
        let ids = [0, 1, 2].map(|node| cluster.add_at(node));
        cluster.until("the leaf hears of it", |world| {
            (0..3).all(|node| world.replica(node).is_some_and(|found| !found.is_connected()))
        });
        let refused = cluster.dispatch(0, Ask::Add, 0);
        assert!(matches!(refused, Err(Some(Refused::Stalled))), "{refused:?}");
        assert_eq!(cluster.fate(ids[0]), Fate::Unknown);
        assert!(ids.iter().all(|id| !matches!(cluster.fate(*id), Fate::Ok(_))));
        if round % 2 == 1 {
            cluster.fault(InjectedFault::Kill { host: 0, silent: false, lasts: Some(MS) });
        }
        cluster.in_sync();
        assert!(matches!(cluster.come_to(2, Ask::Add), Fate::Ok(_)));
    }
    let tally = cluster.settle();
    assert_eq!(tally.rolled_back, 0);
    let moments = cluster.world.moments();
    assert!(moments.disks_recovered == 5 && moments.restores == 5, "{moments:?}");
}

#[test]
fn while_a_disk_hangs_nothing_is_accepted_and_afterwards_all_of_it_is() {
    let mut cluster = durable_chain();
    cluster.fault(InjectedFault::Disk { host: 0, lasts: 90 * MS, hangs: true });
    let ids = [0, 1, 2].map(|node| cluster.add_at(node));
    cluster.run(80 * MS);
    assert!(ids.iter().all(|id| cluster.fate(*id) == Fate::Open), "{}", cluster.trace());
    assert_eq!((cluster.seq(0), cluster.seq(1), cluster.seq(2)), (3, 0, 0));
    cluster.until("all are accepted", |world| {
        ids.iter().all(|id| matches!(world.fate(*id), Some(Fate::Ok(_))))
    });
    assert_eq!(cluster.settle().rolled_back, 0);
}

#[test]
fn a_disk_that_forgets_what_it_said_it_had_is_a_violation() {
    let mut cluster = durable_chain();
    assert!(matches!(cluster.come_to(2, Ask::Add), Fate::Ok(_)));
    cluster.fault(InjectedFault::Forget { slot: 0 });
    cluster.fault(InjectedFault::Kill { host: 0, silent: false, lasts: Some(MS) });
    cluster.world.run_for(400 * MS);
    let violation = cluster.world.violation().expect("it was accepted, and is lost");
    assert_eq!(violation.invariant, Invariant::I3, "{violation}");
    assert!(violation.detail.contains("durable"), "{violation}");
}
