//! Scenario files for virtual time: each kind of fault, each setting, and clients that move.

use std::path::Path;
use std::time::Duration;

use super::{good, parse, plan, refused, samestate};
use samestate_sim::faults::{Corrupt, Disk, Fail, Fault, HalfOpen, Kill, Pause, Slip, TimedFault};
use samestate_sim::scenario::{self, Arrival, Overrides, Plan, Span, VirtualTimePlan};

/// All that the swarm needs beyond the design's own file.
const WIDE: &str = r#"
version: 1
about: Each kind of fault, and each setting of virtual time.
stores:
  tasks:
    { reducer: probe, size: 2KB, mode: action, resync: { verify: 7 },
      backup: { every_actions: 100 } }
  kept: { reducer: probe, mode: action, backup: { durable: true } }
clusters: { a: { workers: 1 }, b: {}, c: {} }
links:
  - { name: ab, store: tasks, server: a.master, tcp: 1, client: b.master }
  - { name: ac, store: tasks, server: a.master, tcp: 2, client: c.master }
  - { name: bc, store: tasks, server: b.master, tcp: 3, client: [] }
  - { name: cb, store: tasks, server: c.master, tcp: 4, client: [] }
phases:
  - name: steady
    duration: 2s
    load:
      - { at: b.master, store: tasks, arrival: { at: [10ms, 12.5ms, 12.5ms] }, payload: 300B }
faults:
  - cut: { link: ab, at: 100ms, for: 10ms }
  - kill: { node: a.master, at: 200ms, restart_after: 10ms, silent: true }
  - pause: { node: b.master, every: 500ms, times: 2, for: 20ms }
  - blackhole: { times: 3, for: 10ms, direction: up }
  - half_open: { link: ab, at: 300ms }
  - corrupt: { link: ab, at: 400ms, direction: down }
  - slip: { node: b.master, store: tasks, at: 500ms }
  - fail: { node: a.master, store: tasks, at: 600ms }
  - disk: { node: a.master, at: 800ms, for: 30ms, hangs: true }
events:
  - { at: 700ms, create_client: { client: c.master, link: bc } }
  - { at: 900ms, create_client: { client: "a.worker[1]", link: cb } }
virtual_time:
  latency: 2ms
  jitter: 1ms
  bandwidth: 2MB
  buffer: 2KiB
  clock_drift_ppm: 50
  heartbeat: 50ms
  dead_after: 300ms
  stall_grace: 20ms
  dispatch_deadline: 100ms
  window: 3
  window_bytes: 500B
  sessions: 2
  events: 4
  slow_subscribers: [b.master, "a.worker[1]"]
"#;

#[test]
fn each_kind_of_fault_and_each_setting_is_read_resolved_and_written_back() {
    let file = good(WIDE, &Overrides::default());
    let yaml = file.scenario.to_yaml().expect("a scenario has a form in YAML");
    assert_eq!(file.scenario, good(&yaml, &Overrides::default()).scenario, "{yaml}");
    let plan = &file.cases[0].plan;
    let id = |name: &str| plan.node_named(name).expect("a node of the file").id;
    let ms = Duration::from_millis;
    assert_eq!(plan.stores["tasks"].backup_every.map(u64::from), Some(100));
    let at = |ms_from_start| {
        let found = plan.faults.iter().find(|fault| fault.at == ms(ms_from_start));
        &found.expect("a fault of the file").fault
    };
    let (node, store) = (id("a.master"), "tasks".to_owned());
    assert_eq!(
        at(200),
        &Fault::Kill(Kill { node, restart_after: Some(ms(10)), silent: true, moment: None })
    );
    assert_eq!(at(300), &Fault::HalfOpen(HalfOpen { link: 0 }));
    assert_eq!(at(400), &Fault::Corrupt(Corrupt { link: 0, up: false }));
    assert_eq!(at(600), &Fault::Fail(Fail { node, store: store.clone() }));
    assert_eq!(at(800), &Fault::Disk(Disk { node, lasts: ms(30), hangs: true }));
    assert_eq!(at(1_000), &Fault::Pause(Pause { node: id("b.master"), lasts: ms(20) }));
    assert!(plan.faults.contains(&TimedFault {
        at: ms(500),
        fault: Fault::Slip(Slip { node: id("b.master"), store }),
    }));
    let holes = plan.faults.iter().filter_map(|fault| match &fault.fault {
        Fault::Blackhole(hole) => Some((hole.ways.up, hole.ways.down, hole.lasts)),
        _ => None,
    });
    assert_eq!(holes.collect::<Vec<_>>(), [(true, false, ms(10)); 3]);
    let expected = VirtualTimePlan {
        latency: ms(2),
        jitter: ms(1),
        bandwidth_bytes_per_s: 2_000_000,
        buffer_bytes: 2048,
        clock_drift_ppm: 50,
        heartbeat: Some(ms(50)),
        dead_after: Some(ms(300)),
        stall_grace: Some(ms(20)),
        dispatch_deadline: Some(ms(100)),
        window: Some(3),
        window_bytes: Some(500),
        sessions_max: Some(2),
        events_max: Some(4),
        slow_subscribers: [id("b.master"), id("a.worker[1]")].into(),
    };
    assert_eq!(plan.virtual_time, expected);
    let told = scenario::explain(&file);
    for says in [
        "a backup every 100 actions",
        "3 from 10ms to 12500us",
        "kill a.master silently, start it after 10ms",
        "nothing arrives over",
        "b.master applies an action to tasks twice",
        "the disk of a.master hangs for 30ms",
        "at 0.700s c.master becomes a client of bc",
        "window_bytes 500B",
    ] {
        assert!(told.contains(says), "{says}: {told}");
    }
}

#[test]
fn a_client_moves_and_a_loop_is_opened_again() {
    let tree_of = |plan: &Plan, at: u64, node: &str| {
        let id = plan.node_named(node).expect("a node of the file").id;
        let topology = plan.topology_at(Duration::from_millis(at));
        let (tree, member) = topology.replica("tasks", id)?;
        let server = member.upstream.map(|upstream| plan.node(upstream.node()).name.clone());
        Some((plan.node(tree.root).name.clone(), server))
    };
    let wide = plan(WIDE);
    let under = |server: &str| Some(("a.master".to_owned(), Some(server.to_owned())));
    assert_eq!(tree_of(&wide, 699, "c.master"), under("a.master"));
    assert_eq!(tree_of(&wide, 700, "c.master"), under("b.master"));
    assert_eq!(tree_of(&wide, 900, "a.worker[1]"), under("c.master"));

    let looped = WIDE.replace("client: \"a.worker[1]\", link: cb", "client: b.master, link: cb");
    let closes = parse(&looped).expect_err("nothing opens the loop").to_string();
    for part in ["loop in the store `tasks`", "`b.master`, which is fed by", "later event"] {
        assert!(closes.contains(part), "{closes}");
    }
    let opened = looped.replace(
        "virtual_time:",
        "  - { at: 1s, create_client: { client: b.master, link: ab } }\nvirtual_time:",
    );
    let opened = plan(&opened);
    assert_eq!(tree_of(&opened, 950, "b.master"), None, "it is in no tree while in a loop");
    assert_eq!(tree_of(&opened, 1_000, "c.master"), under("b.master"));
    let stays = WIDE.replace("client: c.master, link: bc", "client: c.master, link: ac");
    let invalid = parse(&stays).expect_err("it is there already").to_string();
    assert!(invalid.contains("a client of this link already"), "{invalid}");
}

#[test]
fn what_makes_no_sense_in_virtual_time_is_refused() {
    for (old, new, says) in [
        ("dead_after: 300ms", "dead_after: 50ms", "taken for dead after 50ms"),
        ("heartbeat: 50ms", "heartbeat: 6s", "each 6s"),
        ("window: 3", "window: 0", "from 1 to"),
        ("bandwidth: 2MB", "bandwidth: 999B", "from `1KB` to"),
        ("buffer: 2KiB", "buffer: 1B", "`buffer` is out of bounds"),
        ("latency: 2ms", "latency: 2m", "longer than any network takes"),
        ("clock_drift_ppm: 50", "clock_drift_ppm: 200000", "100000 ppm"),
        ("[b.master,", "[d.master,", "no node `d.master`"),
        ("jitter: 1ms", "jiter: 1ms", "did you mean `jitter`?"),
        ("[10ms, 12.5ms, 12.5ms]", "[10ms, 9ms]", "put them in order"),
        ("[10ms, 12.5ms, 12.5ms]", "[10ms, 2s]", "after the phase's end"),
        ("[10ms, 12.5ms, 12.5ms]", "[]", "names no instant"),
        ("slip: { node: b.master", "slip: { node: a.master", "right by definition"),
        ("direction: down", "direction: both", "known: `up`, `down`"),
        ("every_actions: 100", "every_actions: 0", "from 1 to"),
        ("pause: { node: b.master", "pause: { node: z.master", "no node `z.master`"),
    ] {
        assert!(WIDE.contains(old), "the test's own text: {old}");
        let invalid = parse(&WIDE.replace(old, new)).expect_err(new).to_string();
        assert!(invalid.contains(says), "{new}: {invalid}");
    }
}

#[test]
fn explicit_instants_move_with_their_phase() {
    let shorter = Overrides { duration: Some(Span::from_secs(1)), ..Overrides::default() };
    let file = good(WIDE, &shorter);
    let Arrival::At(instants) = &file.scenario.phases[0].load[0].arrival else {
        panic!("instants were asked for")
    };
    let micros: Vec<_> = instants.iter().map(|at| at.get().as_micros()).collect();
    assert_eq!(micros, [5_000, 6_250, 6_250]);
}

#[test]
fn a_disk_that_fails_where_no_store_is_durable_is_refused() {
    let text = WIDE.replace("backup: { durable: true }", "backup: { every_actions: 1 }");
    let says = ["no store is durable", "add `backup: { durable: true }`"];
    refused(&text, (29, 11), &says);
}

#[test]
fn run_refuses_what_real_processes_cannot_do_before_it_starts_any() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wide.yaml");
    std::fs::write(&path, WIDE).expect("a file");
    let out = folder.path().join("out");
    let (file, out) = (path.to_str().expect("a plain path"), out.to_str().expect("a plain path"));
    let output = samestate(&["run", file, "--out", out]).code(2).get_output().clone();
    let told = String::from_utf8(output.stderr).expect("a text");
    for part in [
        "fault `kill` with `silent`",
        "fault `slip`",
        "fault `fail`",
        "fault `disk` needs a disk that fails on command",
        "moves `c.master` from one server of the store `tasks`",
        "help: `samestate simulate ",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    for part in ["`cut`", "`blackhole`", "`half_open`", "`corrupt`"] {
        assert!(!told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("a.worker[1]"), "{told}");
    assert!(!Path::new(out).exists(), "nothing was started");
}
