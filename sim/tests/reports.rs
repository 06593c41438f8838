//! Tests of reports made of good and of bad input.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use samestate_report::Record;

/// Two processes for a moment.
const SHORT: &str = r#"
version: 1
about: Two processes for a moment.
seed: 5
stores: { tasks: { reducer: ring, mode: action } }
clusters: { main: { workers: 1 } }
phases:
  - name: busy
    duration: 300ms
    load: [ { at: main.master, store: tasks, arrival: { every: 20ms } } ]
"#;

struct Desk {
    temp: tempfile::TempDir,
}

impl Desk {
    /// A folder with a scenario, and with a simulated run of it in `out`.
    fn new() -> Self {
        let desk = Desk { temp: tempfile::tempdir().expect("a temporary folder") };
        fs::write(desk.path("short.yaml"), SHORT).expect("writable");
        let done = desk.samestate(&["simulate", "short.yaml", "-q", "--out", "out"]);
        assert_eq!(done.status.code(), Some(0), "{}", said(&done));
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_samestate"));
        command.args(args).current_dir(self.temp.path());
        command
    }

    fn samestate(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it starts")
    }
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_run_writes_its_page_and_report_makes_the_same_from_the_record() {
    let desk = Desk::new();
    let page = desk.read("out/report.html");
    assert!(page.contains("Two processes for a moment.") && page.contains("Identity"), "{page}");
    assert!(
        page.contains("samestate simulate short.yaml -q --out out"),
        "the command that made it"
    );
    let again = desk.samestate(&["report", "out", "--format", "html"]);
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    assert!(again.stdout == page.as_bytes(), "the record has all that the page shows");
    let args = ["report", "out/record.json", "--format", "html", "--output", "new/page.html"];
    let done = desk.samestate(&args);
    assert_eq!((done.status.code(), done.stdout.len()), (Some(0), 0), "{}", said(&done));
    assert_eq!(desk.read("new/page.html"), page);
    let summary = said(&desk.samestate(&["simulate", "short.yaml", "--out", "out"]));
    assert!(summary.contains("report in out/report.html"), "{summary}");
}

#[test]
fn a_record_of_a_version_without_series_is_shown_and_compared() {
    let desk = Desk::new();
    let mut record: serde_json::Value =
        serde_json::from_str(&desk.read("out/record.json")).expect("it is JSON");
    let record_fields = record.as_object_mut().expect("an object");
    record_fields.remove("about");
    record_fields.remove("command");
    let case = record["cases"][0].as_object_mut().expect("an object");
    for newer in ["series", "phases", "topologies"] {
        assert!(case.remove(newer).is_some(), "{newer}");
    }
    fs::write(desk.path("old.json"), record.to_string()).expect("writable");
    for format in ["terminal", "markdown", "junit", "json", "html"] {
        let shown = desk.samestate(&["report", "old.json", "--format", format]);
        assert_eq!(shown.status.code(), Some(0), "{format}: {}", said(&shown));
    }
    let compared = desk.samestate(&["compare", "old.json", "out"]);
    assert_eq!(compared.status.code(), Some(0), "{}", said(&compared));
}

#[test]
fn what_is_no_record_of_this_version_is_refused_with_a_next_step() {
    let desk = Desk::new();
    let whole = desk.read("out/record.json");
    let newer = whole.replacen("\"schema\": 1", "\"schema\": 99", 1);
    let half = &whole[..whole.len() / 2];
    fs::create_dir(desk.path("folder")).expect("it can be made");
    let bad = [
        ("newer.json", newer.as_str(), "newer.json is a record of schema 99"),
        ("half.json", half, "half.json is not JSON"),
        ("none.json", "", "none.json is not a record"),
        ("k6.json", r#"{"metrics": {"http_reqs": {"count": 5}}}"#, "k6.json is not a record"),
        ("binary.json", "\0\u{1}\u{2}", "binary.json is not JSON"),
        ("deep.json", &"[".repeat(100_000), "deep.json is not JSON"),
    ];
    for (name, text, expected) in bad {
        fs::write(desk.path(name), text).expect("writable");
        for args in [
            &["report", name][..],
            &["report", name, "--format", "html"],
            &["compare", name, "out"],
            &["compare", "out", name],
        ] {
            let refused = desk.samestate(args);
            assert_eq!(refused.status.code(), Some(2), "{args:?}: {}", said(&refused));
            assert!(said(&refused).contains(expected), "{args:?}: {}", said(&refused));
        }
    }
    for (place, code, expected) in [
        ("folder", 4, "there is no record.json in folder"),
        ("gone.json", 2, "cannot read the record gone.json"),
        ("gone/*/x", 4, "nothing matches gone/*/x"),
        ("a[", 2, "a[ is not a pattern"),
    ] {
        let refused = desk.samestate(&["report", place]);
        assert_eq!(refused.status.code(), Some(code), "{place}: {}", said(&refused));
        assert!(said(&refused).contains(expected), "{}", said(&refused));
    }
    let nowhere = ["report", "out", "--format", "html", "--output", "short.yaml/page.html"];
    let refused = desk.samestate(&nowhere);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("cannot write short.yaml/page.html"), "{}", said(&refused));
}

#[test]
fn folders_and_patterns_name_several_records() {
    let desk = Desk::new();
    for out in ["runs/a", "runs/b"] {
        desk.samestate(&["simulate", "short.yaml", "-q", "--out", out]);
    }
    let places: [&[&str]; 4] =
        [&["runs"], &["runs/a", "runs/b"], &["runs/*"], &["runs/?/record.json"]];
    for place in places {
        let args = [&["report", "--format", "junit"], place].concat();
        let shown = said(&desk.samestate(&args));
        assert_eq!(shown.matches("<testsuite ").count(), 2, "{place:?}: {shown}");
        let args = [&["compare", "out"], place].concat();
        let compared = desk.samestate(&args);
        assert_eq!(compared.status.code(), Some(0), "{}", said(&compared));
        assert!(said(&compared).starts_with("short: NOT WORSE"), "{}", said(&compared));
    }
    let page = said(&desk.samestate(&["report", "runs/*", "--format", "html"]));
    assert_eq!(page.matches("<main").count(), 2);
}

#[test]
fn a_disk_that_is_full_at_the_end_leaves_the_summary_and_exit_code_1() {
    let desk = Desk::new();
    // No file may be larger than 4 kB: the record and the page are, as if the disk were full.
    let program = env!("CARGO_BIN_EXE_samestate");
    let script =
        format!("trap '' XFSZ; ulimit -f 4; exec {program} simulate short.yaml --out full");
    let mut shell = Command::new("bash");
    let done = shell.args(["-c", &script]).current_dir(desk.temp.path()).output();
    let done = done.expect("there is a shell");
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("PASS  short"), "{}", said(&done));
    for file in ["record.json", "report.html"] {
        assert!(said(&done).contains(&format!("cannot write full/{file}")), "{}", said(&done));
        assert!(!desk.path("full").join(file).exists(), "no half of {file} is left");
    }
    assert!(said(&done).contains("the record could not be kept"), "{}", said(&done));
    assert!(said(&done).contains("the report could not be kept"), "{}", said(&done));
}

#[test]
fn a_figure_is_a_picture_and_an_unknown_one_lists_those_there_are() {
    let desk = Desk::new();
    let figure = |more: &[&str]| {
        let mut args = vec!["report", "out", "--format", "svg"];
        args.extend(more);
        desk.samestate(&args)
    };
    let done = figure(&["--figure", "identity", "--output", "identity.svg"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let picture = desk.read("identity.svg");
    assert!(picture.starts_with("<svg xmlns=") && picture.contains("in percent"), "{picture}");

    let odd: [&[&str]; 2] = [&[], &["--figure", "identitty"]];
    for odd in odd {
        let done = figure(odd);
        assert_eq!(done.status.code(), Some(2), "{}", said(&done));
        assert!(said(&done).contains("help: its figures are identity, behind"), "{}", said(&done));
    }
    let done = desk.samestate(&["report", "out", "out", "--format", "svg", "--figure", "rate"]);
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    assert!(said(&done).contains("a picture is of one record"), "{}", said(&done));
    let done = desk.samestate(&["report", "out", "--figure", "rate"]);
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    assert!(said(&done).contains("add --format svg"), "{}", said(&done));
}

#[test]
fn a_reader_that_has_seen_enough_of_a_page_is_no_failure() {
    let desk = Desk::new();
    for format in ["html", "junit", "json", "terminal"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = desk.command(&["report", "out", "--format", format]);
        let done = command.stdout(writer).stderr(Stdio::piped()).output().expect("it starts");
        assert_eq!((done.status.code(), said(&done)), (Some(0), String::new()), "{format}");
    }
    let record = Record::read(desk.path("out/record.json")).expect("it was written");
    assert!(record.cases[0].series.is_some());
}

#[test]
fn in_github_actions_a_run_annotates_the_lines_of_its_scenario_and_adds_to_the_summary() {
    let desk = Desk::new();
    let strict = format!("{SHORT}expect:\n  - {{ metric: dispatches.ok, max: 0 }}\n");
    fs::write(desk.path("strict.yaml"), &strict).expect("writable");
    let line = strict.lines().count();
    let in_actions = |scenario: &str, actions: &str| {
        let mut command = desk.command(&["simulate", scenario, "-q", "--out", "again"]);
        command.env("GITHUB_ACTIONS", actions).env("GITHUB_STEP_SUMMARY", desk.path("summary.md"));
        command.output().expect("it starts")
    };
    let done = in_actions("strict.yaml", "true");
    let expected =
        format!("::error file=strict.yaml,line={line},title=strict%3A fail::dispatches.ok");
    assert_eq!(done.status.code(), Some(3), "{}", said(&done));
    assert!(said(&done).contains(&expected), "{}", said(&done));
    assert!(done.stdout.is_empty(), "standard output is for results");
    assert!(!said(&in_actions("short.yaml", "true")).contains("::"), "it passed");
    let summary = desk.read("summary.md");
    assert!(summary.contains("## strict: fail") && summary.contains("## short: pass"), "{summary}");
    assert!(!said(&in_actions("strict.yaml", "false")).contains("::error"), "no job");
    assert_eq!(desk.read("summary.md"), summary);
}

#[test]
fn shells_and_man_know_every_command() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = said(&desk.samestate(&["completions", shell]));
        assert!(script.contains("simulate") && script.contains("start-timeout"), "{script}");
    }
    let program = env!("CARGO_BIN_EXE_samestate");
    let mut shell = Command::new("bash");
    let checked = shell.args(["-c", &format!("{program} completions bash | bash -n")]).output();
    let checked = checked.expect("there is a shell");
    assert_eq!((checked.status.code(), said(&checked)), (Some(0), String::new()));
    let done = desk.samestate(&["man", "man1"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert!(desk.read("man1/samestate-run.1").contains("start"));
    assert!(desk.read("man1/samestate.1").contains("compare"));
    assert!(!desk.path("man1/samestate-guardian.1").exists(), "not for users");
    let refused = desk.samestate(&["man", "short.yaml/man"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
}

#[test]
fn baselines_are_kept_in_a_folder_and_what_is_missing_or_stale_is_named() {
    let desk = Desk::new();
    let nothing = desk.samestate(&["baseline", "update"]);
    assert_eq!(nothing.status.code(), Some(4), "{}", said(&nothing));
    assert!(said(&nothing).contains("there is no run in runs/"), "{}", said(&nothing));

    let update = ["baseline", "update", "out", "--dir", "kept"];
    assert!(said(&desk.samestate(&update)).contains("kept/short.json: new"));
    assert!(said(&desk.samestate(&update)).contains("kept/short.json: unchanged"));
    let small = desk.read("kept/short.json");
    assert!(small.len() < 8_000 && !small.contains("\"series\""), "{small}");
    let compared = desk.samestate(&["compare", "kept", "out"]);
    assert_eq!(compared.status.code(), Some(0), "{}", said(&compared));

    let run = |args: &[&str]| desk.samestate(&[&["run", "short.yaml"], args].concat());
    let simulated = run(&["--baseline", "kept"]);
    assert!(said(&simulated).contains("it is of a simulation"), "{}", said(&simulated));
    let real = small.replace("\"kind\": \"virtual\"", "\"kind\": \"processes\"");
    fs::write(desk.path("kept/short.json"), real).expect("writable");
    for (args, expected) in [
        (&["--baseline", "nowhere"][..], "there is no baseline nowhere"),
        (
            &["--baseline", "kept", "--duration", "5s"],
            "is not what it was for the baseline in kept",
        ),
        (&["--baseline", "short.yaml"], "short.yaml is not JSON"),
        (&["--baseline", "kept", "--tolerance", "5"], "write a share with its unit"),
    ] {
        let refused = run(args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {}", said(&refused));
        assert!(said(&refused).contains(expected), "{args:?}: {}", said(&refused));
        assert!(!desk.path("runs").exists(), "nothing was started");
    }
    fs::rename(desk.path("kept/short.json"), desk.path("kept/other.json")).expect("it is there");
    let other = desk.read("kept/other.json").replace("\"short\"", "\"../other\"");
    fs::write(desk.path("kept/other.json"), other).expect("writable");
    let missing = run(&["--baseline", "kept"]);
    assert!(said(&missing).contains("short: there is no baseline of this scenario in kept"));
    assert!(said(&missing).contains("baseline update --dir kept"), "{}", said(&missing));
    let hostile = desk.samestate(&["baseline", "update", "kept/other.json", "--dir", "kept"]);
    assert_eq!(hostile.status.code(), Some(1), "{}", said(&hostile));
    assert!(said(&hostile).contains("which is no name of a file"), "{}", said(&hostile));
}

#[test]
fn a_run_is_held_against_its_baseline() {
    let desk = Desk::new();
    let run = |args: &[&str]| {
        desk.samestate(&[&["run", "short.yaml", "--repeat", "3", "--out", "run"], args].concat())
    };
    let first = run(&[]);
    assert!(matches!(first.status.code(), Some(0 | 6)), "{}", said(&first));
    let mut record: serde_json::Value =
        serde_json::from_str(&desk.read("run/record.json")).expect("it is JSON");
    // As a build had it that sent nothing to speak of, in each of three runs on a calm machine.
    let case = &mut record["cases"][0];
    case["verdict"] = "pass".into();
    record["verdict"] = "pass".into();
    for repeat in record["cases"][0]["repeats"].as_array_mut().expect("there are three") {
        repeat["verdict"] = "pass".into();
        repeat["figures"]["cost.wire_bytes_per_action"] = 1.0.into();
    }
    fs::write(desk.path("first.json"), record.to_string()).expect("writable");
    let made = desk.samestate(&["baseline", "update", "first.json"]);
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    let second = run(&["--baseline", "baselines"]);
    if matches!(second.status.code(), Some(6)) {
        return; // the machine is too busy to say anything
    }
    assert_eq!(second.status.code(), Some(5), "{}", said(&second));
    assert!(
        said(&second).contains("worse: cost.wire_bytes_per_action rose by"),
        "{}",
        said(&second)
    );
    assert!(said(&second).contains("95 % interval"), "{}", said(&second));
    let quiet = run(&["--baseline", "baselines/short.json", "-q"]);
    assert!(quiet.stdout.is_empty(), "{}", said(&quiet));
}
