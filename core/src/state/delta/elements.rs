//! Patches of sequences.

use std::borrow::Borrow;
use std::collections::VecDeque;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Delta, PatchMisfit};

/// The changes of a sequence, in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementsPatch<T, P> {
    /// The number of elements removed from the front.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pop_front: u64,
    /// The replacement of a range, after `pop_front`.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub splice: Option<Splice<T>>,
    /// The elements that changed: the index of each, after `pop_front` and `splice`, and its patch.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub edit: Vec<(u64, P)>,
}

/// The replacement of a range of elements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splice<T> {
    /// The index at which the range begins.
    pub at: u64,
    /// The number of elements removed.
    pub remove: u64,
    /// The elements inserted in their place.
    pub insert: Vec<T>,
}

pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Returns the changes from one sequence to another. `same` compares two elements, and `diff`
/// returns the patch of an element that changed.
pub(super) fn diff<T: Clone, B: Borrow<T>, P>(
    before: &[B],
    after: &[B],
    same: impl Fn(&T, &T) -> bool,
    diff: impl Fn(&T, &T) -> Option<P>,
) -> Option<ElementsPatch<T, P>> {
    let same = |before: &B, after: &B| same(before.borrow(), after.borrow());
    let gone = gone_from_front(before, after, same);
    let before = &before[gone..];
    let pairs = before.iter().zip(after);
    let prefix = pairs.take_while(|(before, after)| same(before, after)).count();
    let (old, new) = (&before[prefix..], &after[prefix..]);
    let pairs = old.iter().rev().zip(new.iter().rev());
    let suffix = pairs.take_while(|(before, after)| same(before, after)).count();
    let (old, new) = (&old[..old.len() - suffix], &new[..new.len() - suffix]);
    let mut patch = ElementsPatch { pop_front: gone as u64, splice: None, edit: Vec::new() };
    if old.len() == new.len() {
        for (index, (before, after)) in old.iter().zip(new).enumerate() {
            if let Some(edit) = diff(before.borrow(), after.borrow()) {
                patch.edit.push(((prefix + index) as u64, edit));
            }
        }
    } else {
        let (at, remove) = (prefix as u64, old.len() as u64);
        patch.splice = Some(Splice {
            at,
            remove,
            insert: new.iter().map(|new| new.borrow().clone()).collect(),
        });
    }
    let unchanged = patch.pop_front == 0 && patch.splice.is_none() && patch.edit.is_empty();
    (!unchanged).then_some(patch)
}

/// Returns the number of elements removed from the front, as from a queue: `after` begins with all
/// elements of `before` that follow them. Returns 0 if there is no such number.
fn gone_from_front<T>(before: &[T], after: &[T], same: impl Fn(&T, &T) -> bool) -> usize {
    let (Some(first), Some(front)) = (before.first(), after.first()) else { return 0 };
    if same(first, front) {
        return 0;
    }
    let is_rest = |gone: &usize| {
        let rest = &before[*gone..];
        rest.len() <= after.len() && rest.iter().zip(after).all(|(old, new)| same(old, new))
    };
    let found = before.iter().position(|element| same(element, front));
    found.filter(is_rest).unwrap_or_default()
}

/// Applies a patch to a sequence. `apply` applies the patch of one element, once at most for each.
pub(super) fn apply<T, P>(
    elements: &mut Vec<T>,
    patch: ElementsPatch<T, P>,
    mut apply: impl FnMut(&mut T, P) -> Result<(), PatchMisfit>,
) -> Result<(), PatchMisfit> {
    let beyond = || PatchMisfit("the patch is of a longer sequence".into());
    let gone = within(patch.pop_front, elements.len()).ok_or_else(beyond)?;
    elements.drain(..gone);
    if let Some(Splice { at, remove, insert }) = patch.splice {
        let at = within(at, elements.len()).ok_or_else(beyond)?;
        let remove = within(remove, elements.len() - at).ok_or_else(beyond)?;
        elements.splice(at..at + remove, insert);
    }
    let mut rest = 0;
    for (index, patch) in patch.edit {
        in_order(index, &mut rest)?;
        let index = usize::try_from(index).ok();
        let element = index.and_then(|index| elements.get_mut(index)).ok_or_else(beyond)?;
        apply(element, patch)?;
    }
    Ok(())
}

/// Checks that the indices of edits ascend. A peer could have one expensive element changed any
/// number of times otherwise, by a few bytes each.
pub(super) fn in_order(index: u64, rest: &mut u64) -> Result<(), PatchMisfit> {
    if index < *rest {
        return Err(PatchMisfit("the patch edits elements out of order".into()));
    }
    *rest = index.saturating_add(1);
    Ok(())
}

fn within(number: u64, max: usize) -> Option<usize> {
    usize::try_from(number).ok().filter(|number| *number <= max)
}

impl<T> Delta for Vec<T>
where
    T: Delta + Clone + Serialize + DeserializeOwned + Send + Sync,
{
    type Patch = ElementsPatch<T, T::Patch>;

    fn diff(&self, before: &Self) -> Option<Self::Patch> {
        diff(before, self, is_same, |before: &T, after: &T| after.diff(before))
    }

    fn is_same(&self, before: &Self) -> bool {
        self.len() == before.len() && before.iter().zip(self).all(|(old, new)| is_same(old, new))
    }

    fn apply(&mut self, patch: Self::Patch) -> Result<(), PatchMisfit> {
        apply(self, patch, T::apply)
    }
}

fn is_same<T: Delta>(before: &T, after: &T) -> bool {
    after.is_same(before)
}

impl<T> Delta for VecDeque<T>
where
    T: Delta + Clone + Serialize + DeserializeOwned + Send + Sync,
{
    type Patch = ElementsPatch<T, T::Patch>;

    fn diff(&self, before: &Self) -> Option<Self::Patch> {
        let (before, after): (Vec<&T>, Vec<&T>) = (before.iter().collect(), self.iter().collect());
        diff(&before, &after, is_same, |before: &T, after: &T| after.diff(before))
    }

    fn is_same(&self, before: &Self) -> bool {
        self.len() == before.len() && before.iter().zip(self).all(|(old, new)| is_same(old, new))
    }

    fn apply(&mut self, patch: Self::Patch) -> Result<(), PatchMisfit> {
        let mut elements = Vec::from(std::mem::take(self));
        let applied = apply(&mut elements, patch, T::apply);
        *self = elements.into();
        applied
    }
}
