//! Tests of a run's results, and that nothing takes them away: folders, streams, records and exit
//! codes.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use samestate_report::{Record, Verdict};

use crate::two_nodes::SHORT;

struct Desk {
    temp: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Desk { temp: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).expect("writable");
        name.to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_samestate"));
        command.args(args).current_dir(self.temp.path());
        command
    }

    fn samestate(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it starts")
    }

    fn record(&self, folder: &str) -> Record {
        Record::read(self.path(folder).join("record.json")).unwrap_or_else(|e| panic!("{e}"))
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Returns whether a run with real processes was done and did not fail. A machine that is too busy
/// for its load makes it inconclusive, which is no matter here.
fn is_done(code: Option<i32>) -> bool {
    matches!(code, Some(0 | 6))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

#[test]
fn runs_that_begin_together_keep_their_results_apart() {
    let desk = Desk::new();
    let file = desk.file("short.yaml", SHORT);
    for out in [&[][..], &["--out", "same"]] {
        let runs: Vec<_> = (1..=4u64)
            .map(|seed| {
                let seed = seed.to_string();
                let args = [&["run", &*file, "--seed", &seed, "-q"][..], out].concat();
                desk.command(&args).stderr(Stdio::piped()).spawn().expect("it starts")
            })
            .collect();
        for run in runs {
            let done = run.wait_with_output().expect("it ends");
            assert!(is_done(done.status.code()), "{}", said(&done));
        }
    }
    let seeds = |folders: Vec<String>| {
        let mut seeds: Vec<u64> = folders.iter().map(|folder| desk.record(folder).seed).collect();
        seeds.sort_unstable();
        seeds
    };
    let runs = names(&desk.path("runs/short")).into_iter();
    assert_eq!(seeds(runs.map(|name| format!("runs/short/{name}")).collect()), [1, 2, 3, 4]);
    let same = names(desk.temp.path()).into_iter().filter(|name| name.starts_with("same"));
    assert_eq!(seeds(same.collect()), [1, 2, 3, 4]);
}

#[test]
fn a_folder_that_is_used_again_holds_the_newest_run_alone() {
    let desk = Desk::new();
    let first = desk.file("first.yaml", &SHORT.replace("main", "other"));
    let second = desk.file("second.yaml", SHORT);
    let done = desk.samestate(&["run", &first, "-q", "--out", "same"]);
    assert!(is_done(done.status.code()), "{}", said(&done));
    fs::write(desk.path("same/notes.txt"), "the user's own").expect("writable");
    let done = desk.samestate(&["run", &second, "-q", "--out", "same"]);
    assert!(is_done(done.status.code()), "{}", said(&done));
    assert_eq!(names(&desk.path("same/logs")), ["main.master.log", "main.worker[1].log"]);
    let kept = ["logs", "notes.txt", "record.json", "report.html", "scenario.yaml"];
    assert_eq!(names(&desk.path("same")), kept);
    // What no run wrote is neither removed nor overwritten.
    fs::create_dir(desk.path("mine")).expect("it can be made");
    fs::write(desk.path("mine/record.json"), "the user's own").expect("writable");
    let refused = desk.samestate(&["run", &second, "-q", "--out", "mine"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("mine/record.json is in the way"), "{}", said(&refused));
    assert_eq!(names(&desk.path("mine")), ["record.json"]);
}

/// A stream that takes nothing.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("Linux has one").into()
}

/// A stream whose reader is gone.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn a_stream_that_takes_nothing_costs_no_result() {
    let desk = Desk::new();
    let file = desk.file("short.yaml", SHORT);
    let bad = desk.file("bad.yaml", "version: 1\nstores: 7\n");
    let streams: [fn() -> Stdio; 2] = [full, unread];
    for (at, stream) in streams.into_iter().enumerate() {
        for verb in ["run", "simulate"] {
            let out = format!("{verb}-{at}");
            let mut command = desk.command(&[verb, &file, "--out", &out]);
            let status = command.stdout(Stdio::null()).stderr(stream()).status();
            let status = status.expect("it starts");
            assert!(is_done(status.code()), "{verb}: standard error is no part of the result");
            assert_ne!(desk.record(&out).verdict, Verdict::Fail);
        }
        for args in [&["validate", &bad][..], &["report", "no.json"], &["run", &bad], &["rnu"]] {
            let status = desk.command(args).stdout(stream()).stderr(stream()).status();
            assert_eq!(status.expect("it starts").code(), Some(2), "{args:?}");
        }
    }
    // A result that did not get through is told by the exit code, and the record is kept.
    let args = ["run", &*file, "--json", "-", "--out", "unsaid"];
    let done = desk.command(&args).stdout(full()).stderr(Stdio::piped()).output();
    let done = done.expect("it starts");
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("failed to write to standard output"), "{}", said(&done));
    assert_ne!(desk.record("unsaid").verdict, Verdict::Fail);
    // A reader that has seen enough is no failure.
    for args in [&["run", &*file, "--out", "seen"][..], &["explain", &file], &["--help"]] {
        let status = desk.command(args).stdout(unread()).status().expect("it starts");
        assert!(is_done(status.code()), "{args:?}");
    }
}

#[test]
fn a_record_that_cannot_be_kept_is_still_shown() {
    let desk = Desk::new();
    let file = desk.file("short.yaml", SHORT);
    // A folder stands where the file should go, as good as a full disk.
    let args = ["simulate", &*file, "--out", "out", "--json", "there"];
    fs::create_dir(desk.path("there")).expect("it can be made");
    let done = desk.samestate(&args);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(text(&done.stdout).contains("PASS  short"), "{}", said(&done));
    assert!(text(&done.stderr).contains("cannot write there"), "{}", said(&done));
    assert_eq!(desk.record("out").verdict, Verdict::Pass);
}

/// A phase without a load, in which nothing can be measured.
const SILENT: &str = r#"
version: 1
stores: { tasks: { reducer: ring, mode: action } }
clusters: { main: { workers: 1 } }
phases:
  - { name: rest, duration: 200ms }
  - name: busy
    duration: 300ms
    load: [ { at: main.master, store: tasks, arrival: { every: 20ms } } ]
expect:
  - { metric: latency_us.local.p99, phase: rest, max: 1000000 }
  - { metric: dispatches.lost, max: 0 }
"#;

/// Runs this program as a user whom permissions bind, since root may write anywhere.
fn as_user(desk: &Desk, args: &[&str]) -> Output {
    const NOBODY: u32 = 65_534;
    let program = desk.path("samestate");
    let built = env!("CARGO_BIN_EXE_samestate");
    // The folder of the build may be closed to that user.
    fs::hard_link(built, &program).or_else(|_| fs::copy(built, &program).map(drop)).expect("room");
    fs::set_permissions(desk.temp.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let mut command = Command::new(&program);
    command.args(args).current_dir(desk.temp.path());
    if fs::metadata("/proc/self").expect("Linux").uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.output().expect("it starts")
}

#[test]
fn a_folder_that_is_read_only_is_named_before_anything_starts() {
    let desk = Desk::new();
    let file = desk.file("short.yaml", SHORT);
    fs::create_dir(desk.path("locked")).expect("it can be made");
    let read_only = fs::Permissions::from_mode(0o555);
    fs::set_permissions(desk.path("locked"), read_only).expect("ours");
    for (verb, out, words) in [
        ("run", "locked", "failed to write into the folder locked for the results"),
        ("simulate", "locked", "failed to write into the folder locked for the results"),
        ("run", "locked/out", "failed to make the folder locked/out for the results"),
    ] {
        let done = as_user(&desk, &[verb, &file, "--out", out]);
        let _ = fs::remove_file(desk.path("samestate"));
        assert_eq!(done.status.code(), Some(1), "{}", said(&done));
        let said = text(&done.stderr);
        assert!(said.contains(words), "{said}");
        assert!(said.contains("--out names another: Permission denied"), "{said}");
        assert!(!said.contains("starting") && done.stdout.is_empty(), "{said}");
    }
    assert_eq!(names(&desk.path("locked")), Vec::<String>::new());
}

#[test]
fn an_expectation_without_a_sample_is_inconclusive_unless_it_is_optional() {
    let desk = Desk::new();
    let file = desk.file("silent.yaml", SILENT);
    let optional = SILENT.replace("max: 1000000 }", "max: 1000000, optional: true }");
    let optional = desk.file("optional.yaml", &optional);
    for verb in ["run", "simulate"] {
        let done = desk.samestate(&[verb, &file, "-q", "--out", "out"]);
        assert_eq!(done.status.code(), Some(6), "{verb}: {}", said(&done));
        let told = text(&done.stderr);
        let named = "inconclusive: silent: latency_us.local.p99 in phase rest: expected at most";
        assert!(told.contains(named) && told.contains("no sample"), "{verb}: {told}");
        let record = desk.record("out");
        assert_eq!(record.verdict, Verdict::Inconclusive);
        let done = desk.samestate(&[verb, &optional, "-q", "--out", "out"]);
        assert!(is_done(done.status.code()), "{verb}: {}", said(&done));
        assert!(!said(&done).contains("latency_us"), "{verb}: {}", said(&done));
    }
    let done = desk.samestate(&["simulate", &optional, "-q", "--out", "out"]);
    assert_eq!((done.status.code(), &*said(&done)), (Some(0), ""));
    let done = desk.samestate(&["simulate", &file, "--seeds", "0..3", "--out", "seeds"]);
    assert_eq!(done.status.code(), Some(6), "{}", said(&done));
    desk.samestate(&["simulate", &file, "-q", "--out", "out"]);
    let junit = said(&desk.samestate(&["report", "out", "--format", "junit"]));
    assert_eq!(junit.matches("<error").count(), 1, "{junit}");
    let markdown = said(&desk.samestate(&["report", "out", "--format", "markdown"]));
    assert!(markdown.contains("**no sample**"), "{markdown}");
    desk.samestate(&["simulate", &optional, "-q", "--out", "out"]);
    let junit = said(&desk.samestate(&["report", "out", "--format", "junit"]));
    assert!(junit.contains("<skipped") && !junit.contains("<error"), "{junit}");
}

/// Checks it where nothing is violated: the violation that a scenario demands has to be there, and
/// one that it allows need not.
#[test]
fn a_violation_that_is_optional_need_not_be_there() {
    let desk = Desk::new();
    let demanded = SHORT.replace("expect:", "expect:\n  - violates: [I2]");
    let allowed = SHORT.replace("expect:", "expect:\n  - { violates: [I2], optional: true }");
    for (name, text, code) in [("demanded", demanded, 3), ("allowed", allowed, 0)] {
        let file = desk.file(&format!("{name}.yaml"), &text);
        let done = desk.samestate(&["simulate", &file, "-q", "--out", "out"]);
        assert_eq!(done.status.code(), Some(code), "{name}: {}", said(&done));
    }
}

#[test]
fn nothing_dispatched_is_no_proof_that_nothing_is_lost() {
    let desk = Desk::new();
    let text = SHORT
        .replace("    load: [ { at: main.master, store: tasks, arrival: { every: 20ms } } ]\n", "");
    let file = desk.file("idle.yaml", &text);
    let done = desk.samestate(&["simulate", &file, "-q", "--out", "out"]);
    assert_eq!(done.status.code(), Some(6), "{}", said(&done));
    assert!(said(&done).contains("dispatches.lost"), "{}", said(&done));
}

#[test]
fn one_failed_expectation_is_one_failure_with_its_file_and_line() {
    let desk = Desk::new();
    let file = desk.file("strict.yaml", &SHORT.replace("lost, max: 0", "ok, max: 0"));
    let done = desk.samestate(&["simulate", &file, "-q", "--out", "out"]);
    assert_eq!(done.status.code(), Some(3), "{}", said(&done));
    let junit = said(&desk.samestate(&["report", "out", "--format", "junit"]));
    assert_eq!(junit.matches("<failure").count(), 1, "{junit}");
    assert!(junit.contains("failures=\"1\" errors=\"0\""), "{junit}");
    assert!(junit.contains("file=\"strict.yaml\" line=\"11\""), "{junit}");
}

#[test]
fn the_record_of_many_seeds_is_shown_like_any_other() {
    let desk = Desk::new();
    let file = desk.file("strict.yaml", &SHORT.replace("lost, max: 0", "ok, max: 0"));
    let args = ["simulate", &*file, "--seeds", "3..6", "--all", "--json", "-", "--out", "out"];
    let done = desk.samestate(&args);
    assert_eq!(done.status.code(), Some(3), "{}", said(&done));
    fs::write(desk.path("said.json"), &done.stdout).expect("writable");
    for place in ["out", "said.json"] {
        for format in ["terminal", "markdown", "junit", "json"] {
            let shown = desk.samestate(&["report", place, "--format", format]);
            assert_eq!(shown.status.code(), Some(0), "{format}: {}", said(&shown));
            assert!(text(&shown.stdout).contains("seed 4") || format == "markdown");
        }
    }
    let seeds = desk.record("out").seeds.expect("what the search came to");
    assert_eq!((seeds.first, seeds.end, seeds.simulated), (3, 6, 3));
    assert_eq!(seeds.failures.len(), 3);
    // Each has its scenario beside the record, and that fails again.
    let scenario = seeds.failures[1].scenario.as_deref().expect("it was written");
    let again = desk.samestate(&["simulate", &format!("out/{scenario}"), "-q", "--out", "again"]);
    assert_eq!((again.status.code(), desk.record("again").seed), (Some(3), 4), "{}", said(&again));
    // A swarm leaves a record, too.
    let done = desk.samestate(&["simulate", "--swarm", "--seeds", "0..3", "-q", "--out", "swarm"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert_eq!(desk.record("swarm").seeds.map(|seeds| seeds.simulated), Some(3));
}

#[test]
fn reports_are_made_of_folders_and_of_several_records() {
    let desk = Desk::new();
    let one = desk.file("one.yaml", SHORT);
    let two = desk.file("two.yaml", SHORT);
    let done = desk.samestate(&["simulate", &one, &two, "-q", "--out", "results"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let shown = said(&desk.samestate(&["report", "results"]));
    assert!(shown.contains("PASS  one") && shown.contains("PASS  two"), "{shown}");
    let junit = said(&desk.samestate(&["report", "results", "--format", "junit"]));
    assert_eq!(junit.matches("<testsuite ").count(), 2, "{junit}");
    let both = ["report", "results/one", "results/two/record.json", "--format", "json"];
    let json: serde_json::Value =
        serde_json::from_slice(&desk.samestate(&both).stdout).expect("one list");
    assert_eq!(json.as_array().map(Vec::len), Some(2));
    let compared = desk.samestate(&["compare", "results", "results"]);
    assert_eq!(compared.status.code(), Some(0), "{}", said(&compared));
    let gone = desk.samestate(&["compare", "results", "results/one"]);
    assert_eq!(gone.status.code(), Some(5), "{}", said(&gone));
    fs::create_dir(desk.path("empty")).expect("it can be made");
    let nothing = desk.samestate(&["report", "empty"]);
    assert_eq!(nothing.status.code(), Some(4), "{}", said(&nothing));
}

#[test]
fn a_run_that_cannot_pass_any_more_ends_where_that_is_asked_for() {
    let desk = Desk::new();
    let long = SHORT.replace("300ms", "30s").replace("lost, max: 0", "ok, max: 3");
    let (first, second) = (desk.file("first.yaml", &long), desk.file("second.yaml", SHORT));
    let args = ["run", &*first, &second, "-q", "--fail-fast", "--out", "out"];
    let done = desk.samestate(&args);
    assert_eq!(done.status.code(), Some(3), "{}", said(&done));
    assert!(said(&done).contains("dispatches.ok may be 3 at most"), "{}", said(&done));
    let record = desk.record("out/first");
    assert!(record.wall_seconds < 20.0, "{} s", record.wall_seconds);
    assert!(!desk.path("out/second").exists(), "no other scenario is begun");
}

#[test]
fn seeds_at_the_end_of_all_numbers_are_simulated_once_each() {
    let desk = Desk::new();
    let file = desk.file("short.yaml", SHORT);
    let end = u64::MAX;
    let range = format!("{}..{end}", end - 5);
    for threads in ["1", "2", "7"] {
        let args = ["simulate", &*file, "--seeds", &range, "--threads", threads, "--out", "out"];
        let done = desk.samestate(&args);
        assert_eq!(done.status.code(), Some(0), "{}", said(&done));
        let seeds = desk.record("out").seeds.expect("what the search came to");
        assert_eq!((seeds.first, seeds.end, seeds.simulated), (end - 5, end, 5));
    }
}

#[test]
fn the_cases_of_a_matrix_take_turns_and_each_repeat_is_kept() {
    let desk = Desk::new();
    let matrix = "matrix: { stores.tasks.mode: [action, snapshot] }\n";
    let file = desk.file("short.yaml", &format!("{SHORT}{matrix}"));
    let output = desk.samestate(&["run", &file, "--repeat", "2", "--out", "o"]);
    assert!(is_done(output.status.code()), "{}", said(&output));
    let order = ["1/2, repeat 1/2", "2/2, repeat 1/2", "1/2, repeat 2/2", "2/2, repeat 2/2"];
    let begun = text(&output.stderr);
    let begun = begun.lines().filter_map(|line| line.strip_suffix(": starting"));
    assert_eq!(begun.collect::<Vec<_>>(), order.map(|turn| format!("short {turn}")));
    let record = desk.record("o");
    assert_eq!(record.cases.len(), 2);
    for case in &record.cases {
        assert_eq!(case.repeats.len(), 2);
        assert!(case.repeats.iter().all(|repeat| repeat.figures.len() > 20), "{:?}", case.repeats);
        assert!(case.intervals.is_empty(), "two repeats have no interval");
    }
    for log in ["case-1/repeat-2", "case-2/repeat-1"] {
        assert!(desk.path("o/logs").join(log).join("main.master.log").is_file(), "{log}");
    }
    let kept = fs::read_to_string(desk.path("o/scenario.yaml")).expect("it is kept");
    assert!(kept.contains("repeat: 2"), "{kept}");
}

#[test]
fn each_repeat_of_a_simulation_has_a_seed_of_its_own() {
    let desk = Desk::new();
    let file = desk.file("short.yaml", &format!("{SHORT}repeat: 3\n"));
    let output = desk.samestate(&["simulate", &file, "--out", "o"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let case = &desk.record("o").cases[0];
    let seeds: Vec<_> = case.repeats.iter().map(|repeat| repeat.seed).collect();
    assert_eq!(seeds, [Some(5), Some(6), Some(7)]);
    assert!(case.intervals.contains_key("latency_us.replica.p50"), "{:?}", case.intervals);
    let output = desk.samestate(&["simulate", &file, "--trace"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("add `--repeat 1`"), "{}", said(&output));
}

#[test]
fn numbers_of_repeats_that_make_no_sense_are_refused() {
    let desk = Desk::new();
    let file = desk.file("short.yaml", SHORT);
    for repeat in ["0", "-1", "1001", "x"] {
        let output = desk.samestate(&["validate", &file, "--repeat", repeat]);
        assert_eq!(output.status.code(), Some(2), "{repeat}: {}", said(&output));
    }
    let text = format!("{SHORT}matrix: {{ repeat: [1, 2] }}\n");
    let output = desk.samestate(&["validate", &desk.file("in-matrix.yaml", &text)]);
    assert!(said(&output).contains("beside `matrix`"), "{}", said(&output));
}
