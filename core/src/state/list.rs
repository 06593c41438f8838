//! The persistent list that ships with the library.
//!
//! It is a red-black tree (`rpds`) whose keys are the positions, and not a bit-partitioned trie
//! (`rpds::Vector`), because logs and queues lose their oldest elements: a trie can only be cut at
//! its end. In a tree both ends cost the same, and no operation is ever dearer than O(log n), where
//! a trie with a gap at its front has to be built anew now and then, in the middle of a dispatch.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, Index, RangeBounds};
use std::ptr;

use rpds::RedBlackTreeMapSync;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::delta::{Overlap, Recorded};
use super::digest::{Digest, DigestError};
use super::feed::element_hash;
use super::rolling::Rolling;
use super::supply::serialize_with_digest;

/// A list that is cloned in O(1) and keeps its digest.
///
/// Reading, changing, and adding or taking out at either end take O(log n). Clones share what they
/// have in common, and a change to one does not show in another. There is no insertion in the
/// middle: a [`Map`](super::Map) with keys of your own is for that.
///
/// ```
/// use samestate::state::List;
///
/// let mut log = List::from_iter(["one", "two", "three"]);
/// let before = log.clone();
/// log.push_back("four");
/// log.truncate_front(2);
/// assert_eq!(log, ["three", "four"]);
/// assert_eq!((before.len(), log.get(1)), (3, Some(&"four")));
/// ```
///
/// # The digest
///
/// Each element's hash is taken when it is put in, and kept beside it; the list keeps a polynomial
/// of them (see [`Digest`]), which follows every operation above in O(1), but for a change in the
/// middle, which takes O(log n). It is another digest than that of a `Vec` of the same content.
/// There is no `get_mut`: elements change by [`update`](List::update), which takes the new hash. A
/// value that changes behind a shared reference (a `Cell`, a lock) would leave the digest behind:
/// do not put such in a state.
///
/// # Patches
///
/// The elements that an action touches are recorded for mode [`delta`](crate::Mode::Delta), so a
/// patch of a list takes O(what changed). A list that was put together anew is compared element by
/// element.
///
/// An element whose `Serialize` fails is kept like any other, and [`digest`](super::digest()) says
/// what failed, for as long as it is there.
pub struct List<T> {
    elements: Tree<T>,
    /// The key of the first element. The keys are contiguous.
    first: u64,
    rolling: Rolling,
    /// The number of elements without a hash: their `Serialize` failed, or a change to them
    /// panicked.
    unhashed: usize,
    /// The keys that an action touches, for a patch.
    recorded: Recorded<u64>,
}

type Tree<T> = RedBlackTreeMapSync<u64, Kept<T>>;

/// Keys begin in the middle, which leaves room for 2^63 elements at either end.
const FIRST: u64 = 1 << 63;

/// A value, and its hash as it is in the digest: `None` where there is none.
#[derive(Clone)]
struct Kept<T> {
    value: T,
    hash: Option<u64>,
}

impl<T> List<T> {
    /// A list without elements.
    pub fn new() -> Self {
        List {
            elements: Tree::new_sync(),
            first: FIRST,
            rolling: Rolling::default(),
            unhashed: 0,
            recorded: Recorded::default(),
        }
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.elements.size()
    }

    /// Returns whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The element at `index`, from 0.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.elements.get(&self.key(index)).map(|kept| &kept.value)
    }

    /// The first element.
    pub fn front(&self) -> Option<&T> {
        self.elements.first().map(|(_, kept)| &kept.value)
    }

    /// The last element.
    pub fn back(&self) -> Option<&T> {
        self.elements.last().map(|(_, kept)| &kept.value)
    }

    /// All elements, in order.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { elements: self.elements.iter() }
    }

    /// The elements at the positions in `range`, in order: found in O(log n), none beyond the end.
    pub fn range(&self, range: impl RangeBounds<usize>) -> impl DoubleEndedIterator<Item = &T> {
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let until = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(until) => *until,
            Bound::Unbounded => self.len(),
        };
        let until = until.min(self.len());
        let keys = self.key(from.min(until))..self.key(until);
        self.elements.range(keys).map(|(_, kept)| &kept.value)
    }

    /// Takes every element out.
    pub fn clear(&mut self) {
        *self = List::new();
    }

    /// Keeps the first `len` elements, and takes out those after them.
    pub fn truncate(&mut self, len: usize) {
        while self.len() > len {
            self.drop_back();
        }
    }

    /// Keeps the last `len` elements, and takes out those before them: what a log or a ring does
    /// with its oldest.
    pub fn truncate_front(&mut self, len: usize) {
        while self.len() > len {
            self.drop_front();
        }
    }

    /// Takes the first element out.
    pub fn pop_front(&mut self) -> Option<T>
    where
        T: Clone,
    {
        let front = self.front().cloned()?;
        self.drop_front();
        Some(front)
    }

    /// Takes the last element out.
    pub fn pop_back(&mut self) -> Option<T>
    where
        T: Clone,
    {
        let back = self.back().cloned()?;
        self.drop_back();
        Some(back)
    }

    fn drop_front(&mut self) {
        let Some((key, kept)) = self.elements.first() else { return };
        let (key, hash) = (*key, kept.hash);
        self.recorded.touch(|| key);
        self.elements.remove_mut(&key);
        self.first = key + 1;
        self.unhashed -= usize::from(hash.is_none());
        self.rolling.pop_front(hash);
    }

    fn drop_back(&mut self) {
        let Some((key, kept)) = self.elements.last() else { return };
        let (key, hash) = (*key, kept.hash);
        self.recorded.touch(|| key);
        self.elements.remove_mut(&key);
        self.unhashed -= usize::from(hash.is_none());
        self.rolling.pop_back(hash);
    }

    fn key(&self, index: usize) -> u64 {
        self.first.saturating_add(index as u64)
    }
}

impl<T: Serialize> List<T> {
    /// Adds an element at the end.
    ///
    /// If its `Serialize` panics, the list stays as it was.
    pub fn push_back(&mut self, value: T) {
        let hash = element_hash(&value).ok();
        let key = self.key(self.len());
        self.recorded.touch(|| key);
        self.elements.insert_mut(key, Kept { value, hash });
        self.unhashed += usize::from(hash.is_none());
        self.rolling.push_back(hash);
    }

    /// Adds an element at the beginning.
    ///
    /// If its `Serialize` panics, the list stays as it was.
    pub fn push_front(&mut self, value: T) {
        let hash = element_hash(&value).ok();
        self.first -= 1;
        let key = self.first;
        self.recorded.touch(|| key);
        self.elements.insert_mut(key, Kept { value, hash });
        self.unhashed += usize::from(hash.is_none());
        self.rolling.push_front(hash);
    }

    /// Puts `value` at `index`, in place of what was there; false, and nothing done, where there is
    /// nothing.
    ///
    /// If its `Serialize` panics, the list stays as it was.
    pub fn set(&mut self, index: usize, value: T) -> bool {
        let key = self.key(index);
        let Some(before) = self.elements.get(&key).map(|kept| kept.hash) else { return false };
        let hash = element_hash(&value).ok();
        self.recorded.touch(|| key);
        self.elements.insert_mut(key, Kept { value, hash });
        self.rehash(index, before, hash);
        true
    }

    /// Changes the element at `index` in place, and gives what `change` gave; `None`, and nothing
    /// done, where there is nothing. A value that a clone shares is cloned first.
    ///
    /// If `change` panics, the element is as `change` left it, and the digest says so: clones made
    /// before are untouched.
    pub fn update<R>(&mut self, index: usize, change: impl FnOnce(&mut T) -> R) -> Option<R>
    where
        T: Clone,
    {
        let key = self.key(index);
        // Asked first because rpds copies the path to a key even where it is not there.
        let before = self.elements.get(&key)?.hash;
        // Without a hash for as long as it is in other hands: should `change` panic, the element
        // stays so, and a digest walks the list instead of trusting a stale hash.
        self.rehash(index, before, None);
        self.recorded.touch(|| key);
        let kept = self.elements.get_mut(&key)?;
        kept.hash = None;
        let outcome = change(&mut kept.value);
        let hash = element_hash(&kept.value).ok();
        kept.hash = hash;
        self.rehash(index, None, hash);
        Some(outcome)
    }

    /// The element at `index` has this hash instead of that one.
    fn rehash(&mut self, index: usize, before: Option<u64>, after: Option<u64>) {
        self.unhashed += usize::from(after.is_none());
        self.unhashed -= usize::from(before.is_none());
        self.rolling.replace(index, before, after);
    }

    /// The digest, made anew from the elements.
    fn walked(&self) -> Result<Digest, DigestError> {
        let mut rolling = Rolling::default();
        for value in self {
            rolling.push_back(Some(element_hash(value).map_err(DigestError::of::<T>)?));
        }
        Ok(rolling.digest())
    }
}

impl<T> List<T> {
    /// Starts or ends the recording of touched keys.
    pub(super) fn set_recording(&mut self, recording: bool) {
        self.recorded.set(recording);
    }

    /// Returns whether both lists share everything.
    pub(super) fn is_shared_with(&self, before: &Self) -> bool {
        self.elements.ptr_eq(&before.elements)
    }

    /// Returns whether the hashes differ, so that the content does. Equal hashes prove nothing: a
    /// client can choose values for that.
    pub(super) fn is_known_other(&self, before: &Self) -> bool {
        let known = self.unhashed == 0 && before.unhashed == 0;
        let other = known && self.rolling.digest() != before.rolling.digest();
        self.len() != before.len() || other
    }

    /// Returns the place of the elements that are in both lists; `None` if the lists are the same.
    pub(super) fn overlap(&self, before: &Self) -> Option<Overlap> {
        if self.is_shared_with(before) {
            return None;
        }
        let Some(touched) = self.recorded.since(&before.recorded) else {
            return Some(self.compared(before));
        };
        let from = self.first.max(before.first);
        let until = self.key(self.len()).min(before.key(before.len()));
        let len = usize::try_from(until.saturating_sub(from)).unwrap_or_default();
        if len == 0 {
            return Some(Overlap { before: before.len(), after: 0, len, touched: Vec::new() });
        }
        let within = touched.iter().filter(|key| (from..until).contains(*key));
        let mut touched: Vec<_> = within.map(|key| (key - from) as usize).collect();
        touched.sort_unstable();
        touched.dedup();
        let (before, after) = ((from - before.first) as usize, (from - self.first) as usize);
        Some(Overlap { before, after, len, touched })
    }

    /// Finds the place by the hash of the first element: as a queue moves, its oldest gone.
    fn compared(&self, before: &Self) -> Overlap {
        let front = self.elements.first().and_then(|(_, kept)| kept.hash);
        let is_front = |old: &Kept<T>| front.is_some() && old.hash == front;
        let skipped = before.elements.values().position(is_front).unwrap_or_default();
        let len = (before.len() - skipped).min(self.len());
        let pairs = before.elements.values().skip(skipped).zip(self.elements.values()).enumerate();
        let changed = pairs.filter(|(_, (old, new))| !ptr::eq(*old, *new));
        let touched = changed.map(|(index, _)| index).collect();
        Overlap { before: skipped, after: 0, len, touched }
    }
}

/// The elements of a [`List`], in order.
pub struct Iter<'a, T> {
    elements: <&'a Tree<T> as IntoIterator>::IntoIter,
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<Self::Item> {
        self.elements.next().map(|(_, kept)| &kept.value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.elements.size_hint()
    }
}

impl<T> DoubleEndedIterator for Iter<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.elements.next_back().map(|(_, kept)| &kept.value)
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// # Panics
///
/// As a `Vec` does: where there is no element.
impl<T> Index<usize> for List<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.elements[&self.key(index)].value
    }
}

impl<T: Serialize> Extend<T> for List<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        for value in values {
            self.push_back(value);
        }
    }
}

impl<T: Serialize> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut list = List::new();
        list.extend(values);
        list
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        List {
            elements: self.elements.clone(),
            recorded: self.recorded.clone(),
            first: self.first,
            rolling: self.rolling,
            unhashed: self.unhashed,
        }
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List::new()
    }
}

/// Two lists that share everything are equal without a look inside, even if a NaN is in them.
impl<T: PartialEq> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        self.elements.ptr_eq(&other.elements)
            || (self.len() == other.len() && self.iter().eq(other.iter()))
    }
}

impl<T: Eq> Eq for List<T> {}

impl<T: PartialEq, const N: usize> PartialEq<[T; N]> for List<T> {
    fn eq(&self, other: &[T; N]) -> bool {
        self.iter().eq(other)
    }
}

impl<T: PartialEq> PartialEq<Vec<T>> for List<T> {
    fn eq(&self, other: &Vec<T>) -> bool {
        self.iter().eq(other)
    }
}

impl<T: fmt::Debug> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digest = || match self.unhashed {
            0 => Ok(self.rolling.digest()),
            _ => self.walked(),
        };
        serialize_with_digest(serializer, digest, |serializer| serializer.collect_seq(self))
    }
}

impl<'de, T: Serialize + Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

/// Builds a list element by element. Nothing is reserved beforehand, so that a length that lies
/// costs nothing.
struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Serialize + Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut list = List::new();
        while let Some(value) = access.next_element()? {
            list.push_back(value);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests;
