//! Corners that chance alone seldom leads into: an answer that arrives long before the state it is
//! about, whose sequencer is then lost and continues from its backup; and copies on slow lines that
//! are cut in transit.

use std::num::NonZeroU64;

use crate::faults::{CutSpec, FaultSpec, KillSpec};
use crate::scenario::{BackupSpec, LinkRef, Mode, Scenario, Size, Span};
use crate::virtual_time::rng::SeededRng;

/// So many seeds in a hundred are led there.
const PERCENT: u64 = 5;

/// The network then carries so many bytes a second: a state takes tens of milliseconds.
const BANDWIDTH: Size = Size(5_000_000);

/// Leads some seeds there: big states, sent whole over a slow network, and a root that dies often.
pub(super) fn lead(rng: &mut SeededRng, root: &str, duration_us: u64, scenario: &mut Scenario) {
    if !rng.percent(PERCENT) {
        return;
    }
    for (_, store) in scenario.stores.iter_mut().filter(|(_, store)| store.reducer == "probe") {
        store.size = Some(Size(rng.within(100_000, 300_000)));
        store.mode = Some(Mode::Snapshot);
        let every_actions = Some(NonZeroU64::MIN.saturating_add(rng.below(3)));
        store.backup = Some(BackupSpec { every_actions, durable: false });
    }
    for cluster in scenario.clusters.values_mut() {
        cluster.modes.clear();
    }
    if let Some(virtual_time) = &mut scenario.virtual_time {
        virtual_time.bandwidth = Some(BANDWIDTH);
    }
    // A copy that slips is found by a check, which states sent whole do without.
    scenario.faults.retain(|fault| !fault.spoils_state());
    for _ in 0..rng.within(2, 5) {
        scenario.faults.push(FaultSpec::Kill(KillSpec {
            node: root.to_owned(),
            at: Some(Span(rng.micros(1_000, duration_us))),
            every: None,
            times: None,
            restart_after: Some(Span(rng.micros(1_000, 20_000))),
            silent: rng.percent(30),
            moment: None,
        }));
    }
}

/// So many seeds in a hundred have slow lines.
const SLOW_PERCENT: u64 = 8;

/// The bandwidths of slow lines, in bytes a second.
const SLOW_BANDWIDTHS: [u64; 3] = [100_000, 300_000, 1_000_000];

/// Leads some seeds to slow lines: copies of big states that take longer than a dead peer is waited
/// for, over links that are cut again and again.
pub(super) fn slow(rng: &mut SeededRng, duration_us: u64, scenario: &mut Scenario) {
    if !rng.percent(SLOW_PERCENT) {
        return;
    }
    for (_, store) in scenario.stores.iter_mut().filter(|(_, store)| store.reducer == "document") {
        store.size = Some(Size(rng.within(20_000, 200_000)));
    }
    for (_, store) in scenario.stores.iter_mut().filter(|(_, store)| store.reducer == "probe") {
        store.size = Some(Size(rng.within(1_000, 10_000)));
    }
    if let Some(virtual_time) = &mut scenario.virtual_time {
        virtual_time.bandwidth = Some(Size(rng.one_of(&SLOW_BANDWIDTHS)));
    }
    let names: Vec<String> = scenario.links.iter().filter_map(|link| link.name.clone()).collect();
    if names.is_empty() {
        return;
    }
    for _ in 0..rng.within(1, 6) {
        scenario.faults.push(FaultSpec::Cut(CutSpec {
            link: Some(LinkRef::Name(names[rng.pick(names.len())].clone())),
            at: Some(Span(rng.micros(1_000, duration_us))),
            every: None,
            times: None,
            lasts: Span(rng.micros(1_000, 60_000)),
        }));
    }
}
