//! The reducers that this process knows, by the names that scenarios use.
//!
//! Those that ship are known from the beginning, and a program adds its own. Whatever needs the
//! types of a reducer has a [`Table`] of its own, with a function for each registry.

use std::any::TypeId;

use parking_lot::RwLock;

use super::reducer::{ReducerInfo, Registry};
use super::reducers::Shipped;

/// A function for each registry, found by the name of one of its reducers.
pub(crate) struct Table<F> {
    shipped: F,
    added: RwLock<Vec<Added<F>>>,
}

struct Added<F> {
    registry: TypeId,
    all: fn() -> Vec<ReducerInfo>,
    function: F,
}

impl<F: Copy> Table<F> {
    /// A table with the function for the reducers that ship.
    pub(crate) const fn new(shipped: F) -> Self {
        Table { shipped, added: RwLock::new(Vec::new()) }
    }

    /// Adds the function for a registry. Where two registries have a reducer of one name, the one
    /// that was added last is meant.
    pub(crate) fn add<R: Registry>(&self, function: F) {
        let registry = TypeId::of::<R>();
        let mut added = self.added.write();
        added.retain(|other| other.registry != registry);
        added.push(Added { registry, all: R::all, function });
    }

    /// Returns the function for the registry with this reducer; that of the shipped ones if none
    /// has it.
    pub(crate) fn of(&self, name: &str) -> F {
        let has = |added: &&Added<F>| (added.all)().iter().any(|reducer| reducer.name == name);
        self.added.read().iter().rev().find(has).map_or(self.shipped, |added| added.function)
    }

    /// Returns all functions: those that were added last first, then that of the shipped reducers.
    fn all(&self) -> Vec<F> {
        let added = self.added.read();
        let added = added.iter().rev().map(|added| added.function);
        added.chain([self.shipped]).collect()
    }
}

static INFOS: Table<fn() -> Vec<ReducerInfo>> = Table::new(Shipped::all);

/// Adds the descriptions of a registry's reducers.
pub(crate) fn add<R: Registry>() {
    INFOS.add::<R>(R::all);
}

/// Returns the descriptions of all reducers: added ones first, then those that ship.
pub(crate) fn all() -> Vec<ReducerInfo> {
    let mut all: Vec<ReducerInfo> = Vec::new();
    for reducer in INFOS.all().into_iter().flat_map(|infos| infos()) {
        if all.iter().all(|known| known.name != reducer.name) {
            all.push(reducer);
        }
    }
    all
}

/// Returns the description of the reducer with this name.
pub(crate) fn find(name: &str) -> Option<ReducerInfo> {
    all().into_iter().find(|reducer| reducer.name == name)
}

/// Lists the reducers that `fit`, as words: "`counter`, `map` or `probe`".
pub(crate) fn in_words(fit: fn(&ReducerInfo) -> bool, joined_by: &str) -> String {
    let fit = all().into_iter().filter(fit);
    let names: Vec<String> = fit.map(|reducer| format!("`{}`", reducer.name)).collect();
    match names.as_slice() {
        [first @ .., last] if !first.is_empty() => {
            format!("{} {joined_by} {last}", first.join(", "))
        }
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reducers_are_listed_in_words() {
        assert_eq!(in_words(|reducer| reducer.name == "ring", "or"), "`ring`");
        let sized = in_words(|reducer| reducer.sized, "and");
        assert_eq!(sized, "`document`, `ranking`, `map` and `probe`");
    }
}
