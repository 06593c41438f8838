//! The cost of each type of state, at 1 KB, 1 MB and 10 MB: texts of 100 bytes, in the collections
//! that `docs/states.md` compares.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use samestate::state::{List, Map};
use samestate::{ReducerMachine, State};
use samestate_proto::replication::{StateMachine, StateView};
use samestate_proto::wire::Codec;

const TEXT_BYTES: usize = 100;

/// Replaces the text at this place.
type Action = usize;

fn text(place: usize) -> String {
    format!("{place:0TEXT_BYTES$}")
}

fn changed(place: usize) -> String {
    format!("{place:x>TEXT_BYTES$}")
}

/// Measures one type of state.
fn measure<S: State>(
    criterion: &mut Criterion,
    name: &str,
    make: impl Fn(usize) -> S,
    edit: impl Fn(&mut S, &Action) + Copy + Send + Sync + 'static,
) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_millis(800));
    for (size, bytes) in [("1 KB", 1 << 10), ("1 MB", 1 << 20), ("10 MB", 10 << 20)] {
        let elements = bytes / TEXT_BYTES;
        let mut machine = ReducerMachine::new(make(elements), edit, Codec::MessagePack);
        let mut place = 0;
        let mut step = move |machine: &mut ReducerMachine<S, Action>| {
            // A prime step, so that neighbours do not follow one another.
            place = (place + 7919) % elements;
            let mut payload = Vec::new();
            machine.encode_action(&place, &mut payload).expect("a number encodes");
            machine.apply(&payload).is_ok()
        };
        group.bench_function(BenchmarkId::new("edit", size), |bencher| {
            bencher.iter(|| step(&mut machine));
        });
        group.bench_function(BenchmarkId::new("edit while held", size), |bencher| {
            bencher.iter(|| {
                let held = machine.freeze();
                let applied = step(&mut machine);
                (held, applied)
            });
        });
        let frozen = machine.freeze();
        group.bench_function(BenchmarkId::new("digest", size), |bencher| {
            bencher.iter(|| frozen.digest());
        });
        group.bench_function(BenchmarkId::new("snapshot", size), |bencher| {
            bencher.iter(|| frozen.encode());
        });
    }
    group.finish();
}

fn states(criterion: &mut Criterion) {
    let vector = |elements| (0..elements).map(text).collect::<Vec<_>>();
    measure(criterion, "Vec", vector, |state, place| state[*place] = changed(*place));
    let list = |elements| (0..elements).map(text).collect::<List<_>>();
    measure(criterion, "List", list, |state, place| {
        state.set(*place, changed(*place));
    });
    let keyed = |elements| (0..elements).map(|place| (place, text(place)));
    measure(
        criterion,
        "HashMap",
        move |elements| keyed(elements).collect::<HashMap<_, _>>(),
        |state, place| {
            state.insert(*place, changed(*place));
        },
    );
    measure(
        criterion,
        "BTreeMap",
        move |elements| keyed(elements).collect::<BTreeMap<_, _>>(),
        |state, place| {
            state.insert(*place, changed(*place));
        },
    );
    measure(
        criterion,
        "Map",
        move |elements| keyed(elements).collect::<Map<_, _>>(),
        |state, place| {
            state.insert(*place, changed(*place));
        },
    );
}

criterion_group!(benches, states);
criterion_main!(benches);
