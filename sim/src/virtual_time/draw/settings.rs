//! Stores, mirrors, the network, clocks, and the settings that all nodes have in common.

use std::num::{NonZeroU32, NonZeroU64};

use super::shape::{NamedStore, Shape};
use crate::scenario::{
    BackupSpec, MirrorSpec, Mode, Resync, Scenario, Size, Span, StoreSpec, VirtualTimeSpec,
};
use crate::virtual_time::rng::SeededRng;

/// The store that mirrors dispatch into.
const MIRROR: &str = "mirror";

/// One store for the most part, and of the reducer in which any slip shows.
pub(super) fn stores(rng: &mut SeededRng) -> Vec<NamedStore> {
    let count = if rng.percent(80) { 1 } else { rng.within(2, 3) };
    let mirrored = rng.percent(10);
    let own = if mirrored { count.min(2) } else { count };
    let mut stores: Vec<_> =
        (0..own).map(|index| (format!("s{index}"), store(rng, None))).collect();
    if mirrored {
        stores.push((MIRROR.to_owned(), store(rng, Some("replace"))));
    }
    // In the order of their names, as in a file.
    stores.sort_by(|left, right| left.0.cmp(&right.0));
    stores
}

fn store(rng: &mut SeededRng, reducer: Option<&str>) -> StoreSpec {
    let reducer = reducer.unwrap_or_else(|| match rng.below(100) {
        0..80 => "probe",
        80..85 => "ring",
        85..90 => "map",
        90..94 => "counter",
        94..96 => "logger",
        96..98 => "document",
        _ => "ranking",
    });
    let size = match reducer {
        "probe" => rng.percent(15).then(|| Size(rng.within(1, 150_000))),
        "map" | "document" | "ranking" => Some(Size(rng.within(1_000, 20_000))),
        _ => None,
    };
    let resync = match rng.below(3) {
        0 => Resync::Verify(nonzero(rng.within(1, 20))),
        1 => Resync::Snapshot(nonzero(rng.within(1, 20))),
        _ => Resync::Off,
    };
    let backup = rng.percent(50).then(|| BackupSpec {
        every_actions: Some(nonzero(rng.one_of(&[1, 1, 3, 10, 40]))),
        durable: false,
    });
    StoreSpec {
        reducer: reducer.to_owned(),
        size,
        mode: Some(if rng.percent(35) { Mode::Delta } else { Mode::Action }),
        resync: Some(resync),
        log_bytes: Some(Size(rng.one_of(&[1 << 10, 4 << 10, 64 << 10, 1 << 20]))),
        backup,
    }
}

/// Makes some of the stores that are backed up durable.
pub(super) fn durable(rng: &mut SeededRng, scenario: &mut Scenario) {
    for store in scenario.stores.values_mut().filter(|store| store.backup.is_some()) {
        if rng.percent(40) {
            store.backup = Some(BackupSpec { every_actions: None, durable: true });
        }
    }
}

/// A node that mirrors, where there is a store to mirror into.
pub(super) fn mirrors(
    rng: &mut SeededRng,
    shape: &Shape,
    stores: &[NamedStore],
) -> Vec<MirrorSpec> {
    if !stores.iter().any(|(name, _)| name == MIRROR) {
        return Vec::new();
    }
    let at = shape.nodes[rng.pick(shape.nodes.len())].name.clone();
    let from: Vec<&str> =
        stores.iter().map(|(name, _)| name.as_str()).filter(|name| *name != MIRROR).collect();
    vec![MirrorSpec { at, from: rng.one_of(&from).to_owned(), to: MIRROR.to_owned() }]
}

pub(super) fn virtual_time(
    rng: &mut SeededRng,
    shape: &Shape,
    stores: &[NamedStore],
) -> VirtualTimeSpec {
    let heartbeat = rng.micros(30_000, 120_000);
    let drift_ppm = match rng.below(10) {
        0..6 => None,
        6..9 => Some(rng.within(1, 200)),
        _ => Some(rng.within(1, 20_000)),
    };
    // The opening of a document is one action, which has to fit, and so is what a mirror sees. A
    // mirror tries again until it is answered: one that is never given the time never ends.
    let is_big = |(name, store): &NamedStore| store.reducer == "document" || name == MIRROR;
    let has_big = stores.iter().any(is_big);
    let is_mirrored = stores.iter().any(|(name, _)| name == MIRROR);
    let slow = shape.nodes.iter().filter(|_| rng.percent(20)).map(|node| node.name.clone());
    VirtualTimeSpec {
        slow_subscribers: slow.collect(),
        latency: Some(Span(rng.micros(20, 4_000))),
        jitter: Some(Span(rng.micros(0, 3_000))),
        // The longest frame passes well within the shortest deadline for dead peers.
        bandwidth: Some(Size(rng.one_of(&[2_000_000, 20_000_000, 1_000_000_000]))),
        buffer: Some(Size(rng.one_of(&[256, 2 << 10, 16 << 10, 128 << 10]))),
        clock_drift_ppm: drift_ppm.map(|ppm| ppm as u32),
        heartbeat: Some(Span(heartbeat)),
        dead_after: Some(Span(heartbeat * rng.within(4, 8) as u32)),
        stall_grace: Some(Span(rng.micros(5_000, 100_000))),
        window: at_times(rng, 20, 1, 6),
        window_bytes: at_times(rng, 20, 50, 2_000)
            .filter(|_| !has_big)
            .map(|bytes| Size(u64::from(bytes.get()))),
        dispatch_deadline: rng
            .percent(20)
            .then(|| Span(rng.micros(1_000, 200_000)))
            .filter(|_| !is_mirrored),
        sessions: at_times(rng, 15, 1, 4),
        events: at_times(rng, 15, 1, 5),
    }
}

/// A number in `first..=last`, so often in a hundred.
pub(super) fn at_times(
    rng: &mut SeededRng,
    percent: u64,
    first: u32,
    last: u32,
) -> Option<NonZeroU32> {
    let drawn = rng.within(u64::from(first), u64::from(last)) as u32;
    NonZeroU32::new(drawn).filter(|_| rng.percent(percent))
}

/// A number of which no draw gives a zero.
fn nonzero(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN)
}
