//! A scenario drawn as text: each store's trees, then what happens, then what is asked.

use std::fmt::Write;
use std::time::Duration;

use super::model::{Arrival, Mode, Resync, Role, VirtualTimeSpec};
use super::plan::{
    Event, Expectation, LoadPlan, MetricBound, NodeId, Observation, Plan, StorePlan,
};
use super::quantity::{Size, Span};
use super::read::{Case, ScenarioFile};
use super::topology::{Member, Topology, Tree, Upstream};

/// The most faults that are listed one by one.
const FAULTS_SHOWN: usize = 40;

/// Draws a scenario: its first case, and what differs in the others.
pub fn explain(file: &ScenarioFile) -> String {
    let plan = &file.cases[0].plan;
    let mut text = format!("{}\n", file.name);
    if !file.scenario.about.is_empty() {
        text += &format!("{}\n", file.scenario.about.trim());
    }
    let repeats = match file.repeats() {
        1 => String::new(),
        repeats => format!(", {repeats} repeats"),
    };
    let (nodes, duration) = (plan.nodes.len(), Span(plan.duration()));
    text += &format!("{nodes} processes, {duration}, seed {}{repeats}\n", plan.seed);
    if file.cases.len() > 1 {
        text += &section("matrix", file.cases.iter().enumerate().map(case_line));
        text += "  what follows is the first of them\n";
    }
    let clusters = plan.nodes.iter().filter(|node| node.is_master());
    let programs = clusters
        .filter_map(|node| Some(format!("{}: {}", node.cluster, node.program.as_ref()?.join(" "))));
    text += &section("programs", programs);
    for store in plan.stores.values() {
        text += &format!("\nstore {} ({})\n", store.name, store_line(plan, store));
        text += &trees(plan, &plan.topology, &store.name);
    }
    let mirrors = plan.mirrors.iter();
    text += &section(
        "mirrors",
        mirrors.map(|mirror| {
            format!("{}: {} into {}", plan.node(mirror.at).name, mirror.from, mirror.to)
        }),
    );
    text += &phases(plan);
    text += &faults(plan);
    text += &events(plan);
    let watched = plan.observe.iter().map(|observation| observation_line(plan, observation));
    text += &section("watched", watched);
    let expected = plan.expect.iter().map(|expected| {
        let optional = if expected.optional { " (optional)" } else { "" };
        expectation_line(plan, &expected.what) + optional
    });
    text += &section("expected", expected);
    if let Some(spec) = &file.cases[0].scenario.virtual_time {
        text += &virtual_time(plan, spec);
    }
    text
}

/// A heading and its lines; nothing at all where there are none.
fn section(title: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: String = lines.map(|line| format!("  {line}\n")).collect();
    if lines.is_empty() { lines } else { format!("\n{title}\n{lines}") }
}

fn case_line((index, case): (usize, &Case)) -> String {
    let values = case.with.iter().map(|(path, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{path}={value}")
    });
    format!("case {}: {}", index + 1, values.collect::<Vec<_>>().join(" "))
}

fn store_line(plan: &Plan, store: &StorePlan) -> String {
    let mut line = store.reducer.clone();
    if let Some(bytes) = store.size_bytes {
        write!(line, " of {}", Size(bytes)).ok();
    }
    let sends_actions = |tree: &Tree| tree.members.iter().any(|m| m.mode != Mode::Snapshot);
    let has_actions = plan.topology.trees_of(&store.name).iter().any(sends_actions);
    match store.resync {
        _ if !has_actions => Some(()), // whoever gets every state needs no check
        Resync::Snapshot(every) => write!(line, ", a snapshot every {every} actions").ok(),
        Resync::Verify(every) => write!(line, ", verified every {every} actions").ok(),
        Resync::Off => write!(line, ", never checked").ok(),
    };
    if let Some(bytes) = store.log_bytes {
        write!(line, ", a log of {}", Size(bytes)).ok();
    }
    if let Some(every) = store.backup_every {
        write!(line, ", a backup every {every} actions").ok();
    }
    if store.durable {
        line.push_str(", durable");
    }
    line
}

/// Each tree of a store, a line a node.
fn trees(plan: &Plan, topology: &Topology, store: &str) -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    for tree in topology.trees_of(store) {
        if let Some(root) = tree.member(tree.root) {
            let told = format!("sequencer{}", roles_shown(root));
            lines.push((plan.node(tree.root).name.clone(), told));
            branches(plan, tree, tree.root, "", &mut lines);
        }
    }
    let width = lines.iter().map(|(node, _)| node.chars().count()).max().unwrap_or_default();
    lines
        .into_iter()
        .map(|(node, told)| {
            let space = " ".repeat(width - node.chars().count());
            format!("  {node}{space}  {told}\n")
        })
        .collect()
}

fn branches(
    plan: &Plan,
    tree: &Tree,
    feeder: NodeId,
    indent: &str,
    lines: &mut Vec<(String, String)>,
) {
    let fed: Vec<&Member> = tree.fed_by(feeder).collect();
    let carries = tree.member(feeder).map(|member| member.mode);
    for (index, member) in fed.iter().enumerate() {
        let is_last = index + 1 == fed.len();
        let (fork, deeper) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let name = format!("{indent}{fork}{}", plan.node(member.node).name);
        let over = match member.upstream {
            Some(Upstream::Server { link, .. }) => plan.links[link].over(),
            _ => "ipc".to_owned(),
        };
        let what = match carries {
            Some(Mode::Action) => "actions",
            Some(Mode::Delta) => "patches",
            _ => "snapshots",
        };
        lines.push((name, format!("gets {what} over {over}{}", roles_shown(member))));
        branches(plan, tree, member.node, &format!("{indent}{deeper}"), lines);
    }
}

fn roles_shown(member: &Member) -> String {
    if member.roles.is_empty() {
        return String::new();
    }
    format!(" [{}]", member.roles.iter().map(role_name).collect::<Vec<_>>().join(", "))
}

fn role_name(role: &Role) -> &'static str {
    match role {
        Role::Master => "master",
        Role::Worker => "worker",
        Role::Server => "server",
        Role::Client => "client",
    }
}

fn phases(plan: &Plan) -> String {
    let mut text = String::from("\nphases\n");
    for phase in &plan.phases {
        let (start, end) = (Span(phase.start), Span(phase.end()));
        let rest = if phase.load.is_empty() { ": rest" } else { "" };
        text += &format!("  {start} to {end}  {}{rest}\n", phase.name);
        for load in &phase.load {
            let at = &plan.node(load.at).name;
            text += &format!("    {at} into {}: {}\n", load.store, arrival_in_words(load));
        }
    }
    text
}

/// The times of a load's dispatches and the size of its actions, in words.
pub(crate) fn arrival_in_words(load: &LoadPlan) -> String {
    let payload = load.payload_bytes.map(|bytes| format!(", {} each", Size(bytes)));
    arrival_line(&load.arrival) + &payload.unwrap_or_default()
}

fn arrival_line(arrival: &Arrival) -> String {
    match arrival {
        Arrival::Every(every) => format!("one every {every}"),
        Arrival::Rate(rate) => format!("{rate}, evenly"),
        Arrival::Poisson(rate) => format!("{rate} on average, at random"),
        Arrival::Burst(burst) => format!("{} at once every {}", burst.of, burst.every),
        Arrival::Ramp(ramp) => format!("from {} to {}", ramp.from, ramp.to),
        Arrival::At(instants) => match instants.as_slice() {
            [first, .., last] => format!("{} from {first} to {last}", instants.len()),
            [once] => format!("one at {once}"),
            [] => "none".to_owned(),
        },
        Arrival::Closed(closed) => format!("as fast as it goes, {} in flight", closed.in_flight),
    }
}

fn faults(plan: &Plan) -> String {
    let mut text = section(
        "faults",
        plan.faults
            .iter()
            .take(FAULTS_SHOWN)
            .map(|timed| format!("{:>9}  {}", clock(timed.at), timed.fault.line(plan))),
    );
    if plan.faults.len() > FAULTS_SHOWN {
        text += &format!("  and {} more\n", plan.faults.len() - FAULTS_SHOWN);
    }
    text
}

/// An instant of the run, in seconds.
fn clock(at: Duration) -> String {
    format!("{:.3}s", at.as_secs_f64())
}

fn events(plan: &Plan) -> String {
    let mut text = String::new();
    for timed in &plan.events {
        let Event::CreateClient { client, link } = &timed.event;
        let link = &plan.links[*link];
        text += &format!(
            "\nat {} {} becomes a client of {}\n",
            clock(timed.at),
            plan.node(*client).name,
            link.name
        );
        for store in &link.stores {
            text += &format!("store {store} from then on\n");
            text += &trees(plan, &timed.topology, store);
        }
    }
    text
}

fn observation_line(plan: &Plan, observation: &Observation) -> String {
    match observation {
        Observation::Pair { at, stores: [left, right], every } => {
            let name = &plan.node(*at).name;
            format!("{left} against {right} at {name}, every {}", Span(*every))
        }
        Observation::Replicas { store, every } => {
            let trees = plan.topology.trees_of(store).len();
            let apart =
                if trees > 1 { format!(", its {trees} trees apart") } else { String::new() };
            format!("all replicas of {store}, every {}{apart}", Span(*every))
        }
    }
}

fn expectation_line(plan: &Plan, expectation: &Expectation) -> String {
    match expectation {
        Expectation::Metric(bound) => bound_line(plan, bound),
        Expectation::Node { at, store, connected, roles } => {
            let mut parts = Vec::new();
            match connected {
                Some(true) => parts.push("connected".to_owned()),
                Some(false) => parts.push("not connected".to_owned()),
                None => {}
            }
            if let Some(roles) = roles {
                let names: Vec<_> = roles.iter().map(role_name).collect();
                parts.push(format!("roles [{}]", names.join(", ")));
            }
            format!("{store} at {}: {}", plan.node(*at).name, parts.join(", "))
        }
        Expectation::Violates(names) => format!("violates {}", names.join(", ")),
    }
}

fn bound_line(plan: &Plan, bound: &MetricBound) -> String {
    let mut line = bound.metric.clone();
    for (value, says) in
        [(bound.equals, "is"), (bound.min, "is at least"), (bound.max, "is at most")]
    {
        if let Some(value) = value {
            write!(line, " {says} {value}").ok();
        }
    }
    if let Some(store) = &bound.store {
        write!(line, ", for {store}").ok();
    }
    if let Some(node) = bound.node {
        write!(line, ", at {}", plan.node(node).name).ok();
    }
    if let Some(phase) = bound.phase {
        write!(line, ", in {}", plan.phases[phase].name).ok();
    }
    line
}

/// Describes the network, the clocks and the settings of the file.
fn virtual_time(plan: &Plan, spec: &VirtualTimeSpec) -> String {
    let set = &plan.virtual_time;
    let bytes_per_s = Size(set.bandwidth_bytes_per_s);
    let mut lines = vec![
        format!("a byte takes {} to {}", Span(set.latency), Span(set.latency + set.jitter)),
        format!("{bytes_per_s} a second, {} on their way", Size(set.buffer_bytes as u64)),
    ];
    if set.clock_drift_ppm > 0 {
        lines.push(format!("clocks run fast or slow by up to {} ppm", set.clock_drift_ppm));
    }
    let spans = [
        ("heartbeat", spec.heartbeat),
        ("dead_after", spec.dead_after),
        ("stall_grace", spec.stall_grace),
        ("dispatch_deadline", spec.dispatch_deadline),
    ];
    lines.extend(spans.iter().filter_map(|(key, span)| Some(format!("{key} {}", (*span)?))));
    let counts = [("window", spec.window), ("sessions", spec.sessions), ("events", spec.events)];
    lines.extend(counts.iter().filter_map(|(key, count)| Some(format!("{key} {}", (*count)?))));
    lines.extend(spec.window_bytes.map(|bytes| format!("window_bytes {bytes}")));
    if !set.slow_subscribers.is_empty() {
        let names: Vec<&str> =
            set.slow_subscribers.iter().map(|node| plan.node(*node).name.as_str()).collect();
        lines.push(format!("subscribers are slow at {}", names.join(", ")));
    }
    section("virtual time, which only `samestate simulate` reads", lines.into_iter())
}
