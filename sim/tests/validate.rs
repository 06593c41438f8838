//! Tests of scenario files: the values that are allowed, and the errors about others.

mod odd_faults;
mod odd_files;
mod virtual_files;

use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use proptest::prelude::*;
use samestate_sim::faults::{Cut, Fault};
use samestate_sim::scenario::{
    self, Address, Invalid, Mode, Overrides, Plan, Role, ScenarioFile, Setting, Span, Upstream,
};

/// The file of the design, which is the article's second test.
const TWO_CLUSTERS: &str = include_str!("scenarios/two-clusters.yaml");

fn parse_with(text: &str, overrides: &Overrides) -> Result<ScenarioFile, Invalid> {
    ScenarioFile::parse("two-clusters", "two-clusters.yaml", text, overrides)
}

fn parse(text: &str) -> Result<ScenarioFile, Invalid> {
    parse_with(text, &Overrides::default())
}

fn good(text: &str, overrides: &Overrides) -> ScenarioFile {
    parse_with(text, overrides).unwrap_or_else(|invalid| panic!("{invalid}"))
}

fn plan(text: &str) -> Plan {
    let mut file = good(text, &Overrides::default());
    assert_eq!(file.cases.len(), 1);
    file.cases.remove(0).plan
}

fn setting(text: &str) -> Overrides {
    let settings = vec![text.parse::<Setting>().expect("the test's own setting")];
    Overrides { settings, ..Overrides::default() }
}

/// The design's file with one piece of text replaced by another.
fn with(old: &str, new: &str) -> String {
    assert!(TWO_CLUSTERS.contains(old), "the test's own text: {old}");
    TWO_CLUSTERS.replace(old, new)
}

/// Asserts that a text is refused, with a problem at `place` whose message and help hold all of
/// `says`.
#[track_caller]
fn refused(text: &str, place: (usize, usize), says: &[&str]) {
    let invalid = parse(text).expect_err("this should be refused");
    let found = invalid.problems.iter().any(|problem| {
        let told = format!("{} {}", problem.message, problem.help.as_deref().unwrap_or_default());
        problem.place.map(|at| (at.line, at.column)) == Some(place)
            && says.iter().all(|part| told.contains(part))
    });
    assert!(found, "not at {place:?} with {says:?}:\n{invalid}");
}

#[test]
fn the_designs_own_file_resolves_to_two_trees_over_four_processes() {
    let plan = plan(TWO_CLUSTERS);
    let names: Vec<_> = plan.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["alpha.master", "alpha.worker[1]", "beta.master", "beta.worker[1]"]);
    let tasks = plan.topology.trees_of("tasks");
    assert_eq!(tasks.len(), 1);
    assert_eq!(plan.node(tasks[0].root).name, "alpha.master");
    assert_eq!(tasks[0].members.len(), 4);
    let id = |name: &str| plan.node_named(name).expect("a node of the file").id;
    let (_, relay) = plan.topology.replica("tasks", id("beta.master")).expect("it opens it");
    assert_eq!(relay.mode, Mode::Snapshot);
    assert_eq!(relay.roles, [Role::Master, Role::Client]);
    assert_eq!(relay.upstream, Some(Upstream::Server { node: id("alpha.master"), link: 0 }));
    // The mirror is served by a worker, so that its own master is the root.
    let mirror = plan.topology.trees_of("mirror");
    assert_eq!(plan.node(mirror[0].root).name, "beta.master");
    assert_eq!(mirror[0].members.len(), 4);
}

#[test]
fn a_scenario_written_back_reads_the_same() {
    let first = good(TWO_CLUSTERS, &Overrides::default()).scenario;
    let yaml = first.to_yaml().expect("a scenario has a form in YAML");
    assert_eq!(first, good(&yaml, &Overrides::default()).scenario, "{yaml}");
}

#[test]
fn tls_is_for_tcp_and_is_shown_where_a_link_is() {
    let file = r#"
version: 1
stores: { tasks: { reducer: ring, mode: action } }
clusters: { a: {}, b: {} }
links:
  - store: tasks
    server: a.master
    tcp: 4100
    tls: true
    client: b.master
phases: [ { name: rest, duration: 1s } ]
"#;
    let over_tls = good(file, &Overrides::default());
    assert!(over_tls.cases[0].plan.links[0].tls);
    let told = scenario::explain(&over_tls);
    assert!(told.contains("over tcp+tls:4100"), "{told}");
    let without = good(file, &setting("links.0.tls=false"));
    assert!(!without.cases[0].plan.links[0].tls);
    let told = scenario::explain(&without);
    assert!(told.contains("over tcp:4100"), "{told}");

    let says = ["TLS is for TCP", "`tcp: PORT`", "remove `tls`"];
    refused(&file.replace("tcp: 4100", "unix: a.sock"), (9, 10), &says);
    refused(&file.replace("tls: true", "tls: mutual"), (9, 10), &["expected `true` or `false`"]);
}

#[test]
fn a_worker_that_is_a_client_leaves_its_masters_tree() {
    let plan = plan(&with("client: beta.master", "client: \"beta.worker[1]\""));
    let trees = plan.topology.trees_of("tasks");
    let roots: Vec<_> = trees.iter().map(|tree| plan.node(tree.root).name.as_str()).collect();
    assert_eq!(roots, ["alpha.master", "beta.master"]);
    assert_eq!(trees[1].members.len(), 1);
    let client = plan.node_named("beta.worker[1]").expect("a node of the file").id;
    let (_, client) = plan.topology.replica("tasks", client).expect("it opens it");
    assert_eq!(client.roles, [Role::Client]);
}

#[test]
fn a_relay_fed_by_snapshots_sends_snapshots() {
    let text = with("{ reducer: ring,    mode: action,", "{ reducer: ring, mode: snapshot,");
    let plan = plan(&text.replace("modes: { tasks: snapshot }", "modes: { tasks: action }"));
    let relay = plan.node_named("beta.master").expect("a node of the file").id;
    let (_, relay) = plan.topology.replica("tasks", relay).expect("it opens it");
    assert_eq!(relay.mode, Mode::Snapshot);
}

#[test]
fn a_node_becomes_a_client_in_the_middle_of_a_run() {
    let late =
        "events: [ { at: 20s, create_client: { client: beta.master, link: 0 } } ]\nfaults: []";
    let plan = plan(
        &with("faults: []", late).replace("client: beta.master,  login", "client: [],  login"),
    );
    let at = |seconds| plan.topology_at(Duration::from_secs(seconds)).trees_of("tasks").len();
    assert_eq!((at(19), at(20)), (2, 1));
}

#[test]
fn names_that_are_not_there_are_refused_with_a_near_miss() {
    let text = with("at: \"alpha.worker[1]\", compare", "at: \"alpha.worker[2]\", compare");
    refused(&text, (27, 11), &["`alpha` has one worker", "did you mean `alpha.worker[1]`?"]);
    refused(&with("server: alpha.master", "server: alpha.mastr"), (13, 30), &["`alpha.master`?"]);
    refused(&with("compare: [tasks,", "compare: [task,"), (27, 40), &["store", "`tasks`?"]);
    refused(&with("reducer: ring", "reducer: rang"), (7, 22), &["reducer `rang`", "`ring`?"]);
    let metric = with("dispatches.lost", "dispatches.lst");
    refused(&metric, (32, 15), &["metric `dispatches.lst`", "`dispatches.lost`?", "--metrics"]);
    refused(
        &with("client: beta.master,  login: app", "client: beta.master,  login: ap"),
        (13, 88),
        &["`app`?"],
    );
}

#[test]
fn keys_that_are_not_known_or_stand_twice_are_refused_where_they_stand() {
    let text = with("mode: action, resync", "mod: action, resync");
    refused(&text, (7, 31), &["unknown key `mod`", "did you mean `mode`?", "`resync`"]);
    refused(&with("seed: 42", "sed: 42"), (4, 1), &["unknown key `sed`", "`seed`?"]);
    refused(&with("seed: 42", "seed: 42\nseed: 43"), (5, 1), &["`seed`", "twice"]);
    let text = with("{ every: 550ms }", "{ evry: 550ms }");
    refused(&text, (23, 59), &["did you mean `every`?", "`poisson`", "`closed`"]);
    let text = with("{ every: 550ms }", "{ every: 550ms, rate: 2/s }");
    refused(&text, (23, 57), &["exactly one of", "found 2 keys"]);
}

#[test]
fn quantities_need_a_unit_and_a_positive_value() {
    let text = with("every: 505ms", "every: 505");
    refused(&text, (22, 66), &["`505` has no unit", "`55ms`"]);
    refused(&with("{ every: 550ms }", "{ rate: -5/s }"), (23, 65), &["`-5/s`", "above zero"]);
    refused(&with("{ every: 550ms }", "{ rate: 5 }"), (23, 65), &["`5` has no unit", "`200/s`"]);
    refused(&with("{ every: 550ms }", "{ every: 0ms }"), (23, 66), &["longer than zero"]);
    refused(&with("duration: 60s", "duration: 60 sevs"), (19, 15), &["`sevs`", "`8h`"]);
}

#[test]
fn links_that_cannot_be_are_refused() {
    let text = with("client: beta.master", "client: alpha.master");
    refused(&text, (13, 67), &["client of itself"]);
    refused(&with("tcp: 8889", "tcp: 8888"), (14, 53), &["two listeners on tcp:8888", "link 0"]);
    refused(&with("tcp: 8889", "tcp: 0"), (14, 53), &["1 to 65535"]);
    refused(&with("tcp: 8889, ", ""), (14, 5), &["`tcp: PORT` or `unix: PATH`"]);
    let text = with("client: alpha.master,", "client: beta.master,");
    refused(&text, (14, 67), &["loop", "`mirror`", "`beta.worker[1]`, which is fed by"]);
    let second =
        "links:\n  - { store: tasks, server: \"alpha.worker[1]\", tcp: 9, client: beta.master }";
    let text = with("links:", second);
    refused(&text, (14, 67), &["`beta.master`", "two upstreams", "`tasks`", "`alpha.worker[1]`"]);
    let text = with("beta:  { workers: 1,", "beta:  { workers: 1, stores: [mirror],");
    refused(&text, (13, 67), &["`beta.master` does not open", "clusters.beta.stores"]);
}

#[test]
fn what_a_reducer_does_not_do_is_not_asked_of_it() {
    let text = with("{ every: 500ms } }", "{ every: 500ms }, poison: { reject_every: 3 } }");
    refused(&text, (21, 83), &["`ring`", "go wrong on purpose", "`counter`"]);
    let text = with("{ reducer: ring, ", "{ reducer: counter, size: 1MB, ");
    refused(&text, (7, 37), &["`counter` takes no `size`"]);
    let text = with("to: mirror", "to: tasks");
    refused(&text, (16, 46), &["cannot mirror itself"]);
}

#[test]
fn faults_have_to_fit_into_the_run() {
    let fault = |fault: &str| with("faults: []", &format!("faults:\n  - {fault}"));
    refused(&fault("cut: { link: 0, at: 61s, for: 1s }"), (26, 25), &["after the run's end"]);
    refused(&fault("cut: { link: 7, at: 6s, for: 1s }"), (26, 18), &["0 to 1"]);
    refused(&fault("cut: { times: 100, for: 1s }"), (26, 19), &["do not fit"]);
    refused(&fault("cut: { every: 1s, for: 1s }"), (26, 19), &["strikes again"]);
    refused(&fault("cut: { link: 0, for: 1s }"), (26, 10), &["does not say when"]);
    refused(&fault("kil: { node: alpha.master, at: 1s }"), (26, 5), &["`kill`?"]);
}

#[test]
fn what_is_no_scenario_at_all_is_refused_kindly() {
    for (text, says) in [
        ("", "empty"),
        ("# nothing but a comment\n", "empty"),
        ("- a\n- list\n", "has keys"),
        ("stores: {}\n", "`version` is missing"),
        ("version: 2\nwhatever: 5\n", "of version 2"),
        ("version: \"1\"\n", "write `version: 1`"),
        ("version: 1\n", "`stores` is missing"),
        ("version: 1\nstores: [\n", "not readable as YAML"),
        ("version: 1\nstores: *nowhere\n", "no anchor of this name"),
    ] {
        let invalid = parse(text).expect_err(text).to_string();
        assert!(invalid.contains(says), "{text:?}: {invalid}");
    }
}

#[test]
fn a_bomb_of_aliases_or_of_depth_is_refused_at_once() {
    let mut bomb = String::from("version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(", "));
    }
    let deep = format!("version: 1\nstores: {}", "[".repeat(100_000));
    let huge = format!("version: 1\nabout: {}", "x".repeat(2_000_000));
    for text in [bomb, deep, huge] {
        let invalid = parse(&text).expect_err("this should be refused");
        assert!(invalid.render(false).len() < 4_000, "{invalid}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once_and_in_order() {
    let text = with("every: 505ms", "every: 505").replace("duration: 60s", "duration: 60");
    let text = text.replace("tcp: 8889", "tpc: 8889");
    let lines: Vec<_> = parse(&text)
        .expect_err("this should be refused")
        .problems
        .iter()
        .filter_map(|problem| problem.place.map(|place| place.line))
        .collect();
    assert_eq!(lines, [14, 19, 22]);
}

#[test]
fn a_setting_overrides_the_file_and_is_named_when_it_is_wrong() {
    let file = good(TWO_CLUSTERS, &setting("stores.tasks.mode=snapshot"));
    assert_eq!(file.scenario.stores["tasks"].mode, Some(Mode::Snapshot));
    let file = good(TWO_CLUSTERS, &setting("phases.0.load.1.arrival={ rate: 200/s }"));
    assert_ne!(file.scenario, good(TWO_CLUSTERS, &Overrides::default()).scenario);
    for (wrong, says) in [
        ("stores.tasks.mode=shapshot", "`snapshot`?"),
        ("phases.9.duration=5s", "`phases` has no item `9`"),
        ("seed.deeper=5", "`seed` is a single value"),
        ("nonsense=5", "unknown key `nonsense`"),
        ("phases.0.duration=5", "no unit"),
        ("about={", "not readable"),
        ("clusters.a.workers=-1", "expected a whole number from 0 to 4294967295, found the number"),
    ] {
        let invalid = parse_with(TWO_CLUSTERS, &setting(wrong)).expect_err(wrong);
        assert_eq!(invalid.problems.len(), 1, "once: {invalid}");
        let invalid = invalid.to_string();
        assert!(invalid.contains(&format!("--set {wrong}")) && invalid.contains(says), "{invalid}");
    }
}

#[test]
fn a_matrix_makes_a_case_of_each_combination() {
    let matrix = "matrix: { stores.tasks.mode: [snapshot, action], seed: [1, 2, 3] }\nfaults: []";
    let file = good(&with("faults: []", matrix), &Overrides::default());
    let cases: Vec<_> = file
        .cases
        .iter()
        .map(|case| (case.with["stores.tasks.mode"].as_str(), case.plan.seed))
        .collect();
    let of = |mode, seed| (Some(mode), seed);
    let expected: Vec<_> = ["snapshot", "action"]
        .iter()
        .flat_map(|mode| [1, 2, 3].map(|seed| of(*mode, seed)))
        .collect();
    assert_eq!(cases, expected);
    assert!(file.cases.iter().all(|case| case.scenario.matrix.is_empty()));
    let wrong = with("faults: []", "matrix: { stores.tasks.mode: [snapshot, actoin] }\nfaults: []");
    refused(&wrong, (25, 41), &["`action`?"]);
}

#[test]
fn a_matrix_ranges_over_programs() {
    let programs = "programs: { toy: [python3, toy.py] }\nprogram: toy\n\
                    matrix: { program: [samestate, toy] }\nfaults: []";
    let file = good(&with("faults: []", programs), &Overrides::default());
    let toy = Some(vec!["python3".to_owned(), "toy.py".to_owned()]);
    for (case, expected) in file.cases.iter().zip([None, toy]) {
        assert!(case.plan.nodes.iter().all(|node| node.program == expected), "{:?}", case.with);
    }
    assert_eq!(file.cases.len(), 2);
    let wrong = |programs: &str| with("faults: []", &format!("{programs}\nfaults: []"));
    let toy = "programs: { toy: [python3, toy.py] }\n";
    refused(&wrong(&format!("{toy}program: toyy")), (26, 10), &["no `toyy`", "`toy`?"]);
    refused(&wrong("programs: { toy: [] }"), (25, 18), &["the program has no name"]);
    refused(&wrong("programs: { samestate: [x] }"), (25, 13), &["Samestate's own nodes"]);
}

#[test]
fn a_duration_rescales_phases_and_instants_but_not_what_is_fixed() {
    let text = with(
        "faults: []",
        "  - { name: rest, duration: 10s, fixed: true }\n\
         faults:\n  - cut: { link: 0, at: 30s, for: 2s }",
    );
    let shorter = Overrides { duration: Some(Span::from_secs(16)), ..Overrides::default() };
    let plan = good(&text, &shorter).cases.remove(0).plan;
    let lasts: Vec<_> = plan.phases.iter().map(|phase| phase.duration.as_secs()).collect();
    assert_eq!(lasts, [6, 10]);
    assert_eq!(plan.faults[0].at, Duration::from_secs(3));
    let Fault::Cut(Cut { lasts, .. }) = plan.faults[0].fault else { panic!("a cut was asked for") };
    assert_eq!(lasts, Duration::from_millis(200));
    let too_short = Overrides { duration: Some(Span::from_secs(10)), ..Overrides::default() };
    let invalid = parse_with(&text, &too_short).expect_err("nothing is left").to_string();
    assert!(invalid.contains("leaves no time"), "{invalid}");
}

#[test]
fn drawn_cuts_depend_on_the_seed_alone_and_never_overlap() {
    let text = with("faults: []", "faults: [ { cut: { times: 20, for: 2s } } ]");
    let drawn = |seed| {
        let overrides = Overrides { seed: Some(seed), ..Overrides::default() };
        good(&text, &overrides).cases.remove(0).plan.faults
    };
    let first = drawn(1);
    assert_eq!(first.len(), 20);
    assert_eq!(first, drawn(1));
    assert_ne!(first, drawn(2));
    let apart = first.windows(2).all(|two| two[1].at >= two[0].at + Duration::from_secs(2));
    assert!(apart, "{first:?}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(at in 0usize..1_900, length in 0usize..20, new in "[ -~\n]{0,6}") {
        let end = (at + length).min(TWO_CLUSTERS.len());
        let text = format!("{}{new}{}", &TWO_CLUSTERS[..at.min(end)], &TWO_CLUSTERS[end..]);
        if let Err(invalid) = parse(&text) {
            prop_assert!(!invalid.render(false).is_empty());
        }
    }
}

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let entries = [folder.join("peers"), folder]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).expect("the folder of scenarios"));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("its entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    files
}

#[test]
fn every_shipped_scenario_is_valid_explains_itself_and_has_ports_of_its_own() {
    let mut ports = std::collections::BTreeSet::new();
    assert!(scenarios().len() >= 11);
    for path in scenarios() {
        let text = std::fs::read_to_string(&path).expect("a text");
        let first = ["./", "../"].map(|schema| {
            format!("# yaml-language-server: $schema={schema}scenario.schema.json\n#\n# ")
        });
        assert!(first.iter().any(|first| text.starts_with(first)), "{}", path.display());
        let file = ScenarioFile::load(&path, &Overrides::default())
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(!file.scenario.about.is_empty() && !file.scenario.expect.is_empty());
        for link in &file.cases[0].plan.links {
            if let Address::Tcp(port) = link.address {
                assert!(ports.insert(port), "{}: port {port}", path.display());
            }
        }
    }
}

#[test]
fn every_shipped_scenario_can_be_shortened_to_five_seconds() {
    let overrides = Overrides { duration: Some(Span::from_secs(5)), ..Overrides::default() };
    for path in scenarios() {
        let file = ScenarioFile::load(&path, &overrides).unwrap_or_else(|error| panic!("{error}"));
        assert!(file.cases[0].plan.duration() <= Duration::from_secs(5), "{}", path.display());
    }
}

#[test]
fn the_published_schema_is_in_step_with_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/scenario.schema.json");
    let published = std::fs::read_to_string(path).expect("the published schema");
    let advice = "run: samestate schema > scenarios/scenario.schema.json";
    assert!(published == scenario::json_schema(), "{advice}");
}

fn samestate(args: &[&str]) -> assert_cmd::assert::Assert {
    Command::new(env!("CARGO_BIN_EXE_samestate")).args(args).assert()
}

#[test]
fn the_program_says_where_and_exits_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wrong.yaml");
    std::fs::write(&path, with("tcp: 8889", "tcp: 8888")).expect("a file");
    let path = path.to_str().expect("a plain path");
    let output = samestate(&["validate", path]).code(2).get_output().clone();
    let told = String::from_utf8(output.stderr).expect("a text");
    for part in ["wrong.yaml:14:53", "two listeners", "14 │   - { store: mirror", "help:"] {
        assert!(told.contains(part), "{told}");
    }
    samestate(&["explain", path]).code(2);
    samestate(&["validate", "/nowhere/at-all.yaml"]).code(2);
    samestate(&["validate"]).code(2);
    samestate(&["validate", path, "--duration", "5"]).code(2);
    samestate(&["list", folder.path().to_str().expect("a plain path")]).code(0);
    samestate(&["list", "/nowhere/at-all"]).code(2);
}

#[test]
fn the_starter_is_written_once_and_is_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("first.yaml");
    let path = path.to_str().expect("a plain path");
    samestate(&["list", folder.path().to_str().expect("a plain path")]).code(4);
    samestate(&["new", path]).code(0);
    samestate(&["new", path]).code(2);
    let output = samestate(&["validate", path]).code(0).get_output().clone();
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("ok  "));
    let output = samestate(&["explain", path]).code(0).get_output().clone();
    let drawn = String::from_utf8(output.stdout).expect("a text");
    assert!(drawn.contains("├─ alpha.worker[2]") && drawn.contains("cut uplink"), "{drawn}");
    let output = samestate(&["explain", "--metrics"]).code(0).get_output().clone();
    assert!(String::from_utf8_lossy(&output.stdout).contains("dispatches.lost"));
}
