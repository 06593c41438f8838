//! Cases assembled from deltas made by hand: a master that orders, a worker that follows.

use std::collections::BTreeMap;

use samestate_proto::{Epoch, Version};
use samestate_report::{Case, FaultDone, Verdict};
use serde_bytes::ByteBuf;

use super::delta::{Figures, FinalState, LinkFigures, LoadDelta, NodeDelta, StoreDelta};
use super::taken::{IncarnationSeen, Taken};
use super::{Gathered, assemble};
use crate::invariants::Violations;
use crate::invariants::{History, Ledger, OriginLog, Testimony};
use crate::load::encode;
use crate::load::reducers::{CounterAction, CounterState};
use crate::measure::{Dispatched, Outcome};
use crate::scenario::{NodeId, Overrides, Plan, Role, ScenarioFile};

const MS: u64 = 1_000_000;
const START: u64 = 1_000 * MS;
const MASTER: NodeId = NodeId(0);
const WORKER: NodeId = NodeId(1);
const FIRST: Epoch = Epoch { number: 1, id: 77 };
const SECOND: Epoch = Epoch { number: 1, id: 99 };

fn v(epoch: Epoch, seq: u64) -> Version {
    Version { epoch, seq }
}

fn plan(more: &str) -> Plan {
    let text = format!(
        "version: 1\nabout: By hand.\nseed: 1\n\
         stores: {{ c: {{ reducer: counter, mode: action }} }}\n\
         clusters: {{ a: {{ workers: 1 }} }}\n\
         phases:\n  - name: p\n    duration: 1s\n    load:\n      \
         - {{ at: a.master, store: c, arrival: {{ every: 300ms }} }}\n{more}"
    );
    let file = ScenarioFile::parse("by-hand", "by-hand.yaml", &text, &Overrides::default());
    file.expect("the test's own file").cases.remove(0).plan
}

/// One process, as it tells what it saw.
struct Told {
    seen: Testimony,
    load: LoadDelta,
    origin: OriginLog,
    state: Option<FinalState>,
    at_ns: u64,
    divergences: u64,
}

impl Told {
    fn of(name: &str) -> Self {
        let mut seen = Testimony::of(name);
        seen.timeline.applied(START - MS, Version::default(), 0);
        Told {
            seen,
            load: LoadDelta::default(),
            origin: OriginLog::of(name),
            state: None,
            at_ns: START + 1_500 * MS,
            divergences: 0,
        }
    }

    /// A sequencer that orders in `epoch` what adds these numbers, each 100 ms after the other.
    fn ordering(epoch: Epoch, numbers: &[i64]) -> Self {
        let mut told = Told::of("a.master");
        let (mut ledger, mut history) = (Ledger::of("c"), History::default());
        ledger.begins(epoch, 0);
        history.begins(epoch, 0);
        for (at, number) in numbers.iter().enumerate() {
            let seq = at as u64 + 1;
            let payload = encode(&CounterAction::Add(*number)).expect("it encodes");
            ledger.ordered(seq, v(epoch, seq), [(5, seq, &*payload)]);
            history.ordered(seq, v(epoch, seq), [&*payload]);
            told.seen.timeline.applied(START + seq * 100 * MS, v(epoch, seq), seq * 31);
        }
        (told.seen.ledger, told.seen.history) = (Some(ledger), Some(history));
        told
    }

    /// A follower that applies `count` actions, each 10 ms later.
    fn following(epoch: Epoch, count: u64) -> Self {
        let mut told = Told::of("a.worker[1]");
        for seq in 1..=count {
            told.seen.timeline.applied(START + (seq * 100 + 10) * MS, v(epoch, seq), seq * 31);
        }
        told
    }

    /// Its dispatches were answered as these versions.
    fn answered(mut self, epoch: Epoch, seqs: impl IntoIterator<Item = u64>) -> Self {
        for seq in seqs {
            let version = v(epoch, seq);
            let intended_ns = START + seq * 100 * MS;
            let (issued_ns, answered_ns) = (intended_ns + MS, intended_ns + 2 * MS);
            let outcome = Outcome::Ok(version);
            self.load.log.record(Dispatched { intended_ns, issued_ns, answered_ns, outcome });
            self.load.due += 1;
            self.load.issued += 1;
            self.origin.ok(version, version, None);
        }
        self
    }

    fn outstanding(mut self, dispatches: u64) -> Self {
        self.load.outstanding = dispatches;
        self.load.due += dispatches;
        self.load.issued += dispatches;
        self.origin.outstanding(dispatches);
        self
    }

    /// It lived to the end, in this state.
    fn ending(mut self, epoch: Epoch, seq: u64, value: i64) -> Self {
        let bytes = ByteBuf::from(encode(&CounterState { value }).expect("it encodes"));
        let digest = value as u64;
        self.state = Some(FinalState { version: v(epoch, seq), digest, bytes });
        self
    }

    fn delta(self) -> NodeDelta {
        let last = self.state.is_some();
        let store = StoreDelta {
            version: self.state.as_ref().map(|state| state.version).unwrap_or_default(),
            connected: true,
            roles: vec![Role::Master],
            seen: self.seen,
            subscriber: None,
            digests: Vec::new(),
            loads: BTreeMap::from([(0, self.load)]),
            mirrors: LoadDelta::default(),
            opening: LoadDelta::default(),
            origin: self.origin,
            counters: Some(Figures { divergences: self.divergences, ..Figures::default() }),
            state: self.state,
        };
        NodeDelta {
            at_ns: self.at_ns,
            stores: BTreeMap::from([("c".to_owned(), store)]),
            links: Some(LinkFigures { sent_bytes: 100, received_bytes: 90, syscalls: Some(10) }),
            last,
            ..NodeDelta::default()
        }
    }
}

/// The case of these processes, in the order in which they came.
fn case_of(plan: &Plan, told: Vec<(NodeId, Told)>, faults: Vec<FaultDone>) -> Case {
    let incarnations = told.iter().enumerate().map(|(at, (node, _))| IncarnationSeen {
        connection: at as u64,
        node: *node,
        pid: 100 + at as u32,
        cost: None,
        course: Vec::new(),
        ended: None,
    });
    let incarnations = incarnations.collect();
    let mut gathered = Gathered::new(plan);
    gathered.begins(START);
    for ((node, told), connection) in told.into_iter().zip(0..) {
        gathered.joined(connection, node);
        gathered.absorb(connection, told.delta());
    }
    let taken = Taken {
        phase_cpu_ns: Vec::new(),
        violations: Violations::default(),
        incarnations,
        gathered,
        start_ns: Some(START),
        stop_ns: START + 1_001 * MS,
        end_ns: START + 1_500 * MS,
        faults,
        carrying: std::time::Duration::ZERO,
        interrupted: false,
        lost_cause: None,
        trouble: Vec::new(),
        errors: Vec::new(),
    };
    assemble(plan, taken)
}

fn three_adds() -> (Told, Told) {
    let master = Told::ordering(FIRST, &[1, 10, 100]).answered(FIRST, 1..=3);
    (master.ending(FIRST, 3, 111), Told::following(FIRST, 3).ending(FIRST, 3, 111))
}

fn invariants(case: &Case) -> Vec<&str> {
    case.violations.iter().map(|violation| violation.invariant.as_str()).collect()
}

#[test]
fn a_run_that_went_well_passes_with_the_figures_computed_by_hand() {
    let plan = plan("expect: [ { metric: dispatches.ok, min: 3, store: c } ]\n");
    let (master, worker) = three_adds();
    let case = case_of(&plan, vec![(MASTER, master), (WORKER, worker)], Vec::new());
    assert_eq!(case.verdict, Verdict::Pass, "{case:#?}");
    assert!(case.dispatches.balanced());
    let dispatches = &case.dispatches;
    assert_eq!((dispatches.intended, dispatches.ok, dispatches.lost), (3, 3, Some(0)));
    assert_eq!(dispatches.ordered, Some(3));
    // Apart for 10 ms after each of three actions, out of one second.
    assert_eq!(case.identical.time_weighted_percent, Some(97.0));
    assert_eq!(case.identical.at_equal_version_percent, Some(100.0));
    assert_eq!(case.identical.converged_within_ms, Some(0.0));
    assert_eq!((case.rate.intended_per_s, case.rate.issued_per_s), (Some(3.0), Some(3.0)));
    let latency = case.latency_us.replica.expect("the worker applied them");
    assert!((latency.p50 - 10_000.0).abs() < 20.0, "{latency:?}");
    assert_eq!(case.cost.wire_bytes, Some(200));
    assert_eq!(case.stores["c"].replicas, Some(2));
}

#[test]
fn an_ok_that_is_not_in_the_history_is_lost_and_fails_the_case() {
    let master = Told::ordering(FIRST, &[1]).answered(FIRST, 1..=2).ending(FIRST, 1, 1);
    let worker = Told::following(FIRST, 1).ending(FIRST, 1, 1);
    let case = case_of(&plan(""), vec![(MASTER, master), (WORKER, worker)], Vec::new());
    assert_eq!(case.dispatches.lost, Some(1));
    assert_eq!((case.verdict, invariants(&case)), (Verdict::Fail, vec!["I3"]));
}

#[test]
fn a_violation_that_is_demanded_does_not_fail_the_case() {
    let master = Told::ordering(FIRST, &[1]).answered(FIRST, 1..=2).ending(FIRST, 1, 1);
    let worker = Told::following(FIRST, 1).ending(FIRST, 1, 1);
    let plan = plan("expect: [ { violates: [I3] } ]\n");
    let case = case_of(&plan, vec![(MASTER, master), (WORKER, worker)], Vec::new());
    assert_eq!(case.verdict, Verdict::Pass, "{:?}", case.violations);
}

#[test]
fn a_state_that_the_history_does_not_give_breaks_i2() {
    let master = Told::ordering(FIRST, &[1, 10]).answered(FIRST, 1..=2).ending(FIRST, 2, 11);
    let worker = Told::following(FIRST, 2).ending(FIRST, 2, 12);
    let case = case_of(&plan(""), vec![(MASTER, master), (WORKER, worker)], Vec::new());
    // Once by the digests, and once by the states.
    assert_eq!((case.verdict, invariants(&case)), (Verdict::Fail, vec!["I2", "I2"]));
    let deep = case.violations[1].detail_text();
    assert!(deep.contains("$.value is 12, and should be 11"), "{deep}");
}

#[test]
fn a_divergence_that_the_library_healed_is_a_violation_all_the_same() {
    let (master, mut worker) = three_adds();
    worker.divergences = 1;
    let case = case_of(&plan(""), vec![(MASTER, master), (WORKER, worker)], Vec::new());
    assert_eq!((case.verdict, invariants(&case)), (Verdict::Fail, vec!["I2"]));
}

#[test]
fn what_a_killed_node_had_under_way_is_unknown() {
    let master = Told::ordering(FIRST, &[1, 10]).answered(FIRST, 1..=2).ending(FIRST, 2, 11);
    let mut killed = Told::following(FIRST, 1).outstanding(4);
    killed.at_ns = START + 200 * MS;
    let mut again = Told::following(FIRST, 0);
    again.seen.timeline.jumped(START + 400 * MS, v(FIRST, 0), v(FIRST, 2), 62);
    let again = again.ending(FIRST, 2, 11);
    let told = vec![(MASTER, master), (WORKER, killed), (WORKER, again)];
    let case = case_of(&plan(""), told, Vec::new());
    assert_eq!((case.dispatches.unknown, case.dispatches.ok), (4, 2));
    assert!(case.dispatches.balanced());
    assert_eq!(case.violations, []);
    assert_eq!(case.processes.len(), 3);
}

#[test]
fn what_a_killed_sequencer_took_along_is_rolled_back_and_not_lost() {
    let mut killed = Told::ordering(FIRST, &[1, 10, 100]).answered(FIRST, 1..=3);
    killed.at_ns = START + 350 * MS;
    let mut again = Told::ordering(SECOND, &[7]).answered(SECOND, 1..=1);
    again.seen.timeline = Testimony::of("a.master").timeline;
    again.seen.timeline.applied(START + 500 * MS, v(SECOND, 0), 0);
    again.seen.timeline.applied(START + 510 * MS, v(SECOND, 1), 31);
    let again = again.ending(SECOND, 1, 7);
    let mut worker = Told::following(FIRST, 3);
    worker.seen.timeline.jumped(START + 520 * MS, v(FIRST, 3), v(SECOND, 1), 31);
    let worker = worker.ending(SECOND, 1, 7);
    let told = vec![(MASTER, killed), (WORKER, worker), (MASTER, again)];
    let case = case_of(&plan(""), told, Vec::new());
    let dispatches = &case.dispatches;
    assert_eq!((dispatches.ok, dispatches.lost, dispatches.rolled_back), (4, Some(0), Some(3)));
    assert_eq!((case.verdict, invariants(&case)), (Verdict::Pass, vec![]));
}

#[test]
fn a_load_that_was_not_made_in_full_is_inconclusive() {
    let (mut master, worker) = three_adds();
    master.load.due = 4;
    let case = case_of(&plan(""), vec![(MASTER, master), (WORKER, worker)], Vec::new());
    assert_eq!(case.verdict, Verdict::Inconclusive);
    assert!(case.because[0].contains("75 % of the intended"), "{:?}", case.because);
}

#[test]
fn faults_that_were_planned_and_never_done_do_not_pass() {
    let fault = FaultDone { kind: "kill".to_owned(), ..FaultDone::default() };
    let (master, worker) = three_adds();
    let case = case_of(&plan(""), vec![(MASTER, master), (WORKER, worker)], vec![fault]);
    assert_eq!(case.verdict, Verdict::Inconclusive);
    assert_eq!((case.faults.planned, case.faults.injected), (1, 0));
}

#[test]
fn a_fault_says_how_soon_all_were_equal_after_it() {
    let fault = FaultDone {
        kind: "cut".to_owned(),
        injected_at_seconds: Some(0.1),
        ended_at_seconds: Some(0.205),
        ..FaultDone::default()
    };
    let (master, worker) = three_adds();
    let case = case_of(&plan(""), vec![(MASTER, master), (WORKER, worker)], vec![fault]);
    assert_eq!(case.faults.list[0].converged_within_ms, Some(5.0));
    assert_eq!(case.identical.converged_within_ms, Some(5.0));
}

#[test]
fn replicas_that_never_become_equal_break_i7_and_fail() {
    let (master, _) = three_adds();
    let worker = Told::following(FIRST, 2).ending(FIRST, 2, 11);
    let plan = plan("expect: [ { metric: identical.converged_within_ms, max: 1000 } ]\n");
    let case = case_of(&plan, vec![(MASTER, master), (WORKER, worker)], Vec::new());
    assert_eq!(case.identical.converged_within_ms, None);
    assert_eq!((case.verdict, invariants(&case)), (Verdict::Fail, vec!["I7"]));
    assert_eq!(case.expectations[0].measured, "never");
}

#[test]
fn nodes_are_asked_what_they_are_at_the_end() {
    let plan = plan(
        "expect: [ { at: a.master, store: c, connected: true, roles: [master] }, \
         { at: a.master, store: c, roles: [server] } ]\n",
    );
    let (master, worker) = three_adds();
    let case = case_of(&plan, vec![(MASTER, master), (WORKER, worker)], Vec::new());
    let outcomes: Vec<_> = case.failed_expectations().map(|one| one.measured.as_str()).collect();
    assert_eq!((case.expectations.len(), outcomes), (3, vec!["master"]));
}

#[test]
fn the_series_add_up_to_the_measures_of_the_whole_run() {
    let plan = plan("");
    let (master, worker) = three_adds();
    let case = case_of(&plan, vec![(MASTER, master), (WORKER, worker)], Vec::new());
    let series = case.series.as_ref().expect("the load began");
    assert!(series.is_known(), "{series:#?}");
    let store = &series.stores["c"];
    let loaded_until = case.seconds.expect("it was measured");
    let (mut same, mut total) = (0.0, 0.0);
    for (at, percent) in store.identical_percent.iter().flatten().enumerate() {
        let begin = series.begin_seconds + at as f64 * series.bucket_seconds;
        let seconds = (begin + series.bucket_seconds).min(loaded_until) - begin.max(0.0);
        let percent = percent.expect("both replicas were there all the time");
        same += percent * seconds;
        total += seconds;
    }
    let whole = case.identical.time_weighted_percent.expect("it was measured");
    assert!((same / total - whole).abs() < 0.1, "{} and {whole}", same / total);
    let sum = |points: &Option<samestate_report::Points>| {
        let points = points.iter().flatten().flatten();
        (points.sum::<f64>() * series.bucket_seconds).round()
    };
    assert_eq!(sum(&store.intended_per_s), 3.0);
    assert_eq!(sum(&store.issued_per_s), 3.0);
    assert_eq!(sum(&store.achieved_per_s), 3.0);
    let most = |points: &Option<samestate_report::Points>| {
        points.iter().flatten().flatten().copied().fold(0.0, f64::max)
    };
    assert_eq!(most(&store.versions_behind_max), 1.0);
    assert_eq!(most(&store.local_us.max), 2_000.0);
    // The worker has each action 110 ms after the one before, and 10 ms after it was intended.
    assert_eq!(most(&store.replica_us.max), 10_000.0);
    assert_eq!(series.processes.len(), 2);
    assert_eq!(series.processes[0].syscalls_per_s, None, "it was read once");
    assert_eq!(case.phases[0].loads, ["a.master into c: one every 300ms"]);
    assert_eq!(case.topologies[0].stores["c"][1].fed_by.as_deref(), Some("a.master"));
}
