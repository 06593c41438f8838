//! The cost of the hot paths: a dispatch at the sequencer, an entry at a replica, fan-out in
//! memory, a snapshot and a digest. Run by `cargo bench`.

mod ring;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use samestate::ReducerMachine;
use samestate::state::Map;
use samestate_proto::replication::{LinkId, Replica, StateMachine, StateView};
use samestate_proto::wire::Codec;

use ring::{NOW, Ring, attach, drain, exchange, frames, pair, sequencer, take};

fn dispatch(replica: &mut Replica<Ring>) {
    let action = "a short string".to_owned();
    black_box(replica.dispatch(0, &action, NOW)).expect("the sequencer takes it");
}

fn a_dispatch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dispatch at the sequencer");
    group.throughput(Throughput::Elements(1));
    let mut alone = sequencer();
    group.bench_function("nobody follows", |bencher| bencher.iter(|| dispatch(&mut alone)));
    let mut followed = sequencer();
    attach(&mut followed, LinkId(1));
    let mut out = Vec::new();
    let mut dispatched = 0_u64;
    group.bench_function("one link follows", |bencher| {
        bencher.iter(|| {
            dispatch(&mut followed);
            dispatched += 1;
            if dispatched.is_multiple_of(640) {
                drain(&mut followed, LinkId(1), &mut out);
            }
        });
    });
    group.finish();
}

fn fan_out(criterion: &mut Criterion) {
    const BATCH: u64 = 640;
    let mut group = criterion.benchmark_group("fan-out in memory");
    group.throughput(Throughput::Elements(BATCH));
    for links in [2, 8, 64] {
        let mut replica = sequencer();
        (0..links).for_each(|link| attach(&mut replica, LinkId(link)));
        let mut out = Vec::new();
        group.bench_function(BenchmarkId::from_parameter(links), |bencher| {
            bencher.iter(|| {
                (0..BATCH).for_each(|_| dispatch(&mut replica));
                for link in 0..links {
                    black_box(drain(&mut replica, LinkId(link), &mut out));
                }
            });
        });
    }
    group.finish();
}

fn an_entry(criterion: &mut Criterion) {
    const BATCH: u64 = 640;
    let mut group = criterion.benchmark_group("entry applied at a replica");
    group.throughput(Throughput::Elements(BATCH));
    let (mut upper, mut lower) = pair();
    group.bench_function("in batches of 640", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                (0..BATCH).for_each(|_| dispatch(&mut upper));
                let mut out = Vec::new();
                upper.fill(LinkId(1), &mut out, usize::MAX, NOW);
                let entries = frames(&out);
                let started = std::time::Instant::now();
                entries.iter().for_each(|frame| take(&mut lower, frame));
                spent += started.elapsed();
                exchange(&mut upper, &mut lower);
            }
            spent
        });
    });
    assert_eq!(upper.version(), lower.version());
    group.finish();
}

fn a_state(criterion: &mut Criterion) {
    type Document = Map<String, String>;
    for (label, bytes) in [("1 KB", 1 << 10), ("1 MB", 1 << 20), ("10 MB", 10 << 20)] {
        let entries = (0..bytes / 128).map(|n| (format!("key-{n:08}"), "x".repeat(112)));
        let document: Document = entries.collect();
        let plain: Vec<String> = document.values().cloned().collect();
        let reducer = |_: &mut Document, _: &String| {};
        let machine: ReducerMachine<Document, String> =
            ReducerMachine::new(document, reducer, Codec::MessagePack);
        let frozen = machine.freeze();
        let plain: ReducerMachine<Vec<String>, String> =
            ReducerMachine::new(plain, |_: &mut Vec<String>, _: &String| {}, Codec::MessagePack);
        let plain = plain.freeze();
        let mut group = criterion.benchmark_group(format!("state of {label}"));
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function("snapshot cut", |bencher| bencher.iter(|| frozen.encode()));
        group.bench_function("digest, persistent map", |bencher| bencher.iter(|| frozen.digest()));
        group.bench_function("digest, vector", |bencher| bencher.iter(|| plain.digest()));
        group.finish();
    }
}

criterion_group! {
    name = hot_paths;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = a_dispatch, an_entry, fan_out, a_state
}
criterion_main!(hot_paths);
