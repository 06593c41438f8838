//! The history through the reducer alone, compared with every final state.

use samestate::wire::Codec;

use super::delta::FinalState;
use super::tree::TreeSeen;
use crate::invariants::{Invariant, NotReplayed, Violations, same_state};
use crate::load::{Reducer, Registry, Shipped, Visitor, decode, encode};
use crate::scenario::Plan;

/// Compares the final states of a tree's replicas with what its history gives.
pub(super) fn compare(plan: &Plan, store: &str, tree: &TreeSeen<'_>) -> Violations {
    let Some(of) = plan.stores.get(store) else { return Violations::default() };
    let states: Vec<(&str, &FinalState)> = tree
        .reachable()
        .into_iter()
        .filter_map(|(node, life)| {
            let state = life.stores.get(store)?.state.as_ref()?;
            Some((plan.node(node).name.as_str(), state))
        })
        .collect();
    let visitor = Compare { store, tree, states };
    // Nodes that knew no such reducer have said so, and were not there.
    Shipped::visit(&of.reducer, visitor).unwrap_or_default()
}

struct Compare<'a> {
    store: &'a str,
    tree: &'a TreeSeen<'a>,
    states: Vec<(&'a str, &'a FinalState)>,
}

impl Visitor for Compare<'_> {
    type Output = Violations;

    fn visit<R: Reducer>(self) -> Violations {
        let mut violations = Violations::default();
        let expected = match self.tree.history.replay::<R>(Codec::MessagePack) {
            Ok(expected) => expected,
            Err(error @ NotReplayed::Failed { .. }) => {
                violations.add(Invariant::I4, self.store, error);
                return violations;
            }
            // A history that was not kept whole proves nothing.
            Err(NotReplayed::NotKept { .. } | NotReplayed::Gap { .. }) => return violations,
        };
        let last_seq = self.tree.history.len();
        let bytes = encode(&*expected).unwrap_or_default();
        let mut as_value = None;
        for (at, state) in self.states {
            // One that is not at the end of the history is late, which is judged elsewhere.
            if state.version.seq != last_seq || *state.bytes == bytes {
                continue;
            }
            let found = decode::<R::State>(&state.bytes).map_err(|error| error.to_string());
            let found = found
                .and_then(|state| serde_json::to_value(&state).map_err(|error| error.to_string()));
            let wanted = as_value.get_or_insert_with(|| serde_json::to_value(&*expected));
            match (wanted, found) {
                (Ok(wanted), Ok(found)) => {
                    let differs = same_state(at, wanted, &found);
                    differs.into_iter().for_each(|violation| violations.push(violation));
                }
                (_, Err(error)) => violations.add(Invariant::I2, at, error),
                (Err(_), _) => {}
            }
        }
        violations
    }
}
