//! Tests of traces for profiler viewers.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::cut_link::command;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The events of a trace, once its form has been checked.
fn checked(path: &Path) -> Vec<Value> {
    let json = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let trace: Value = serde_json::from_str(&json).expect("it is JSON");
    let events = trace["traceEvents"].as_array().expect("a list").clone();
    let number = |event: &Value, name: &str| event[name].as_f64().expect("a number");
    let track = |event: &Value| (number(event, "pid") as u64, number(event, "tid") as u64);
    let timed = || events.iter().filter(|event| event["ph"] != "M");
    let times: Vec<f64> = timed().map(|event| number(event, "ts")).collect();
    assert!(times.is_sorted(), "in the order of time");
    let mut named = Vec::new();
    let mut slices: BTreeMap<(u64, u64), Vec<(f64, f64)>> = BTreeMap::new();
    let mut open: BTreeMap<(String, String), f64> = BTreeMap::new();
    for event in &events {
        let at = || number(event, "ts");
        let key = || (event["cat"].to_string(), event["id"].to_string());
        match event["ph"].as_str() {
            Some("M") => named.push(track(event)),
            Some("X") => slices.entry(track(event)).or_default().push((at(), number(event, "dur"))),
            Some("b" | "s") => assert_eq!(open.insert(key(), at()), None, "{event}"),
            Some("e" | "f") => assert!(open.remove(&key()) <= Some(at()), "{event}"),
            Some("C") => assert!(event["args"]["value"].is_number(), "{event}"),
            _ => panic!("{event}"),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    for (track, slices) in &slices {
        assert!(named.contains(track), "{track:?} has no name");
        let overlap = |pair: &[(f64, f64)]| pair[0].0 + pair[0].1 > pair[1].0 + 1e-3;
        assert!(!slices.windows(2).any(overlap), "{track:?}");
    }
    for flow in events.iter().filter(|event| event["ph"] == "s" || event["ph"] == "f") {
        let at = number(flow, "ts");
        let on = &slices[&track(flow)];
        assert!(on.iter().any(|(from, length)| (*from..=from + length).contains(&at)), "{flow}");
    }
    events
}

fn count(events: &[Value], phase: &str, category: &str) -> usize {
    let of = |event: &&Value| event["ph"] == phase && event["cat"] == category;
    events.iter().filter(of).count()
}

#[test]
fn a_trace_has_processes_dispatches_links_and_faults() {
    for verb in ["run", "simulate"] {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let output = command(temp.path(), verb, &["--trace-perfetto", "t.json"]).output();
        let output = output.expect("it starts");
        assert!(matches!(output.status.code(), Some(0 | 6)), "{verb}: {}", said(&output));
        assert!(said(&output).contains("open it at https://ui.perfetto.dev"), "{verb}");
        let events = checked(&temp.path().join("t.json"));
        assert_eq!(count(&events, "b", "process"), 3, "{verb}");
        assert_eq!(count(&events, "b", "fault"), 1, "{verb}");
        // One before the cut and one after it, and that within the cluster.
        assert!(count(&events, "b", "link in sync") >= 3, "{verb}");
        // Some 100 dispatches, each to two other replicas.
        assert!((150..=300).contains(&count(&events, "s", "flow")), "{verb}");
        if verb == "simulate" {
            let history = fs::read_to_string(temp.path().join("out/record.json")).expect("written");
            let output = command(temp.path(), verb, &[]).output().expect("it starts");
            assert!(output.status.success(), "{}", said(&output));
            let again = fs::read_to_string(temp.path().join("out/record.json")).expect("written");
            let measures = |json: &str| {
                let mut record: Value = serde_json::from_str(json).expect("it is JSON");
                record["cases"].take()
            };
            assert_eq!(measures(&history), measures(&again), "a trace changes nothing");
        }
        let measured = events.iter().any(|event| event["ph"] == "C");
        assert_eq!(measured, verb == "run", "virtual time has no CPU");
    }
}

#[test]
fn the_trace_of_an_interrupted_run_is_whole() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let args = ["--duration", "60s", "--trace-perfetto", "t.json", "--ndjson", "-"];
    let mut run = command(temp.path(), "run", &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(run.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("\"sample\"") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).expect("readable"), 0, "it ended");
    }
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is there");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("readable");
    let output = run.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let events = checked(&temp.path().join("t.json"));
    assert!(count(&events, "s", "flow") > 0);
}

#[test]
fn a_trace_that_cannot_be_is_refused_before_anything_starts() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let matrix = "matrix={stores.tasks.mode: [action, snapshot]}";
    for (verb, args, what) in [
        ("run", &["--set", matrix][..], "is of one case, and this runs 2"),
        ("run", &["--repeat", "3"], "is of one case, and this runs 3"),
        ("simulate", &["--seeds", "0..3"], "a trace is of one seed"),
    ] {
        let mut command = command(temp.path(), verb, &["--trace-perfetto", "t.json"]);
        let output = command.args(args).output().expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(what), "{}", said(&output));
        assert!(!temp.path().join("t.json").exists());
    }
}
