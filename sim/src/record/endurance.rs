//! Tests of long runs: the memory for a run, and the time to judge it, do not grow with its length.
//!
//! Memory is measured in a process of its own, since the tests of one binary share theirs.
//! `SAMESTATE_SOAK=18000000` feeds an hour at 5,000/s.

use std::process::Command;
use std::time::Instant;

use samestate_proto::{Epoch, Version};
use samestate_report::Verdict;
use serde_bytes::ByteBuf;

use super::delta::{Figures, FinalState, LinkFigures, LoadDelta, NodeDelta, StoreDelta};
use super::taken::{IncarnationSeen, Taken};
use super::{Gathered, assemble};
use crate::invariants::{History, Ledger, OriginLog, Testimony, Violations};
use crate::load::encode;
use crate::load::reducers::{CounterAction, CounterState};
use crate::measure::{Dispatched, Outcome, Reading};
use crate::scenario::{NodeId, Overrides, Plan, Role, ScenarioFile};

const MS: u64 = 1_000_000;
const START: u64 = 1_000 * MS;
const EPOCH: Epoch = Epoch { number: 1, id: 77 };
const NODES: [&str; 3] = ["a.master", "a.worker[1]", "a.worker[2]"];
const PER_SECOND: u64 = 5_000;

/// So many actions are in each part: those of a tenth of a second.
const PER_PART: u64 = PER_SECOND / 10;

fn plan(actions: u64) -> Plan {
    let seconds = actions / PER_SECOND;
    let load =
        |at: &str| format!("      - {{ at: \"{at}\", store: c, arrival: {{ rate: 1667/s }} }}\n");
    let text = format!(
        "version: 1\nabout: By hand.\nseed: 1\n\
         stores: {{ c: {{ reducer: counter, mode: action }} }}\n\
         clusters: {{ a: {{ workers: 2 }} }}\n\
         phases:\n  - name: p\n    duration: {seconds}s\n    load:\n{}",
        NODES.map(load).concat()
    );
    let file = ScenarioFile::parse("by-hand", "by-hand.yaml", &text, &Overrides::default());
    file.expect("the test's own file").cases.remove(0).plan
}

fn version(seq: u64) -> Version {
    Version { epoch: EPOCH, seq }
}

/// Returns the time at which an action is ordered.
fn at_ns(seq: u64) -> u64 {
    START + seq * 1_000 * MS / PER_SECOND
}

/// Returns a node's observations of the actions of one part. Each third action is its own; others'
/// answers are between, so that no two of its versions are neighbours.
fn part(node: usize, first: u64, payload: &[u8]) -> StoreDelta {
    let last = first + PER_PART - 1;
    let mut seen = Testimony::of(NODES[node]);
    let mut load = LoadDelta::default();
    let mut origin = OriginLog::of(NODES[node]);
    for seq in first..=last {
        seen.timeline.applied(at_ns(seq) + node as u64 * 1_000, version(seq), seq * 31);
        if seq % NODES.len() as u64 == node as u64 {
            let (intended_ns, outcome) = (at_ns(seq), Outcome::Ok(version(seq)));
            let answered_ns = intended_ns + MS;
            let issued_ns = intended_ns;
            load.log.record(Dispatched { intended_ns, issued_ns, answered_ns, outcome });
            origin.ok(version(seq), version(last), Some(payload));
        }
    }
    load.due = last / NODES.len() as u64;
    load.issued = load.due;
    if node == 0 {
        let (mut ledger, mut history) = (Ledger::of("c"), History::default());
        ledger.begins(EPOCH, first - 1);
        history.begins(EPOCH, first - 1);
        let origins = NODES.len() as u64;
        let entries = (first..=last).map(|seq| (seq % origins, seq / origins + 1, payload));
        ledger.ordered(first, version(last), entries);
        history.ordered(first, version(last), (first..=last).map(|_| payload));
        (seen.ledger, seen.history) = (Some(ledger), Some(history));
    }
    StoreDelta {
        version: version(last),
        connected: true,
        roles: vec![Role::Worker],
        seen,
        subscriber: None,
        digests: vec![(version(last), last)],
        loads: [(node as u64, load)].into(),
        mirrors: LoadDelta::default(),
        opening: LoadDelta::default(),
        origin,
        counters: Some(Figures::default()),
        state: None,
    }
}

/// Feeds so many actions, judges the case, and tells how many seconds the judging took.
fn soak(actions: u64) -> f64 {
    let plan = plan(actions);
    let mut gathered = Gathered::new(&plan);
    for node in 0..NODES.len() {
        gathered.joined(node as u64 + 1, NodeId(node as u32));
    }
    gathered.begins(START);
    let payload = encode(&CounterAction::Add(1)).expect("it encodes");
    let bytes = ByteBuf::from(encode(&CounterState { value: actions as i64 }).expect("it encodes"));
    for first in (1..=actions).step_by(PER_PART as usize) {
        let end = first + PER_PART - 1;
        for node in 0..NODES.len() {
            let mut store = part(node, first, &payload);
            let last = end == actions;
            let final_state =
                FinalState { version: version(end), digest: end, bytes: bytes.clone() };
            store.state = last.then_some(final_state);
            gathered.absorb(
                node as u64 + 1,
                NodeDelta {
                    at_ns: at_ns(end),
                    era: 0,
                    stores: [("c".to_owned(), store)].into(),
                    links: Some(LinkFigures::default()),
                    last,
                    ..NodeDelta::default()
                },
            );
        }
    }
    let incarnations = (0..NODES.len() as u32).map(|node| IncarnationSeen {
        connection: u64::from(node) + 1,
        node: NodeId(node),
        pid: 0,
        cost: None,
        course: Vec::new(),
        ended: None,
    });
    let taken = Taken {
        phase_cpu_ns: Vec::new(),
        incarnations: incarnations.collect(),
        gathered,
        start_ns: Some(START),
        stop_ns: at_ns(actions),
        end_ns: at_ns(actions) + 200 * MS,
        faults: Vec::new(),
        violations: Violations::default(),
        carrying: std::time::Duration::ZERO,
        interrupted: false,
        lost_cause: None,
        trouble: Vec::new(),
        errors: Vec::new(),
    };
    let begun = Instant::now();
    let case = assemble(&plan, taken);
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(case.verdict, Verdict::Pass, "{:?} {:?}", case.because, case.violations);
    assert_eq!((case.dispatches.lost, case.dispatches.ordered), (Some(0), Some(actions)));
    seconds
}

const NAME: &str = "record::endurance::what_is_kept_of_a_run_does_not_grow_with_it";
const ACTIONS: &str = "SAMESTATE_SOAK_CHILD";

/// Feeds so many actions in a process of its own: the most memory that it had, in bytes.
fn peak_of(actions: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().expect("a test has a program"));
    child.args([NAME, "--exact", "--nocapture"]).env(ACTIONS, actions.to_string());
    let done = child.output().expect("it starts");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    let line = said.lines().find_map(|line| line.split_once("judged in "));
    let (_, figures) = line.expect("the child tells its figures");
    let peak = figures.rsplit_once("peak of ").and_then(|(_, bytes)| bytes.split(' ').next());
    peak.and_then(|bytes| bytes.parse().ok()).expect("a number of bytes")
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_kept_of_a_run_does_not_grow_with_it() {
    if let Some(actions) = std::env::var(ACTIONS).ok().and_then(|count| count.parse().ok()) {
        let seconds = soak(actions);
        let peak = Reading::of(std::process::id()).map_or(0, |reading| reading.rss_bytes_max);
        let figures =
            format!("{actions} actions judged in {seconds:.2} s, with a peak of {peak} bytes\n");
        crate::streams::result(&figures).expect("the parent reads it");
        return;
    }
    // By the first of these all that is bounded is full. Twice as many, since a timeline that is
    // full has half as many points, and fills up again.
    let (some, more) = (450_000, 900_000);
    let grown = peak_of(more).saturating_sub(peak_of(some));
    let each = grown as f64 / (more - some) as f64;
    assert!(each < 8.0, "{grown} bytes, {each:.1} for each further action");
}
