//! Patches of types and values that few states have.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, VecDeque};

use samestate_proto::replication::StateMachine;
use samestate_proto::wire::Codec;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tests::patched;
use super::*;
use crate::ReducerMachine;
use crate::state::mix::{Mix, Tag};
use crate::state::{List, Map, digest};

/// A type that contains itself in every way that there is.
#[derive(Clone, Default, Serialize, Deserialize, Delta)]
struct Comment {
    text: String,
    replies: Vec<Comment>,
    queue: VecDeque<Comment>,
    by_name: BTreeMap<String, Comment>,
    by_hash: HashMap<String, Self>,
    list: List<Comment>,
    map: Map<u8, Self>,
    boxed: Option<Box<Self>>,
    next: Option<Box<Comment>>,
    many: Option<Vec<Comment>>,
}

#[test]
fn the_time_for_a_patch_does_not_grow_exponentially_with_the_levels() {
    fn wrap(put: fn(&mut Comment, Comment)) {
        let at = |text: &str| {
            let innermost = Comment { text: text.into(), ..Comment::default() };
            (0..25).fold(innermost, |inner, _| {
                let mut outer = Comment::default();
                put(&mut outer, inner);
                outer
            })
        };
        let (before, after) = (at("before"), at("after"));
        let patch = after.diff(&before).expect("it changed");
        let mut copy = before;
        copy.apply(patch).expect("it fits");
        assert!(copy.is_same(&after));
    }
    wrap(|outer, inner| outer.replies.push(inner));
    wrap(|outer, inner| outer.queue.push_back(inner));
    wrap(|outer, inner| _ = outer.by_name.insert("a".into(), inner));
    wrap(|outer, inner| _ = outer.by_hash.insert("a".into(), inner));
    wrap(|outer, inner| outer.list.push_back(inner));
    wrap(|outer, inner| _ = outer.map.insert(1, inner));
    wrap(|outer, inner| outer.boxed = Some(Box::new(inner)));
    wrap(|outer, inner| outer.next = Some(Box::new(inner)));
    wrap(|outer, inner| outer.many = Some(vec![inner]));
}

#[test]
fn a_comment_in_a_thread_is_patched() {
    let mut before = Comment::default();
    for level in 0..8u8 {
        let inner = std::mem::take(&mut before);
        before.map.insert(level, inner.clone());
        before.replies = vec![inner.clone(), inner];
    }
    patched(&before, |thread| thread.replies[1].replies[0].text = "edited".into());
    patched(&before, |thread| {
        let mut inner = thread.map.get(&7).cloned().expect("it is there");
        inner.map = std::mem::take(&mut thread.map);
        thread.map.insert(3, inner);
    });
}

/// Keys that are equal, and are not written alike.
#[derive(Clone, Serialize, Deserialize, Delta, PartialEq, Eq)]
struct NoCase(String);

impl Ord for NoCase {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.to_lowercase().cmp(&other.0.to_lowercase())
    }
}

impl PartialOrd for NoCase {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[test]
fn a_key_that_is_written_in_another_way_is_a_change() {
    let key = |text: &str| NoCase(text.into());
    let before = Map::from_iter([(key("Foo"), 1), (key("other"), 2)]);
    patched(&before, |map| _ = map.insert(key("FOO"), 1));
    patched(&before, |map| _ = map.insert(key("FOO"), 3));
    patched(&before, |map| {
        *map = map.iter().map(|(k, v)| (key(&k.0.to_lowercase()), *v)).collect()
    });
    patched(&before, |map| {
        map.remove(&key("OTHER"));
        map.insert(key("NEW"), 1);
        map.remove(&key("new"));
        map.insert(key("new"), 1);
        map.insert(key("New"), 4);
    });
}

#[deny(
    dead_code,
    deprecated,
    missing_debug_implementations,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    private_interfaces,
    unreachable_pub,
    unused_qualifications,
    warnings,
    clippy::all,
    clippy::pedantic,
    reason = "a derive causes no warnings"
)]
mod strict {
    use super::*;

    /// The name that the patch could have.
    #[derive(Debug)]
    pub(super) struct TasksPatch;

    #[derive(Clone, Debug, Default, Serialize, Deserialize, Delta)]
    struct Hidden {
        _one: u8,
        two_: Vec<Hidden>,
    }

    /// A state.
    #[derive(Clone, Debug, Default, Serialize, Deserialize, Delta)]
    #[serde(rename_all = "camelCase", default)]
    #[allow(non_snake_case, reason = "the patch has this name too")]
    pub(super) struct Tasks {
        /// A field that others see.
        pub(super) byId: Map<u64, String>,
        hidden: Hidden,
        pub(super) wrapped: Wrapped<u8>,
        pub(super) grid: Grid<2>,
    }

    /// A struct with a parameter.
    #[derive(Clone, Debug, Default, Serialize, Deserialize, Delta)]
    #[delta(whole)]
    pub(super) struct Wrapped<T>(pub(super) T);

    /// An enum with a parameter.
    #[derive(Clone, Debug, Serialize, Deserialize, Delta)]
    pub(super) enum Grid<const N: usize> {
        /// Rows.
        Rows(Vec<u8>),
    }

    impl<const N: usize> Default for Grid<N> {
        fn default() -> Self {
            Grid::Rows(vec![0; N])
        }
    }

    impl Tasks {
        pub(super) fn hide(&mut self) {
            self.hidden.two_.push(Hidden::default());
        }
    }
}

#[test]
fn the_patch_of_a_struct_takes_no_name_and_causes_no_warning() {
    let before = strict::Tasks::default();
    patched(&before, |tasks| _ = tasks.byId.insert(1, "a".into()));
    patched(&before, strict::Tasks::hide);
    patched(&before, |tasks| tasks.wrapped.0 = 4);
    patched(&before, |tasks| tasks.grid = strict::Grid::Rows(vec![1]));
    let patch = strict::Wrapped(1).diff(&strict::Wrapped(2)).expect("a change");
    assert_eq!(format!("{patch:?} {:?}", strict::TasksPatch), "Wrapped(1) TasksPatch");
}

#[test]
fn unusual_keys_and_values_are_patched() {
    #[derive(Clone, Default, Serialize, Deserialize, Delta)]
    struct State {
        units: Map<u8, ()>,
        options: Map<u8, Option<()>>,
        nested: Option<Option<u8>>,
        wide: Map<u128, i128>,
        floats: Vec<f64>,
        r#type: Option<u8>,
        #[serde(rename = "text")]
        r#struct: Box<str>,
        #[serde(flatten)]
        rest: BTreeMap<String, String>,
    }
    let before = State { floats: vec![0.0, 1.0], ..State::default() };
    patched(&before, |state| _ = state.units.insert(1, ()));
    patched(&before, |state| _ = state.options.insert(1, None));
    patched(&before, |state| _ = state.wide.insert(u128::MAX, i128::MIN));
    patched(&before, |state| state.floats[0] = -0.0);
    patched(&before, |state| state.floats[1] = f64::MIN_POSITIVE / 3.0);
    patched(&before, |state| state.r#type = Some(1));
    patched(&before, |state| state.r#struct = "text".into());
    patched(&before, |state| _ = state.rest.insert("a".into(), "b".into()));
    patched(&before, |state| state.nested = Some(None));
}

#[test]
fn a_map_in_a_map_and_in_a_history_of_the_state_is_patched() {
    #[derive(Clone, Default, Serialize, Deserialize, Delta)]
    struct State {
        current: Map<u32, String>,
        past: List<Map<u32, String>>,
        by_name: Map<String, Map<u32, List<u8>>>,
        #[delta(whole)]
        whole: Vec<Map<u32, String>>,
    }
    let mut state = State::default();
    for n in 0..40u32 {
        let change = |state: &mut State| {
            state.current.insert(n % 7, n.to_string());
            state.past.push_back(state.current.clone());
            state.past.truncate_front(5);
            state.past.update(2, |map| map.insert(n % 3, "x".into()));
            state.whole = state.past.iter().cloned().collect();
            if n % 5 == 0 {
                state.current = state.past.pop_front().unwrap_or_default();
            }
            let name = ["a", "b"][n as usize % 2];
            if !state.by_name.contains_key(name) {
                state.by_name.insert(name.into(), Map::new());
            }
            state.by_name.update(name, |map| {
                let mut list = map.get(&(n % 4)).cloned().unwrap_or_default();
                list.push_back(n as u8);
                map.insert(n % 4, list);
            });
        };
        patched(&state, change);
        state.record(true);
        change(&mut state);
        state.record(false);
    }
}

#[test]
fn a_recording_holds_no_older_state() {
    // A value in the state from before is dropped with that state, wherever the map has gone.
    #[derive(Clone, Serialize, Deserialize, Delta)]
    #[delta(whole)]
    struct Counted(std::sync::Arc<()>);
    let counter = std::sync::Arc::new(());
    let mut map = Map::from_iter([(1, Counted(counter.clone()))]);
    map.record(true);
    let archived = {
        let mut clone = map.clone();
        clone.remove(&1);
        clone
    };
    map.record(false);
    map.clear();
    assert!(archived.is_empty());
    assert_eq!(std::sync::Arc::strong_count(&counter), 1);
}

#[test]
fn json_that_nests_deep_is_patched_too() {
    let nested = |levels, leaf: u8| {
        (0..levels).fold(json!(leaf), |inner, level| match level % 2 {
            0 => json!({"a": 1, "b": inner}),
            _ => json!([inner, 0]),
        })
    };
    patched(&nested(70, 1), |json| *json = nested(70, 2));
    // Deeper than JSON: the stack is bounded all the same.
    let (before, after) = (nested(1000, 1), nested(1000, 2));
    let patch = after.diff(&before).expect("it changed");
    let mut copy = before;
    copy.apply(patch).expect("it fits");
    assert!(copy.is_same(&after));
}

#[test]
fn panics_and_rejects_on_the_way_are_in_no_patch() {
    #[derive(Serialize, Deserialize)]
    enum Action {
        Put(u32),
        Reject,
        PanicAfter(u32),
    }
    let reduce = |state: &mut Map<u32, List<u32>>, action: &Action| {
        let put = |state: &mut Map<u32, List<u32>>, n: u32| {
            state.insert(n % 5, List::from_iter(0..n));
            state.update(&(n % 3), |list| list.push_back(n));
        };
        match action {
            Action::Put(n) => put(state, *n),
            Action::Reject => return Err(crate::Reject::from("no")),
            Action::PanicAfter(n) => {
                put(state, *n);
                panic!("after {n}");
            }
        }
        Ok(())
    };
    for codec in [Codec::MessagePack, Codec::Json] {
        let machine = || ReducerMachine::new(Map::new(), reduce, codec).with_patches();
        let (mut sender, mut copy) = (machine(), machine());
        for n in 0..30 {
            for action in [Action::Put(n), Action::Reject, Action::PanicAfter(n)] {
                let (mut payload, mut patch) = (Vec::new(), Vec::new());
                crate::codec::encode(codec, &action, &mut payload).expect("it is encodable");
                let reduced = sender.apply_and_diff(&payload, &mut patch, usize::MAX);
                assert_eq!(reduced.is_ok(), matches!(action, Action::Put(_)));
                if let Ok((_, is_made)) = reduced {
                    assert!(is_made, "{} bytes", patch.len());
                    copy.apply_patch(&payload, &patch).map(drop).expect("it fits");
                }
                assert_eq!(digest(&*copy.state()), digest(&*sender.state()));
            }
        }
    }
}

#[test]
fn a_patch_that_is_too_large_or_too_deep_is_refused() {
    let before = json!({});
    let (mut deep, mut out) = (before.clone(), b"ahead".to_vec());
    let refused = |after: &Value, out: &mut Vec<u8>, codec, max| {
        let refused = Patching::<Value>::new().diff(codec, &before, after, out, max).is_err();
        assert_eq!(out, b"ahead");
        refused
    };
    let after = json!({"text": "x".repeat(1000)});
    assert!(refused(&after, &mut out, Codec::Json, 1000));
    assert!(refused(&after, &mut out, Codec::MessagePack, 1000));
    (0..125).for_each(|_| deep = json!([deep]));
    assert!(refused(&json!({"deep": deep}), &mut out, Codec::Json, usize::MAX));
    let diff = |codec, after| {
        Patching::<Value>::new().diff(codec, &before, &after, &mut Vec::new(), 1 << 20)
    };
    assert!(diff(Codec::MessagePack, json!({"deep": deep})).is_ok());
}

/// Two numbers that have one hash when they are hashed after `mix`.
fn of_one_hash(mix: Mix) -> [u128; 2] {
    let after = |low: u64| {
        let mut mix = mix;
        mix.word(Tag::Wide, low);
        mix.state()
    };
    let (one, other): (u64, u64) = (5, 6);
    let (high, other_high) = (1, 1 ^ after(one) ^ after(other));
    let wide = |low: u64, high: u64| u128::from(high) << 64 | u128::from(low);
    [wide(one, high), wide(other, other_high)]
}

#[test]
fn a_change_that_the_hash_does_not_see_is_in_the_patch() {
    #[derive(Clone, Serialize, Deserialize, Delta)]
    #[delta(whole)]
    struct Whole(u128);

    fn seen<S: State + Delta>(before: S, change: impl Fn(&mut S), is_done: impl Fn(&S) -> bool) {
        let mut after = before.clone();
        after.record(true);
        let mut copy = after.clone();
        change(&mut after);
        assert!(is_done(&after) && !is_done(&copy) && digest(&after) == digest(&copy));
        assert!(!after.is_same(&copy));
        copy.apply(after.diff(&copy).expect("it changed")).expect("it fits");
        assert!(is_done(&copy));
    }
    let mut entry = Mix::new(Tag::Entry);
    entry.word(Tag::Positive, 1);
    let [one, other] = of_one_hash(entry);
    let map = |value| Map::from_iter([(1u8, value), (2, 7u128)]);
    let is_done = |map: &Map<u8, u128>| map.get(&1) == Some(&other);
    seen(map(one), |map| _ = map.insert(1, other), is_done);
    seen(map(one), |map| *map = Map::from_iter([(1, other), (2, 7)]), is_done);
    let [one, other] = of_one_hash(Mix::new(Tag::Element));
    let list = |value| List::from_iter([7, value]);
    let is_done = |list: &List<u128>| list.get(1) == Some(&other);
    seen(list(one), |list| _ = list.set(1, other), is_done);
    seen(list(one), |list| *list = List::from_iter([7, other]), is_done);
    seen(List::from_iter([one]), |list| *list = List::from_iter([other]), |list| list[0] == other);
    let [one, other] = of_one_hash(Mix::new(Tag::Root));
    seen(Whole(one), |whole| whole.0 = other, |whole| whole.0 == other);
}
