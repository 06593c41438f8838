//! The times of each fault: timed, repeated, or drawn from the seed.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Resolver;
use crate::scenario::LinkRef;
use crate::scenario::draws::{Draws, Purpose};
use crate::scenario::model::{Direction, FaultSpec, OneWay, SlipSpec, When};
use crate::scenario::outages::{Outage, collisions};
use crate::scenario::plan::{Fault, LinkPlan, NodeId, TimedEvent, TimedFault};
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
    /// The faults in the order of their instants. `topology` and `events` say who is a root when.
    pub(super) fn faults(
        &mut self,
        links: &[LinkPlan],
        topology: &Topology,
        events: &[TimedEvent],
        end: Duration,
    ) -> Vec<TimedFault> {
        let scenario = self.scenario;
        let mut faults = Vec::new();
        let mut outages = Vec::new();
        for (index, spec) in scenario.faults.iter().enumerate() {
            let mut strikes = Strikes {
                path: format!("faults.{index}.{}", spec.kind()),
                when: spec.when(),
                lasts: Duration::ZERO,
                draws: Draws::new(scenario.seed, Purpose::Faults, index as u64),
            };
            let struck = self.fault(spec, &mut strikes, links, end);
            if let FaultSpec::Slip(slip) = spec {
                self.no_root(&strikes.path, slip, &struck, topology, events);
            }
            // Of a strike that collides nothing comes: who writes it down means something else.
            if self.tree.is_some() && spec.first_at().is_some() {
                outages.extend(struck.iter().filter_map(|strike| self.outage(strike, index)));
            }
            faults.extend(struck);
        }
        for (first, second) in collisions(outages) {
            self.complain_of_collision(&first, &second);
        }
        faults.sort_by_key(|fault| fault.at);
        faults
    }

    /// The outage of a process that a strike is.
    fn outage(&self, strike: &TimedFault, entry: usize) -> Option<Outage> {
        let (node, lasts, killed) = match strike.fault {
            Fault::Kill { node, restart_after, .. } => (node, restart_after, true),
            Fault::Pause { node, lasts } => (node, Some(lasts), false),
            _ => return None,
        };
        let node = self.nodes[node.index()].name.clone();
        let until = lasts.map(|lasts| strike.at + lasts);
        Some(Outage { node, from: strike.at, until, killed, entry })
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
        let does = if first.killed { "is down" } else { "stands still" };
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
        spec: &FaultSpec,
        strikes: &mut Strikes,
        links: &[LinkPlan],
        end: Duration,
    ) -> Vec<TimedFault> {
        match spec {
            FaultSpec::Cut(cut) => {
                let lasts = self.lasting(strikes, cut.lasts);
                let fault = |link| Fault::Cut { link, lasts };
                self.of_link(strikes, cut.link.as_ref(), links, end, fault)
            }
            FaultSpec::Kill(kill) => {
                let restart_after = kill.restart_after.map(Span::get);
                if restart_after.is_none() && (kill.every.is_some() || kill.times.is_some()) {
                    self.complain(
                        &strikes.path,
                        "a process that is killed again has to be started again between",
                        "add `restart_after`",
                    );
                }
                strikes.lasts = restart_after.unwrap_or_default();
                let (silent, moment) = (kill.silent, kill.moment);
                let fault = |node| Fault::Kill { node, restart_after, silent, moment };
                self.of_node(strikes, &kill.node, None, end, fault)
            }
            FaultSpec::Pause(pause) => {
                let lasts = self.lasting(strikes, pause.lasts);
                let fault = |node| Fault::Pause { node, lasts };
                self.of_node(strikes, &pause.node, None, end, fault)
            }
            FaultSpec::Blackhole(hole) => {
                let lasts = self.lasting(strikes, hole.lasts);
                let up = hole.direction != Direction::Down;
                let down = hole.direction != Direction::Up;
                let fault = |link| Fault::Blackhole { link, up, down, lasts };
                self.of_link(strikes, hole.link.as_ref(), links, end, fault)
            }
            FaultSpec::HalfOpen(half) => {
                let fault = |link| Fault::HalfOpen { link };
                self.of_link(strikes, half.link.as_ref(), links, end, fault)
            }
            FaultSpec::Corrupt(corrupt) => {
                let up = corrupt.direction == OneWay::Up;
                let fault = |link| Fault::Corrupt { link, up };
                self.of_link(strikes, corrupt.link.as_ref(), links, end, fault)
            }
            FaultSpec::Slip(slip) => {
                let fault = |node| Fault::Slip { node, store: slip.store.clone() };
                self.of_node(strikes, &slip.node, Some(&slip.store), end, fault)
            }
            FaultSpec::Fail(fail) => {
                let fault = |node| Fault::Fail { node, store: fail.store.clone() };
                self.of_node(strikes, &fail.node, Some(&fail.store), end, fault)
            }
            FaultSpec::Disk(disk) => {
                let lasts = self.lasting(strikes, disk.lasts);
                self.some_store_is_durable(&strikes.path);
                let fault = |node| Fault::Disk { node, lasts, hangs: disk.hangs };
                self.of_node(strikes, &disk.node, None, end, fault)
            }
        }
    }

    /// Notes how long a fault lasts, and complains if that is no time at all.
    fn lasting(&mut self, strikes: &mut Strikes, lasts: Span) -> Duration {
        self.above_zero(&format!("{}.for", strikes.path), lasts);
        strikes.lasts = lasts.get();
        strikes.lasts
    }

    /// Complains if there is no store that a disk that fails would change anything for.
    fn some_store_is_durable(&mut self, path: &str) {
        let mut stores = self.scenario.stores.values();
        if !stores.any(|store| store.backup.is_some_and(|backup| backup.durable)) {
            let message = "no store is durable, so nothing waits for a disk";
            self.complain(path, message, "add `backup: { durable: true }` to a store");
        }
    }

    /// The strikes of a fault of a node, or of a store there.
    fn of_node(
        &mut self,
        strikes: &mut Strikes,
        node: &str,
        store: Option<&str>,
        end: Duration,
        fault: impl Fn(NodeId) -> Fault,
    ) -> Vec<TimedFault> {
        let node = self.node(&format!("{}.node", strikes.path), node);
        if let Some(store) = store {
            self.store_at(&format!("{}.store", strikes.path), store, node);
        }
        let instants = self.instants(strikes, end);
        let Some(node) = node else { return Vec::new() };
        instants.into_iter().map(|at| TimedFault { at, fault: fault(node) }).collect()
    }

    /// The strikes of a fault of a link: the one that is named, or one drawn each time.
    fn of_link(
        &mut self,
        strikes: &mut Strikes,
        link: Option<&LinkRef>,
        links: &[LinkPlan],
        end: Duration,
        fault: impl Fn(usize) -> Fault,
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
        slip: &SlipSpec,
        struck: &[TimedFault],
        topology: &Topology,
        events: &[TimedEvent],
    ) {
        let is_root = |struck: &TimedFault| {
            let before = events.iter().rev().find(|event| event.at <= struck.at);
            let topology = before.map_or(topology, |event| &event.topology);
            topology
                .trees_of(&slip.store)
                .iter()
                .any(|tree| matches!(&struck.fault, Fault::Slip { node, .. } if *node == tree.root))
        };
        if struck.iter().any(is_root) {
            let message = format!(
                "`{}` is a root of the store `{}` then: what it holds is right by definition",
                slip.node, slip.store
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
