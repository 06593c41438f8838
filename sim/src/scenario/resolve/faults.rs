//! The times of each fault: timed, repeated, or drawn from the seed.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{ALL_WORKERS, Resolver};
use crate::faults::outages::{LinkStrike, Outage, collisions, link_collisions};
use crate::faults::{
    Fault, Halt, Lasts, Mistake, PlannedHalt, Spec, SpecTarget, Target, TimedFault, When,
};
use crate::scenario::LinkRef;
use crate::scenario::draws::{Draws, Purpose};
use crate::scenario::near::suggest;
use crate::scenario::plan::{LinkPlan, NodeId, TimedEvent};
use crate::scenario::quantity::Span;
use crate::scenario::topology::Topology;

/// The most times that one fault strikes.
const TIMES_MAX: u32 = 100_000;

/// A fault's place in the file, when it strikes, and what its draws come from.
struct Strikes {
    path: String,
    when: When,
    /// The length of each strike; one must be over before the next begins.
    lasts: Duration,
    draws: Draws,
}

impl Resolver<'_> {
    /// Resolves the faults, in the order of their instants. `topology` and `events` determine the
    /// root at each instant.
    pub(super) fn faults(
        &mut self,
        links: &[LinkPlan],
        topology: &Topology,
        events: &[TimedEvent],
        end: Duration,
    ) -> Vec<TimedFault> {
        let scenario = self.scenario;
        let mut faults = Vec::new();
        let (mut outages, mut on_links) = (Vec::new(), Vec::new());
        for (index, spec) in scenario.faults.iter().enumerate() {
            let mut strikes = Strikes {
                path: format!("faults.{index}.{}", spec.kind()),
                when: spec.when(),
                lasts: spec.spec().lasts().span().unwrap_or_default().get(),
                draws: Draws::new(scenario.seed, Purpose::Faults, index as u64),
            };
            let struck = self.fault(spec.spec(), &mut strikes, links, end);
            if spec.spoils_state() {
                self.no_root(&strikes.path, &struck, topology, events);
            }
            // Of a strike that collides nothing comes: who writes it down means something else.
            if self.tree.is_some() && spec.first_at().is_some() {
                outages.extend(struck.iter().filter_map(|strike| self.outage(strike, index)));
            }
            if self.tree.is_some() && spec.first_at().is_some() && spec.link().is_some() {
                on_links.extend(struck.iter().filter_map(|strike| self.on_link(strike, index)));
            }
            faults.extend(struck);
        }
        for (first, second) in link_collisions(on_links) {
            self.complain_of_meeting(&first, &second);
        }
        for (first, second) in collisions(outages) {
            self.complain_of_collision(&first, &second);
        }
        faults.sort_by_key(|fault| fault.at);
        faults
    }

    /// The outage of a process that a strike is.
    fn outage(&self, strike: &TimedFault, entry: usize) -> Option<Outage> {
        let PlannedHalt { node, halt, lasts } = strike.fault.halt()?;
        let node = self.nodes[node.index()].name.clone();
        let until = lasts.map(|lasts| strike.at + lasts);
        Some(Outage { node, from: strike.at, until, halt, entry })
    }

    /// The strike of a link that a strike is.
    fn on_link(&self, strike: &TimedFault, entry: usize) -> Option<LinkStrike> {
        let Target::Link(link) = strike.fault.target() else { return None };
        let kind = self.scenario.faults[entry].spec().kind();
        let until = strike.at + strike.fault.lasts()?;
        let link = match &self.scenario.links[link].name {
            Some(name) => name.clone(),
            None => link.to_string(),
        };
        Some(LinkStrike { link, kind, from: strike.at, until, entry })
    }

    fn complain_of_meeting(&mut self, first: &LinkStrike, second: &LinkStrike) {
        let path = |strike: &LinkStrike| format!("faults.{}.{}", strike.entry, strike.kind.key);
        let (other, path) = (path(first), path(second));
        let place = self.tree.and_then(|tree| tree.place_of(&other));
        let line = place.map(|place| format!(" in line {}", place.line)).unwrap_or_default();
        let message = format!(
            "the {} of the link `{}` at {} collides with the {} (`{other}`{line}), which lasts \
             from {} to {}",
            second.kind.key,
            second.link,
            Span(second.from),
            first.kind.key,
            Span(first.from),
            Span(first.until)
        );
        self.complain(&path, message, "let the one end before the other begins, or leave one out");
    }

    fn complain_of_collision(&mut self, first: &Outage, second: &Outage) {
        let path = |outage: &Outage| {
            let kind = self.scenario.faults[outage.entry].kind();
            (format!("faults.{}.{kind}", outage.entry), kind)
        };
        let ((other, other_kind), (path, kind)) = (path(first), path(second));
        let place = self.tree.and_then(|tree| tree.place_of(&other));
        let line = place.map(|place| format!(" in line {}", place.line)).unwrap_or_default();
        let until = match first.until {
            Some(until) => format!("to {}", Span(until)),
            None => "to the end of the run".to_owned(),
        };
        let does = match first.halt {
            Halt::Down => "is down",
            Halt::Still => "stands still",
        };
        let message = format!(
            "the {kind} of `{}` at {} collides with the {other_kind} of `{}` (`{other}`{line}), \
             which {does} from {} {until}",
            second.node,
            Span(second.from),
            first.node,
            Span(first.from)
        );
        self.complain(&path, message, "let the one end before the other begins, or leave one out");
    }

    /// All strikes of one fault.
    fn fault(
        &mut self,
        spec: &dyn Spec,
        strikes: &mut Strikes,
        links: &[LinkPlan],
        end: Duration,
    ) -> Vec<TimedFault> {
        if let Lasts::For(lasts) = spec.lasts() {
            self.above_zero(&format!("{}.for", strikes.path), lasts);
        }
        if let Some(Mistake { message, help }) = spec.mistake(self.scenario) {
            self.complain(&strikes.path, message, help);
        }
        match spec.target() {
            SpecTarget::Link { link, plan } => self.of_link(strikes, link, links, end, plan),
            SpecTarget::Worker { cluster, plan } => self.of_worker(strikes, cluster, end, plan),
            SpecTarget::Node { node, store, plan } => self.of_node(strikes, node, store, end, plan),
        }
    }

    /// The strikes of a fault of one worker of a cluster, which is drawn each time.
    fn of_worker(
        &mut self,
        strikes: &mut Strikes,
        cluster: &str,
        end: Duration,
        fault: Box<dyn Fn(NodeId) -> Fault + '_>,
    ) -> Vec<TimedFault> {
        let path = format!("{}.cluster", strikes.path);
        let candidates = match self.scenario.clusters.contains_key(cluster) {
            true => self.nodes_named(&path, &format!("{cluster}{ALL_WORKERS}")),
            false if cluster.contains('.') => self.nodes_named(&path, cluster),
            false => {
                let names: Vec<&str> = self.scenario.clusters.keys().map(String::as_str).collect();
                let message = format!("there is no cluster `{cluster}`");
                self.complain(&path, message, suggest(cluster, &names));
                Vec::new()
            }
        };
        if let Some(master) = candidates.iter().find(|node| self.nodes[node.index()].is_master()) {
            let message = format!("`{}` is no worker", self.nodes[master.index()].name);
            self.complain(&path, message, "name the cluster whose workers come and go");
        }
        let instants = self.instants(strikes, end);
        if candidates.is_empty() {
            return Vec::new();
        }
        let mut struck = |at| {
            let worker = candidates[strikes.draws.pick(candidates.len())];
            TimedFault { at, fault: fault(worker) }
        };
        instants.into_iter().map(&mut struck).collect()
    }

    /// The strikes of a fault of a node, or of a store there.
    fn of_node(
        &mut self,
        strikes: &mut Strikes,
        node: &str,
        store: Option<&str>,
        end: Duration,
        fault: Box<dyn Fn(NodeId) -> Fault + '_>,
    ) -> Vec<TimedFault> {
        let nodes = self.nodes_named(&format!("{}.node", strikes.path), node);
        if let Some(store) = store {
            self.store_at(&format!("{}.store", strikes.path), store, nodes.first().copied());
        }
        let instants = self.instants(strikes, end);
        let struck = |at| nodes.iter().map(move |node| (at, *node));
        let struck = instants.into_iter().flat_map(struck);
        struck.map(|(at, node)| TimedFault { at, fault: fault(node) }).collect()
    }

    /// The strikes of a fault of a link: the one that is named, or one drawn each time.
    fn of_link(
        &mut self,
        strikes: &mut Strikes,
        link: Option<&LinkRef>,
        links: &[LinkPlan],
        end: Duration,
        fault: Box<dyn Fn(usize) -> Fault + '_>,
    ) -> Vec<TimedFault> {
        let candidates = self.candidates(&strikes.path, link, links);
        let instants = self.instants(strikes, end);
        if candidates.is_empty() {
            return Vec::new();
        }
        let mut struck = |at| {
            let link = candidates[strikes.draws.pick(candidates.len())];
            TimedFault { at, fault: fault(link) }
        };
        instants.into_iter().map(&mut struck).collect()
    }

    /// Complains where a replica is to go wrong that is the root, whose state is the right one.
    fn no_root(
        &mut self,
        path: &str,
        struck: &[TimedFault],
        topology: &Topology,
        events: &[TimedEvent],
    ) {
        let root_struck = struck.iter().find_map(|struck| {
            let Target::Replica(node, store) = struck.fault.target() else { return None };
            let before = events.iter().rev().find(|event| event.at <= struck.at);
            let topology = before.map_or(topology, |event| &event.topology);
            topology.trees_of(store).iter().any(|tree| tree.root == node).then_some((node, store))
        });
        if let Some((node, store)) = root_struck {
            let message = format!(
                "`{}` is a root of the store `{store}` then: what it holds is right by definition",
                self.nodes[node.index()].name
            );
            self.complain(&format!("{path}.node"), message, "name a node that another one feeds");
        }
    }

    /// The links that a fault may be of.
    fn candidates(&mut self, path: &str, link: Option<&LinkRef>, links: &[LinkPlan]) -> Vec<usize> {
        match link {
            Some(link) => self.link(&format!("{path}.link"), link, links).into_iter().collect(),
            None if self.scenario.links.is_empty() => {
                self.complain(path, "there is no link to break", "add one under `links`");
                Vec::new()
            }
            None => links.iter().map(|link| link.index).collect(),
        }
    }

    /// Returns the instants at which a fault strikes. Each strike is over before the next, and
    /// before the run's end.
    fn instants(&mut self, strikes: &mut Strikes, end: Duration) -> Vec<Duration> {
        let Strikes { path, when, lasts, draws } = strikes;
        let (path, lasts) = (path.as_str(), *lasts);
        if end.is_zero() {
            return Vec::new(); // the phases are wrong, and have been complained about
        }
        if let Some(times) = when.times
            && times.get() > TIMES_MAX
        {
            let message = format!("a fault strikes {TIMES_MAX} times at most");
            self.complain(&format!("{path}.times"), message, format!("write at most {TIMES_MAX}"));
            return Vec::new();
        }
        if let Some(at) = when.at {
            self.within_run(&format!("{path}.at"), at, end);
        }
        match (when.at, when.every, when.times) {
            (None, None, None) => {
                let help =
                    "write `at: 5s`, or `every: 2s`, or `times: 20` to draw them from the seed";
                self.complain(path, "the fault does not say when it strikes", help);
                Vec::new()
            }
            (Some(at), None, None) => vec![at.get()],
            (Some(_), None, Some(_)) => {
                let help = "add `every`, or leave out `at` to draw the instants from the seed";
                self.complain(path, "several times from one instant need a period", help);
                Vec::new()
            }
            (at, Some(every), times) => {
                self.repeated(path, at.unwrap_or(every).get(), every, times, lasts, end)
            }
            (None, None, Some(times)) => self.drawn(path, times, lasts, end, draws),
        }
    }

    fn repeated(
        &mut self,
        path: &str,
        first: Duration,
        every: Span,
        times: Option<NonZeroU32>,
        lasts: Duration,
        end: Duration,
    ) -> Vec<Duration> {
        let every_path = format!("{path}.every");
        if every.get() <= lasts {
            let message = format!("it strikes again each {every}, before {} are over", Span(lasts));
            self.complain(&every_path, message, "make the period longer");
            return Vec::new();
        }
        let limit = times.map_or(TIMES_MAX, NonZeroU32::get);
        let instants: Vec<Duration> = (0..limit)
            .map(|count| first + every.get() * count)
            .take_while(|at| *at + lasts <= end)
            .collect();
        match times {
            Some(times) if instants.len() < times.get() as usize => {
                let message = format!(
                    "it would strike {times} times, but only {} fit into the run of {}",
                    instants.len(),
                    Span(end)
                );
                self.complain(&every_path, message, "make the period shorter, or a phase longer");
            }
            None if instants.is_empty() => {
                let message = format!("it never strikes within the run of {}", Span(end));
                self.complain(&every_path, message, "make the period shorter, or a phase longer");
            }
            _ => {}
        }
        instants
    }

    /// The run is divided into as many equal parts as there are strikes, and one falls at random
    /// into each: spread over the run, never two at once.
    fn drawn(
        &mut self,
        path: &str,
        times: NonZeroU32,
        lasts: Duration,
        end: Duration,
        draws: &mut Draws,
    ) -> Vec<Duration> {
        let part = end / times.get();
        if part <= lasts {
            let message =
                format!("{times} times {} do not fit into the run of {}", Span(lasts), Span(end));
            self.complain(&format!("{path}.times"), message, "make it fewer, or a phase longer");
            return Vec::new();
        }
        (0..times.get()).map(|index| part * index + draws.below(part - lasts)).collect()
    }
}
