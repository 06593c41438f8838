//! Odd scenario files: each either works as its writer expects, or is refused with what is wrong,
//! where, and what to write.

use assert_cmd::Command;
use samestate_sim::scenario::{Plan, ScenarioFile};

use super::{parse, setting};

/// A small file; the cases below each change something in it.
const BASE: &str = "\
version: 1
stores:
  tasks: { reducer: ring, mode: action }
clusters:
  main: { workers: 1 }
phases:
  - name: steady
    duration: 2s
    load:
      - { at: main.master, store: tasks, arrival: { rate: 50/s } }
expect:
  - { metric: dispatches.lost, max: 0 }
";

fn changed(old: &str, new: &str) -> String {
    assert!(BASE.contains(old), "the test's own text: {old}");
    BASE.replace(old, new)
}

fn plan(text: &str) -> Plan {
    parse(text).unwrap_or_else(|invalid| panic!("{invalid}\n{text}")).cases.remove(0).plan
}

/// The words that Rust and its libraries use for their own types.
const WORDS_OF_THE_PROGRAM: &[&str] = &[
    "struct",
    "enum",
    "variant",
    "newtype",
    "tuple",
    "sequence",
    "mapping",
    "a map",
    "serde",
    "deserialize",
    "Option",
    "String",
    "u8",
    "u16",
    "u32",
    "u64",
    "usize",
    "i64",
    "f64",
    "nonzero",
    "boolean",
    "scalar",
    "limits breached",
    "panicked",
];

/// The lines of an error, `file:line:column: message (help)`, once they are found to be in plain
/// words and to print nothing that steers a terminal.
#[track_caller]
fn errors(text: &str) -> String {
    let invalid = parse(text).err().unwrap_or_else(|| panic!("this should be refused:\n{text}"));
    let told = invalid.to_string();
    for word in WORDS_OF_THE_PROGRAM {
        assert!(!told.contains(word), "`{word}` is a word of the program: {told}");
    }
    let drawn = invalid.render(false);
    for told in [&told, &drawn] {
        assert!(!told.contains(|c: char| c.is_control() && c != '\n'), "{told:?}");
    }
    for problem in &invalid.problems {
        assert!(problem.place.is_some(), "without a place: {told}");
    }
    told
}

#[test]
fn a_file_that_means_something_works() {
    for (old, new) in [
        ("version: 1", "\u{feff}version: 1"),
        ("version: 1", "\u{feff}---\nversion: 1"),
        ("version: 1", "%YAML 1.1\n---\nversion: 1"),
        ("max: 0 }\n", "max: 0 }\n...\n"),
        ("main", "no"),
        ("main", "NO"),
        ("main", "true"),
        ("main", "12"),
        ("main", "größe"),
        ("tasks", "on"),
        ("tasks", "y"),
        ("tasks", "0x1F"),
        ("tasks", "1e3"),
        ("steady", "off"),
        ("steady", "12"),
        ("steady", "0x1F"),
        ("steady", "</testcase>&amp;"),
        ("workers: 1", "workers: 0o10"),
        ("workers: 1", "workers: 0x1"),
        ("main: { workers: 1 }", "main:"),
        ("2s", "1h30m"),
        ("2s", "90sec"),
        ("2s", "2min"),
        ("2s", "1e3ms"),
        ("2s", "\"1.5 s\""),
        ("2s", "2µs"),
        ("50/s", "1k/s"),
        ("50/s", "50rps"),
        ("50/s", "50 per second"),
        ("{ rate: 50/s }", "{ rate: 50/s, x-why: \"as in May\" }"),
        ("version: 1", "version: 1\nx-note: { a: [1, 2] }"),
    ] {
        plan(&changed(old, new));
    }
    for text in [BASE.replace('\n', "\r\n"), BASE.replace('\n', "\r")] {
        plan(&text);
    }
}

#[test]
fn a_number_is_a_name_as_it_is_written() {
    let plan = plan(&changed("steady", "0x1F").replace("main", "007"));
    assert_eq!(plan.phases[0].name, "0x1F");
    assert!(plan.node_named("007.worker[1]").is_some());
}

#[test]
fn anchors_of_ignored_keys_are_shared_and_merged() {
    let text = "\
version: 1
x-load: &load { store: tasks, arrival: &fast { rate: 50/s } }
x-cluster: &cluster { workers: 2 }
stores:
  x-usual: &usual { reducer: ring, mode: action }
  tasks: *usual
  others: { <<: *usual, mode: snapshot }
clusters: { main: { <<: *cluster, x-why: none }, side: *cluster }
phases:
  - name: steady
    duration: 2s
    load:
      - { <<: *load, at: main.master }
      - { at: side.master, store: others, arrival: *fast }
";
    let plan = plan(text);
    assert_eq!(plan.stores.len(), 2);
    assert_eq!((plan.nodes.len(), plan.phases[0].load.len()), (6, 2));
    let lost = text.replace("side", "x-side");
    assert!(errors(&lost).contains("`x-` are ignored: give it another name"), "{}", errors(&lost));
}

#[test]
fn a_file_that_means_nothing_says_what_is_wrong_and_what_to_write() {
    let mut wrong = Vec::new();
    for (old, new, says) in [
        (
            "workers: 1",
            "workers: 010",
            "5:20: expected a whole number from 0 to 4294967295, found the text `010` (a number \
             has no leading zero: write `10`, or `0o10` for octal)",
        ),
        ("workers: 1", "workers: 08", "write `8`"),
        ("workers: 1", "workers: 1_0", "write `10`"),
        ("workers: 1", "workers: \"1\"", "write it without quotes"),
        ("workers: 1", "workers: 1e0", "found the number `1e0`"),
        ("workers: 1", "workers: -1", "found the number `-1`"),
        ("workers: 1", "workers: 1.5", "found the number `1.5`"),
        ("workers: 1", "workers: 1:30", "found the text `1:30`"),
        ("workers: 1", "workers: yes", "found the text `yes`"),
        ("workers: 1", "workers: [1]", "found a list"),
        ("workers: 1", "workers: 20001", "more than 20000 processes"),
        ("workers: 1", "workers: 4294967295", "more than 20000 processes"),
        ("workers: 1", "workers: 99999999999999999999", "found the number `99999999999999999999`"),
        ("workers: 1", "workers: .inf", "found the number `.inf`"),
        ("main: { workers: 1 }", "main: [1]", "expected a group of keys"),
        ("{ reducer: ring, mode: action }", "ring", "found the text `ring`"),
        ("{ reducer: ring, mode: action }", "[ring, action]", "expected a group of keys"),
        ("{ reducer: ring, mode: action }", "", "3:8: the key `reducer` is missing"),
        ("mode: action", "mode: 5", "found the number `5`"),
        ("mode: action", "mode: yes", "`snapshot`, `action`"),
        ("mode: action", "resync: { verify: 0 }", "a whole number from 1"),
        ("mode: action", "backup: yes", "expected a group of keys"),
        ("mode: action", "backup: { durable: yes }", "(write `true`)"),
        ("mode: action", "size: 5mb", "did you mean `MB`?"),
        ("reducer: ring", "reducer: document, size: 5TB", "too large to be sent to a node"),
        ("mode: action", "log_bytes: 2TiB", "a log of 2048GiB is too large"),
        ("mode: action", "backup: { every_actions: 1000000001 }", "write at most 1000000000"),
        ("mode: action", "resync: { snapshot: 2000000000 }", "write at most 1000000000"),
        ("version: 1", "version: 1\nseed: 18446744073709551616", "`18446744073709551616`"),
        ("version: 1", "version: 1\nseed: 007", "write `7`, or `0o7`"),
        ("version: 1", "version: 1\nseed: 1.5", "found the number `1.5`"),
        ("version: 1", "version: 1.0", "the only version there is is 1"),
        ("version: 1", "version: 01", "the only version there is is 1"),
        ("version: 1", "version: 1\nstores: {}", "stands here twice"),
        ("version: 1", "version: 1\n? [a, b]\n: c", "a key is a text"),
        ("version: 1", "version: 1\n~: c", "a key is a text"),
        ("version: 1", "version: 1\nabout: !!int abc", "not what its tag says"),
        ("version: 1", "version: 1\nabout: !!binary \"%%\"", "not what its tag says"),
        ("version: 1", "version: 1\nabout: *none", "no anchor of this name"),
        ("version: 1", "version: 1\nabout: &a [*a]", "2:"),
        ("version: 1", "version: 1\n<<: 5", "`<<` takes a group of keys"),
        ("version: 1", "version: 1\nabout: [a", "not readable as YAML"),
        ("version: 1", "version: 1\nabout: a: b", "a text with `: ` in it stands in quotes"),
        ("version: 1", "version: 1\nabout: \"a\" b", "a text in double quotes"),
        ("version: 1", "version: 1\nabout: {a", "not readable as YAML"),
        ("version: 1", "version: 1\nabout: |a", "the text after `|` or `>`"),
        ("version: 1", "version: 1\n about: a", "no `key:` can stand here"),
        ("max: 0 }", "max: 0", "not readable as YAML"),
        ("- name: steady", "name: steady", "no `key:` can stand here"),
        ("version: 1", "version: 1\nabout: [a]", "expected a text, found a list"),
        ("version: 1", "version: 1\n---\nversion: 1", "a second document"),
        ("  tasks:", "\ttasks:", "indent with spaces"),
        ("2s", "90", "`90` has no unit"),
        ("2s", "0x10", "`x` in `0x10` is not a unit"),
        ("2s", "2S", "did you mean `s`?"),
        ("2s", "PT2S", "does not begin with a number"),
        ("2s", "'00:00:02'", "is not a unit"),
        ("2s", "0s", "must be longer than zero"),
        ("2s", "-2s", "must be above zero"),
        ("2s", "400d", "write at most `8784h`"),
        ("2s", "1000000w", "too large"),
        ("2s", "[2s]", "found a list"),
        ("2s", "", "expected a duration such as"),
        ("50/s", "50", "`50` has no unit"),
        ("50/s", "1,000/s", "found 2 keys: `rate`, `000/s`"),
        ("50/s", "\"1,000/s\"", "has a comma"),
        ("50/s", "1e300/s", "write at most `10000000/s`"),
        ("50/s", ".nan", "does not begin with a number"),
        ("rate: 50/s", "every: 0.1ns", "too small"),
        ("rate: 50/s", "every: 1ns", "write at least `100ns`"),
        ("rate: 50/s", "every: 0s", "must be longer than zero"),
        (
            "rate: 50/s",
            "closed: { in_flight: 4294967295 }",
            "take 4.9 TB, and those of a phase 1GiB at most (write at most 932067 here)",
        ),
        ("rate: 50/s", "closed: { in_flight: 0 }", "a whole number from 1"),
        ("rate: 50/s", "burst: { of: 4294967295, every: 1h }", "write at most 932067 here"),
        ("rate: 50/s", "burst: { of: 900000, every: 1ms }", "write smaller bursts"),
        ("rate: 50/s", "rate", "found nothing"),
        ("{ rate: 50/s }", "rate", "`rate` needs a value"),
        (
            "arrival: { rate: 50/s }",
            "arrival: { rate: 50/s }, payload: 5MB",
            "an action has 4MiB at most",
        ),
        ("arrival: { rate: 50/s }", "arrival: { rate: 50/s }, payload: -1B", "must be above zero"),
        ("steady", "\"a\\nb\"", "it has a control character"),
        ("steady", "\"\"", "the name is empty"),
        ("steady", "\"\\u001b[31m\"", "it has a control character"),
        ("main: {", "\"../x\": {", "cannot be a name"),
        ("main: {", "\"a b\": {", "cannot be a name"),
        ("main: {", "\"a\\u0000\": {", "cannot be a name"),
        ("main: {", "\"\": {", "cannot be a name"),
        ("main: {", "\"a${B}\": {", "variables stand in values alone"),
        ("max: 0", "max: -1", "12:37: `dispatches.lost` is never below 0"),
        ("max: 0", "max: .inf", "`max` is not a finite number"),
        ("max: 0", "min: .nan", "`min` is not a finite number"),
        ("max: 0", "equals: 0.1", "is a whole number, and never 0.1"),
        ("max: 0", "min: 2, max: 1", "nothing is at least 2 and at most 1"),
        ("max: 0", "max: 100%", "write it without `%`"),
        ("dispatches.lost, max: 0", "identical.sampled_percent, min: 101", "never above 100"),
        (
            "version: 1",
            "version: 1\nobserve: [ { store: tasks, every: 1ns } ]",
            "2000000000 samples",
        ),
        ("version: 1", "version: 1\nobserve: [ { store: tasks, every: 0s } ]", "longer than zero"),
        ("version: 1", "version: 1\nvirtual_time: { heartbeat: 1ns }", "write at least `1ms`"),
        ("version: 1", "version: 1\nlogins: [a]", "expected a group of keys"),
        (
            "version: 1",
            "version: 1\nlinks: [ { store: tasks, server: main.master, unix: a/, client: [] } ]",
            "a folder's path",
        ),
        (
            "version: 1",
            "version: 1\nlinks: [ { store: tasks, server: main.master, tcp: 65536, client: [] } ]",
            "from 0 to 65535",
        ),
        (
            "version: 1",
            "version: 1\nlinks:\n  - { store: tasks, server: main.master, tcp: 9, client: [], \
             backoff_max: 0s }",
            "too short for a timer",
        ),
    ] {
        let told = errors(&changed(old, new));
        if !told.contains(says) {
            wrong.push(format!("{new:?} should say {says:?}: {told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_have_the_length_that_file_names_leave() {
    let named = |length: usize| changed("main", &"a".repeat(length));
    plan(&named(80));
    assert!(errors(&named(300)).contains("write 80 bytes at most"), "{}", errors(&named(300)));
    let phase = errors(&changed("steady", &"a".repeat(201)));
    assert!(phase.contains("of 200 bytes at most"), "{phase}");
    let link = "links: [ { store: tasks, server: main.master, unix: PATH, client: [] } ]\nphases:";
    let long = changed("phases:", &link.replace("PATH", &"s".repeat(65)));
    assert!(errors(&long).contains("of 64 bytes at most"), "{}", errors(&long));
}

#[test]
fn loads_are_bounded_together() {
    let load = "      - { at: main.master, store: tasks, arrival: { rate: 50/s } }\n";
    let closed = load.replace("rate: 50/s", "closed: { in_flight: 600000 }");
    plan(&changed(load, &closed));
    let told = errors(&changed(load, &closed.repeat(2)));
    assert!(told.contains("11:") && told.contains("write at most 332067 here"), "{told}");
    let soak = changed("50/s", "1M/s").replace("2s", "1h");
    assert!(errors(&soak).contains("a run makes at most 1e9"), "{}", errors(&soak));
}

#[test]
fn a_setting_is_read_as_the_file_is() {
    for (path, says) in [
        ("version=2", "with `--set version=2`: the only version there is is 1"),
        ("seed=007", "found the text `007`"),
        ("clusters.main.workers=010", "`0o10` for octal"),
        ("phases.0.duration=90", "no unit"),
        ("seed=${SAMESTATE_TEST_NONE}", "`SAMESTATE_TEST_NONE` is not set"),
    ] {
        let overrides = setting(path);
        let refused = ScenarioFile::parse("base", "base.yaml", BASE, &overrides);
        let told = refused.expect_err(path).to_string();
        assert!(told.contains(says), "{path}: {told}");
    }
    let overrides = setting("phases.0.name=0x1F");
    let set = ScenarioFile::parse("base", "base.yaml", BASE, &overrides).expect("a name");
    assert_eq!(set.cases[0].plan.phases[0].name, "0x1F");
}

#[test]
fn variables_of_the_environment_stand_for_values_of_every_kind() {
    let text = BASE
        .replace("workers: 1", "workers: ${SAMESTATE_TEST_NONE:-3}")
        .replace("mode: action", "mode: ${SAMESTATE_TEST_NONE:-snapshot}")
        .replace("50/s", "${SAMESTATE_TEST_NONE:-20}0/s")
        .replace("version: 1", "version: 1\nabout: \"$${X} costs ${SAMESTATE_TEST_NONE:-5}\"")
        .replace("steady", "\"${SAMESTATE_TEST_NONE:-7}\"");
    let file = parse(&text).unwrap_or_else(|invalid| panic!("{invalid}"));
    assert_eq!(file.scenario.about, "${X} costs 5");
    assert_eq!((file.scenario.clusters["main"].workers, &*file.scenario.phases[0].name), (3, "7"));
    let yaml = file.scenario.to_yaml().expect("a form in YAML");
    assert_eq!(parse(&yaml).expect("it reads back").scenario, file.scenario, "{yaml}");

    let path = "workers: ${CARGO_PKG_NAME}";
    assert!(errors(&changed("workers: 1", path)).contains("found the text `samestate-sim`"));
    let unset = errors(&changed("50/s", "${SAMESTATE_TEST_NONE}"));
    assert!(unset.starts_with("two-clusters.yaml:10:59: the environment variable"), "{unset}");
    let unclosed = errors(&changed("steady", "${SAMESTATE_TEST_NONE"));
    assert!(unclosed.contains("not closed"), "{unclosed}");
}

#[test]
fn passwords_are_not_kept_with_a_run() {
    let text = BASE.replace("version: 1", "version: 1\nlogins: { app: secret-1 }")
        + "matrix: { logins.app: [secret-2, secret-3] }\n";
    let file = parse(&text).unwrap_or_else(|invalid| panic!("{invalid}"));
    let kept = file.scenario.without_passwords().to_yaml().expect("a form in YAML");
    assert!(kept.contains("app: redacted") && !kept.contains("secret"), "{kept}");
    parse(&kept).unwrap_or_else(|invalid| panic!("{invalid}"));
    let with: Vec<_> = file.cases.iter().map(|case| case.with["logins.app"].clone()).collect();
    assert_eq!(with, ["redacted", "redacted"]);
    assert_eq!(file.cases[1].scenario.logins["app"], "secret-3");
}

/// The program's exit code, output and complaints, with a text on standard input.
fn samestate(args: &[&str], stdin: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samestate"));
    command.args(args).env("SAMESTATE_TEST_MODE", "snapshot").write_stdin(stdin);
    let output = command.output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_scenario_is_read_from_standard_input() {
    let (code, out, err) = samestate(&["validate", "-"], &format!("\u{feff}{BASE}"));
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (Some(0), "ok  -: 2 processes, 1 store, 0 links, 2s\n", "")
    );
    let (code, out, _) = samestate(&["explain", "-"], BASE);
    assert!(code == Some(0) && out.starts_with("stdin\n"), "{out}");
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let to = out.to_str().expect("a plain path");
    let mode = changed("mode: action", "mode: ${SAMESTATE_TEST_MODE}");
    let mode = mode.replace("version: 1", "version: 1\nlogins: { app: secret }");
    let (code, _, err) = samestate(&["simulate", "-", "--out", to], &mode);
    assert_eq!(code, Some(0), "{err}");
    let kept = std::fs::read_to_string(out.join("scenario.yaml")).expect("it is kept");
    assert!(kept.contains("mode: snapshot") && !kept.contains("secret"), "{kept}");
    let (code, _, err) = samestate(&["validate", "-"], "version: 1\nseed: 010\n");
    assert!(code == Some(2) && err.contains("<stdin>:2:7"), "{err}");
    let (code, _, err) = samestate(&["validate", "-", "-"], BASE);
    assert!(code == Some(2) && err.contains("given twice"), "{err}");
}

#[test]
fn no_text_of_a_file_steers_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("odd\u{1b}[31m.yaml");
    let about = "version: 1\nabout: \"one\\n\\e[31m two \\u0001 \\x9b2J \\u202e\"";
    std::fs::write(&path, changed("version: 1", about)).expect("a file");
    let path = path.to_str().expect("a plain path");
    let folder = folder.path().to_str().expect("a plain path");
    let clean = |text: &str| !text.contains(|c: char| c.is_control() && c != '\n');
    for args in [&["list", folder][..], &["explain", path], &["validate", path]] {
        let (code, out, err) = samestate(args, "");
        assert!(code == Some(0) && clean(&out) && clean(&err), "{args:?}: {out:?} {err:?}");
        assert!(!out.contains('\u{202e}'), "{out:?}");
    }
    std::fs::write(path, changed("2s", "\"2\\e[31m\"")).expect("a file");
    let (code, out, err) = samestate(&["validate", path], "");
    assert!(code == Some(2) && clean(&out) && clean(&err), "{out:?} {err:?}");
}
