//! The cost of a backup: of an action of a store that writes each one, by the size of its state,
//! and of a durable dispatch, by the number under way. Run by `cargo bench -p samestate-bench
//! --bench backup`.
//!
//! It writes to `SAMESTATE_BENCH_FOLDER`, or to the folder for temporary files: say a folder on the
//! disk in question.

use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use samestate::state::Map;
use samestate::{Backup, Store, create_store};

type Pages = Store<Map<u64, String>, (u64, String)>;

/// The length of an entry of the state, in bytes. An action replaces one entry.
const ENTRY_BYTES: usize = 100;

const DURABLE_BATCH: u64 = 256;

fn folder() -> PathBuf {
    std::env::var_os("SAMESTATE_BENCH_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// A store with a state of about this many bytes; its files are beside `path`.
fn pages(path: &Path, state_bytes: usize, durable: bool) -> Pages {
    let replace = |pages: &mut Map<u64, String>, (at, text): &(u64, String)| {
        pages.insert(*at, text.clone());
    };
    let entries = (state_bytes / ENTRY_BYTES) as u64;
    let state = (0..entries).map(|at| (at, text())).collect();
    let builder = create_store("pages", replace).preloaded(state);
    let builder = builder.backup(Backup::at(path).every_actions(1));
    let opened = if durable { builder.durable().start() } else { builder.start() };
    opened.expect("the folder can be written")
}

fn text() -> String {
    "x".repeat(ENTRY_BYTES)
}

fn remove(path: &Path) {
    for suffix in ["", ".journal", ".lock", ".new", ".journal.new"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

/// Until an action is on disk: what `every_actions(1)` promises is one action behind at most.
fn every_action(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let mut group = c.benchmark_group("backup_every_action");
    for (name, bytes) in [("1KB", 1_000), ("1MB", 1_000_000), ("10MB", 10_000_000)] {
        let path = folder().join(format!("samestate-bench-{}-{name}.backup", std::process::id()));
        let store = pages(&path, bytes, true);
        let entries = (bytes / ENTRY_BYTES) as u64;
        let mut at = 0;
        group.bench_function(BenchmarkId::new("one_action_on_disk", name), |b| {
            b.iter(|| {
                at = (at + 1) % entries;
                runtime.block_on(store.dispatch((at, text()))).expect("it applies")
            });
        });
        drop(store);
        remove(&path);
        let store = pages(&path, bytes, false);
        group.bench_function(BenchmarkId::new("dispatch_beside_the_disk", name), |b| {
            b.iter(|| {
                at = (at + 1) % entries;
                runtime.block_on(store.dispatch((at, text()))).expect("it applies")
            });
        });
        drop(store);
        remove(&path);
    }
    group.finish();
}

/// So many dispatches at a time, until all of a batch are on disk.
fn durable(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let mut group = c.benchmark_group("backup_durable");
    group.throughput(Throughput::Elements(DURABLE_BATCH));
    let path = folder().join(format!("samestate-bench-{}-durable.backup", std::process::id()));
    let store = pages(&path, 1_000, true);
    for under_way in [1, 64] {
        group.bench_function(BenchmarkId::new("256_dispatches", under_way), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    let mut window = std::collections::VecDeque::new();
                    for at in 0..DURABLE_BATCH {
                        if window.len() == under_way {
                            let oldest: samestate::DispatchFuture =
                                window.pop_front().expect("the window is full");
                            oldest.await.expect("it applies");
                        }
                        window.push_back(store.dispatch((at % 10, text())));
                    }
                    for dispatched in window {
                        dispatched.await.expect("it applies");
                    }
                });
            });
        });
    }
    drop(store);
    remove(&path);
    group.finish();
}

criterion_group! {
    name = backup;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = every_action, durable
}
criterion_main!(backup);
