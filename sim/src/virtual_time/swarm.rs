//! What a seed draws: a topology, settings, a load and faults, within bounds.
//!
//! A plan is a list of values, so that a person can read it, and so that it can be made smaller.

use std::time::Duration;

use samestate::replication::{Config, Mode, Resync};

use super::dice::Dice;
use super::fault::Fault;
use super::machine::Ask;
use super::network::Weather;
use super::world::NodeSpec;

const NODES_MAX: u64 = 9;
const DEPTH_MAX: usize = 4;

/// One node of a plan.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Where it begins, and what it is like.
    pub spec: NodeSpec,
    /// Whom it follows in the end, whatever happens meanwhile.
    pub upstream_at_last: Option<usize>,
}

/// One action, handed over at one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// When.
    pub at: Duration,
    /// Where.
    pub node: usize,
    /// What it asks.
    pub ask: Ask,
    /// How much longer it is than it need be.
    pub padding_bytes: u32,
}

/// All that is to happen in one simulation.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of the dice of the network.
    pub seed: u64,
    /// The network.
    pub weather: Weather,
    /// The nodes; the first is the sequencer.
    pub nodes: Vec<NodePlan>,
    /// The load, in order of time.
    pub dispatches: Vec<Dispatch>,
    /// What goes wrong, in order of time.
    pub faults: Vec<(Duration, Fault)>,
    /// When all is put right.
    pub duration: Duration,
    /// How long it may then take to settle.
    pub settle_max: Duration,
}

impl Plan {
    /// What this seed draws.
    pub fn draw(seed: u64) -> Plan {
        let mut dice = Dice::new(seed, 0);
        let duration = Duration::from_millis(dice.within(300, 4000));
        let weather = weather(&mut dice);
        let config = config(&mut dice);
        let nodes = nodes(&mut dice, &config);
        let dispatches = dispatches(&mut dice, nodes.len(), duration);
        let mut faults = faults(&mut dice, &nodes, duration);
        faults.sort_by_key(|fault| fault.0);
        let settle_max = config.dead_after * 4 * DEPTH_MAX as u32 + Duration::from_secs(5);
        Plan { seed, weather, nodes, dispatches, faults, duration, settle_max }
    }

    /// Whether a copy goes wrong here.
    pub fn is_lenient(&self) -> bool {
        self.faults.iter().any(|fault| matches!(fault.1, Fault::Slip { .. }))
    }
}

fn weather(dice: &mut Dice) -> Weather {
    let buffer_bytes = dice.one_of(&[256, 2048, 16 << 10, 128 << 10]);
    // The longest frame passes well within the shortest deadline for dead peers.
    let bytes_per_ms = dice.one_of(&[2_000, 20_000, 1_000_000]);
    let (latency, jitter) = (dice.micros(20, 4000), dice.micros(0, 3000));
    Weather { latency, jitter, bytes_per_ms, buffer_bytes }
}

/// The settings that all nodes of a store have in common.
fn config(dice: &mut Dice) -> Config {
    let mut config = Config::new("store");
    config.verify_budget = 1.0;
    config.heartbeat = dice.micros(30_000, 120_000);
    config.dead_after = config.heartbeat * dice.within(4, 8) as u32;
    config.stall_grace = dice.micros(5_000, 100_000);
    config.log_bytes_max = dice.one_of(&[1 << 10, 4 << 10, 64 << 10, 1 << 20]);
    if dice.percent(20) {
        config.window = dice.within(1, 6) as usize;
    }
    if dice.percent(20) {
        config.window_bytes = dice.within(50, 2000) as usize;
    }
    if dice.percent(20) {
        config.dispatch_deadline = Some(dice.micros(1_000, 200_000));
    }
    if dice.percent(15) {
        config.sessions_max = dice.within(1, 4) as usize;
    }
    if dice.percent(15) {
        config.events_max = dice.within(1, 5) as usize;
    }
    config
}

fn nodes(dice: &mut Dice, config: &Config) -> Vec<NodePlan> {
    let count = dice.within(1, NODES_MAX) as usize;
    let resync = match dice.below(3) {
        0 => Resync::Verify(dice.within(1, 20)),
        1 => Resync::Snapshot(dice.within(1, 20)),
        _ => Resync::Off,
    };
    let snapshots = dice.one_of(&[0, 0, 20, 60, 100]);
    let padding = if dice.percent(15) { dice.within(1, 150_000) as u32 } else { 0 };
    let rebases = count > 1 && dice.percent(15);
    let (mut nodes, mut depths) = (Vec::<NodePlan>::new(), Vec::<usize>::new());
    for node in 0..count {
        let upstream = (node > 0).then(|| {
            let low: Vec<_> = (0..node).filter(|above| depths[*above] < DEPTH_MAX).collect();
            dice.one_of(&low)
        });
        depths.push(upstream.map_or(0, |above| depths[above] + 1));
        let mode = if dice.percent(snapshots) { Mode::Snapshot } else { Mode::Action };
        let spec = NodeSpec {
            name: format!("n{node}"),
            config: Config { mode, resync, ..config.clone() },
            upstream,
            state_padding_bytes: padding,
            slow_subscriber: dice.percent(20),
        };
        nodes.push(NodePlan { spec, upstream_at_last: upstream });
    }
    if rebases {
        let late = dice.within(1, count as u64 - 1) as usize;
        nodes[late].spec.upstream = None;
    }
    nodes
}

fn dispatches(dice: &mut Dice, nodes: usize, duration: Duration) -> Vec<Dispatch> {
    let count = dice.within(5, 200);
    let busiest = dice.pick(nodes);
    let padding = dice.one_of(&[0, 0, 20, 300]);
    let bursts = dice.percent(30);
    let end = duration.as_micros() as u64;
    let mut burst = Duration::ZERO;
    let mut all: Vec<_> = (0..count)
        .map(|_| {
            if !bursts || dice.percent(10) {
                burst = dice.micros(0, end);
            }
            Dispatch {
                at: burst,
                node: if dice.percent(40) { busiest } else { dice.pick(nodes) },
                ask: match dice.below(20) {
                    0 => Ask::Panic,
                    1..=4 => Ask::AddUnless,
                    _ => Ask::Add,
                },
                padding_bytes: dice.below(padding + 1) as u32,
            }
        })
        .collect();
    all.sort_by_key(|dispatch| dispatch.at);
    all
}

fn faults(dice: &mut Dice, nodes: &[NodePlan], duration: Duration) -> Vec<(Duration, Fault)> {
    let end = duration.as_micros() as u64;
    let count = if dice.percent(10) { 0 } else { dice.within(1, 12) };
    // Each seed has a few kinds of faults only, so that none drowns another.
    let kinds: Vec<u64> = (0..dice.within(1, 4)).map(|_| dice.below(12)).collect();
    let mut faults: Vec<_> = (0..count)
        .map(|_| {
            let kind = dice.one_of(&kinds);
            (dice.micros(0, end), fault(dice, kind, nodes))
        })
        .collect();
    if faults.iter().any(|fault| matches!(fault.1, Fault::Kill { node: 0, from_backup: true, .. }))
    {
        let backups = dice.below(3);
        faults.extend((0..backups).map(|_| (dice.micros(0, end), Fault::Backup { node: 0 })));
    }
    // A copy that goes wrong twice without a check between is given up: that has a test of its own.
    let mut slipped = vec![false; nodes.len()];
    faults.retain(|fault| match fault.1 {
        Fault::Slip { node } => !std::mem::replace(&mut slipped[node], true),
        _ => true,
    });
    for (node, plan) in nodes.iter().enumerate() {
        if let Some(upstream) = plan.upstream_at_last.filter(|_| plan.spec.upstream.is_none()) {
            faults.push((dice.micros(0, end), Fault::Follow { node, upstream }));
        }
    }
    faults
}

fn fault(dice: &mut Dice, kind: u64, nodes: &[NodePlan]) -> Fault {
    let node = dice.pick(nodes.len());
    let below =
        dice.pick(nodes.len().max(2) - 1).min(nodes.len() - 1) + usize::from(nodes.len() > 1);
    let lasts = dice.micros(1_000, 700_000);
    match kind {
        0 => Fault::Cut { node: below, loses_up: dice.percent(50), loses_down: dice.percent(70) },
        1 => Fault::Stall { node: below, up: dice.percent(60), down: dice.percent(60), lasts },
        2 => Fault::Swallow { node: below },
        3 => Fault::Corrupt { node: below, up: dice.percent(50) },
        4 => Fault::Partition { node: below, lasts },
        5 => {
            let (silent, from_backup) = (dice.percent(30), dice.percent(70));
            Fault::Kill { node, silent, from_backup, lasts }
        }
        6 => {
            Fault::Kill { node: 0, silent: dice.percent(30), from_backup: dice.percent(90), lasts }
        }
        7 => Fault::Backup { node: 0 },
        8 => Fault::Pause { node, lasts },
        9 => Fault::Fail { node: below },
        10 if matches!(nodes[0].spec.config.resync, Resync::Verify(_)) => {
            Fault::Slip { node: below }
        }
        _ => reparent(dice, below, nodes),
    }
}

/// A node follows another one for a while: one that follows it in turn, at times.
fn reparent(dice: &mut Dice, node: usize, nodes: &[NodePlan]) -> Fault {
    let upstream = dice.pick(nodes.len());
    let own = nodes[node].upstream_at_last.is_none() || upstream == node;
    if own { Fault::Fail { node } } else { Fault::Follow { node, upstream } }
}
