//! The trees of a store as a drawing: each node to the right of the node that feeds it.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::record::{Topology, TopologyNode};
use crate::units;

/// The size of a node, and the distances between nodes.
const NODE_WIDTH: f64 = 148.0;
const NODE_HEIGHT: f64 = 38.0;
const GAP_X: f64 = 142.0;
const GAP_Y: f64 = 12.0;
const MARGIN: f64 = 3.0;

/// The most nodes of a store that are drawn.
const NODES_MAX: usize = 60;

/// The longest text of a node and of a link, in characters.
const NAME_MAX: usize = 19;
const LINK_MAX: usize = 21;

/// Draws the trees of all stores, for each time at which they changed.
pub(super) fn drawings(topologies: &[Topology], id: &str) -> Markup {
    html! {
        @for (at, topology) in topologies.iter().enumerate() {
            @if let Some(because) = &topology.because {
                h4 { "From " (units::seconds(topology.since_seconds)) " on: " (because) }
            }
            div.topologies {
                @for (number, (store, nodes)) in topology.stores.iter().enumerate() {
                    (drawing(store, nodes, &format!("{id}-topology-{at}-{number}")))
                }
            }
        }
    }
}

fn drawing(store: &str, nodes: &[TopologyNode], id: &str) -> Markup {
    let placed = place(nodes);
    let left_out = nodes.len().saturating_sub(placed.len());
    let width = placed.iter().map(|node| node.x + NODE_WIDTH).fold(0.0, f64::max) + 2.0 * MARGIN;
    let height = placed.iter().map(|node| node.y + NODE_HEIGHT).fold(0.0, f64::max) + 2.0 * MARGIN;
    let clusters: BTreeMap<&str, usize> =
        nodes.iter().map(|node| &*node.cluster).fold(BTreeMap::new(), |mut known, cluster| {
            let next = known.len();
            known.entry(cluster).or_insert(next);
            known
        });
    html! {
        figure.topology {
            figcaption { "Store " b { (store) } }
            div.scroll {
                svg width=(width) height=(height)
                    viewBox=(format!("{} {} {width} {height}", -MARGIN, -MARGIN))
                    role="img" aria-labelledby=(id) {
                    title id=(id) { (spoken(store, nodes)) }
                    @for node in &placed {
                        @if let Some(feeder) = node.fed_by { (link(&placed[feeder], node)) }
                    }
                    @for node in &placed {
                        @let colour = clusters.get(&*node.node.cluster).copied().unwrap_or(0) % 8;
                        (self::node(node, colour))
                    }
                }
            }
            @if left_out > 0 { p.note { "and " (left_out) " more nodes" } }
        }
    }
}

fn spoken(store: &str, nodes: &[TopologyNode]) -> String {
    let roots = nodes.iter().filter(|node| node.fed_by.is_none());
    let roots: Vec<&str> = roots.map(|node| &*node.name).collect();
    format!("Topology of {store}: {} nodes, ordered by {}", nodes.len(), roots.join(", "))
}

/// A node at its place.
struct Placed<'a> {
    node: &'a TopologyNode,
    /// The position of its feeder in the list.
    fed_by: Option<usize>,
    x: f64,
    y: f64,
}

/// Gives each node a place: leaves under each other, each feeder beside the middle of its nodes. A
/// node whose feeder does not come before it is taken for a root, so no list is a loop.
fn place(nodes: &[TopologyNode]) -> Vec<Placed<'_>> {
    let nodes = &nodes[..nodes.len().min(NODES_MAX)];
    let mut fed_by = Vec::new();
    let mut depth: Vec<usize> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let feeder = node.fed_by.as_ref();
        let feeder =
            feeder.and_then(|name| nodes[..at].iter().rposition(|other| other.name == *name));
        depth.push(feeder.map_or(0, |feeder| depth[feeder] + 1));
        fed_by.push(feeder);
    }
    let mut y = vec![0.0; nodes.len()];
    let mut next = 0.0;
    for root in (0..nodes.len()).filter(|at| fed_by[*at].is_none()) {
        settle(root, &fed_by, &mut y, &mut next);
        next += GAP_Y;
    }
    let step = NODE_WIDTH + GAP_X;
    nodes
        .iter()
        .enumerate()
        .map(|(at, node)| Placed { node, fed_by: fed_by[at], x: depth[at] as f64 * step, y: y[at] })
        .collect()
}

/// Places a node and all that it feeds. The depth is bounded by the number of nodes.
fn settle(at: usize, fed_by: &[Option<usize>], y: &mut [f64], next: &mut f64) {
    let fed: Vec<usize> = (0..fed_by.len()).filter(|other| fed_by[*other] == Some(at)).collect();
    for child in &fed {
        settle(*child, fed_by, y, next);
    }
    y[at] = match (fed.first(), fed.last()) {
        (Some(first), Some(last)) => (y[*first] + y[*last]) / 2.0,
        _ => {
            *next += NODE_HEIGHT + GAP_Y;
            *next - NODE_HEIGHT - GAP_Y
        }
    };
}

fn link(from: &Placed<'_>, to: &Placed<'_>) -> Markup {
    let (x1, y1) = (from.x + NODE_WIDTH, from.y + NODE_HEIGHT / 2.0);
    let (x2, y2) = (to.x, to.y + NODE_HEIGHT / 2.0);
    let bend = x1 + 22.0;
    let gets = to.node.gets.as_deref().unwrap_or("");
    let over = to.node.over.as_deref().unwrap_or("");
    let class = match gets {
        "snapshots" => "snapshots",
        "patches" => "patches",
        _ => "actions",
    };
    html! {
        g.link.(class) {
            path d=(format!("M{x1} {y1}C{bend} {y1} {x1} {y2} {bend} {y2}H{:.1}", x2 - 5.0)) {}
            path.head d=(format!("M{:.1} {:.1}l7 4l-7 4z", x2 - 7.0, y2 - 4.0)) {}
            text x=(bend + 4.0) y=(y2 - 5.0) { (cut(gets, LINK_MAX)) }
            text.over x=(bend + 4.0) y=(y2 + 13.0) {
                (cut(over, LINK_MAX))
                @if over.chars().count() > LINK_MAX { title { (over) } }
            }
        }
    }
}

fn node(placed: &Placed<'_>, colour: usize) -> Markup {
    let Placed { node, x, y, .. } = placed;
    let role = match node.fed_by {
        None => "sequencer".to_owned(),
        Some(_) => node.roles.join(", "),
    };
    html! {
        g.node.(format!("c{colour}")) {
            rect x=(x) y=(y) width=(NODE_WIDTH) height=(NODE_HEIGHT) rx="6" {
                title { (node.name) " of cluster " (node.cluster) }
            }
            text x=(x + 10.0) y=(y + 16.0) { (cut(&node.name, NAME_MAX)) }
            text.role x=(x + 10.0) y=(y + 30.0) { (cut(&role, NAME_MAX + 3)) }
        }
    }
}

/// A text that fits: its end is cut off where it is too long.
fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, fed_by: Option<&str>) -> TopologyNode {
        TopologyNode {
            name: name.into(),
            fed_by: fed_by.map(str::to_owned),
            ..TopologyNode::default()
        }
    }

    #[test]
    fn nodes_do_not_overlap_and_stand_right_of_their_feeders() {
        let nodes = [
            node("root", None),
            node("a", Some("root")),
            node("b", Some("root")),
            node("c", Some("b")),
            node("other", None),
        ];
        let placed = place(&nodes);
        for (at, one) in placed.iter().enumerate() {
            if let Some(feeder) = one.fed_by {
                assert!(one.x > placed[feeder].x + NODE_WIDTH);
            }
            for other in &placed[at + 1..] {
                assert!(one.x != other.x || (one.y - other.y).abs() >= NODE_HEIGHT);
            }
        }
    }

    #[test]
    fn a_record_whose_nodes_feed_each_other_is_drawn_all_the_same() {
        let placed =
            place(&[node("a", Some("b")), node("b", Some("a")), node("a", Some("a"))] as &[_])
                .len();
        assert_eq!(placed, 3);
    }
}
