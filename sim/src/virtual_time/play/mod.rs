//! A plan, played in a world: its load, its faults, its events, and what is written down of it.
//!
//! - `placement`: the hosts and slots that a plan asks for
//! - `loads`: the dispatches of loads
//! - `mirrors`: one store's state into another, and two stores held together
//! - `faults`: the plan's faults and events
//! - `run_log`: the notes from which a record is made

mod faults;
mod loads;
mod mirrors;
mod placement;
mod run_log;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loads::Load;
use mirrors::{Comparison, Mirror};
use run_log::RunLog;
use samestate_proto::replication::{Refused, Resolution};
use samestate_report::Case;
use samestate_report::perfetto::Timeline;

use super::heap::Heap;
use super::rng::SeededRng;
use super::run::Options;
use super::world::{Notice, World};
use crate::faults::FaultLog;
use crate::invariants::{Invariant, Violation};
use crate::load::{Params, UnknownReducer};
use crate::measure::{Dispatched, Outcome, Samples};
use crate::record::{Source, assemble, profile};
use crate::scenario::{Plan, Resync};

pub(crate) use placement::{Adjust, Placement, model};

/// The time that all may take to be in sync before the load begins, beside the time that the bytes
/// take.
const START_MAX: Duration = Duration::from_secs(60);

/// The time for which the cluster is watched at least after the load.
const QUIET: Duration = Duration::from_millis(100);

/// The interval between checks that all has settled.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The interval at which a trace is told which links are in sync.
const LINKS_EVERY: Duration = Duration::from_millis(5);

/// Something that is to be done.
#[derive(Debug)]
enum Act {
    Issue {
        load: usize,
    },
    Begin {
        load: usize,
    },
    Turn {
        load: usize,
    },
    Mirror {
        mirror: usize,
    },
    Compare {
        comparison: usize,
    },
    Fault {
        fault: usize,
    },
    FaultEnds {
        fault: usize,
    },
    /// A slow process stands still once more.
    Pulse {
        host: usize,
        still: Duration,
    },
    Event {
        event: usize,
    },
    /// A copy that went wrong is found by the next check, which needs actions to come by.
    Nudge {
        slot: usize,
        left: u64,
    },
}

/// A dispatch under way.
#[derive(Debug)]
struct Pending {
    source: Source,
    intended: Duration,
    issued: Duration,
}

/// A plan while it is played.
pub(crate) struct Simulation<'a> {
    plan: &'a Plan,
    profiled: bool,
    placement: Placement,
    world: World,
    rng: SeededRng,
    agenda: Heap<Act>,
    loads: Vec<Load>,
    /// The load of each stream.
    streams: HashMap<u64, usize>,
    mirrors: Vec<Mirror>,
    comparisons: Vec<Comparison>,
    samples: BTreeMap<usize, Samples>,
    faults: FaultLog,
    /// The fault that waits for a moment, by its host.
    aimed: BTreeMap<usize, usize>,
    pending: Vec<HashMap<u64, Pending>>,
    /// The number of times that each node has become a client.
    eras: Vec<u32>,
    /// Stores of which a copy went wrong.
    slipped: BTreeSet<String>,
    log: Option<RunLog>,
    started: Option<Duration>,
    /// The time that the bytes take which were to be carried when the load ended.
    carries: Duration,
    interrupt: Option<Arc<AtomicBool>>,
}

/// The result of a simulated case.
pub(crate) struct Played {
    pub(crate) world: World,
    pub(crate) case: Option<Case>,
    pub(crate) profile: Option<Timeline>,
    pub(crate) names: Vec<String>,
}

impl<'a> Simulation<'a> {
    /// Readies a plan.
    pub(crate) fn new(plan: &'a Plan, options: &Options) -> Result<Self, UnknownReducer> {
        let Options { adjust, recorded, profiled, traced, interrupt } = options;
        let placement = Placement::new(plan)?;
        let mut world = World::new(plan.seed, model(plan));
        world.set_noticed();
        if *recorded {
            world.set_witnessed();
        }
        if let Some(max) = traced {
            world.set_traced(*max);
        }
        placement.enter(plan, adjust.as_ref(), &mut world);
        Ok(Simulation {
            plan,
            profiled: *profiled,
            world,
            rng: SeededRng::new(plan.seed, 2),
            agenda: Heap::default(),
            loads: Vec::new(),
            streams: HashMap::new(),
            mirrors: Vec::new(),
            comparisons: Vec::new(),
            samples: BTreeMap::new(),
            faults: FaultLog::new(plan),
            aimed: BTreeMap::new(),
            pending: (0..placement.len()).map(|_| HashMap::new()).collect(),
            eras: vec![0; plan.nodes.len()],
            slipped: BTreeSet::new(),
            log: recorded.then(|| RunLog::new(plan, placement.len())),
            started: None,
            carries: Duration::ZERO,
            interrupt: interrupt.clone(),
            placement,
        })
    }

    /// Plays all of it.
    pub(crate) fn run(mut self) -> Played {
        let stopped = self.acts();
        let taken = self.close_book(self.started, stopped);
        let drawn = taken.as_ref().filter(|_| self.profiled);
        let profile = drawn.map(|taken| profile(self.plan, taken));
        let case = taken.map(|taken| assemble(self.plan, taken));
        let names = self.placement.names(self.plan);
        Played { world: self.world, case, profile, names }
    }

    fn acts(&mut self) -> Duration {
        for host in 0..self.plan.nodes.len() {
            self.world.start(host);
            self.heed();
        }
        self.settle(START_MAX + self.carrying(), "the start");
        self.open();
        let start = self.world.now();
        if self.world.violation().is_some() {
            return start;
        }
        self.started = Some(start);
        self.book_begins();
        self.begin_mirrors();
        self.begin_loads(start);
        self.begin_comparisons(start);
        self.begin_faults(start);
        let end = start + self.plan.duration();
        self.play_until(end);
        let stopped = self.world.now();
        self.carries = self.carrying();
        self.finish();
        stopped
    }

    /// Dispatches what brings each store into its first state.
    fn open(&mut self) {
        for (name, store) in &self.plan.stores {
            let Some(kind) = self.placement.kind(name) else { continue };
            let params = Params { state_bytes: store.size_bytes, ..Params::default() };
            for root in self.roots(name) {
                for encoded in kind.opening(&params) {
                    let now = self.world.now();
                    self.dispatch(root, Source::Opening, encoded, now);
                }
            }
        }
        self.settle(START_MAX + self.carrying(), "the first state");
    }

    /// The slots that order a store at the start.
    fn roots(&self, store: &str) -> Vec<usize> {
        let trees = self.plan.topology.trees_of(store).iter();
        trees.filter_map(|tree| self.placement.slot(tree.root, store)).collect()
    }

    /// After the load: what is still to be done, what went wrong unnoticed, and then quiet.
    fn finish(&mut self) {
        // Whether all are the same is seen over a stretch of time, not at its beginning.
        self.play_until(self.world.now() + QUIET);
        self.end_aims();
        self.settle_quietly(self.settle_max());
        for store in std::mem::take(&mut self.slipped) {
            let every = match self.plan.stores[&store].resync {
                Resync::Verify(every) => every.get(),
                Resync::Snapshot(_) | Resync::Off => 0,
            };
            for root in self.roots(&store) {
                let now = self.world.now();
                let left = (3 * every).max(60);
                self.agenda.push(now, Act::Nudge { slot: root, left });
            }
        }
        self.settle(self.settle_max(), "the load");
        if !self.interrupted() {
            // What does not hold stays in the world.
            let _ = self.world.settled(self.settle_max());
        }
    }

    /// Returns the longest time until all has settled, whatever the faults: silent peers are
    /// noticed, one after the other, and return; then the bytes that are to be carried take their
    /// time.
    fn settle_max(&self) -> Duration {
        let dead_after = self.plan.virtual_time.dead_after.unwrap_or(Duration::from_secs(5));
        let backoffs = self.plan.links.iter().map(|link| link.backoff_max);
        let backoff = backoffs.map(|max| max.unwrap_or(Duration::from_secs(5))).max();
        (dead_after * 4 + backoff.unwrap_or_default()) * self.hops()
            + Duration::from_secs(5)
            + self.carrying()
    }

    /// Returns the time that the bytes to be carried take, over one hop after the other.
    fn carrying(&self) -> Duration {
        model(self.plan).carrying(self.world.bytes_to_carry()) * self.hops()
    }

    /// One more than the longest way from a root.
    fn hops(&self) -> u32 {
        let trees = self.plan.topology.trees.values().flatten();
        let depth = trees.flat_map(|tree| &tree.members).map(|member| member.depth).max();
        depth.unwrap_or(0) + 1
    }

    /// Lets all happen that is due before `end`.
    fn play_until(&mut self, end: Duration) {
        while self.world.violation().is_none() && !self.interrupted() {
            let next = self.agenda.next_at().filter(|at| *at < end);
            let until = next.unwrap_or(end);
            if self.profiled {
                let soon = until.min(self.world.now() + LINKS_EVERY);
                self.world.run_until(soon);
                self.note_links();
                if soon < until && !self.world.has_notices() {
                    continue;
                }
            } else {
                self.world.run_until(until);
            }
            if self.world.has_notices() {
                self.heed();
                continue;
            }
            let Some(_) = next else { return };
            if let Some((_, act)) = self.agenda.pop() {
                self.act(act);
            }
        }
    }

    /// Lets what is due happen until nothing is left to do and all are the same.
    fn settle_quietly(&mut self, most: Duration) -> Option<String> {
        let end = self.world.now() + most;
        loop {
            let busy = self.agenda.next_at().map(|_| "something is still to be done".to_owned());
            let why = busy.or_else(|| self.world.unsettled())?;
            let over = self.world.now() >= end || self.world.violation().is_some();
            if over || self.interrupted() {
                return Some(why);
            }
            let next = self.world.now() + LOOK_EVERY;
            self.play_until(next.min(end));
        }
    }

    fn settle(&mut self, most: Duration, what: &str) {
        if let Some(why) = self.settle_quietly(most).filter(|_| !self.interrupted()) {
            let detail = format!("not {most:?} after {what}: {why}");
            self.world.fails(Violation {
                invariant: Invariant::I7,
                at: "the store".into(),
                detail,
            });
        }
    }

    /// The user has had enough.
    fn interrupted(&self) -> bool {
        self.interrupt.as_ref().is_some_and(|interrupt| interrupt.load(Ordering::Relaxed))
    }

    fn since_start(&self) -> Duration {
        self.world.now().saturating_sub(self.started.unwrap_or_default())
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Issue { load } => self.issue(load),
            Act::Begin { load } => self.begin_closed(load),
            Act::Turn { load } => self.take_turn(load),
            Act::Mirror { mirror } => self.mirror(mirror),
            Act::Compare { comparison } => self.compare(comparison),
            Act::Fault { fault } => self.inject(fault),
            Act::FaultEnds { fault } => self.fault_ends(fault),
            Act::Pulse { host, still } => self.pulse(host, still),
            Act::Event { event } => self.event(event),
            Act::Nudge { slot, left } => self.nudge(slot, left),
        }
        self.heed();
    }

    fn nudge(&mut self, slot: usize, left: u64) {
        let (_, store) = self.placement.place(slot);
        let Some(kind) = self.placement.kind(store) else { return };
        let params =
            Params { state_bytes: self.plan.stores[store].size_bytes, ..Params::default() };
        let now = self.world.now();
        let mut random = rand_pcg::Pcg64::new(self.plan.seed.into(), left.into());
        let encoded = kind.action(&mut random, left, &params);
        self.dispatch(slot, Source::Opening, encoded, now);
        if left > 1 {
            let next = now + Duration::from_millis(20);
            self.agenda.push(next, Act::Nudge { slot, left: left - 1 });
        }
    }

    /// Hands a dispatch over, and writes down what comes of it at once.
    fn dispatch(&mut self, slot: usize, source: Source, encoded: Vec<u8>, intended: Duration) {
        let issued = self.world.now();
        match self.world.dispatch(slot, encoded) {
            Ok(id) => {
                self.write_issued(slot, source);
                self.pending[slot].insert(id, Pending { source, intended, issued });
            }
            Err(Some(refused)) => {
                self.write_issued(slot, source);
                let outcome = match refused {
                    Refused::NotConnected | Refused::Stalled => Outcome::NotConnected,
                    Refused::Busy(_) => Outcome::Busy,
                    Refused::TooLong { .. } | Refused::Unencodable(_) | Refused::Undecodable(_) => {
                        Outcome::Invalid
                    }
                    Refused::Poisoned | Refused::Unrestorable(_) => Outcome::Rejected,
                };
                self.resolved(slot, Pending { source, intended, issued }, outcome);
            }
            // No process, no dispatch.
            Err(None) => {}
        }
    }

    fn resolved(&mut self, slot: usize, pending: Pending, outcome: Outcome) {
        let ns = |at: Duration| at.as_nanos() as u64;
        let dispatched = Dispatched {
            intended_ns: ns(pending.intended),
            issued_ns: ns(pending.issued),
            answered_ns: ns(self.world.now()),
            outcome,
        };
        self.write_resolved(slot, pending.source, dispatched);
        match pending.source {
            Source::Load(stream) => self.load_resolved(stream, outcome),
            Source::Mirror => self.mirror_resolved(slot, outcome),
            Source::Opening => {}
        }
    }

    /// Acts on what was noticed.
    fn heed(&mut self) {
        while self.world.has_notices() {
            for notice in self.world.take_notices() {
                match notice {
                    Notice::Resolved { slot, id, resolution, .. } => {
                        let Some(pending) = self.pending[slot].remove(&id) else { continue };
                        let outcome = match resolution {
                            Resolution::Ok(version) => Outcome::Ok(version),
                            Resolution::Rejected(_) => Outcome::Rejected,
                            Resolution::OutcomeUnknown => Outcome::Unknown,
                        };
                        self.resolved(slot, pending, outcome);
                    }
                    Notice::Told { slot } => self.mirror_from(slot),
                    Notice::Moment { host } => self.moment(host),
                    Notice::Lives { host } => {
                        self.host_lives(host);
                        self.mirrors_live(host);
                    }
                }
            }
        }
    }

    /// Forgets the dispatches under way of a host, which has ended. Returns their streams.
    fn forget_pending(&mut self, host: usize) -> Vec<u64> {
        let mut streams = Vec::new();
        for slot in self.world.seats_of(host).to_vec() {
            for pending in std::mem::take(&mut self.pending[slot]).into_values() {
                if let Source::Load(stream) = pending.source {
                    streams.push(stream);
                }
            }
        }
        streams.sort_unstable();
        streams
    }
}
