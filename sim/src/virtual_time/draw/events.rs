//! Clients that come late, with a history of their own, and clients that move.

use std::time::Duration;

use super::shape::{Fed, Shape};
use crate::scenario::{CreateClientSpec, EventSpec, LinkRef, Span};
use crate::virtual_time::rng::SeededRng;

/// The percentage of seeds that have a client which comes late.
const LATE_PERCENT: u64 = 15;

/// A client that takes another server.
struct Move {
    at_us: u64,
    node: usize,
    link: usize,
}

/// The events, in the order of their instants. Late clients are taken out of the shape's links, and
/// are roots in it; links that are only moved to are added.
pub(super) fn draw(
    rng: &mut SeededRng,
    shape: &mut Shape,
    count: usize,
    duration_us: u64,
) -> Vec<EventSpec> {
    let mut moves = moves(rng, shape, count, duration_us);
    if rng.percent(LATE_PERCENT) {
        let is_moved = |node: usize| moves.iter().any(|one: &Move| one.node == node);
        let late = late(rng, shape, is_moved, duration_us);
        moves.extend(late);
    }
    moves.sort_by_key(|one| one.at_us);
    let event = |one: Move| EventSpec {
        at: Span(Duration::from_micros(one.at_us)),
        create_client: Some(CreateClientSpec {
            client: shape.nodes[one.node].name.clone(),
            link: LinkRef::Name(format!("link{}", one.link)),
        }),
    };
    moves.into_iter().map(event).collect()
}

/// A client of a link, which is taken out of it until later.
fn late(
    rng: &mut SeededRng,
    shape: &mut Shape,
    is_moved: impl Fn(usize) -> bool,
    duration_us: u64,
) -> Option<Move> {
    let clients: Vec<(usize, usize)> = shape
        .links
        .iter()
        .enumerate()
        .flat_map(|(index, link)| link.clients.iter().map(move |client| (index, *client)))
        .filter(|(_, client)| shape.nodes[*client].master.is_none() && !is_moved(*client))
        .collect();
    if clients.is_empty() {
        return None;
    }
    let (link, node) = rng.one_of(&clients);
    shape.links[link].clients.retain(|client| *client != node);
    for store in shape.links[link].stores.clone() {
        shape.fed[store][node] = Fed::Root;
    }
    Some(Move { at_us: rng.below(duration_us), node, link })
}

/// Clients take other servers, those that they feed themselves too, and in the end no loop is left.
fn moves(rng: &mut SeededRng, shape: &mut Shape, count: usize, duration_us: u64) -> Vec<Move> {
    let may_loop = rng.percent(60);
    let mut instants: Vec<u64> = (0..count).map(|_| rng.below(duration_us)).collect();
    instants.sort_unstable();
    let (first, links_before) = (shape.fed.clone(), shape.links.len());
    let mut now = first.clone();
    let mut moves = Vec::new();
    for at_us in instants {
        let Some((node, link)) = target(rng, shape, &now) else { continue };
        let mut then = now.clone();
        shape.links[link].stores.iter().for_each(|store| then[*store][node] = Fed::By(link));
        if may_loop || !has_loop(shape, &then) {
            now = then;
            moves.push(Move { at_us, node, link });
        }
    }
    if has_loop(shape, &now) || rng.percent(30) {
        go_back(rng, shape, &first, &mut now, &mut moves, duration_us);
    }
    if has_loop(shape, &now) {
        // A worker that left its master never goes back to it, and so may hold a loop closed.
        shape.links.truncate(links_before);
        moves.clear();
    }
    moves
}

/// A client that can move, and a link to go to: one that there is, or a new one.
fn target(rng: &mut SeededRng, shape: &mut Shape, now: &[Vec<Fed>]) -> Option<(usize, usize)> {
    let store = rng.pick(now.len());
    let below = shape.fed_nodes(store);
    if below.is_empty() {
        return None;
    }
    let node = rng.one_of(&below);
    let server = rng.pick(shape.nodes.len());
    let like: Vec<usize> = shape
        .links
        .iter()
        .map(|link| link.stores.clone())
        .find(|stores| stores.contains(&store))
        .unwrap_or_else(|| vec![store]);
    let stays_root = like.iter().any(|store| now[*store][node] == Fed::Root);
    if server == node || stays_root {
        return None;
    }
    let link = shape.link_of(rng, server, &like, 70);
    let is_there = like.iter().any(|store| now[*store][node] == Fed::By(link));
    (!is_there).then_some((node, link))
}

/// All that have moved go back to the links that they began at, the last of them first.
fn go_back(
    rng: &mut SeededRng,
    shape: &Shape,
    first: &[Vec<Fed>],
    now: &mut [Vec<Fed>],
    moves: &mut Vec<Move>,
    duration_us: u64,
) {
    let Some(last_us) = moves.last().map(|last| last.at_us) else { return };
    let at_us = rng.within(last_us, duration_us - 1);
    let nodes: Vec<usize> = moves.iter().rev().map(|one| one.node).collect();
    for node in nodes {
        for store in first {
            let Fed::By(home) = store[node] else { continue };
            let stores = &shape.links[home].stores;
            if stores.iter().any(|store| now[*store][node] == Fed::By(home)) {
                continue;
            }
            stores.iter().for_each(|store| now[*store][node] = Fed::By(home));
            moves.push(Move { at_us, node, link: home });
        }
    }
}

/// Returns whether some node of a store feeds itself by way of others.
fn has_loop(shape: &Shape, fed: &[Vec<Fed>]) -> bool {
    fed.iter().any(|store| {
        (0..store.len()).any(|start| {
            let mut at = start;
            // As many steps as there are nodes lead to a root, or around a loop.
            (0..store.len()).all(|_| match shape.feeder(store[at], at) {
                Some(feeder) => {
                    at = feeder;
                    true
                }
                None => false,
            })
        })
    })
}
