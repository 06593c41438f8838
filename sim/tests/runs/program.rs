//! `samestate run` with nodes that are programs: what holds is proved, what does not is named, and
//! nothing is left behind.

use std::path::Path;
use std::process::Command;

use samestate_report::Record;

use crate::marked::{MARK, assert_empty, mark, temp_folder, until_none_is_left};

/// One node that counts, with `counter.sh` as its program.
const SCENARIO: &str = r#"
version: 1
stores: { sum: { reducer: counter } }
clusters: { one: { program: [sh, PROGRAM] } }
phases:
  - name: steady
    duration: 1s
    load: [ { at: one.master, store: sum, arrival: { every: 20ms } } ]
expect:
  - { metric: dispatches.lost, max: 0 }
  - { metric: dispatches.ok, min: 45, max: 55 }
"#;

/// A node in a shell. `$1` of each line is one of `init`, `dispatch`, `state`, `digest`, `stop`;
/// a test adds what it does instead at one of them.
const COUNTER: &str = r#"
sum=0
say() { printf '%s\n' "$1"; }
ids() { printf '%s' "$line" | grep -o '"id":"[^"]*"' | cut -d '"' -f 4; }
on_init() { say '{"ready":{}}'; }
on_dispatch() {
  for id in $(ids); do
    sum=$((sum + 1))
    say '{"ok":{"store":"sum","ids":["'$id'"]}}'
    say '{"applied":{"store":"sum","ids":["'$id'"]}}'
  done
}
on_state() { say '{"state":{"store":"sum","state":{"value":'$sum'}}}'; }
on_digest() { say '{"digest":{"store":"sum","digest":null}}'; }
on_stop() { exit 0; }
INSTEAD
while read -r line; do
  case "$line" in
    '{"init"'*) on_init ;;
    '{"dispatch"'*) on_dispatch ;;
    '{"state"'*) on_state ;;
    '{"digest"'*) on_digest ;;
    '{"stop"'*) on_stop ;;
  esac
done
"#;

struct Ended {
    code: Option<i32>,
    said: String,
    record: Option<Record>,
}

impl Ended {
    #[track_caller]
    fn says(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.said);
        // Lines are wrapped at the width of a terminal.
        let said = self.said.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in words {
            assert!(said.contains(words), "no `{words}` in:\n{}", self.said);
        }
    }

    #[track_caller]
    fn passes(&self) -> &Record {
        assert!(matches!(self.code, Some(0 | 6)), "{:?}\n{}", self.code, self.said);
        self.record.as_ref().expect("a record")
    }
}

/// Runs the scenario with a counter that does something `instead`, and asserts that nothing is
/// left of it.
fn run(test: &str, instead: &str) -> Ended {
    run_as(test, SCENARIO, &COUNTER.replace("INSTEAD", instead))
}

fn run_as(test: &str, scenario: &str, program: &str) -> Ended {
    let (mark, temp) = (mark(test), temp_folder(test));
    let out = tempfile::tempdir().expect("a temporary folder");
    let script = out.path().join("program.sh");
    std::fs::write(&script, program).expect("writable");
    let file = out.path().join("scenario-of-test.yaml");
    let scenario = scenario.replace("PROGRAM", &script.to_string_lossy());
    std::fs::write(&file, scenario).expect("writable");
    let output = Command::new(env!("CARGO_BIN_EXE_samestate"))
        .args([Path::new("run"), &file, Path::new("--out"), &out.path().join("out")])
        .args(["--start-timeout", "5s"])
        .env(MARK, &mark)
        .env("TMPDIR", &temp)
        .output()
        .expect("it starts");
    until_none_is_left(&mark);
    assert_empty(&temp);
    let said = [output.stderr, output.stdout].concat();
    Ended {
        code: output.status.code(),
        said: String::from_utf8_lossy(&said).into_owned(),
        record: Record::read(out.path().join("out/record.json")).ok(),
    }
}

#[test]
fn a_program_that_does_its_part_passes_and_what_it_cannot_report_is_null() {
    let ended = run("program-good", "");
    let case = &ended.passes().cases[0];
    assert_eq!(case.dispatches.ok, case.dispatches.intended);
    let process = &case.processes[0];
    assert!(process.cpu_user_seconds.is_some(), "{process:?}");
    assert_eq!((process.wire_bytes, process.syscalls), (None, None));
    assert_eq!(case.cost.snapshots_forced, None);
}

#[test]
fn a_state_that_the_history_does_not_give_is_named_by_its_path() {
    let ended = run(
        "program-forgets",
        "on_state() { say '{\"state\":{\"store\":\"sum\",\"state\":{\"value\":3}}}'; }",
    );
    ended.says(3, &["I2", "one.master", "$.value is 3, and should be"]);
}

#[test]
fn a_dispatch_that_was_accepted_and_never_applied_is_lost() {
    let instead = r#"on_dispatch() {
      for id in $(ids); do
        say '{"ok":{"store":"sum","ids":["'$id'"]}}'
        sum=$((sum + 1))
        [ $sum = 7 ] || say '{"applied":{"store":"sum","ids":["'$id'"]}}'
      done
    }
    on_state() { say '{"state":{"store":"sum","state":{"value":'$((sum - 1))'}}}'; }"#;
    let ended = run("program-loses", instead);
    ended.says(
        3,
        &["violated I3 at one.master: 1 dispatches were accepted, and are not in its state"],
    );
    let dispatches = &ended.record.expect("a record").cases[0].dispatches;
    assert_eq!(dispatches.lost, Some(1));
    assert_eq!(dispatches.ok, dispatches.intended - 1, "those after it are answered");
}

#[test]
fn an_action_that_is_applied_twice_is_named() {
    let instead = r#"on_dispatch() {
      for id in $(ids); do
        sum=$((sum + 1))
        say '{"ok":{"store":"sum","ids":["'$id'"]}}'
        say '{"applied":{"store":"sum","ids":["'$id'"]}}'
        [ $sum = 7 ] && say '{"applied":{"store":"sum","ids":["'$id'"]}}' && sum=$((sum + 1))
      done
    }"#;
    let ended = run("program-twice", instead);
    ended.says(3, &["violated I3 at sum: 1 of the dispatches"]);
    let record = ended.record.expect("a record");
    assert_eq!(record.cases[0].dispatches.duplicated, Some(1));
}

#[test]
fn an_action_that_was_refused_and_applied_all_the_same_is_named() {
    let instead = r#"on_dispatch() {
      for id in $(ids); do
        sum=$((sum + 1))
        say '{"error":{"store":"sum","id":"'$id'","kind":"rejected","message":"no"}}'
        say '{"applied":{"store":"sum","ids":["'$id'"]}}'
      done
    }"#;
    run("program-refuses", instead).says(3, &["violated I4 at sum"]);
}

#[test]
fn a_program_that_breaks_the_protocol_is_named_with_the_line() {
    let cases = [
        (
            "garbage",
            "on_init() { say 'hello, I am up'; }",
            "in line 1: expected value",
            "hello, I am up",
        ),
        ("unknown", "on_init() { say '{\"redy\":{}}'; }", "unknown variant `redy`", "line 1"),
        (
            "store",
            "on_init() { say '{\"connected\":{\"store\":\"sums\",\"connected\":true}}'; }",
            "opens no store `sums`; it opens sum",
            "broke the adapter protocol (version 1) in line",
        ),
        (
            "other-id",
            "on_dispatch() { say '{\"ok\":{\"store\":\"sum\",\"ids\":[\"l-0-1-0-0\"]}}'; }",
            "no dispatch `l-0-1-0-0` of this node is under way",
            "broke the adapter protocol (version 1) in line",
        ),
        (
            "made-up",
            "on_dispatch() { say '{\"applied\":{\"store\":\"sum\",\"ids\":[\"x\"]}}'; }",
            "`x` is the id of no dispatch",
            "broke the adapter protocol (version 1) in line",
        ),
        (
            "no-newline",
            "on_init() { head -c 100000000 /dev/zero | tr '\\0' x; }",
            "line 1 has more than 64 MiB",
            "broke the adapter protocol",
        ),
        (
            "exits",
            "on_init() { echo 'cannot find my server' >&2; exit 3; }",
            "ended with exit code 3, before it was told to stop",
            "cannot find my server",
        ),
        (
            "state",
            "on_state() { say '{\"state\":{\"store\":\"sum\",\"state\":[]}}'; }",
            "has a state that is none of the reducer `counter`",
            "one.master",
        ),
        ("killed", "on_dispatch() { kill -9 $$; }", "was killed by signal 9", "one.master"),
    ];
    for (name, instead, words, more) in cases {
        run(&format!("program-{name}"), instead).says(1, &[words, more, "one.master"]);
    }
}

#[test]
fn the_published_schema_is_in_step_with_the_lines() {
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/../adapters/protocol.schema.json");
    let published = std::fs::read_to_string(published).expect("the published schema");
    let mut schema = Command::new(env!("CARGO_BIN_EXE_samestate"));
    let printed = schema.args(["schema", "--adapter"]).output().expect("it starts").stdout;
    let advice = "run: samestate schema --adapter > adapters/protocol.schema.json";
    assert!(published.as_bytes() == printed, "{advice}");
}

/// The runner and virtual time refuse what they cannot do before anything starts.
#[test]
fn what_programs_cannot_do_is_refused() {
    let mixed = SCENARIO.replace(
        "clusters: { one: { program: [sh, PROGRAM] } }",
        "clusters: { one: { program: [sh, PROGRAM] }, two: {} }\n\
         links: [ { store: sum, server: one.master, unix: a.sock, client: two.master } ]",
    );
    let words = "`one.master` is a program, and `two.master` is one of Samestate's own nodes";
    run_as("program-mixed", &mixed, "").says(2, &[words]);
    let backup = SCENARIO.replace("counter }", "counter, backup: { every_actions: 5 } }");
    run_as("program-backup", &backup, "").says(2, &["are programs, and keep no backups"]);
    let empty = SCENARIO.replace("[sh, PROGRAM]", "[]");
    run_as("program-empty", &empty, "").says(2, &["the program has no name"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("scenario.yaml");
    std::fs::write(&file, SCENARIO).expect("writable");
    let simulate =
        Command::new(env!("CARGO_BIN_EXE_samestate")).arg("simulate").arg(&file).output();
    let simulate = simulate.expect("it starts");
    assert_eq!(simulate.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&simulate.stderr).contains("virtual time runs none"));
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let scenario = SCENARIO.replace("[sh, PROGRAM]", "[no-such-program, --fast]");
    let ended = run_as("program-missing", &scenario, "");
    ended.says(1, &["one.master", "`no-such-program --fast` could not be started", "No such file"]);
}

/// It has a child of its own, which would hold on to a port, say.
#[test]
fn a_program_that_never_becomes_ready_is_named_and_ends_with_its_children() {
    let ended = run("program-silent", "on_init() { echo 'waiting for godot' >&2; sleep 1000 & }");
    ended.says(1, &["one.master has not said `ready` after 5 s", "waiting for godot"]);
}

#[test]
fn a_program_that_does_not_stop_is_stopped() {
    let ended = run("program-stays", "on_stop() { trap '' TERM; sleep 1000; }");
    ended.passes();
}
