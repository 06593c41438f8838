//! The history through the reducer alone, compared with every final state.

use std::fmt;

use samestate_proto::wire::Codec;

use super::delta::FinalState;
use crate::invariants::{History, Invariant, NotReplayed, Replay, Violations, same_state};
use crate::load::catalog::Table;
use crate::load::{Reducer, Registry, Shipped, Visitor, decode, encode};

/// The history of one sequencer, of whatever reducer.
pub(crate) trait AnyReplay: fmt::Debug {
    /// Continues it by a part.
    fn absorb(&mut self, part: History);

    /// Compares the final states of the replicas of `store` with what the history gives.
    fn compare(&mut self, store: &str, states: &[(&str, &FinalState)]) -> Violations;
}

/// A replay with the reducer of that name; `None` if there is no such reducer. Nodes that knew none
/// have said so, and were not there.
pub(super) fn replay_of(reducer: &str) -> Option<Box<dyn AnyReplay>> {
    REPLAYS.of(reducer)(reducer)
}

type ReplayOf = fn(&str) -> Option<Box<dyn AnyReplay>>;

static REPLAYS: Table<ReplayOf> = Table::new(begin::<Shipped>);

/// Adds the replays of a registry's reducers.
pub(crate) fn add_reducers<R: Registry>() {
    REPLAYS.add::<R>(begin::<R>);
}

fn begin<R: Registry>(reducer: &str) -> Option<Box<dyn AnyReplay>> {
    R::visit(reducer, Begin).ok()
}

struct Begin;

impl Visitor for Begin {
    type Output = Box<dyn AnyReplay>;

    fn visit<R: Reducer>(self) -> Box<dyn AnyReplay> {
        Box::new(Replay::<R>::new(Codec::MessagePack))
    }
}

impl<R: Reducer> AnyReplay for Replay<R> {
    fn absorb(&mut self, part: History) {
        Replay::absorb(self, part);
    }

    fn compare(&mut self, store: &str, states: &[(&str, &FinalState)]) -> Violations {
        let mut violations = Violations::default();
        let (last_seq, expected) = match self.state() {
            Ok(found) => found,
            Err(error @ NotReplayed::Failed { .. }) => {
                violations.add(Invariant::I4, store, error);
                return violations;
            }
            // A history that was not kept whole proves nothing.
            Err(NotReplayed::NotKept { .. } | NotReplayed::Gap { .. }) => return violations,
        };
        let bytes = encode(&*expected).unwrap_or_default();
        let mut as_value = None;
        for (at, state) in states {
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
