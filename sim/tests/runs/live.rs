//! Tests of a run that is watched while it goes on.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use samestate_report::live::{Event, FaultState, Line, ProcessState};
use samestate_report::{Record, Verdict};

use crate::cut_link::command;

fn samestate(folder: &Path, args: &[&str]) -> Output {
    command(folder, "run", args).output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns whether a run was done. A machine that is too busy makes it inconclusive.
fn is_done(code: Option<i32>) -> bool {
    matches!(code, Some(0 | 6))
}

#[test]
fn lines_tell_the_run_from_its_start_to_its_end() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let output = samestate(temp.path(), &["--ndjson", "-"]);
    assert!(is_done(output.status.code()), "{}", text(&output.stderr));
    let read = |line: &str| serde_json::from_str::<Line>(line).unwrap_or_else(|e| panic!("{e}"));
    let lines: Vec<Line> = text(&output.stdout).lines().map(read).collect();
    assert!(matches!(lines.first().map(|line| &line.event), Some(Event::Start(start))
        if start.nodes.len() == 3 && start.faults_planned == 1));
    let Some(Event::End(end)) = lines.last().map(|line| &line.event) else { panic!("no end") };
    assert_eq!(end.report.as_deref(), Some("out/report.html"));
    assert_eq!(Some(i32::from(end.exit_code)), output.status.code());
    let phases: Vec<&str> = lines
        .iter()
        .filter_map(|line| match &line.event {
            Event::Phase(phase) => Some(&*phase.name),
            _ => None,
        })
        .collect();
    assert_eq!(phases, ["starting", "busy", "settling", "collecting", "null case"]);
    let states = lines.iter().filter_map(|line| match &line.event {
        Event::Fault(fault) => Some((fault.state, line.at_seconds.map(|at| at >= 0.7))),
        _ => None,
    });
    let expected = [(FaultState::Injected, Some(true)), (FaultState::Ended, Some(true))];
    assert_eq!(states.collect::<Vec<_>>(), expected);
    let began = lines.iter().filter(
        |line| matches!(&line.event, Event::Process(news) if news.state == ProcessState::Began),
    );
    assert_eq!(began.count(), 3);

    let record = Record::read(temp.path().join("out/record.json")).expect("it was written");
    let samples: Vec<_> = lines
        .iter()
        .filter_map(|line| match &line.event {
            Event::Sample(sample) => Some((line.at_seconds.unwrap_or(0.0), sample)),
            _ => None,
        })
        .collect();
    assert!(samples.len() >= 4, "{}", samples.len());
    assert!(samples.windows(2).all(|pair| pair[1].0 - pair[0].0 == 0.5), "half seconds");
    let last = &samples[samples.len() - 1].1.stores["tasks"];
    assert!(last.dispatches.ok <= record.cases[0].dispatches.ok);
    assert!(last.dispatches.ok >= 60, "{last:?}");
    let dip = samples.iter().filter_map(|(_, sample)| sample.stores["tasks"].identical_percent);
    assert!(dip.fold(100.0, f64::min) < 90.0, "the cut is seen");
    let first = samples[0].1;
    assert!(first.processes.iter().all(|process| process.rss_bytes > Some(100_000)), "{first:?}");
    assert!(first.processes.iter().any(|process| process.sent_bytes_per_s > Some(0.0)));
    assert!(first.stores["tasks"].local_us.is_some_and(|us| us.p50 > 0.0));
    assert!(first.stores["tasks"].replica_us.is_some_and(|us| us.max >= us.p50));
    assert!(first.stores["tasks"].issued_per_s.is_some_and(|rate| (20.0..80.0).contains(&rate)));
    assert_eq!(lines.iter().filter(|line| matches!(line.event, Event::Verdict(_))).count(), 1);
}

#[test]
fn a_reader_that_has_seen_enough_does_not_end_the_run() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let mut run = command(temp.path(), "run", &["--ndjson", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut first = String::new();
    let mut reader = BufReader::new(run.stdout.take().expect("piped"));
    reader.read_line(&mut first).expect("a line");
    assert!(first.contains("\"start\""), "{first}");
    drop(reader);
    let output = run.wait_with_output().expect("it ends");
    let said = text(&output.stderr);
    assert!(is_done(output.status.code()), "{said}");
    assert!(said.contains("--ndjson: standard output was closed; the run goes on"), "{said}");
    let record = Record::read(temp.path().join("out/record.json")).expect("it was written");
    assert_ne!(record.verdict, Verdict::Interrupted);
}

#[test]
fn a_full_disk_is_told_and_the_run_goes_on() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let output = samestate(temp.path(), &["--ndjson", "/dev/full"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--ndjson: failed to write to /dev/full: No space left"), "{said}");
    assert!(temp.path().join("out/record.json").is_file());
    assert!(text(&output.stdout).contains("report in out/report.html"), "the summary is shown");
}

#[test]
fn places_that_cannot_be_are_refused_before_anything_starts() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    for (args, code, what) in [
        (&["--ndjson", "-", "--json", "-"][..], 2, "would mix on standard output"),
        (&["--ndjson", "/dev/null/a"], 1, "--ndjson: failed to write /dev/null/a"),
    ] {
        let output = samestate(temp.path(), args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(what), "{said}");
        assert!(!temp.path().join("out/record.json").exists());
    }
}

#[test]
fn without_a_terminal_each_second_is_a_line_without_control_codes() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let output = samestate(temp.path(), &["--live"]);
    let said = text(&output.stderr);
    assert!(is_done(output.status.code()), "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(" identical, ")).collect();
    assert!(lines.len() >= 2, "{said}");
    assert!(lines[0].starts_with("tasks  busy  1.0/2 s; tasks: "), "{said}");
    assert!(lines[0].contains("in sync, faults "), "{said}");
    assert!(!said.contains('\u{1b}') && !said.contains('\r'), "{said}");
    let output = samestate(temp.path(), &["--live", "--quiet"]);
    assert_eq!(output.status.code(), Some(2), "a quiet run shows nothing");
}

#[test]
fn on_a_terminal_the_drawing_leaves_nothing_but_the_summary() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let mut run = command(temp.path(), "run", &["--live"]);
    let words: Vec<String> = std::iter::once(run.get_program())
        .chain(run.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    // script(1) gives it a terminal.
    run = Command::new("script");
    run.args(["-q", "-e", "-c", &words.join(" "), "/dev/null"]);
    run.current_dir(temp.path()).env("NO_COLOR", "1").stdin(Stdio::null());
    let output = run.output().expect("script is there");
    let shown = text(&output.stdout);
    assert!(is_done(output.status.code()), "{shown}");
    assert!(shown.contains("identity") && shown.contains('█'), "{shown}");
    assert!(!shown.contains("\u{1b}[1;3"), "no colours");
    let cleared = shown.rfind("\u{1b}[2K").expect("lines are cleared");
    let summary = shown.find("expectations held").or(shown.find("report in")).expect("a summary");
    assert!(cleared < summary, "{shown}");
    assert!(!shown.contains("\u{1b}[?25l") || shown.contains("\u{1b}[?25h"), "the cursor is back");
}
