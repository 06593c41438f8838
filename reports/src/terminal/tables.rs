//! The tables of one case: its stores, and its processes.

use super::grid::{Column, Grid, Text};
use super::style::{Style, Tone};
use crate::record::{Case, Metric, Process, StoreMeasures};
use crate::units;

/// The columns of the table of stores, with the rank of each.
const OF_A_STORE: &[(&str, &str, u8)] = &[
    ("ordered", "dispatches.ordered", 3),
    ("one version", "identical.time_weighted_percent", 0),
    ("same", "identical.at_equal_version_percent", 0),
    ("applied", "rate.achieved_per_s", 2),
    ("local p99", "latency_us.local.p99", 3),
    ("replica p99", "latency_us.replica.p99", 1),
    ("sent", "cost.wire_bytes", 2),
];

/// The table of stores; empty where the record has none.
pub(super) fn stores(case: &Case, style: &Style) -> String {
    if case.stores.is_empty() {
        return String::new();
    }
    let mut columns = vec![
        Column::words("store", 0),
        Column::words("mode", 0),
        Column::words("transport", 6),
        Column::words("resync", 5),
        Column::words("reducer", 7),
        Column::numbers("state", 4),
    ];
    columns.extend(OF_A_STORE.iter().map(|(title, _, rank)| Column::numbers(*title, *rank)));
    let mut grid = Grid::new(columns);
    for (name, store) in &case.stores {
        grid.row(store_row(name, store));
    }
    grid.render(style)
}

fn store_row(name: &str, store: &StoreMeasures) -> Vec<Text> {
    let mut row = vec![
        Text::toned(name, Tone::Strong),
        store.mode.clone().into(),
        store.transport.clone().into(),
        store.resync.clone().into(),
        store.reducer.clone().into(),
        store.state_bytes.map(|bytes| units::bytes(bytes as f64)).into(),
    ];
    row.extend(OF_A_STORE.iter().map(|(_, name, _)| {
        let metric = Metric::named(name);
        let value = metric.and_then(|metric| Some(metric.human(metric.of_store(store)?)));
        Text::from(value)
    }));
    row
}

/// The table of processes; empty where the record has none.
pub(super) fn processes(case: &Case, style: &Style) -> String {
    if case.processes.is_empty() {
        return String::new();
    }
    let mut grid = Grid::new(vec![
        Column::words("process", 0),
        Column::numbers("pid", 5),
        Column::numbers("cpu", 0),
        Column::numbers("of a core", 2),
        Column::numbers("user", 4),
        Column::numbers("system", 4),
        Column::numbers("memory", 0),
        Column::numbers("sent", 1),
        Column::numbers("received", 3),
        Column::numbers("system calls", 2),
        Column::words("ended", 0),
    ]);
    for process in &case.processes {
        grid.row(process_row(process, case.seconds));
    }
    grid.render(style)
}

fn process_row(process: &Process, seconds: Option<f64>) -> Vec<Text> {
    let of_a_core = process
        .cpu_seconds()
        .zip(seconds.filter(|seconds| *seconds > 0.0))
        .map(|(cpu, seconds)| units::percent(100.0 * cpu / seconds));
    let bytes = |bytes: Option<u64>| Text::from(bytes.map(|bytes| units::bytes(bytes as f64)));
    vec![
        Text::toned(&process.name, Tone::Strong),
        process.pid.map(|pid| pid.to_string()).into(),
        process.cpu_seconds().map(units::seconds).into(),
        of_a_core.into(),
        process.cpu_user_seconds.map(units::seconds).into(),
        process.cpu_system_seconds.map(units::seconds).into(),
        bytes(process.rss_bytes_max),
        bytes(process.wire_bytes),
        bytes(process.wire_bytes_received),
        process.syscalls.map(|calls| units::count(calls as f64)).into(),
        process.ended.clone().into(),
    ]
}
