//! What a scenario file may say, and how it is told what it may not.

use samestate_sim::scenario::{Invalid, Mode, Overrides, Plan, Role, ScenarioFile, Upstream};

/// The file of the design, which is the article's second test.
const TWO_CLUSTERS: &str = include_str!("scenarios/two-clusters.yaml");

fn parse(text: &str) -> Result<ScenarioFile, Invalid> {
    ScenarioFile::parse("two-clusters", "two-clusters.yaml", text, &Overrides::default())
}

fn plan(text: &str) -> Plan {
    let mut file = parse(text).unwrap_or_else(|invalid| panic!("{invalid}"));
    assert_eq!(file.cases.len(), 1);
    file.cases.remove(0).plan
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
    let first = parse(TWO_CLUSTERS).unwrap_or_else(|invalid| panic!("{invalid}")).scenario;
    let yaml = first.to_yaml().expect("a scenario has a form in YAML");
    let again = parse(&yaml).unwrap_or_else(|invalid| panic!("{invalid}\n{yaml}")).scenario;
    assert_eq!(first, again, "{yaml}");
}
