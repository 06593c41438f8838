//! A case as a trace for profiler viewers, from the data that it left.
//!
//! Of the dispatches, those that the processes kept as a sample are shown, evenly thinned until
//! their arrows fit. A replica applies entries in batches: a slice on its track is the end of one.

use std::collections::BTreeMap;

use samestate_proto::Version;
use samestate_report::perfetto::{Group, Timeline, Track};
use serde_json::json;

use super::gather::Incarnation;
use super::taken::Taken;
use crate::measure::{Dispatched, Outcome, Trace};
use crate::scenario::{NodeId, Plan, Tree, Upstream};

/// About so many arrows from a dispatch to a replica are drawn.
const ARROWS_MAX: usize = 25_000;

/// The most tracks of dispatches of a node: so many are under way at once.
const LANES_MAX: usize = 32;

/// The length of a slice of a replica.
const APPLIED_NS: u64 = 20_000;

/// Draws a case.
pub(crate) fn profile(plan: &Plan, taken: &Taken) -> Timeline {
    let mut drawn = Profile::new(plan, taken);
    drawn.run();
    drawn.processes();
    let topology = plan.topology_at(plan.duration());
    let trees = topology.trees.iter();
    let trees: Vec<(&str, &Tree)> = trees
        .flat_map(|(store, trees)| trees.iter().map(move |tree| (store.as_str(), tree)))
        .collect();
    for (store, tree) in &trees {
        drawn.links(store, tree);
    }
    let arrows = |(store, tree): &(&str, &Tree)| {
        let members = tree.members.iter();
        let kept = members.map(|member| drawn.dispatches(member.node, store).len());
        kept.sum::<usize>() * tree.members.len().max(1)
    };
    let stride = trees.iter().map(arrows).sum::<usize>().div_ceil(ARROWS_MAX).max(1);
    for (store, tree) in &trees {
        drawn.tree(store, tree, stride);
    }
    drawn.timeline
}

struct Profile<'a> {
    plan: &'a Plan,
    taken: &'a Taken,
    timeline: Timeline,
    run: Group,
    nodes: BTreeMap<NodeId, Group>,
    /// The lanes of a node's dispatches, each with the end of its last slice.
    lanes: BTreeMap<NodeId, Vec<(Track, u64)>>,
}

/// A dispatch that is drawn.
struct Drawn {
    track: Track,
    dispatched: Dispatched,
    version: Version,
    name: String,
    origin: usize,
}

impl<'a> Profile<'a> {
    fn new(plan: &'a Plan, taken: &'a Taken) -> Self {
        let mut timeline = Timeline::default();
        let run = timeline.group("the run");
        let nodes = plan.nodes.iter().map(|node| (node.id, timeline.group(&*node.name))).collect();
        Self { plan, taken, timeline, run, nodes, lanes: BTreeMap::new() }
    }

    /// Draws phases and faults.
    fn run(&mut self) {
        let Some(start_ns) = self.taken.start_ns else { return };
        let at = |seconds: f64| start_ns + (seconds.max(0.0) * 1e9) as u64;
        let track = self.timeline.track(self.run, "phases");
        for phase in &self.plan.phases {
            let begin = start_ns + phase.start.as_nanos() as u64;
            let end = (start_ns + phase.end().as_nanos() as u64).min(self.taken.stop_ns);
            if begin < end {
                self.timeline.slice(track, &phase.name, (begin, end), vec![]);
            }
        }
        for fault in &self.taken.faults {
            let Some(injected) = fault.injected_at_seconds else { continue };
            let end = fault.ended_at_seconds.map_or(self.taken.end_ns, at);
            let name = format!("{} at {}", fault.kind, fault.at);
            let notes = vec![("evidence", json!(fault.evidence))];
            self.timeline.span(self.run, "fault", &name, (at(injected), end), notes);
        }
    }

    /// Draws the lives of processes, and what they used.
    fn processes(&mut self) {
        for seen in &self.taken.incarnations {
            let Some(&group) = self.nodes.get(&seen.node) else { continue };
            let known = self.incarnations(seen.node);
            let known = known.iter().find(|one| one.connection == seen.connection);
            let first = seen.course.first().map(|usage| usage.at_ns);
            let points = known.iter().flat_map(|one| one.stores.values());
            let points = points.filter_map(|store| Some(store.timeline.points().first()?.t_ns));
            let begin = points.chain(first).min();
            let end = known.map(|one| one.heard_ns).max(seen.course.last().map(|one| one.at_ns));
            if let (Some(begin), Some(end)) = (begin, end) {
                let name =
                    if seen.pid > 0 { format!("process {}", seen.pid) } else { "process".into() };
                let notes = seen.ended.iter().map(|why| ("ended", json!(why))).collect();
                self.timeline.span(group, "process", &name, (begin, end.max(begin)), notes);
            }
            for pair in seen.course.windows(2) {
                let ns = pair[1].at_ns.saturating_sub(pair[0].at_ns).max(1) as f64;
                let cpu = pair[1].cpu_ns.saturating_sub(pair[0].cpu_ns) as f64 * 100.0 / ns;
                let cpu = (cpu * 100.0).round() / 100.0;
                self.timeline.counter(group, "CPU, percent of a core", pair[1].at_ns, cpu);
                let rss = pair[1].rss_bytes as f64;
                self.timeline.counter(group, "resident memory, bytes", pair[1].at_ns, rss);
            }
        }
    }

    /// Draws when each replica of a tree was in sync over its upstream link.
    fn links(&mut self, store: &str, tree: &Tree) {
        for member in &tree.members {
            let Some(upstream) = member.upstream else { continue };
            let over = match upstream {
                Upstream::Master(_) => "ipc".to_owned(),
                Upstream::Server { link, .. } => self.plan.links[link].over(),
            };
            let from = &self.plan.node(upstream.node()).name;
            let to = &self.plan.node(member.node).name;
            let name = format!("{store}: {from} to {to} over {over}");
            let mut spans = Vec::new();
            for (incarnation, known) in self.taken.gathered.stores(member.node, store) {
                let mut since = None;
                for &(at_ns, connected) in &known.connected {
                    if connected {
                        since = since.or(Some(at_ns));
                    } else if let Some(since) = since.take() {
                        spans.push((since, at_ns));
                    }
                }
                spans.extend(since.map(|since| (since, incarnation.heard_ns.max(since))));
            }
            for span in spans {
                self.timeline.span(self.run, "link in sync", &name, span, vec![]);
            }
        }
    }

    fn incarnations(&self, node: NodeId) -> &'a [Incarnation] {
        self.taken.gathered.incarnations(node)
    }

    /// The accepted dispatches of a node into a store that were kept, in the order of their calls.
    fn dispatches(&self, node: NodeId, store: &str) -> Vec<(Dispatched, Version)> {
        let mut kept = Vec::new();
        for (_, known) in self.taken.gathered.stores(node, store) {
            for load in known.loads.values().chain([&known.mirrors]) {
                kept.extend(load.log.kept().iter().filter_map(|one| match one.outcome {
                    Outcome::Ok(version) => Some((*one, version)),
                    _ => None,
                }));
            }
        }
        kept.sort_by_key(|(one, _)| one.issued_ns);
        kept
    }

    /// A track of the node that is free at an instant, and is taken until another; `None` if there
    /// are too many.
    fn lane(&mut self, node: NodeId, (from, to): (u64, u64)) -> Option<Track> {
        let group = *self.nodes.get(&node)?;
        let lanes = self.lanes.entry(node).or_default();
        if let Some(lane) = lanes.iter_mut().find(|lane| lane.1 <= from) {
            lane.1 = to;
            return Some(lane.0);
        }
        if lanes.len() == LANES_MAX {
            return None;
        }
        let track = self.timeline.track(group, format!("dispatches {}", lanes.len() + 1));
        lanes.push((track, to));
        Some(track)
    }

    /// Draws the dispatches into a tree, and their arrival at its other replicas.
    fn tree(&mut self, store: &str, tree: &Tree, stride: usize) {
        let mut drawn = Vec::new();
        for (origin, member) in tree.members.iter().enumerate() {
            for (dispatched, version) in
                self.dispatches(member.node, store).into_iter().step_by(stride)
            {
                let span = (dispatched.issued_ns, dispatched.answered_ns.max(dispatched.issued_ns));
                let span = (span.0, span.1.max(span.0 + 1));
                let Some(track) = self.lane(member.node, span) else { continue };
                let name = format!("{store} {version}");
                let late = dispatched.issued_ns.saturating_sub(dispatched.intended_ns);
                let notes = vec![("late_us", json!(late as f64 / 1e3))];
                self.timeline.slice(track, &name, span, notes);
                drawn.push(Drawn { track, dispatched, version, name, origin });
            }
        }
        for (at, member) in tree.members.iter().enumerate() {
            self.arrivals(store, (at, member.node), &drawn);
        }
    }

    fn arrivals(&mut self, store: &str, (at, node): (usize, NodeId), drawn: &[Drawn]) {
        let Some(&group) = self.nodes.get(&node) else { return };
        let trace = self.trace(node, store);
        let find = trace.finder();
        let mut reached: BTreeMap<u64, Vec<&Drawn>> = BTreeMap::new();
        for one in drawn.iter().filter(|one| one.origin != at) {
            if let Some(t_ns) = find.first(one.version, one.dispatched.issued_ns) {
                reached.entry(t_ns).or_default().push(one);
            }
        }
        if reached.is_empty() {
            return;
        }
        let track = self.timeline.track(group, format!("{store} applied"));
        let mut instants = reached.iter().peekable();
        while let Some((&t_ns, all)) = instants.next() {
            let next_ns = instants.peek().map_or(u64::MAX, |next| *next.0);
            let end_ns = (t_ns + APPLIED_NS).min(next_ns);
            let last = all.iter().max_by_key(|one| one.version.seq);
            let name = last.map_or_else(String::new, |one| format!("to {}", one.name));
            self.timeline.slice(track, &name, (t_ns, end_ns), vec![]);
            for one in all {
                let from = (one.track, one.dispatched.issued_ns);
                self.timeline.flow(&one.name, from, (track, t_ns));
            }
        }
    }

    fn trace(&self, node: NodeId, store: &str) -> Trace {
        let mut trace = Trace::named(&*self.plan.node(node).name);
        for (incarnation, known) in self.taken.gathered.stores(node, store) {
            let mut timeline = known.timeline.clone();
            if !incarnation.whole {
                timeline.end(incarnation.heard_ns);
            }
            trace.incarnations.push(timeline);
        }
        trace
    }
}
