//! Drawing of faults: a few kinds a seed, so that none drowns another.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use super::shape::{NamedStore, Shape};
use crate::faults::{
    BandwidthSpec, BlackholeSpec, CorruptSpec, CutSpec, DelaySpec, Direction, DiskSpec, FailSpec,
    FaultSpec, HalfOpenSpec, JitterSpec, KillMoment, KillSpec, OneDirection, OneWaySpec, PauseSpec,
    Reader, RefuseSpec, ResetSpec, SlipSpec, SlowReaderSpec,
};
use crate::scenario::{LinkRef, Resync, Scenario, Size, Span, StoreSpec};
use crate::virtual_time::rng::SeededRng;

/// A kind of thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cut,
    /// Any process.
    Kill,
    /// The process of a root.
    Behead,
    Pause,
    Blackhole,
    HalfOpen,
    Corrupt,
    Slip,
    Fail,
    /// A client moves: an event, and not a fault.
    Move,
}

const KINDS: &[Kind] = &[
    Kind::Cut,
    Kind::Cut,
    Kind::Kill,
    Kind::Behead,
    Kind::Pause,
    Kind::Blackhole,
    Kind::HalfOpen,
    Kind::Corrupt,
    Kind::Slip,
    Kind::Fail,
    Kind::Move,
];

/// The number and the kinds of faults in a seed.
pub(super) struct FaultMix {
    strikes: Vec<Kind>,
    /// The number of clients that move.
    pub(super) moves: usize,
}

impl FaultMix {
    pub(super) fn draw(rng: &mut SeededRng, shape: &Shape, stores: &[NamedStore]) -> Self {
        let has_links = !shape.links.is_empty();
        let verifies = |(_, store): &NamedStore| matches!(store.resync, Some(Resync::Verify(_)));
        let possible = |kind: &Kind| match kind {
            Kind::Cut | Kind::Blackhole | Kind::HalfOpen | Kind::Corrupt | Kind::Move => has_links,
            Kind::Slip => shape.nodes.len() > 1 && stores.iter().any(verifies),
            Kind::Fail => shape.nodes.len() > 1,
            Kind::Kill | Kind::Behead | Kind::Pause => true,
        };
        let possible: Vec<Kind> = KINDS.iter().copied().filter(possible).collect();
        let kinds: Vec<Kind> = (0..rng.within(1, 4)).map(|_| rng.one_of(&possible)).collect();
        let count = if rng.percent(10) { 0 } else { rng.within(1, 12) };
        let all: Vec<Kind> = (0..count).map(|_| rng.one_of(&kinds)).collect();
        let moves = all.iter().filter(|kind| **kind == Kind::Move).count();
        Self { strikes: all.into_iter().filter(|kind| *kind != Kind::Move).collect(), moves }
    }
}

/// The faults, in the order of their instants. `shape` is the one at the start, once late clients
/// have been taken out of it.
pub(super) fn draw(
    rng: &mut SeededRng,
    mix: &FaultMix,
    shape: &Shape,
    stores: &[NamedStore],
    duration_us: u64,
) -> Vec<FaultSpec> {
    let mut drawer = Drawer { rng, shape, stores, duration_us, slipped: BTreeSet::new() };
    let mut faults: Vec<FaultSpec> =
        mix.strikes.iter().filter_map(|kind| drawer.fault(*kind)).collect();
    faults.sort_by_key(FaultSpec::first_at);
    faults
}

/// Disks that fail, where a store is durable: of any node, of which most order nothing.
pub(super) fn of_disks(
    rng: &mut SeededRng,
    shape: &Shape,
    duration_us: u64,
    scenario: &mut Scenario,
) {
    let durable = |store: &StoreSpec| store.backup.is_some_and(|backup| backup.durable);
    if !scenario.stores.values().any(durable) {
        return;
    }
    for _ in 0..rng.below(5) {
        let node = shape.nodes[rng.pick(shape.nodes.len().min(2))].name.clone();
        let at = Some(span_us(rng.below(duration_us)));
        let (every, times) = (None, None);
        let (lasts, hangs) = (span_us(rng.within(1_000, 700_000)), rng.percent(30));
        scenario.faults.push(FaultSpec::Disk(DiskSpec { node, at, every, times, lasts, hangs }));
    }
    scenario.faults.sort_by_key(FaultSpec::first_at);
}

/// Links that are late, slow, or open in one direction, in some seeds. They are drawn from numbers
/// of their own, so that the other seeds stay as they are.
pub(super) fn of_links(
    rng: &mut SeededRng,
    shape: &Shape,
    duration_us: u64,
    scenario: &mut Scenario,
) {
    if shape.links.is_empty() || !rng.percent(30) {
        return;
    }
    for _ in 0..rng.within(1, 4) {
        let link = Some(LinkRef::Name(format!("link{}", rng.pick(shape.links.len()))));
        let at = Some(span_us(rng.below(duration_us)));
        let (every, times) = (None, None);
        let lasts = span_us(rng.within(1_000, 700_000));
        let direction = rng.one_of(&[Direction::Up, Direction::Down, Direction::Both]);
        let span = span_us(rng.within(100, 50_000));
        let bytes = Size(rng.within(1_000, 1_000_000));
        scenario.faults.push(match rng.below(7) {
            0 => FaultSpec::Reset(ResetSpec { link, at, every, times }),
            1 => FaultSpec::Refuse(RefuseSpec { link, at, every, times, lasts }),
            2 => {
                let direction = rng.one_of(&[OneDirection::Up, OneDirection::Down]);
                FaultSpec::OneWay(OneWaySpec { link, at, every, times, lasts, direction })
            }
            3 => FaultSpec::Delay(DelaySpec { link, at, every, times, lasts, by: span, direction }),
            4 => {
                let up_to = span;
                FaultSpec::Jitter(JitterSpec { link, at, every, times, lasts, up_to, direction })
            }
            5 => FaultSpec::Bandwidth(BandwidthSpec {
                link,
                at,
                every,
                times,
                lasts,
                bytes_per_second: bytes,
                direction,
            }),
            _ => FaultSpec::SlowReader(SlowReaderSpec {
                link,
                reader: Some(rng.one_of(&[Reader::Client, Reader::Server])),
                bytes_per_second: rng.percent(70).then_some(bytes),
                node: None,
                runs_percent: None,
                at,
                every,
                times,
                lasts,
            }),
        });
    }
    scenario.faults.sort_by_key(FaultSpec::first_at);
}

/// The times of a fault.
struct When {
    at: Option<Span>,
    times: Option<NonZeroU32>,
    lasts: Span,
}

struct Drawer<'a> {
    rng: &'a mut SeededRng,
    shape: &'a Shape,
    stores: &'a [NamedStore],
    duration_us: u64,
    /// A copy that goes wrong twice without a check between is given up: that has a test of its
    /// own.
    slipped: BTreeSet<usize>,
}

impl Drawer<'_> {
    fn fault(&mut self, kind: Kind) -> Option<FaultSpec> {
        let When { at, times, lasts } = self.when();
        let every = None;
        let fault = match kind {
            Kind::Cut => FaultSpec::Cut(CutSpec { link: self.link()?, at, every, times, lasts }),
            Kind::Kill | Kind::Behead => {
                let roots = || {
                    let of = |store: usize| self.shape.fed_nodes(store);
                    let fed: BTreeSet<_> = (0..self.stores.len()).flat_map(of).collect();
                    (0..self.shape.nodes.len()).filter(move |node| !fed.contains(node))
                };
                let behead = kind == Kind::Behead;
                let mut nodes: Vec<usize> = if behead { roots().collect() } else { Vec::new() };
                if nodes.is_empty() {
                    nodes = (0..self.shape.nodes.len()).collect();
                }
                let node = self.rng.one_of(&nodes);
                let node = self.name(node);
                let silent = self.rng.percent(30);
                let restart_after = Some(lasts);
                let moment = self.moment(behead).filter(|_| at.is_some());
                FaultSpec::Kill(KillSpec { node, at, every, times, restart_after, silent, moment })
            }
            Kind::Pause => {
                let node = self.rng.pick(self.shape.nodes.len());
                let node = self.name(node);
                FaultSpec::Pause(PauseSpec { node, at, every, times, lasts })
            }
            Kind::Blackhole => {
                let ways = [Direction::Up, Direction::Down, Direction::Both];
                let (link, direction) = (self.link()?, self.rng.one_of(&ways));
                FaultSpec::Blackhole(BlackholeSpec { link, at, every, times, lasts, direction })
            }
            Kind::HalfOpen => {
                FaultSpec::HalfOpen(HalfOpenSpec { link: self.link()?, at, every, times })
            }
            Kind::Corrupt => {
                let link = self.link()?;
                let direction = self.rng.one_of(&[OneDirection::Up, OneDirection::Down]);
                FaultSpec::Corrupt(CorruptSpec { link, at, every, times, direction })
            }
            Kind::Slip => {
                let verify =
                    |store: &usize| matches!(self.stores[*store].1.resync, Some(Resync::Verify(_)));
                let stores: Vec<usize> = (0..self.stores.len()).filter(verify).collect();
                let (node, store) = self.copy(&stores)?;
                let first = self.slipped.insert(node);
                let at = Some(at.unwrap_or_else(|| Span(self.instant())));
                let (node, store) = (self.name(node), self.stores[store].0.clone());
                first.then_some(())?;
                FaultSpec::Slip(SlipSpec { node, store, at, every, times: None })
            }
            Kind::Fail => {
                let stores: Vec<usize> = (0..self.stores.len()).collect();
                let (node, store) = self.copy(&stores)?;
                let (node, store) = (self.name(node), self.stores[store].0.clone());
                FaultSpec::Fail(FailSpec { node, store, at, every, times })
            }
            Kind::Move => return None,
        };
        Some(fault)
    }

    /// Once for the most part, at times a few times drawn from the scenario's seed.
    fn when(&mut self) -> When {
        let lasts_us = self.rng.within(1_000, 700_000);
        let at = Span(self.instant());
        if !self.rng.percent(10) {
            return When { at: Some(at), times: None, lasts: span_us(lasts_us) };
        }
        let times = self.rng.within(2, 4);
        // Two must not overlap, nor reach beyond the end.
        let lasts_us = lasts_us.min(self.duration_us / times / 2);
        let times = NonZeroU32::new(times as u32);
        When { at: None, times, lasts: span_us(lasts_us) }
    }

    /// A moment between two steps: of a root, or of any node.
    fn moment(&mut self, root: bool) -> Option<KillMoment> {
        let of_roots = [KillMoment::Ordered, KillMoment::Written, KillMoment::SessionIssued];
        let of_all = [KillMoment::Ordered, KillMoment::Attached, KillMoment::SnapshotReceived];
        let moment = self.rng.one_of(if root { &of_roots } else { &of_all });
        self.rng.percent(50).then_some(moment)
    }

    fn instant(&mut self) -> Duration {
        Duration::from_micros(self.rng.below(self.duration_us))
    }

    /// A link by name, or at times whichever is drawn when it strikes; `None` if there is no link.
    #[expect(clippy::option_option, reason = "no link at all is not the same as any of them")]
    fn link(&mut self) -> Option<Option<LinkRef>> {
        let links = self.shape.links.len();
        if links == 0 {
            return None;
        }
        let named = LinkRef::Name(format!("link{}", self.rng.pick(links)));
        Some((!self.rng.percent(10)).then_some(named))
    }

    /// A copy that is no root, of one of these stores.
    fn copy(&mut self, stores: &[usize]) -> Option<(usize, usize)> {
        let store = self.rng.one_of(stores);
        let nodes = self.shape.fed_nodes(store);
        (!nodes.is_empty()).then(|| (self.rng.one_of(&nodes), store))
    }

    fn name(&self, node: usize) -> String {
        self.shape.nodes[node].name.clone()
    }
}

fn span_us(micros: u64) -> Span {
    Span(Duration::from_micros(micros))
}
