//! Nodes, connections between them, and the loop that lets things happen in their order.
//!
//! The nodes run the replication that ships, driven as its drivers drive it: bytes in, outputs
//! carried out, links filled while they are awake. Everything else is made here.
//!
//! - `node`: a place where processes live, one after another
//! - `life`: processes start, die, pause, and choose whom they follow
//! - `links`: connections are made, carry bytes, and end
//! - `watch`: what a replica did at a step, and what it asks for
//! - `faults`: things go wrong, and are put right

mod faults;
mod life;
mod links;
mod node;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use samestate::replication::{Counters, Decode, Dispatched, JobDone, Refused, Replica};

use super::check::{Checker, Fate, Tally};
use super::dice::Dice;
use super::heap::Heap;
use super::machine::{Action, Ask, Subject};
use super::network::{Connection, EndId, Weather};
use super::trace::Trace;
use crate::invariants::Violation;
use node::Node;

pub use node::NodeSpec;

/// Something that happens.
#[derive(Debug)]
enum Event {
    Tick { node: usize, life: u32 },
    Connect { node: usize, life: u32 },
    Up(EndId),
    Pump(EndId),
    Arrive(EndId),
    Read(EndId),
    Closed(EndId),
    Finish { node: usize, life: u32, done: Done },
    Install { end: EndId, decode: Box<Decode> },
    Resume { node: usize, life: u32 },
    Restart { node: usize, life: u32, from_backup: bool },
}

/// A job that has been done, and what it cost.
struct Done {
    job: Box<JobDone>,
    cost: Duration,
}

impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a job of {:?}", self.cost)
    }
}

/// What happened in a simulation, beyond what replicas count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    /// What the replicas counted, all lives together.
    pub replicas: Counters,
    /// What the dispatches came to.
    pub dispatches: Tally,
    /// Links that ended for a reason that a replica gave.
    pub links_faulted: u64,
    /// Of these, for silence.
    pub links_silent: u64,
    /// ... for bytes that made no sense.
    pub links_corrupt: u64,
    /// ... for a loop.
    pub links_looped: u64,
    /// Nodes that were told that history is lost.
    pub histories_lost: u64,
    /// Sequencers that became clients.
    pub rebases: u64,
    /// Processes that were killed.
    pub kills: u64,
    /// Lives of sequencers that went on from a backup.
    pub restores: u64,
    /// Actions that failed at one copy only.
    pub failed_here: u64,
    /// Copies that were given up.
    pub non_deterministic: u64,
    /// Relays that could not pass on actions.
    pub fed_by_snapshots: u64,
    /// Events.
    pub events: u64,
}

/// A simulation.
#[derive(Debug)]
pub struct World {
    now: Duration,
    heap: Heap<Event>,
    dice: Dice,
    weather: Weather,
    nodes: Vec<Node>,
    connections: BTreeMap<u64, Connection>,
    connected_total: u64,
    checker: Checker,
    violation: Option<Box<Violation>>,
    moments: Moments,
    history: u64,
    trace: Option<Trace>,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64, weather: Weather) -> Self {
        World {
            now: Duration::ZERO,
            heap: Heap::default(),
            dice: Dice::new(seed, 1),
            weather,
            nodes: Vec::new(),
            connections: BTreeMap::new(),
            connected_total: 0,
            checker: Checker::default(),
            violation: None,
            moments: Moments::default(),
            history: 0,
            trace: None,
        }
    }

    /// Copies may go wrong here: states are judged at the end alone.
    pub fn set_lenient(&mut self) {
        self.checker.set_lenient();
    }

    /// Keeps the last `lines_max` lines of what happens, for people.
    pub fn set_traced(&mut self, lines_max: usize) {
        self.trace = Some(Trace::new(lines_max));
    }

    /// Adds a node, and starts a process there. Returns its number.
    pub fn add(&mut self, spec: NodeSpec) -> usize {
        let node = self.nodes.len();
        self.nodes.push(Node::new(spec));
        self.start(node, false);
        node
    }

    /// Lets everything happen up to `until`. Stops at a violation.
    pub fn run_until(&mut self, until: Duration) {
        while self.violation.is_none() && self.heap.next_at().is_some_and(|at| at <= until) {
            let Some((at, event)) = self.heap.pop() else { break };
            self.now = at;
            self.moments.events += 1;
            self.happen(event);
        }
        self.now = self.now.max(until);
    }

    /// Lets `time` pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Lets time pass until `done`, `most` at the longest. Whether it came to that.
    pub fn run_while(&mut self, most: Duration, mut going: impl FnMut(&World) -> bool) -> bool {
        let end = self.now + most;
        while going(self) {
            if self.now >= end || self.violation.is_some() {
                return false;
            }
            self.run_for(Duration::from_millis(1));
        }
        true
    }

    /// Hands an action over at a node. `Err(None)`: there is no process that could take it.
    pub fn dispatch(
        &mut self,
        node: usize,
        ask: Ask,
        padding_bytes: u32,
    ) -> Result<u64, Option<Refused>> {
        if self.nodes[node].paused {
            return Err(None);
        }
        let id = self.nodes[node].next_id(node).ok_or(None)?;
        let action = Action { id, ask, padding_bytes };
        self.checker.dispatched(id);
        let taken = self.step(node, |replica, now| replica.dispatch(id, action, now));
        match taken.ok_or(None)? {
            Ok(Dispatched::Later) => self.say(|| format!("n{node} dispatches {id:x}")),
            Ok(Dispatched::Now(resolution)) => {
                self.say(|| format!("n{node} orders {id:x}: {resolution:?}"));
                self.resolved(node, id, &resolution);
            }
            Err(refused) => {
                self.say(|| format!("n{node} refuses {id:x}: {refused}"));
                self.checker.refused(id);
                return Err(Some(refused));
            }
        }
        Ok(id)
    }

    /// What a dispatch came to.
    pub fn fate(&self, id: u64) -> Option<Fate> {
        self.checker.fate(id)
    }

    /// What time it is.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The replica of the process at a node, if there is one.
    pub fn replica(&self, node: usize) -> Option<&Replica<Subject>> {
        self.nodes[node].process.as_ref().map(|process| &process.replica)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The first violation.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_deref()
    }

    /// What happened so far.
    pub fn moments(&self) -> Moments {
        let mut moments = self.moments;
        for node in &self.nodes {
            if let Some(process) = &node.process {
                watch::add(&mut moments.replicas, &process.replica.counters());
            }
        }
        moments
    }

    /// A hash over all that happened to states and dispatches, and when.
    pub fn history(&self) -> u64 {
        self.history
    }

    /// The last lines of the trace.
    pub fn trace(&self) -> String {
        self.trace.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    fn happen(&mut self, event: Event) {
        let Some(event) = self.deferred(event) else { return };
        match event {
            Event::Tick { node, .. } => self.tick(node),
            Event::Connect { node, .. } => self.connect(node),
            Event::Up(end) => self.up(end),
            Event::Pump(end) => self.pump(end),
            Event::Arrive(end) => self.arrive(end),
            Event::Read(end) => self.read(end),
            Event::Closed(end) => self.close(end, None),
            Event::Finish { node, done, .. } => {
                self.step(node, |replica, now| replica.finish(*done.job, done.cost, now));
            }
            Event::Install { end, decode } => self.install(end, *decode),
            Event::Resume { node, .. } => self.resume(node),
            Event::Restart { node, from_backup, .. } => self.start(node, from_backup),
        }
    }

    /// The event, unless it concerns a process that is gone, or one that stands still.
    fn deferred(&mut self, event: Event) -> Option<Event> {
        let (node, life) = match &event {
            Event::Resume { node, life } | Event::Restart { node, life, .. } => {
                return (self.nodes[*node].life == *life).then_some(event);
            }
            Event::Tick { node, life }
            | Event::Connect { node, life }
            | Event::Finish { node, life, .. } => (*node, *life),
            Event::Arrive(_) => return Some(event),
            Event::Up(end) | Event::Pump(end) | Event::Read(end) | Event::Closed(end) => {
                let found = self.connections.get(&end.connection)?.end(end.side);
                (found.node, found.life)
            }
            Event::Install { end, .. } => {
                let found = self.connections.get(&end.connection)?.end(end.side);
                (found.node, found.life)
            }
        };
        let place = &mut self.nodes[node];
        if place.life != life || place.process.is_none() {
            return None;
        }
        if place.paused {
            place.backlog.push(event);
            return None;
        }
        Some(event)
    }

    fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.line(self.now, line());
        }
    }

    fn broken(&mut self, violation: Box<Violation>) {
        self.say(|| format!("VIOLATION {violation}"));
        self.violation.get_or_insert(violation);
    }

    fn mix(&mut self, word: u64) {
        let hash = (self.history.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.history = hash;
    }
}
