//! Tests of two builds that take turns.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use samestate_report::{Record, Verdict};

use crate::two_nodes::SHORT;

const BUILT: &str = env!("CARGO_BIN_EXE_samestate");

fn command(folder: &Path, args: &[&str]) -> Command {
    // A load that is never late: two dispatches are under way at any time.
    let scenario = SHORT.replace("every: 20ms", "closed: { in_flight: 2 }");
    fs::write(folder.join("short.yaml"), scenario.replace("300ms", "200ms")).expect("writable");
    let mut command = Command::new(BUILT);
    command.args(["run", "short.yaml", "--out", "out"]).args(args).current_dir(folder);
    command
}

fn run(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().expect("it starts")
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Writes a program that says it is samestate, and then does as `body` says.
fn script(folder: &Path, name: &str, body: &str) -> String {
    let path = folder.join(name);
    let version = env!("CARGO_PKG_VERSION");
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'samestate {version}'; exit; fi\n{body}\n"
    );
    fs::write(&path, text).expect("writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    format!("./{name}")
}

#[test]
fn two_builds_take_turns_and_are_compared_by_pairs() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let done = run(temp.path(), &["--against", BUILT]);
    // A machine that is busy for a moment may make any figure of so few turns worse.
    assert!(matches!(done.status.code(), Some(0 | 5)), "{}", said(&done));
    let read = |path: &str| Record::read(temp.path().join(path)).unwrap_or_else(|e| panic!("{e}"));
    let (this, other) = (read("out/record.json"), read("out/against/record.json"));
    let begun = |record: &Record| {
        let repeats = record.cases[0].repeats.iter();
        repeats.map(|repeat| repeat.started.clone().expect("known")).collect::<Vec<_>>()
    };
    let (this, other) = (begun(&this), begun(&other));
    assert_eq!((this.len(), other.len()), (4, 4), "four pairs a repeat");
    // Other this, this other, other this, this other.
    let turns =
        [&other[0], &this[0], &this[1], &other[1], &other[2], &this[2], &this[3], &other[3]];
    assert!(turns.is_sorted() && turns[0] < turns[1], "{turns:?}");
    assert!(temp.path().join("out/against/report.html").is_file());
    assert!(said(&done).contains("cost.cpu_us_per_action"), "{}", said(&done));
    assert!(said(&done).contains("short: pair 4 of 4"), "{}", said(&done));
}

#[test]
fn a_program_that_is_no_build_of_samestate_is_refused_before_any_turn() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let other = script(temp.path(), "refuses", "echo 'unknown key' >&2; exit 2");
    for (program, words) in [
        ("/bin/echo", "is not samestate"),
        ("/nonexistent", "failed to start /nonexistent"),
        (&*other, "does not accept what it should run:\nunknown key"),
    ] {
        let done = run(temp.path(), &["--against", program]);
        assert_eq!(done.status.code(), Some(2), "{}", said(&done));
        assert!(said(&done).contains(words), "{}", said(&done));
        assert!(!temp.path().join("out").exists(), "nothing was started");
    }
    for odd in [["--against", BUILT, "--live"], ["--against", BUILT, "--fail-fast"]] {
        let done = run(temp.path(), &odd);
        assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    }
}

#[test]
fn a_turn_that_fails_is_named_with_its_program_and_its_words() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let other = script(
        temp.path(),
        "fails",
        "[ \"$1\" = validate ] && exit 0; echo 'no port is free' >&2; exit 1",
    );
    let done = run(temp.path(), &["--against", &other]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("turn 1: "), "{}", said(&done));
    assert!(said(&done).contains("no port is free"), "{}", said(&done));

    // A record of a schema to come.
    let newer = script(
        temp.path(),
        "newer",
        "[ \"$1\" = validate ] && exit 0\n\
         for out; do :; done\nmkdir -p \"$out\"\necho '{\"schema\": 99}' > \"$out/record.json\"",
    );
    let done = run(temp.path(), &["--against", &newer]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("schema 99"), "{}", said(&done));
}

#[test]
fn an_interruption_ends_the_turn_and_keeps_the_turns_before() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let mut run = command(temp.path(), &["--against", BUILT, "--repeat", "50"])
        .stdout(Stdio::null())
        .stderr(Stdio::from(fs::File::create(temp.path().join("said")).expect("writable")))
        .spawn()
        .expect("it starts");
    let until = Instant::now() + Duration::from_secs(60);
    let told = || fs::read_to_string(temp.path().join("said")).expect("it is there");
    while !told().contains("pair 2 of 200") {
        assert!(Instant::now() < until, "{}", told());
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
    assert_eq!(run.wait().expect("it ends").code(), Some(130), "{}", told());
    let record = Record::read(temp.path().join("out/record.json")).expect("it was written");
    assert_eq!(record.verdict, Verdict::Interrupted);
}
