//! Patches of the persistent list.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::elements::{in_order, is_zero};
use super::{Delta, PatchMisfit};
use crate::state::List;

/// The changes of a [`List`], in the order in which they are applied.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListPatch<T, P> {
    /// The number of elements removed from the front.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pop_front: u64,
    /// The number of elements removed from the back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pop_back: u64,
    /// The elements that changed: the index of each after the removals, and its patch.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub edit: Vec<(u64, P)>,
    /// The elements added at the front, in order.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub push_front: Vec<T>,
    /// The elements added at the back, in order.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub push_back: Vec<T>,
}

/// The range of elements that an older and a newer list have in common.
pub(in crate::state) struct Overlap {
    /// The index of the first common element in the older list.
    pub(in crate::state) before: usize,
    /// The index of the first common element in the newer list.
    pub(in crate::state) after: usize,
    /// The number of common elements.
    pub(in crate::state) len: usize,
    /// The indices of the elements that may have changed, from the start of the range, in order.
    pub(in crate::state) touched: Vec<usize>,
}

impl<T> Delta for List<T>
where
    T: Delta + Clone + Serialize + DeserializeOwned + Send + Sync,
{
    type Patch = ListPatch<T, T::Patch>;

    fn record(&mut self, recording: bool) {
        self.set_recording(recording);
    }

    fn diff(&self, before: &Self) -> Option<Self::Patch> {
        let Overlap { before: from, after: to, len, touched } = self.overlap(before)?;
        let edit = touched.into_iter().filter_map(|index| {
            let (old, new) = (before.get(from + index)?, self.get(to + index)?);
            new.diff(old).map(|patch| (index as u64, patch))
        });
        let patch = ListPatch {
            pop_front: from as u64,
            pop_back: (before.len() - from - len) as u64,
            edit: edit.collect(),
            push_front: self.range(..to).cloned().collect(),
            push_back: self.range(to + len..).cloned().collect(),
        };
        let unchanged = patch.pop_front == 0
            && patch.pop_back == 0
            && patch.edit.is_empty()
            && patch.push_front.is_empty()
            && patch.push_back.is_empty();
        (!unchanged).then_some(patch)
    }

    fn is_same(&self, before: &Self) -> bool {
        let same = |(old, new): (&T, &T)| new.is_same(old);
        self.is_shared_with(before)
            || (!self.is_known_other(before) && before.iter().zip(self).all(same))
    }

    fn apply(&mut self, patch: Self::Patch) -> Result<(), PatchMisfit> {
        let beyond = || PatchMisfit("the patch is of a longer list".into());
        let gone = patch.pop_front.checked_add(patch.pop_back).ok_or_else(beyond)?;
        let gone = usize::try_from(gone).ok().filter(|gone| *gone <= self.len());
        let left = self.len() - gone.ok_or_else(beyond)?;
        self.truncate(left + patch.pop_front as usize);
        self.truncate_front(left);
        let mut rest = 0;
        for (index, patch) in patch.edit {
            in_order(index, &mut rest)?;
            let index = usize::try_from(index).map_err(|_| beyond())?;
            self.update(index, |value| value.apply(patch)).ok_or_else(beyond)??;
        }
        patch.push_front.into_iter().rev().for_each(|value| self.push_front(value));
        patch.push_back.into_iter().for_each(|value| self.push_back(value));
        Ok(())
    }
}
