use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use serde::ser::Error;

use super::*;
use crate::state::digest;

fn of<T: Serialize + ?Sized>(value: &T) -> Digest {
    digest(value).expect("serialises")
}

#[derive(Clone, Debug)]
enum Op {
    PushBack(String),
    PushFront(String),
    PopBack,
    PopFront,
    Set(usize, String),
    Update(usize, char),
    Truncate(usize),
    TruncateFront(usize),
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => ".{0,20}".prop_map(Op::PushBack),
        3 => ".{0,20}".prop_map(Op::PushFront),
        2 => Just(Op::PopBack),
        2 => Just(Op::PopFront),
        3 => (0..40usize, ".{0,20}").prop_map(|(index, value)| Op::Set(index, value)),
        3 => (0..40usize, any::<char>()).prop_map(|(index, c)| Op::Update(index, c)),
        1 => (0..40usize).prop_map(Op::Truncate),
        1 => (0..40usize).prop_map(Op::TruncateFront),
        1 => Just(Op::Clear),
    ]
}

/// Does the same to both, and checks that they say the same of it.
fn apply(op: Op, list: &mut List<String>, model: &mut VecDeque<String>) {
    match op {
        Op::PushBack(value) => {
            list.push_back(value.clone());
            model.push_back(value);
        }
        Op::PushFront(value) => {
            list.push_front(value.clone());
            model.push_front(value);
        }
        Op::PopBack => assert_eq!(list.pop_back(), model.pop_back()),
        Op::PopFront => assert_eq!(list.pop_front(), model.pop_front()),
        Op::Set(index, value) => {
            let there = model.get_mut(index).map(|held| *held = value.clone()).is_some();
            assert_eq!(list.set(index, value), there);
        }
        Op::Update(index, c) => {
            let change = |value: &mut String| {
                value.push(c);
                value.len()
            };
            assert_eq!(list.update(index, change), model.get_mut(index).map(change));
        }
        Op::Truncate(len) => {
            list.truncate(len);
            model.truncate(len);
        }
        Op::TruncateFront(len) => {
            list.truncate_front(len);
            model.drain(..model.len().saturating_sub(len));
        }
        Op::Clear => {
            list.clear();
            model.clear();
        }
    }
}

proptest! {
    #[test]
    fn a_list_has_the_content_of_a_deque_and_the_digest_of_a_list_made_at_once(
        ops in prop::collection::vec(op(), 0..120)
    ) {
        let (mut list, mut model) = (List::new(), VecDeque::new());
        for op in ops {
            apply(op, &mut list, &mut model);
            let made_at_once: List<String> = model.iter().cloned().collect();
            prop_assert_eq!(of(&list), of(&made_at_once));
            prop_assert_eq!(list.rolling.digest(), list.walked().expect("serialises"));
        }
        prop_assert_eq!(list.len(), model.len());
        prop_assert!(list.iter().eq(model.iter()));
        prop_assert!(list.iter().rev().eq(model.iter().rev()));
        for index in 0..model.len() + 1 {
            prop_assert_eq!(list.get(index), model.get(index));
        }
        prop_assert_eq!((list.front(), list.back()), (model.front(), model.back()));
        prop_assert_eq!(list.unhashed, 0);
    }

    #[test]
    fn a_clone_is_independent_of_what_it_was_cloned_from(
        before in prop::collection::vec(op(), 0..40),
        after in prop::collection::vec(op(), 0..40),
    ) {
        let (mut list, mut model) = (List::new(), VecDeque::new());
        before.into_iter().for_each(|op| apply(op, &mut list, &mut model));
        let (clone, held, digest) = (list.clone(), model.clone(), of(&list));
        after.into_iter().for_each(|op| apply(op, &mut list, &mut model));
        prop_assert!(clone.iter().eq(held.iter()));
        prop_assert_eq!(of(&clone), digest);
    }

    #[test]
    fn a_list_is_a_sequence_to_encoders_and_comes_back_as_it_was(
        values in prop::collection::vec(any::<i64>(), 0..60)
    ) {
        let list: List<i64> = values.iter().copied().collect();
        let json = serde_json::to_string(&list).expect("encodes");
        prop_assert_eq!(&json, &serde_json::to_string(&values).expect("encodes"));
        let packed = rmp_serde::to_vec(&list).expect("encodes");
        let back: List<i64> = rmp_serde::from_slice(&packed).expect("decodes");
        prop_assert_eq!(of(&back), of(&list));
        prop_assert_eq!(&back, &values);
    }

    #[test]
    fn a_range_is_the_slice_of_a_vec_as_far_as_there_is_one(
        values in prop::collection::vec(any::<u8>(), 0..30),
        from in 0..40usize,
        until in 0..40usize,
    ) {
        let list: List<u8> = values.iter().copied().collect();
        let end = until.min(values.len());
        let expected = values.get(from..end).unwrap_or_default();
        prop_assert!(list.range(from..until).eq(expected));
        prop_assert!(list.range(from..).eq(values.get(from..).unwrap_or_default()));
        prop_assert!(list.range(..).eq(&values));
    }
}

#[test]
fn order_and_length_count() {
    let list = |values: &[u8]| -> List<u8> { values.iter().copied().collect() };
    let digests = [&[][..], &[0], &[0, 0], &[1, 2], &[2, 1], &[1, 2, 0]].map(list).map(|l| of(&l));
    for (at, one) in digests.iter().enumerate() {
        assert!(!digests[at + 1..].contains(one), "{at}");
    }
}

/// A value that refuses to be serialised where it is below zero.
#[derive(Clone, Debug, PartialEq)]
struct Shy(i8);

impl Serialize for Shy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 < 0 {
            true => Err(S::Error::custom("below zero")),
            false => self.0.serialize(serializer),
        }
    }
}

#[test]
fn an_element_that_does_not_serialise_is_said_for_as_long_as_it_is_there() {
    let mut list: List<Shy> = [Shy(1), Shy(-1), Shy(2)].into_iter().collect();
    let error = digest(&list).expect_err("one refuses");
    assert!(error.to_string().contains("below zero"), "{error}");
    assert!(list.set(1, Shy(5)));
    assert_eq!(of(&list), of(&[Shy(1), Shy(5), Shy(2)].into_iter().collect::<List<_>>()));
    list.push_front(Shy(-2));
    assert!(digest(&list).is_err());
    assert_eq!(list.pop_front(), Some(Shy(-2)));
    assert_eq!(list.rolling.digest(), list.walked().expect("serialises"));
}

#[test]
fn a_change_that_panics_leaves_the_digest_true() {
    let mut list: List<u32> = (0..10).collect();
    let before = list.clone();
    let change = AssertUnwindSafe(|| {
        list.update(4, |value| {
            *value = 77;
            panic!("halfway");
        })
    });
    assert!(catch_unwind(change).is_err());
    assert_eq!((list[4], before[4]), (77, 4));
    let expected: List<u32> = [0, 1, 2, 3, 77, 5, 6, 7, 8, 9].into_iter().collect();
    assert_eq!(of(&list), of(&expected), "taken from the elements, not from a stale sum");
    list.update(4, |value| *value = 4);
    assert_eq!((of(&list), list.unhashed), (of(&before), 0));
}
