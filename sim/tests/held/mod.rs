//! Cases that no seed of the swarm shows: small clusters that are driven there, and the known bugs
//! that they find.

use std::time::Duration;

use samestate_proto::Mutant;
use samestate_proto::replication::{Config, Resync};
use samestate_sim::virtual_time::{Fate, InjectedFault, Upstream};

use super::{Ask, Cluster, MS, as_is, chain, pair};

/// Mutants that the swarm does not show, and the test that does.
const HELD: &[(Mutant, fn())] = &[
    (Mutant::RebaseKeepsDispatches, what_waits_at_a_sequencer_that_becomes_a_client_is_given_up),
    (Mutant::DoubtsForgotten, a_copy_below_a_relay_that_is_digesting_is_healed),
    (Mutant::OnlyUpstreamForgiven, a_sequencer_that_was_stopped_does_not_take_its_peers_for_dead),
    (Mutant::RejectionNotKept, a_rejection_outlives_the_durable_sequencer_that_made_it),
];

#[test]
fn each_mutant_that_the_swarm_does_not_show_fails_its_test() {
    for (mutant, test) in HELD {
        let run = std::panic::catch_unwind(|| mutant.put_in(test));
        assert!(run.is_err(), "{mutant} is not found");
    }
}

#[test]
fn no_more_snapshots_are_on_their_way_than_memory_is_meant_for() {
    let adjust = |_: usize, config: &mut Config| {
        (config.log_bytes_max, config.dead_after) = (1024, 2000 * MS);
    };
    let mut cluster = pair(adjust);
    assert!(matches!(cluster.come_to(0, Ask::Pad(300_000)), Fate::Ok(_)));
    for _ in 0..6 {
        let slot = cluster.add(Some(0), adjust);
        cluster.run(6 * MS);
        // It stops reading, and the log goes on without it.
        cluster.fault(InjectedFault::Blackhole { slot, up: false, down: true, lasts: 500 * MS });
        cluster.run(40 * MS);
        for _ in 0..8 {
            cluster.dispatch(0, Ask::Add, 400).expect("it has room");
            cluster.run(MS);
        }
    }
    cluster.settle();
}

#[test]
fn what_waits_at_a_sequencer_that_becomes_a_client_is_given_up() {
    let mut cluster = Cluster { durable: true, ..Cluster::empty() };
    for _ in 0..2 {
        cluster.add(None, as_is);
    }
    cluster.in_sync();
    // Its disk falls behind, and what comes then waits.
    let mut taken = vec![cluster.dispatch(1, Ask::Add, 1 << 20)];
    taken.extend((0..11).map(|_| cluster.dispatch(1, Ask::Add, 1 << 20)));
    let first = *taken[0].as_ref().expect("it has room");
    cluster.until("the first is on disk", |world| world.fate(first) != Some(Fate::Open));
    cluster.fault(InjectedFault::Disk { host: 1, lasts: 100 * MS, hangs: true });
    taken.extend((0..3).map(|_| cluster.dispatch(1, Ask::Add, 0)));
    assert!(taken.iter().all(Result::is_ok));
    cluster.world.follow(1, Upstream::slot(0));
    assert!(taken.iter().flatten().all(|id| cluster.fate(*id) != Fate::Open));
    cluster.run(MS);
}

#[test]
fn a_copy_below_a_relay_that_is_digesting_is_healed() {
    let mut cluster = chain(|_, config| config.resync = Resync::Verify(1));
    for _ in 0..60 {
        cluster.fault(InjectedFault::Slip { slot: 2 });
        for _ in 0..4 {
            cluster.dispatch(0, Ask::Add, 0).expect("it orders");
            cluster.run(15 * MS);
        }
    }
    cluster.settle();
    assert!(cluster.world.moments().replicas.healed > 30);
}

#[test]
fn a_sequencer_that_was_stopped_does_not_take_its_peers_for_dead() {
    let mut cluster = pair(|node, config| {
        if node == 1 {
            config.dead_after = 1000 * MS;
        }
    });
    for _ in 0..8 {
        cluster.fault(InjectedFault::Pause { host: 0, lasts: 300 * MS });
        cluster.run(400 * MS);
    }
    assert_eq!(cluster.world.moments().links_faulted, 0);
    cluster.settle();
}

#[test]
fn a_rejection_outlives_the_durable_sequencer_that_made_it() {
    let mut cluster = Cluster { durable: true, ..Cluster::empty() };
    for upstream in [None, Some(0)] {
        cluster.add(upstream, as_is);
    }
    cluster.in_sync();
    for round in 0..30 {
        let refused = cluster.ask(1, Ask::Panic);
        cluster.add_at(1);
        cluster.run(MS + Duration::from_micros(400 * round % 6_000));
        cluster.fault(InjectedFault::Kill { host: 0, silent: false, lasts: Some(MS) });
        cluster.in_sync();
        cluster.until("an answer", |world| world.fate(refused) != Some(Fate::Open));
        assert_eq!(cluster.fate(refused), Fate::Rejected);
    }
    cluster.settle();
}

#[test]
fn a_lineage_that_changes_amid_a_snapshot_is_told() {
    let mut cluster = chain(as_is);
    assert!(matches!(cluster.come_to(0, Ask::Pad(300_000)), Fate::Ok(_)));
    cluster.run(100 * MS);
    cluster.fault(InjectedFault::Backup { slot: 0 });
    cluster.fault(InjectedFault::Kill { host: 2, silent: false, lasts: Some(MS) });
    cluster.run(8 * MS);
    cluster.fault(InjectedFault::Kill { host: 0, silent: false, lasts: Some(MS) });
    cluster.until("another life", |world| {
        world
            .replica(1)
            .is_some_and(|relay| relay.is_connected() && relay.lineage().epochs().len() == 2)
    });
    cluster.add_at(0);
    cluster.run(100 * MS);
    cluster.settle();
}
