//! Mode delta beside mode action: one changed key in a map of 1 MB and of 10 MB, with a reducer
//! that takes 1 ms. Prints the length of the patch, and measures the sender and a replica.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use samestate::ReducerMachine;
use samestate::state::Map;
use samestate_proto::replication::StateMachine;
use samestate_proto::wire::Codec;

const TEXT_BYTES: usize = 100;

/// The time that the reducer takes.
const WORK: Duration = Duration::from_millis(1);

type Texts = ReducerMachine<Map<u64, String>, u64>;

fn text(key: u64, mark: char) -> String {
    format!("{key:0width$}{mark}", width = TEXT_BYTES - 1)
}

fn machine(entries: u64, work: Duration) -> Texts {
    let state: Map<u64, String> = (0..entries).map(|key| (key, text(key, '.'))).collect();
    let reduce = move |texts: &mut Map<u64, String>, key: &u64| {
        let began = Instant::now();
        texts.update(key, |text| {
            let mark = if text.ends_with('.') { "," } else { "." };
            text.replace_range(TEXT_BYTES - 1.., mark);
        });
        while began.elapsed() < work {
            std::hint::spin_loop();
        }
    };
    ReducerMachine::new(state, reduce, Codec::MessagePack).with_patches()
}

/// Returns the encoded action on the next of the keys.
fn next(machine: &Texts, key: &mut u64, entries: u64) -> Vec<u8> {
    // A prime step, so that neighbours do not follow one another.
    *key = (*key + 7919) % entries;
    let mut payload = Vec::new();
    machine.encode_action(key, &mut payload).expect("a number encodes");
    payload
}

fn delta(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("delta");
    group.sample_size(20).warm_up_time(Duration::from_millis(300));
    for (size, bytes) in [("1 MB", 1_000_000), ("10 MB", 10_000_000)] {
        let entries = bytes / TEXT_BYTES as u64;
        let mut patches = Vec::new();
        let (mut sender, mut key) = (machine(entries, Duration::ZERO), 0);
        for _ in 0..entries.min(2_000) {
            let (payload, mut patch) = (next(&sender, &mut key, entries), Vec::new());
            let made = sender.apply_and_diff(&payload, &mut patch, usize::MAX);
            assert!(made.is_ok_and(|(_, is_made)| is_made), "it has a patch");
            patches.push((payload, patch));
        }
        let longest = patches.iter().map(|(_, patch)| patch.len()).max().unwrap_or_default();
        println!("delta/patch of one key of {size}: {longest} bytes at most");
        let mut sender = machine(entries, Duration::ZERO);
        group.bench_function(
            BenchmarkId::new("sender, without the reducer's 1 ms", size),
            |bencher| {
                bencher.iter(|| {
                    let (payload, mut patch) = (next(&sender, &mut key, entries), Vec::new());
                    sender.apply_and_diff(&payload, &mut patch, usize::MAX).is_ok()
                });
            },
        );
        let (mut replica, mut at) = (machine(entries, WORK), 0);
        group.bench_function(BenchmarkId::new("replica, by patch", size), |bencher| {
            bencher.iter(|| {
                at = (at + 1) % patches.len();
                let (payload, patch) = &patches[at];
                replica.apply_patch(payload, patch).is_ok()
            });
        });
        let mut replica = machine(entries, WORK);
        group.bench_function(
            BenchmarkId::new("replica, by the reducer of 1 ms", size),
            |bencher| {
                bencher.iter(|| {
                    let payload = next(&replica, &mut key, entries);
                    replica.apply(&payload).is_ok()
                });
            },
        );
    }
    group.finish();
}

criterion_group!(benches, delta);
criterion_main!(benches);
