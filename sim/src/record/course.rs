//! The plan of a case, as far as the record shows it.

use samestate_report::{Phase, Topology, TopologyNode};

use crate::scenario::{self, Event, Mode, Plan, Tree, Upstream, arrival_in_words};

/// Returns the phases of the plan, with their loads in words.
pub(crate) fn phases(plan: &Plan) -> Vec<Phase> {
    let phases = plan.phases.iter().map(|phase| {
        let loads = phase.load.iter().map(|load| {
            let at = &plan.node(load.at).name;
            format!("{at} into {}: {}", load.store, arrival_in_words(load))
        });
        Phase {
            name: phase.name.clone(),
            begin_seconds: phase.start.as_secs_f64(),
            end_seconds: phase.end().as_secs_f64(),
            loads: loads.collect(),
            ..Phase::default()
        }
    });
    phases.collect()
}

/// Returns the topology at the start, and after each event that changed it.
pub(crate) fn topologies(plan: &Plan) -> Vec<Topology> {
    let first = Topology { stores: stores(plan, &plan.topology), ..Topology::default() };
    let mut topologies = vec![first];
    for timed in &plan.events {
        let Event::CreateClient { client, link } = &timed.event;
        let stores = stores(plan, &timed.topology);
        if topologies.last().is_some_and(|last| last.stores != stores) {
            let client = &plan.node(*client).name;
            let because = format!("{client} becomes a client of {}", plan.links[*link].name);
            topologies.push(Topology {
                since_seconds: timed.at.as_secs_f64(),
                because: Some(because),
                stores,
            });
        }
    }
    topologies
}

fn stores(
    plan: &Plan,
    topology: &scenario::Topology,
) -> std::collections::BTreeMap<String, Vec<TopologyNode>> {
    let stores = topology.trees.iter();
    stores
        .map(|(store, trees)| {
            let nodes = trees
                .iter()
                .flat_map(|tree| tree.members.iter().map(move |member| node(plan, tree, member)));
            (store.clone(), nodes.collect())
        })
        .collect()
}

fn node(plan: &Plan, tree: &Tree, member: &scenario::Member) -> TopologyNode {
    let planned = plan.node(member.node);
    let fed_by = member.upstream.map(Upstream::node);
    let feeder = fed_by.and_then(|node| tree.member(node));
    let gets = feeder.map(|feeder| match feeder.mode {
        Mode::Action => "actions",
        Mode::Delta => "patches",
        Mode::Snapshot => "snapshots",
    });
    let over = member.upstream.map(|upstream| match upstream {
        Upstream::Master(_) => "ipc".to_owned(),
        Upstream::Server { link, .. } => plan.links[link].over(),
    });
    TopologyNode {
        name: planned.name.clone(),
        cluster: planned.cluster.clone(),
        fed_by: fed_by.map(|node| plan.node(node).name.clone()),
        gets: gets.map(str::to_owned),
        over,
        roles: member.roles.iter().map(|role| format!("{role:?}").to_lowercase()).collect(),
    }
}
