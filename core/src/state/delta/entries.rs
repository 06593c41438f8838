//! Patches of maps.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::whole::is_changed;
use super::{Delta, PatchMisfit};
use crate::state::Map;

/// The changes of a map.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EntriesPatch<K, V, P> {
    /// The keys of the entries removed.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<K>,
    /// The entries added.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub insert: Vec<(K, V)>,
    /// The keys whose values changed, each with the patch of its value.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub edit: Vec<(K, P)>,
}

impl<K, V, P> EntriesPatch<K, V, P> {
    fn new() -> Self {
        EntriesPatch { remove: Vec::new(), insert: Vec::new(), edit: Vec::new() }
    }

    fn non_empty(self) -> Option<Self> {
        let same = self.remove.is_empty() && self.insert.is_empty() && self.edit.is_empty();
        (!same).then_some(self)
    }
}

impl<K: Clone, V: Delta + Clone> EntriesPatch<K, V, V::Patch> {
    /// Adds the change of one entry.
    fn add(&mut self, key: &K, before: Option<&V>, after: Option<&V>) {
        match (before, after) {
            (None, None) => {}
            (None, Some(after)) => self.insert.push((key.clone(), after.clone())),
            (Some(_), None) => self.remove.push(key.clone()),
            (Some(before), Some(after)) => {
                if let Some(patch) = after.diff(before) {
                    self.edit.push((key.clone(), patch));
                }
            }
        }
    }
}

fn missing(what: &str) -> PatchMisfit {
    PatchMisfit(format!("the patch {what} an entry that is not there"))
}

fn twice() -> PatchMisfit {
    PatchMisfit("the patch edits an entry twice, or entries out of order".into())
}

/// Checks that the keys of edits ascend. A peer could have one expensive value changed any number
/// of times otherwise, by a few bytes each.
fn in_order<K: Ord, P>(edits: &[(K, P)]) -> Result<(), PatchMisfit> {
    let ascend = edits.windows(2).all(|pair| matches!(pair, [(one, _), (next, _)] if one < next));
    ascend.then_some(()).ok_or_else(twice)
}

/// As [`in_order`], for keys without an order.
fn distinct<K: Eq + Hash, P>(edits: &[(K, P)]) -> Result<(), PatchMisfit> {
    let keys: HashSet<&K> = edits.iter().map(|(key, _)| key).collect();
    (keys.len() == edits.len()).then_some(()).ok_or_else(twice)
}

fn present() -> PatchMisfit {
    PatchMisfit("the patch inserts an entry that is there already".into())
}

impl<K, V> Delta for Map<K, V>
where
    K: Ord + Clone + Serialize + DeserializeOwned + Send + Sync,
    V: Delta + Clone + Serialize + DeserializeOwned + Send + Sync,
{
    type Patch = EntriesPatch<K, V, V::Patch>;

    fn record(&mut self, recording: bool) {
        self.set_recording(recording);
    }

    fn diff(&self, before: &Self) -> Option<Self::Patch> {
        let mut patch = EntriesPatch::new();
        self.for_each_change(before, |before, after| match (before, after) {
            // An equal key that is written in another way, as -0.0 is in place of 0.0.
            (Some((old, _)), Some((new, value))) if is_changed(old, new) => {
                patch.remove.push(old.clone());
                patch.insert.push((new.clone(), value.clone()));
            }
            _ => {
                let Some((key, _)) = after.or(before) else { return };
                patch.add(key, before.map(|(_, value)| value), after.map(|(_, value)| value));
            }
        });
        patch.non_empty()
    }

    fn is_same(&self, before: &Self) -> bool {
        self.is_shared_with(before) || (!self.is_known_other(before) && self.diff(before).is_none())
    }

    fn apply(&mut self, patch: Self::Patch) -> Result<(), PatchMisfit> {
        in_order(&patch.edit)?;
        for key in patch.remove {
            self.remove(&key).then_some(()).ok_or_else(|| missing("removes"))?;
        }
        for (key, value) in patch.insert {
            self.insert(key, value).then_some(()).ok_or_else(present)?;
        }
        for (key, patch) in patch.edit {
            self.update(&key, |value| value.apply(patch)).ok_or_else(|| missing("edits"))??;
        }
        Ok(())
    }
}

/// The methods that the maps of `std` have in common. `$check` checks that no key is edited twice.
macro_rules! compared_by_key {
    ($check:expr) => {
        type Patch = EntriesPatch<K, V, V::Patch>;

        fn diff(&self, before: &Self) -> Option<Self::Patch> {
            let mut patch = EntriesPatch::new();
            let gone = before.keys().filter(|key| !self.contains_key(*key));
            patch.remove.extend(gone.cloned());
            self.iter().for_each(|(key, after)| patch.add(key, before.get(key), Some(after)));
            patch.non_empty()
        }

        fn is_same(&self, before: &Self) -> bool {
            let is_there =
                |(key, after): (&K, &V)| before.get(key).is_some_and(|old| after.is_same(old));
            self.len() == before.len() && self.iter().all(is_there)
        }

        fn apply(&mut self, patch: Self::Patch) -> Result<(), PatchMisfit> {
            $check(&patch.edit)?;
            for key in patch.remove {
                self.remove(&key).ok_or_else(|| missing("removes"))?;
            }
            for (key, value) in patch.insert {
                self.insert(key, value).is_none().then_some(()).ok_or_else(present)?;
            }
            for (key, patch) in patch.edit {
                self.get_mut(&key).ok_or_else(|| missing("edits"))?.apply(patch)?;
            }
            Ok(())
        }
    };
}

impl<K, V> Delta for BTreeMap<K, V>
where
    K: Ord + Clone + Serialize + DeserializeOwned + Send + Sync,
    V: Delta + Clone + Serialize + DeserializeOwned + Send + Sync,
{
    compared_by_key!(in_order);
}

impl<K, V, H> Delta for HashMap<K, V, H>
where
    K: Eq + Hash + Clone + Serialize + DeserializeOwned + Send + Sync,
    V: Delta + Clone + Serialize + DeserializeOwned + Send + Sync,
    H: BuildHasher,
{
    compared_by_key!(distinct);
}
