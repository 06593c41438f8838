//! Phases, one after the other, and what is made to happen in their midst.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Resolver;
use super::bounds::Demand;
use crate::load::catalog::{self, in_words};
use crate::scenario::model::{Arrival, LoadSpec};
use crate::scenario::plan::{Event, LinkPlan, LoadPlan, NodeId, PhasePlan, TimedEvent};
use crate::scenario::quantity::Span;
use crate::scenario::topology::{Topology, Upstream, upstreams};

/// The longest that a scenario runs: long enough for any soak, short enough to add up.
pub(in crate::scenario) const RUN_MAX: Duration = Duration::from_secs(366 * 86_400);

impl Resolver<'_> {
    pub(super) fn phases(&mut self) -> Vec<PhasePlan> {
        let scenario = self.scenario;
        if scenario.phases.is_empty() {
            self.complain("phases", "the scenario has no phase", "give it at least one");
        }
        self.distinct(
            scenario
                .phases
                .iter()
                .enumerate()
                .map(|(index, phase)| (format!("phases.{index}.name"), phase.name.as_str())),
            "phases",
        );
        let mut demand = Demand::default();
        let mut start = Duration::ZERO;
        let mut stream = 0;
        let mut phases = Vec::new();
        for (index, spec) in scenario.phases.iter().enumerate() {
            let path = format!("phases.{index}");
            self.good_label(&format!("{path}.name"), &spec.name);
            let duration_path = format!("{path}.duration");
            self.above_zero(&duration_path, spec.duration);
            let duration = spec.duration.get();
            if start + duration > RUN_MAX {
                let help = format!("write at most `{}` for all phases together", Span(RUN_MAX));
                self.complain(&duration_path, "the run would last more than a year", help);
                return phases;
            }
            let mut load = Vec::new();
            demand.next_phase();
            for (index, spec) in spec.load.iter().enumerate() {
                let path = format!("{path}.load.{index}");
                let nodes = self.nodes_named(&format!("{path}.at"), &spec.at);
                let problems = self.problems.len();
                for at in nodes.iter().copied().map(Some).chain(nodes.is_empty().then_some(None)) {
                    self.demand(&path, spec, duration, &mut demand);
                    load.extend(self.load(&path, spec, at, stream, duration));
                    stream += 1;
                    if self.problems.len() > problems {
                        break; // the other workers have the same
                    }
                }
            }
            phases.push(PhasePlan { name: spec.name.clone(), start, duration, load });
            start += duration;
        }
        phases
    }

    fn load(
        &mut self,
        path: &str,
        spec: &LoadSpec,
        at: Option<NodeId>,
        stream: u64,
        length: Duration,
    ) -> Option<LoadPlan> {
        if self.store_at(&format!("{path}.store"), &spec.store, at)
            && let Some(reducer) = catalog::find(&self.scenario.stores[&spec.store].reducer)
        {
            let name = reducer.name;
            if spec.payload.is_some() && !reducer.payload {
                let message = format!("actions of the reducer `{name}` carry no payload");
                self.complain(&format!("{path}.payload"), message, "remove it");
            }
            if spec.poison.is_some() && !reducer.poisonable {
                let message = format!("actions of the reducer `{name}` cannot go wrong on purpose");
                let able = in_words(|known| known.poisonable, "or");
                let help = format!("use {able}, which can");
                self.complain(&format!("{path}.poison"), message, help);
            }
        }
        if let Arrival::At(instants) = &spec.arrival {
            self.instants_in_order(path, instants, length);
        }
        Some(LoadPlan {
            stream,
            at: at?,
            store: spec.store.clone(),
            arrival: spec.arrival.clone(),
            payload_bytes: spec.payload.map(|size| size.0),
            poison: spec.poison.unwrap_or_default(),
        })
    }

    /// Complains of instants that are none, out of order, or not within their phase.
    fn instants_in_order(&mut self, path: &str, instants: &[Span], length: Duration) {
        let path = format!("{path}.arrival.at");
        if instants.is_empty() {
            let help = "write for example `at: [10ms, 12.5ms]`, or remove the load";
            self.complain(&path, "names no instant", help);
        }
        for (index, two) in instants.windows(2).enumerate() {
            if two[1] < two[0] {
                let message = format!("{} comes after {}, which is later", two[1], two[0]);
                self.complain(&format!("{path}.{}", index + 1), message, "put them in order");
                return;
            }
        }
        if let Some(last) = instants.last().filter(|last| last.get() >= length)
            && !length.is_zero()
        {
            let message = format!("{last} is after the phase's end, at {}", Span(length));
            let help =
                "instants count from the phase's start: make it earlier, or the phase longer";
            self.complain(&format!("{path}.{}", instants.len() - 1), message, help);
        }
    }

    /// Complains of a length of time that is zero.
    pub(super) fn above_zero(&mut self, path: &str, span: Span) {
        if span.get().is_zero() {
            self.complain(path, "must be longer than zero", "write for example `100ms`");
        }
    }

    /// The events in order, each with the topology that it leads to.
    pub(super) fn events(
        &mut self,
        links: &[LinkPlan],
        mut attached: Vec<(NodeId, usize)>,
        end: Duration,
    ) -> Vec<TimedEvent> {
        let scenario = self.scenario;
        let mut order: Vec<usize> = (0..scenario.events.len()).collect();
        order.sort_by_key(|&index| scenario.events[index].at);
        let mut events = Vec::new();
        // The loops that are closed, by store: where, and how.
        let mut loops = BTreeMap::new();
        for index in order {
            let spec = &scenario.events[index];
            let path = format!("events.{index}");
            self.within_run(&format!("{path}.at"), spec.at, end);
            let Some(create) = &spec.create_client else {
                let help = "write for example `create_client: { client: beta.master, link: 0 }`";
                self.complain(&path, "the event does not say what happens", help);
                continue;
            };
            let path = format!("{path}.create_client");
            let client = self.node(&format!("{path}.client"), &create.client);
            let link = self.link(&format!("{path}.link"), &create.link, links);
            let all_links_good = links.len() == scenario.links.len();
            let (Some(client), Some(link), true) = (client, link, all_links_good) else { continue };
            let client_path = format!("{path}.client");
            if links[link].server == client {
                let message = format!("`{}` cannot be a client of itself", create.client);
                self.complain(&client_path, message, "link it to another node");
                continue;
            }
            for store in &links[link].stores {
                self.store_at(&client_path, store, Some(client));
            }
            if let Some(problem) = self.is_client_of(client, &links[link], links, &attached) {
                self.complain(&client_path, problem, "remove the event, or name another link");
                continue;
            }
            attached.push((client, link));
            for store in &links[link].stores {
                match self.loop_in(store, links, &attached) {
                    Some(message) => {
                        loops.entry(store).or_insert_with(|| (client_path.clone(), message));
                    }
                    None => drop(loops.remove(store)),
                }
            }
            events.push(TimedEvent {
                at: spec.at.get(),
                event: Event::CreateClient { client, link },
                topology: Topology::build(&self.nodes, links, &attached),
            });
        }
        for (path, message) in loops.into_values() {
            let help = "a store needs one node that nobody feeds: let a later event open the loop";
            self.complain(&path, message, help);
        }
        events
    }

    /// Reports a client that would move to the server that it is at.
    fn is_client_of(
        &self,
        client: NodeId,
        link: &LinkPlan,
        links: &[LinkPlan],
        attached: &[(NodeId, usize)],
    ) -> Option<String> {
        let stays = |store: &&String| {
            let upstream = upstreams(store, &self.nodes, links, attached).get(&client).copied();
            matches!(upstream, Some(Some(Upstream::Server { link: now, .. })) if now == link.index)
        };
        let store = link.stores.iter().find(stays)?;
        let name = &self.nodes[client.index()].name;
        Some(format!("`{name}` is a client of this link already, for the store `{store}`"))
    }

    /// Complains of an instant that the run never reaches.
    pub(super) fn within_run(&mut self, path: &str, at: Span, end: Duration) {
        if !end.is_zero() && at.get() >= end {
            let message = format!("{at} is after the run's end, at {}", Span(end));
            self.complain(path, message, "make it earlier, or a phase longer");
        }
    }
}
