use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::*;
use crate::state::digest;

fn of<T: Serialize + ?Sized>(value: &T) -> Digest {
    digest(value).expect("serialises")
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u8, String),
    Remove(u8),
    Update(u8, char),
    RetainOdd,
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (any::<u8>(), ".{0,20}").prop_map(|(key, value)| Op::Insert(key % 64, value)),
        4 => any::<u8>().prop_map(|key| Op::Remove(key % 64)),
        4 => (any::<u8>(), any::<char>()).prop_map(|(key, c)| Op::Update(key % 64, c)),
        1 => Just(Op::RetainOdd),
        1 => Just(Op::Clear),
    ]
}

/// Does the same to both, and checks that they say the same of it.
fn apply(op: Op, map: &mut Map<u8, String>, model: &mut BTreeMap<u8, String>) {
    match op {
        Op::Insert(key, value) => {
            assert_eq!(map.insert(key, value.clone()), model.insert(key, value).is_none());
        }
        Op::Remove(key) => assert_eq!(map.remove(&key), model.remove(&key).is_some()),
        Op::Update(key, c) => {
            let told = map.update(&key, |value| {
                value.push(c);
                value.len()
            });
            let expected = model.get_mut(&key).map(|value| {
                value.push(c);
                value.len()
            });
            assert_eq!(told, expected);
        }
        Op::RetainOdd => {
            map.retain(|key, _| key % 2 == 1);
            model.retain(|key, _| key % 2 == 1);
        }
        Op::Clear => {
            map.clear();
            model.clear();
        }
    }
}

proptest! {
    #[test]
    fn a_map_has_the_digest_and_the_content_of_a_btree_map_with_the_same_history(
        ops in prop::collection::vec(op(), 0..120)
    ) {
        let (mut map, mut model) = (Map::new(), BTreeMap::new());
        for op in ops {
            apply(op, &mut map, &mut model);
            prop_assert_eq!(of(&map), of(&model));
        }
        prop_assert_eq!(map.len(), model.len());
        prop_assert!(map.iter().eq(model.iter()));
        prop_assert!(map.iter().rev().eq(model.iter().rev()));
        let hashed: HashMap<_, _> = model.clone().into_iter().collect();
        prop_assert_eq!(of(&map), of(&hashed));
        prop_assert_eq!(map.tally.unhashed, 0);
    }

    #[test]
    fn a_clone_is_independent_of_what_it_was_cloned_from(
        first in prop::collection::vec(op(), 0..60),
        second in prop::collection::vec(op(), 0..60)
    ) {
        let (mut map, mut model) = (Map::new(), BTreeMap::new());
        first.into_iter().for_each(|op| apply(op, &mut map, &mut model));
        let (before, frozen) = (map.clone(), model.clone());
        second.into_iter().for_each(|op| apply(op, &mut map, &mut model));
        prop_assert!(before.iter().eq(frozen.iter()));
        prop_assert_eq!(of(&before), of(&frozen));
        prop_assert_eq!(of(&map), of(&model));
    }

    #[test]
    fn maps_survive_json_and_message_pack(
        model in prop::collection::btree_map(".{0,8}", any::<Option<i32>>(), 0..40)
    ) {
        let map: Map<String, Option<i32>> = model.clone().into_iter().collect();
        let json = serde_json::to_string(&map).expect("encodes");
        prop_assert_eq!(&json, &serde_json::to_string(&model).expect("encodes"));
        let packed = rmp_serde::to_vec_named(&map).expect("encodes");
        prop_assert_eq!(&packed, &rmp_serde::to_vec_named(&model).expect("encodes"));

        let unjsoned: Map<String, Option<i32>> = serde_json::from_str(&json).expect("decodes");
        let unpacked: Map<String, Option<i32>> = rmp_serde::from_slice(&packed).expect("decodes");
        for copy in [unjsoned, unpacked] {
            prop_assert_eq!(&copy, &map);
            prop_assert_eq!(of(&copy), of(&model));
        }
    }
}

#[test]
fn maps_in_maps_have_the_digest_of_plain_ones() {
    let mut rooms: Map<String, Map<u32, Vec<String>>> = Map::new();
    let mut model: BTreeMap<String, BTreeMap<u32, Vec<String>>> = BTreeMap::new();
    for n in 0..50u32 {
        let room = format!("room {}", n % 7);
        let line = vec![format!("line {n}")];
        model.entry(room.clone()).or_default().insert(n, line.clone());
        if rooms.update(&room, |lines| lines.insert(n, line.clone())).is_none() {
            rooms.insert(room, Map::from_iter([(n, line)]));
        }
        assert_eq!(of(&rooms), of(&model));
    }
}

#[test]
fn a_state_is_digested_without_walking_the_maps_in_it() {
    thread_local!(static SEEN: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
    struct Counted;
    impl Serialize for Counted {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            SEEN.set(SEEN.get() + 1);
            serializer.serialize_unit()
        }
    }

    let map: Map<u32, Counted> = (0..1_000).map(|key| (key, Counted)).collect();
    SEEN.set(0);
    of(&(&map, 1));
    assert_eq!(SEEN.get(), 0);
    serde_json::to_string(&map).expect("encodes");
    assert_eq!(SEEN.get(), 1_000, "an encoder sees every entry");
}

/// Serialises as told.
#[derive(Clone, PartialEq, Debug)]
enum Moody {
    Calm(u32),
    Fails,
    Panics,
}

impl Serialize for Moody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Moody::Calm(n) => serializer.serialize_u32(*n),
            Moody::Fails => Err(serde::ser::Error::custom("in a mood")),
            Moody::Panics => panic!("in a mood"),
        }
    }
}

#[test]
fn an_insert_whose_serialize_panics_leaves_the_map_as_it_was() {
    let mut map = Map::from_iter([(1, Moody::Calm(1)), (2, Moody::Calm(2))]);
    let before = of(&map);
    for key in [1, 3] {
        let outcome = catch_unwind(AssertUnwindSafe(|| map.insert(key, Moody::Panics)));
        assert!(outcome.is_err());
        assert_eq!(map, Map::from_iter([(1, Moody::Calm(1)), (2, Moody::Calm(2))]));
        assert_eq!(of(&map), before);
    }
}

#[test]
fn an_entry_whose_serialize_fails_is_kept_and_the_digest_says_why_until_it_is_gone() {
    let mut map = Map::from_iter([(1, Moody::Calm(1))]);
    let before = of(&map);
    assert!(map.insert(2, Moody::Fails));
    assert_eq!(map.get(&2), Some(&Moody::Fails));
    assert!(digest(&map).expect_err("must fail").reason.contains("in a mood"));
    assert!(!map.insert(2, Moody::Calm(2)));
    assert_eq!(of(&map), of(&BTreeMap::from([(1, 1), (2, 2)])));
    map.update(&2, |value| *value = Moody::Fails);
    assert!(map.remove(&2));
    assert_eq!(of(&map), before);
}

#[test]
fn a_reducer_that_panics_is_rolled_back_by_the_clone_made_before() {
    let mut map: Map<u32, Vec<u32>> = (0..100).map(|key| (key, vec![key])).collect();
    let (before, digest_before) = (map.clone(), of(&map));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        map.insert(7, vec![]);
        map.remove(&8);
        map.update(&9, |value| {
            value.push(0);
            panic!("half done");
        })
    }));
    assert!(outcome.is_err());

    // What it left behind is still told as it is, not as it was.
    let left: BTreeMap<_, _> = map.iter().collect();
    assert_eq!(left[&9], &[9, 0]);
    assert_eq!(of(&map), of(&left));

    map = before;
    assert_eq!(of(&map), digest_before);
    assert!(map.iter().eq((0..100).map(|key| (key, vec![key])).collect::<BTreeMap<_, _>>().iter()));
}

#[test]
fn an_entry_is_hashed_by_its_key_as_kept_and_not_as_borrowed() {
    #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
    struct Id {
        name: String,
    }
    impl Borrow<str> for Id {
        fn borrow(&self) -> &str {
            &self.name
        }
    }

    let id = Id { name: "a".to_owned() };
    let mut map = Map::from_iter([(id.clone(), 1)]);
    map.update("a", |value| *value += 1);
    assert_eq!(of(&map), of(&BTreeMap::from([(id, 2)])));
}

#[test]
fn a_length_that_lies_and_a_key_that_comes_twice_do_no_harm() {
    // A MessagePack map that announces 2^32 - 1 entries and holds none.
    let lie = [0xdf, 0xff, 0xff, 0xff, 0xff];
    assert!(rmp_serde::from_slice::<Map<u32, u32>>(&lie).is_err());

    let map: Map<String, u32> = serde_json::from_str(r#"{"a":1,"a":2}"#).expect("decodes");
    assert_eq!(of(&map), of(&BTreeMap::from([("a", 2)])));
}

#[test]
fn reads_and_ranges_are_in_the_order_of_the_keys() {
    let map = Map::from_iter([(3, 'c'), (1, 'a'), (2, 'b')]);
    assert!(map.keys().eq(&[1, 2, 3]));
    assert!(map.values().rev().eq(&['c', 'b', 'a']));
    assert!(map.range(2..).eq([(&2, &'b'), (&3, &'c')]));
    assert_eq!(map.first_key_value(), Some((&1, &'a')));
    assert_eq!(map.last_key_value(), Some((&3, &'c')));
    assert_eq!(map.iter().len(), 3);
    assert_eq!(format!("{map:?}"), "{1: 'a', 2: 'b', 3: 'c'}");
}

#[test]
fn a_map_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Map<String, Map<u32, String>>>();
}
