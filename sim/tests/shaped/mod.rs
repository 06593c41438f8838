//! The effect of faults that make a link late, slow, one-sided or closed, in virtual time.

use std::time::Duration;

use samestate_sim::faults::{Shape, Ways};
use samestate_sim::virtual_time::{Fate, InjectedFault};

use super::{Ask, Cluster, MS, as_is, lose_all, pair};

const UP: Ways = Ways { up: true, down: false };
const DOWN: Ways = Ways { up: false, down: true };
const BOTH: Ways = Ways { up: true, down: true };

/// Gives the link below node 0 a property for so many milliseconds.
fn shape(cluster: &mut Cluster, ways: Ways, shape: Shape, ms: u32) {
    cluster.fault(InjectedFault::Shape { slot: 1, ways, shape, lasts: ms * MS });
}

/// The time that a dispatch at the client takes to its answer.
fn answered_in(cluster: &mut Cluster, ask: Ask) -> Duration {
    let before = cluster.world.now();
    assert!(matches!(cluster.come_to(1, ask), Fate::Ok(_)));
    cluster.world.now() - before
}

#[test]
fn a_delay_makes_bytes_late_in_its_direction_and_ends() {
    let mut cluster = pair(as_is);
    let usual = answered_in(&mut cluster, Ask::Add);
    assert!(usual < 10 * MS, "{usual:?}");
    for (ways, least) in [(UP, 20 * MS), (DOWN, 20 * MS), (BOTH, 40 * MS)] {
        shape(&mut cluster, ways, Shape::Delay(20 * MS), 60);
        let late = answered_in(&mut cluster, Ask::Add);
        assert!(late >= least && late < least + 15 * MS, "{ways:?}: {late:?}");
        cluster.run(100 * MS);
        let usual = answered_in(&mut cluster, Ask::Add);
        assert!(usual < 10 * MS, "{ways:?}: {usual:?}");
    }
    cluster.settle();
}

#[test]
fn jitter_makes_bytes_late_by_times_that_differ() {
    let mut cluster = pair(as_is);
    shape(&mut cluster, UP, Shape::Jitter(20 * MS), 2_000);
    let times: Vec<Duration> = (0..20).map(|_| answered_in(&mut cluster, Ask::Add)).collect();
    let (least, most) = (times.iter().min(), times.iter().max());
    assert!(most.is_some_and(|most| *most > 12 * MS && *most < 30 * MS), "{times:?}");
    assert!(least.is_some_and(|least| *least < 10 * MS), "{times:?}");
    cluster.settle();
}

#[test]
fn a_bandwidth_and_a_slow_reader_bound_the_bytes_of_a_second() {
    for slow in [Shape::Bandwidth(50_000), Shape::Reader(50_000)] {
        let mut cluster = pair(as_is);
        shape(&mut cluster, UP, slow, 2_000);
        let before = cluster.world.now();
        let id = cluster.dispatch(1, Ask::Add, 5_000).expect("it is in sync");
        cluster.until("an answer", |world| world.fate(id) != Some(Fate::Open));
        let took = cluster.world.now() - before;
        assert!(took >= 95 * MS && took < 200 * MS, "{slow:?}: {took:?}");
        cluster.settle();
    }
}

#[test]
fn a_reader_that_takes_nothing_takes_all_in_the_end() {
    let mut cluster = pair(as_is);
    shape(&mut cluster, UP, Shape::Reader(0), 60);
    let took = answered_in(&mut cluster, Ask::Add);
    assert!(took >= 60 * MS && took < 80 * MS, "{took:?}");
    cluster.settle();
}

#[test]
fn a_connection_that_is_made_during_a_blackhole_carries_nothing_either() {
    let mut cluster = pair(as_is);
    let begun = cluster.world.now();
    let lasts = 100 * MS;
    cluster.fault(InjectedFault::Blackhole { slot: 1, up: true, down: true, lasts });
    cluster.fault(lose_all(1));
    cluster.until("it is lost", |world| !world.replica(1).is_some_and(|r| r.is_connected()));
    cluster.in_sync();
    assert!(cluster.world.now() - begun >= lasts, "{:?}", cluster.world.now() - begun);
    cluster.settle();
}

#[test]
fn a_refusal_keeps_what_is_open_and_lets_nothing_new_in() {
    let mut cluster = pair(as_is);
    let begun = cluster.world.now();
    cluster.fault(InjectedFault::Refuse { slot: 1, lasts: 100 * MS });
    answered_in(&mut cluster, Ask::Add);
    cluster.fault(lose_all(1));
    cluster.until("it is lost", |world| !world.replica(1).is_some_and(|r| r.is_connected()));
    cluster.in_sync();
    assert!(cluster.world.now() - begun >= 100 * MS, "{:?}", cluster.world.now() - begun);
    cluster.settle();
}
