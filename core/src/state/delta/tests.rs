use std::collections::{BTreeMap, HashMap, VecDeque};

use proptest::prelude::*;
use samestate_proto::wire::Codec;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::state::{List, Map, digest};

/// Makes a patch as a machine does, sends it through a codec, and applies it to the state from
/// before. Returns the length of the encoded patch.
pub(super) fn patched<S: State + Delta>(before: &S, change: impl FnOnce(&mut S)) -> usize {
    let patching = Patching::<S>::new();
    let mut after = before.clone();
    patching.record(&mut after, true);
    let before = &after.clone();
    change(&mut after);
    assert!(after.is_same(before) || after.diff(before).is_some());
    assert!(!after.is_same(before) || digest(&after) == digest(before));
    let mut len = 0;
    for codec in [Codec::MessagePack, Codec::Json] {
        let mut patch = Vec::new();
        patching.diff(codec, before, &after, &mut patch, usize::MAX).expect("it has a patch");
        let mut copy = before.clone();
        patching.apply(codec, &mut copy, &patch).expect("it fits");
        assert_eq!(digest(&copy), digest(&after), "{codec:?}");
        len = len.max(patch.len());
    }
    len
}

#[derive(Clone, Default, Serialize, Deserialize, Delta)]
struct Board {
    tasks: Map<u64, Task>,
    log: List<String>,
    by_name: BTreeMap<String, Vec<u64>>,
    counts: HashMap<String, i64>,
    json: Value,
    best: Option<Task>,
    #[delta(whole)]
    pair: (u8, String),
    #[serde(skip)]
    #[delta(skip)]
    scratch: u64,
}

#[derive(Clone, Default, Serialize, Deserialize, Delta)]
struct Task {
    text: String,
    weight: f64,
    status: Status,
    size: Size,
}

#[derive(Clone, Default, Serialize, Deserialize, Delta)]
enum Status {
    #[default]
    Open,
    Done {
        at: u64,
    },
}

#[derive(Clone, Default, Serialize, Deserialize, Delta)]
struct Size(u32, u32);

#[derive(Clone, Default, Serialize, Deserialize, Delta)]
struct Nothing;

fn task(text: &str) -> Task {
    Task { text: text.into(), ..Task::default() }
}

fn board() -> Board {
    Board {
        tasks: (0..1000).map(|id| (id, task(&format!("task {id} {}", "x".repeat(100))))).collect(),
        log: (0..1000).map(|line| format!("line {line}")).collect(),
        json: json!({"a": [1, 2, 3], "b": {"c": 0.0}, "d": "text"}),
        by_name: BTreeMap::from([("one".into(), vec![1, 2, 3])]),
        counts: HashMap::from([("one".into(), 1), ("two".into(), 2)]),
        ..Board::default()
    }
}

#[test]
fn a_patch_holds_what_changed_and_little_else() {
    let before = board();
    let change = |change: fn(&mut Board)| patched(&before, change);
    assert_eq!(change(|_| {}), 0);
    assert_eq!(change(|board| board.scratch = 5), 0, "it is left out");
    let edits: [fn(&mut Board); 16] = [
        |board| _ = board.tasks.update(&7, |task| task.status = Status::Done { at: 3 }),
        |board| _ = board.tasks.update(&7, |task| task.size.1 = 5),
        |board| _ = board.tasks.insert(7, task("another")),
        |board| _ = board.tasks.insert(5000, task("new")),
        |board| _ = board.tasks.remove(&7),
        |board| board.log.push_back("more".into()),
        |board| board.log.push_front("first".into()),
        |board| _ = board.log.set(500, "changed".into()),
        |board| _ = board.log.pop_front(),
        |board| _ = (board.log.pop_back(), board.log.push_back("last".into())),
        |board| board.by_name.entry("one".into()).or_default().push(4),
        |board| _ = board.by_name.remove("one"),
        |board| _ = board.counts.insert("two".into(), 3),
        |board| board.json["b"]["c"] = json!(-0.0),
        |board| board.best = Some(task("best")),
        |board| board.pair.0 = 9,
    ];
    for (index, edit) in edits.into_iter().enumerate() {
        let len = patched(&before, edit);
        assert!((1..120).contains(&len), "edit {index}: {len} bytes");
    }
}

#[test]
fn a_collection_that_was_put_together_anew_is_compared() {
    let before = board();
    let len = patched(&before, |board| {
        let kept = board.tasks.iter().filter(|(id, _)| **id != 3);
        board.tasks = kept.map(|(id, task)| (*id, task.clone())).collect();
        board.log = board.log.iter().skip(1).cloned().chain(["end".to_owned()]).collect();
    });
    assert!(len < 100, "{len}");
}

#[test]
fn a_reducer_may_change_a_clone_and_put_it_back_or_swap_two_collections() {
    #[derive(Clone, Default, Serialize, Deserialize, Delta)]
    struct Two {
        one: Map<u32, u32>,
        other: Map<u32, u32>,
        lists: (),
        list: List<u32>,
        queue: List<u32>,
    }
    let before = Two {
        one: (0..5).map(|n| (n, n)).collect(),
        other: (3..9).map(|n| (n, n * 10)).collect(),
        list: (0..9).collect(),
        queue: (4..6).collect(),
        ..Two::default()
    };
    let changed_clone = |two: &mut Two| {
        let mut next = two.clone();
        next.one.insert(77, 1);
        next.list.push_back(7);
        *two = next;
    };
    assert!(patched(&before, changed_clone) < 60);
    patched(&before, |two| {
        two.one.insert(100, 0);
        std::mem::swap(&mut two.one, &mut two.other);
        two.queue.push_front(1);
        std::mem::swap(&mut two.list, &mut two.queue);
    });
    patched(&before, |two| {
        two.one = Map::new();
        two.list.clear();
    });
    patched(&before, |two| (0..10_000).for_each(|n| _ = two.one.insert(n, 5)));
}

#[test]
fn a_recording_ends_and_leaves_no_older_state_behind() {
    let mut map: Map<u32, u32> = Map::from_iter([(1, 1)]);
    map.record(true);
    map.insert(2, 2);
    map.record(false);
    map.record(true);
    let before = map.clone();
    map.insert(3, 3);
    assert_eq!(map.diff(&before).expect("it changed").insert, [(3, 3)]);
}

#[test]
fn a_patch_of_another_value_is_an_error() {
    let map = |keys: &[u32]| keys.iter().map(|key| (*key, *key)).collect::<Map<u32, u32>>();
    let apply = |patch, keys: &[u32]| map(keys).apply(patch).is_err();
    let of = |before: &[u32], after: &[u32]| map(after).diff(&map(before)).expect("a change");
    assert!(apply(of(&[1], &[]), &[2]), "it removes what is not there");
    assert!(apply(of(&[], &[1]), &[1]), "it inserts what is there");
    let edit = EntriesPatch { remove: vec![], insert: vec![], edit: vec![(1, 5)] };
    assert!(apply(edit.clone(), &[2]), "it edits what is not there");
    let twice = EntriesPatch { edit: vec![(1, 5), (1, 6)], ..edit };
    assert!(apply(twice.clone(), &[1]), "it edits an entry twice");
    assert!(BTreeMap::from([(1, 1)]).apply(twice.clone()).is_err());
    assert!(HashMap::<u32, u32>::from([(1, 1)]).apply(twice).is_err());
    for patch in [
        ElementsPatch { pop_front: 3, ..ElementsPatch::default() },
        ElementsPatch { edit: vec![(2, 1)], ..ElementsPatch::default() },
        ElementsPatch { edit: vec![(0, 1), (0, 2)], ..ElementsPatch::default() },
        ElementsPatch { edit: vec![(u64::MAX, 1)], ..ElementsPatch::default() },
        ElementsPatch {
            splice: Some(Splice { at: 1, remove: 2, insert: vec![] }),
            ..ElementsPatch::default()
        },
        ElementsPatch {
            splice: Some(Splice { at: u64::MAX, remove: u64::MAX, insert: vec![] }),
            ..ElementsPatch::default()
        },
    ] {
        assert!(vec![1, 2].apply(patch.clone()).is_err(), "{patch:?}");
    }
    let none = ListPatch {
        pop_front: 0,
        pop_back: 0,
        edit: vec![],
        push_front: vec![],
        push_back: vec![],
    };
    for patch in [
        ListPatch { pop_front: 2, pop_back: 1, ..none.clone() },
        ListPatch { pop_front: u64::MAX, pop_back: u64::MAX, ..none.clone() },
        ListPatch { edit: vec![(2, 1)], ..none.clone() },
        ListPatch { edit: vec![(1, 1), (1, 2)], ..none },
    ] {
        assert!(List::from_iter([1, 2]).apply(patch.clone()).is_err(), "{patch:?}");
    }
    let object = json!({"a": 1}).diff(&json!({"b": 1})).expect("a change");
    assert!(json!({"c": 1}).apply(object.clone()).is_err());
    assert!(json!([1]).apply(object).is_err());
    let edits = vec![("a".to_owned(), ValuePatch::Set(json!(2))); 2];
    let twice = ValuePatch::Object { remove: vec![], edit: edits };
    assert!(json!({"a": 1}).apply(twice).is_err());
    assert!(Patching::<Value>::new().apply(Codec::Json, &mut json!(1), b"{").is_err());
    assert!(Some(1).diff(&None).is_some_and(|patch| None.apply(patch).is_ok()));
    assert!(None.apply(OptionPatch::<u32, u32>::Edit(3)).is_err());
}

#[test]
fn a_value_that_is_written_as_nothing_is_a_change_too() {
    #[derive(Clone, Default, Serialize, Deserialize, Delta)]
    #[delta(whole)]
    struct Wrapped(Option<u8>);

    #[derive(Clone, Default, Serialize, Deserialize, Delta)]
    struct State {
        #[delta(whole)]
        whole: Option<u8>,
        wrapped: Wrapped,
        option: Option<u8>,
        json: Value,
    }
    let before =
        State { whole: Some(1), wrapped: Wrapped(Some(1)), option: Some(1), json: json!({"a": 1}) };
    patched(&before, |state| state.whole = None);
    patched(&before, |state| state.wrapped.0 = None);
    patched(&before, |state| state.option = None);
    patched(&before, |state| state.json = Value::Null);
    patched(&before, |state| state.json["a"] = Value::Null);
}

#[test]
fn a_struct_without_fields_never_changes() {
    assert_eq!(patched(&Nothing, |_| {}), 0);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..4i64).prop_map(Value::from),
        prop_oneof![Just(0.0), Just(-0.0), Just(1.0)].prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u8),
    Update(u8),
    Remove(u8),
    Rebuild,
    Clear,
    PushBack(u8),
    PushFront(u8),
    PopBack,
    PopFront,
    Set(usize, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..12u8, any::<u8>()).prop_map(|(key, value)| Step::Insert(key, value)),
        (0..12u8).prop_map(Step::Update),
        (0..12u8).prop_map(Step::Remove),
        Just(Step::Rebuild),
        Just(Step::Clear),
        (0..3u8).prop_map(Step::PushBack),
        (0..3u8).prop_map(Step::PushFront),
        Just(Step::PopBack),
        Just(Step::PopFront),
        (0..6usize, 0..3u8).prop_map(|(index, value)| Step::Set(index, value)),
    ]
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, Delta)]
struct Both {
    map: Map<u8, u8>,
    list: List<u8>,
    plain: BTreeMap<u8, u8>,
    vec: Vec<u8>,
    deque: VecDeque<u8>,
}

impl Both {
    fn take(&mut self, step: &Step) {
        self.take_apart_from_deque(step);
        self.deque = self.vec.iter().copied().collect();
    }

    fn take_apart_from_deque(&mut self, step: &Step) {
        match *step {
            Step::Insert(key, value) => {
                self.map.insert(key, value);
                self.plain.insert(key, value);
            }
            Step::Update(key) => _ = self.map.update(&key, |value| *value = value.wrapping_add(1)),
            Step::Remove(key) => {
                self.map.remove(&key);
                self.plain.remove(&key);
            }
            Step::Rebuild => {
                self.map = self.map.iter().map(|(key, value)| (*key, *value)).collect();
                self.list = self.list.iter().copied().collect();
            }
            Step::Clear => {
                self.map.clear();
                self.list.clear();
            }
            Step::PushBack(value) => {
                self.list.push_back(value);
                self.vec.push(value);
            }
            Step::PushFront(value) => {
                self.list.push_front(value);
                self.vec.insert(0, value);
            }
            Step::PopBack => {
                self.list.pop_back();
                self.vec.pop();
            }
            Step::PopFront => {
                self.list.pop_front();
                self.vec = self.vec.split_off(self.vec.len().min(1));
            }
            Step::Set(index, value) => {
                self.list.set(index, value);
                if let Some(element) = self.vec.get_mut(index) {
                    *element = value;
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn the_state_from_before_with_the_patch_is_the_state_after(
        first in prop::collection::vec(step(), 0..30),
        then in prop::collection::vec(step(), 0..12),
    ) {
        let mut before = Both::default();
        first.iter().for_each(|step| before.take(step));
        patched(&before, |both| then.iter().for_each(|step| both.take(step)));
    }

    #[test]
    fn any_json_becomes_any_other(before in value(), after in value()) {
        patched(&before, |value| *value = after);
    }
}
