//! Parts of the protocol that are easy to get wrong, by name: small clusters in virtual time,
//! driven into just that corner. Whatever happens there is held against all invariants too.

mod durable;
mod held;
mod shaped;

use std::time::Duration;

use samestate_proto::Mode;
use samestate_proto::replication::{Config, Refused, Resync};
use samestate_sim::load::encode;
use samestate_sim::load::reducers::{ProbeAction, ProbeAsk as Ask};
use samestate_sim::virtual_time::{
    Fate, InjectedFault, Kind, Mishap, NetworkModel, SlotSpec, Tally, Upstream, World,
};

const MS: Duration = Duration::from_millis(1);

/// A cluster in sync, and what one says about it.
struct Cluster {
    world: World,
    asked: u64,
    durable: bool,
}

impl Cluster {
    /// A node for each of `upstreams`, that follows the one named, with settings of `adjust`.
    fn new(upstreams: &[Option<usize>], adjust: impl Fn(usize, &mut Config)) -> Cluster {
        let mut cluster = Cluster::empty();
        for upstream in upstreams {
            cluster.add(*upstream, &adjust);
        }
        cluster.in_sync();
        cluster
    }

    fn empty() -> Cluster {
        let bytes_per_ms = 10_000;
        let model = NetworkModel {
            latency: MS,
            jitter: Duration::ZERO,
            bytes_per_ms,
            ..NetworkModel::default()
        };
        let mut world = World::new(7, model);
        world.set_traced(200);
        Cluster { world, asked: 0, durable: false }
    }

    fn add(&mut self, upstream: Option<usize>, adjust: impl Fn(usize, &mut Config)) -> usize {
        let mut config = Config::new("store");
        config.mode = Mode::Action;
        config.resync = Resync::Off;
        config.verify_budget = 1.0;
        config.heartbeat = 30 * MS;
        config.dead_after = 120 * MS;
        config.stall_grace = 20 * MS;
        let node = self.world.len();
        adjust(node, &mut config);
        self.world.add(SlotSpec {
            name: format!("n{node}"),
            host: node,
            kind: Kind::named("probe").expect("it ships"),
            config,
            upstream: upstream.map(Upstream::slot),
            backoff_max: 150 * MS,
            slow_subscriber: false,
            backup_every: None,
            durable: self.durable,
        })
    }

    /// Hands an action over, its encoding longer than it need be.
    fn dispatch(&mut self, node: usize, ask: Ask, padding: u32) -> Result<u64, Option<Refused>> {
        self.asked += 1;
        let action = ProbeAction { id: self.asked, ask, padding_bytes: padding };
        self.world.dispatch(node, encode(&action).expect("it encodes"))
    }

    /// Returns the trace so far.
    fn trace(&self) -> String {
        let names: Vec<_> = (0..self.world.len()).map(|node| format!("n{node}")).collect();
        let trace = self.world.trace().expect("it is kept");
        trace.lines(&names).map(|line| line + "\n").collect()
    }

    /// Runs until this is so.
    fn until(&mut self, what: &str, so: impl Fn(&World) -> bool) {
        let came = self.world.run_while(5000 * MS, |world| !so(world));
        assert!(came, "{}never: {what}", self.trace());
    }

    fn in_sync(&mut self) {
        let nodes = self.world.len();
        self.until("all in sync", |world| {
            (0..nodes).all(|node| world.replica(node).is_some_and(|found| found.is_connected()))
        });
    }

    fn run(&mut self, time: Duration) {
        self.world.run_for(time);
        assert_eq!(self.world.violation(), None, "{}", self.trace());
    }

    fn fault(&mut self, fault: InjectedFault) {
        self.world.inject(fault);
    }

    fn ask(&mut self, node: usize, ask: Ask) -> u64 {
        match self.dispatch(node, ask, 0) {
            Ok(id) => id,
            Err(refused) => panic!("{}n{node} refuses: {refused:?}", self.trace()),
        }
    }

    fn add_at(&mut self, node: usize) -> u64 {
        self.ask(node, Ask::Add)
    }

    /// Dispatches, and waits for the answer.
    fn come_to(&mut self, node: usize, ask: Ask) -> Fate {
        let id = self.ask(node, ask);
        self.until("an answer", |world| world.fate(id) != Some(Fate::Open));
        self.fate(id)
    }

    fn fate(&self, id: u64) -> Fate {
        self.world.fate(id).expect("it was dispatched")
    }

    fn seq(&self, node: usize) -> u64 {
        self.world.replica(node).expect("a process").version().seq
    }

    fn connected(&self, node: usize) -> bool {
        self.world.replica(node).expect("a process").is_connected()
    }

    /// Puts all right, and holds what came of it against the history.
    fn settle(&mut self) -> Tally {
        self.world.heal();
        match self.world.settle(5000 * MS) {
            Ok(tally) => tally,
            Err(violation) => panic!("{}{violation}", self.trace()),
        }
    }
}

fn as_is(_: usize, _: &mut Config) {}

fn chain(adjust: impl Fn(usize, &mut Config)) -> Cluster {
    Cluster::new(&[None, Some(0), Some(1)], adjust)
}

fn pair(adjust: impl Fn(usize, &mut Config)) -> Cluster {
    Cluster::new(&[None, Some(0)], adjust)
}

fn lose_all(slot: usize) -> InjectedFault {
    InjectedFault::Cut { slot, loses_up: true, loses_down: true, lasts: Duration::ZERO }
}

#[test]
fn a_dispatch_resent_after_a_cut_is_applied_once() {
    let mut cluster = pair(as_is);
    assert!(matches!(cluster.come_to(1, Ask::Add), Fate::Ok(_)));
    let id = cluster.add_at(1);
    cluster.until("it is ordered", |world| world.replica(0).unwrap().version().seq == 2);
    assert_eq!(cluster.fate(id), Fate::Open);
    cluster.fault(lose_all(1));
    let tally = cluster.settle();
    assert_eq!((tally.ok, cluster.seq(0)), (2, 2));
    assert_eq!(cluster.world.moments().replicas.deduplicated, 1);
}

#[test]
fn a_rejection_resent_after_a_cut_is_the_same_rejection() {
    let mut cluster = pair(as_is);
    assert!(matches!(cluster.come_to(1, Ask::Add), Fate::Ok(_)));
    let id = cluster.ask(1, Ask::Panic);
    cluster.run(2 * MS);
    cluster.fault(lose_all(1));
    cluster.settle();
    assert_eq!(cluster.fate(id), Fate::Rejected);
    assert_eq!(cluster.world.moments().replicas.deduplicated, 1);
}

#[test]
fn a_relay_drops_dispatches_of_an_old_attachment() {
    let mut cluster = chain(as_is);
    assert!(matches!(cluster.come_to(2, Ask::Add), Fate::Ok(_)));
    cluster.fault(InjectedFault::Blackhole { slot: 2, up: true, down: false, lasts: 60 * MS });
    let id = cluster.add_at(2);
    cluster.fault(lose_all(1));
    let tally = cluster.settle();
    assert!(matches!(cluster.fate(id), Fate::Ok(_)));
    assert_eq!((tally.ok, cluster.seq(0)), (2, 2));
    cluster.fault(InjectedFault::Blackhole { slot: 2, up: true, down: false, lasts: 60 * MS });
    cluster.add_at(2);
    cluster.fault(lose_all(1));
    cluster.run(100 * MS);
    cluster.settle();
    assert!(cluster.world.moments().replicas.stale_hops > 0);
    assert_eq!(cluster.seq(0), 3);
}

#[test]
fn an_answer_of_an_old_epoch_counts_for_nothing() {
    // The answer is there long before the state that it is about, which its sequencer takes along.
    let mut cluster = Cluster::empty();
    for upstream in [None, Some(0), Some(1)] {
        cluster.add(upstream, |_, config| config.mode = Mode::Snapshot);
    }
    cluster.in_sync();
    assert!(matches!(cluster.come_to(2, Ask::Pad(300_000)), Fate::Ok(_)));
    assert!(matches!(cluster.come_to(2, Ask::Add), Fate::Ok(_)));
    cluster.fault(InjectedFault::Backup { slot: 0 });
    let id = cluster.add_at(2);
    cluster.until("it is ordered", |world| world.replica(0).unwrap().version().seq == 3);
    cluster.run(8 * MS);
    assert_eq!(cluster.fate(id), Fate::Open);
    cluster.fault(InjectedFault::Kill { host: 0, silent: false, lasts: Some(MS) });
    cluster.run(100 * MS);
    let tally = cluster.settle();
    let Fate::Ok(version) = cluster.fate(id) else { panic!("{:?}", cluster.fate(id)) };
    assert_eq!((version.epoch.number, version.seq), (2, 3), "of the life that goes on");
    assert_eq!((tally.ok, tally.rolled_back), (3, 0));
}

#[test]
fn what_a_dead_sequencer_took_with_it_is_rolled_back_and_told() {
    let mut cluster = chain(as_is);
    cluster.fault(InjectedFault::Backup { slot: 0 });
    assert!(matches!(cluster.come_to(2, Ask::Add), Fate::Ok(_)));
    cluster.fault(InjectedFault::Kill { host: 0, silent: false, lasts: Some(MS) });
    cluster.run(50 * MS);
    let tally = cluster.settle();
    assert_eq!((tally.ok, tally.rolled_back, cluster.seq(2)), (1, 1, 0));
    assert_eq!(cluster.world.moments().histories_lost, 2, "on every node");
}

#[test]
fn a_loop_that_closes_later_is_refused() {
    let mut cluster = chain(as_is);
    cluster.world.follow(1, Upstream::slot(2));
    cluster.run(300 * MS);
    assert!(cluster.world.moments().links_looped > 0);
    assert!(!cluster.connected(1) && !cluster.connected(2));
    cluster.world.follow(1, Upstream::slot(0));
    cluster.settle();
}

#[test]
fn a_diverged_relay_heals_before_it_serves() {
    let mut cluster = Cluster::empty();
    let verify = |_: usize, config: &mut Config| config.resync = Resync::Verify(4);
    for upstream in [None, Some(0), Some(1)] {
        cluster.add(upstream, verify);
    }
    cluster.in_sync();
    cluster.fault(InjectedFault::Slip { slot: 1 });
    cluster.add_at(0);
    cluster.run(10 * MS);
    // The one below takes the bad copy over, and then has nobody but the relay to heal from.
    cluster.fault(InjectedFault::Kill { host: 2, silent: false, lasts: Some(MS) });
    cluster.run(50 * MS);
    for _ in 0..12 {
        cluster.add_at(0);
        cluster.run(10 * MS);
    }
    cluster.settle();
    assert!(cluster.world.moments().replicas.divergences > 0);
    assert_eq!(cluster.world.moments().non_deterministic, 0);
}

#[test]
fn a_reducer_that_is_not_deterministic_is_said_once_and_not_healed_in_a_loop() {
    let mut cluster = pair(|_, config| config.resync = Resync::Verify(2));
    cluster.world.mishap(1, Mishap::ALWAYS_SLIP);
    for _ in 0..30 {
        cluster.add_at(0);
        cluster.run(10 * MS);
    }
    let moments = cluster.world.moments();
    assert_eq!(moments.non_deterministic, 1);
    assert_eq!(moments.replicas.snapshots_installed, 2, "the first, and one heal");
}

#[test]
fn an_action_that_fails_at_one_copy_heals_it_by_snapshot() {
    let mut cluster = chain(as_is);
    cluster.fault(InjectedFault::Fail { slot: 1 });
    assert!(matches!(cluster.come_to(2, Ask::Add), Fate::Ok(_)));
    cluster.settle();
    assert_eq!(cluster.world.moments().failed_here, 1);
}

#[test]
fn a_panic_at_the_sequencer_is_a_rejection_and_the_store_goes_on() {
    let mut cluster = pair(as_is);
    assert_eq!(cluster.come_to(1, Ask::Panic), Fate::Rejected);
    assert_eq!(cluster.come_to(0, Ask::Panic), Fate::Rejected);
    assert!(matches!(cluster.come_to(1, Ask::Add), Fate::Ok(_)));
    cluster.settle();
}

#[test]
fn a_slow_link_falls_off_the_log_and_gets_a_snapshot() {
    let mut cluster = pair(|_, config| config.log_bytes_max = 1024);
    cluster.fault(InjectedFault::Blackhole { slot: 1, up: false, down: true, lasts: 100 * MS });
    for _ in 0..400 {
        cluster.dispatch(0, Ask::Add, 400).ok();
        cluster.run(MS / 4);
    }
    cluster.settle();
    let counted = cluster.world.moments().replicas;
    assert!(counted.snapshots_forced > 0 && counted.entries_skipped > 0, "{counted:?}");
}

#[test]
fn a_silent_peer_is_cut() {
    let mut cluster = pair(as_is);
    cluster.fault(InjectedFault::HalfOpen { slot: 1 });
    cluster.until("it is noticed", |world| world.moments().links_silent == 2);
    assert!(cluster.world.now() < 200 * MS, "before the link itself would");
    cluster.settle();
}

#[test]
fn an_idle_link_is_kept_by_heartbeats() {
    let mut cluster = chain(as_is);
    cluster.run(1000 * MS);
    assert_eq!(cluster.world.moments().links_faulted, 0);
    assert!(cluster.connected(2));
}

#[test]
fn an_expired_session_is_outcome_unknown_and_never_a_second_application() {
    let mut cluster = Cluster::new(&[None, Some(0), Some(0)], |_, config| config.sessions_max = 1);
    assert!(matches!(cluster.come_to(1, Ask::Add), Fate::Ok(_)));
    assert!(matches!(cluster.come_to(2, Ask::Add), Fate::Ok(_)));
    assert_eq!(cluster.come_to(1, Ask::Add), Fate::Unknown);
    assert!(matches!(cluster.come_to(1, Ask::Add), Fate::Ok(_)), "in a new session");
    assert_eq!((cluster.settle().ok, cluster.seq(0)), (3, 3));
}

#[test]
fn a_deadline_resolves_unknown_and_is_resent_as_void() {
    let mut cluster = pair(|_, config| config.dispatch_deadline = Some(20 * MS));
    assert!(matches!(cluster.come_to(1, Ask::Add), Fate::Ok(_)));
    cluster.fault(InjectedFault::HalfOpen { slot: 1 });
    let id = cluster.add_at(1);
    cluster.until("the deadline", |world| world.fate(id) == Some(Fate::Unknown));
    cluster.until("the link ends", |world| !world.replica(1).unwrap().is_connected());
    cluster.in_sync();
    assert!(matches!(cluster.come_to(1, Ask::Add), Fate::Ok(_)), "the next number");
    cluster.settle();
    assert_eq!(cluster.seq(0), 2, "the one given up was not applied");
}

#[test]
fn a_relay_fed_by_snapshots_sends_snapshots_and_says_so_once() {
    let mode = |node: usize| if node == 0 { Mode::Snapshot } else { Mode::Action };
    let mut cluster = chain(|node, config| config.mode = mode(node));
    let before = cluster.world.replica(2).unwrap().counters().snapshots_installed;
    for _ in 0..5 {
        assert!(matches!(cluster.come_to(2, Ask::Add), Fate::Ok(_)), "an answer travels by itself");
    }
    let after = cluster.world.replica(2).unwrap().counters();
    assert_eq!((after.snapshots_installed - before, after.applied), (5, 0));
    assert_eq!(cluster.world.moments().fed_by_snapshots, 1);
    cluster.settle();
}

#[test]
fn a_node_stays_in_sync_while_it_takes_a_newer_snapshot() {
    let mut cluster = pair(|_, config| config.mode = Mode::Snapshot);
    for _ in 0..200 {
        cluster.add_at(0);
        cluster.add_at(1);
        cluster.run(MS / 4);
    }
    cluster.settle();
}

#[test]
fn a_resync_that_changes_nothing_tells_no_subscriber() {
    let mut cluster = pair(|_, config| config.resync = Resync::Snapshot(5));
    for _ in 0..20 {
        assert!(matches!(cluster.come_to(1, Ask::Add), Fate::Ok(_)));
    }
    let counted = cluster.world.moments().replicas;
    assert_eq!(counted.snapshots_installed, 1, "the first");
    assert!(counted.snapshots_sent > 3, "{counted:?}");
    cluster.settle();
}

#[test]
fn a_worker_learns_from_its_master_that_the_server_is_gone() {
    let mut cluster = chain(as_is);
    cluster.fault(InjectedFault::Cut {
        slot: 1,
        loses_up: true,
        loses_down: true,
        lasts: 100 * MS,
    });
    cluster.run(20 * MS);
    assert!(!cluster.connected(1) && !cluster.connected(2));
    assert_eq!(cluster.dispatch(2, Ask::Add, 0), Err(Some(Refused::NotConnected)));
    cluster.in_sync();
    assert!(matches!(cluster.come_to(2, Ask::Add), Fate::Ok(_)));
    cluster.settle();
}

#[test]
fn a_full_window_is_busy_and_never_applies() {
    let mut cluster = pair(|_, config| config.window = 2);
    let taken = [cluster.add_at(1), cluster.add_at(1)];
    assert_eq!(cluster.dispatch(1, Ask::Add, 0), Err(Some(Refused::Busy(2))));
    assert_eq!((cluster.settle().ok, cluster.seq(0)), (2, 2));
    assert!(taken.iter().all(|id| matches!(cluster.fate(*id), Fate::Ok(_))));
}

#[test]
fn a_sequencer_that_becomes_a_client_is_rebased_once() {
    let mut cluster = Cluster::new(&[None, None, Some(1)], as_is);
    for node in [0, 1, 2] {
        assert!(matches!(cluster.come_to(node, Ask::Add), Fate::Ok(_)));
    }
    let id = cluster.add_at(2);
    cluster.run(MS / 2);
    cluster.world.follow(1, Upstream::slot(0));
    cluster.run(100 * MS);
    let tally = cluster.settle();
    assert_ne!(cluster.fate(id), Fate::Open);
    assert_eq!((tally.rolled_back, cluster.world.moments().rebases), (2, 1));
}

#[test]
fn a_flipped_bit_cuts_the_link_and_never_becomes_state() {
    for up in [false, true] {
        let mut cluster = pair(as_is);
        cluster.fault(InjectedFault::Corrupt { slot: 1, up });
        cluster.add_at(0);
        cluster.add_at(1);
        cluster.until("it is noticed", |world| world.moments().links_corrupt == 1);
        assert_eq!(cluster.settle().ok, 2);
    }
}

#[test]
fn a_node_that_was_stopped_itself_does_not_take_its_peers_for_dead() {
    let mut cluster = pair(|node, config| {
        if node == 0 {
            config.dead_after = 1000 * MS;
        }
    });
    cluster.fault(InjectedFault::Pause { host: 1, lasts: 300 * MS });
    cluster.run(400 * MS);
    assert_eq!(cluster.world.moments().links_faulted, 0);
    cluster.settle();
}

#[test]
fn an_upstream_that_loses_history_after_the_attach_does_not_keep_a_node_out_of_sync() {
    let mut cluster = chain(as_is);
    cluster.fault(InjectedFault::Backup { slot: 0 });
    assert!(matches!(cluster.come_to(2, Ask::Add), Fate::Ok(_)));
    // The lowest attaches anew at a version that its upstream is about to lose.
    cluster.fault(lose_all(2));
    cluster.in_sync();
    cluster.fault(InjectedFault::Kill { host: 0, silent: true, lasts: Some(MS) });
    cluster.run(400 * MS);
    cluster.settle();
}

#[test]
fn a_resync_of_an_older_life_is_not_sent_under_the_lineage_of_a_newer_one() {
    let mut cluster = chain(|_, config| config.resync = Resync::Snapshot(1));
    assert!(matches!(cluster.come_to(1, Ask::Add), Fate::Ok(_)));
    cluster.until("it is at the leaf", |world| world.replica(2).unwrap().version().seq == 1);
    cluster.run(20 * MS);
    // The sequencer goes on from its backup in another life, while the leaf is away.
    cluster.fault(InjectedFault::Backup { slot: 0 });
    let (slot, lasts) = (2, 1000 * MS);
    cluster.fault(InjectedFault::Cut { slot, loses_up: true, loses_down: true, lasts });
    cluster.fault(InjectedFault::Kill { host: 0, silent: false, lasts: Some(MS) });
    cluster.run(100 * MS);
    cluster.until("the relay is back", |world| world.replica(1).unwrap().is_connected());
    assert!(matches!(cluster.come_to(1, Ask::Add), Fate::Ok(_)));
    cluster.settle();
    assert_eq!(cluster.seq(2), 2);
}
