//! The ids of dispatches at programs, and the actions behind them.
//!
//! A program reports what it applied by ids alone. An id says which load of which incarnation of a
//! node made the action and as which of its actions, so whoever reads the id can make the same
//! action again: loads draw from the seed. So the history of a store is known at its root although
//! other nodes dispatched into it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

use crate::load::{self, Params, Reducer, encode};
use crate::scenario::{Arrival, Plan};

/// Actions of one origin that are kept after they were made, for those that come late or twice.
const KEPT_MAX: usize = 4_096;

/// A sequence of dispatches, whose numbers rise: one load in one incarnation of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Series {
    /// The actions that bring a store into its first state.
    Opening {
        /// The incarnation of the node.
        incarnation: u64,
    },
    /// A mirror at this node.
    Mirror {
        /// The node.
        node: u32,
        /// The incarnation of the node.
        incarnation: u64,
    },
    /// A load of the plan. A closed loop has two lanes, whose numbers alternate.
    Load {
        /// The load's stream.
        stream: u64,
        /// The incarnation of the node.
        incarnation: u64,
        /// The number of its first action in this incarnation.
        first: u64,
    },
}

/// The id of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id {
    pub(super) series: Series,
    /// The number of the action in its load.
    pub(super) n: u64,
}

impl Id {
    /// The series as one number.
    pub(super) fn session(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(&self.series, &mut hasher);
        hasher.finish()
    }

    /// A number for the id itself.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(self, &mut hasher);
        hasher.finish()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.n;
        match self.series {
            Series::Opening { incarnation } => write!(f, "o-{incarnation:x}-{n}"),
            Series::Mirror { node, incarnation } => write!(f, "m-{node}-{incarnation:x}-{n}"),
            Series::Load { stream, incarnation, first } => {
                write!(f, "l-{stream}-{incarnation:x}-{first}-{n}")
            }
        }
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.split('-').collect();
        let number = |text: &str| text.parse::<u64>().map_err(drop);
        let incarnation = |text: &str| u64::from_str_radix(text, 16).map_err(drop);
        let (series, n) = match parts[..] {
            ["o", l, n] => (Series::Opening { incarnation: incarnation(l)? }, n),
            ["m", node, l, n] => (
                Series::Mirror { node: node.parse().map_err(drop)?, incarnation: incarnation(l)? },
                n,
            ),
            ["l", stream, l, first, n] => {
                let (stream, first) = (number(stream)?, number(first)?);
                (Series::Load { stream, incarnation: incarnation(l)?, first }, n)
            }
            _ => return Err(()),
        };
        Ok(Id { series, n: number(n)? })
    }
}

/// Makes the actions behind ids.
pub(super) struct Actions<R: Reducer> {
    opening: Vec<Vec<u8>>,
    loads: BTreeMap<u64, Made>,
    seed: u64,
    series: HashMap<Series, Generated>,
    reducer: std::marker::PhantomData<fn() -> R>,
}

/// A load, as far as its actions depend on it.
struct Made {
    params: Params,
    /// The distance between the numbers of one series.
    step: u64,
}

/// The actions of one series so far.
struct Generated {
    random: rand_pcg::Pcg64,
    next: u64,
    kept: BTreeMap<u64, Vec<u8>>,
}

impl<R: Reducer> Actions<R> {
    /// The actions of all loads into a store of the plan.
    pub(super) fn of(plan: &Plan, store: &str) -> Self {
        let of_store = plan.stores.get(store);
        let params =
            Params { state_bytes: of_store.and_then(|s| s.size_bytes), ..Params::default() };
        let opening = R::opening(&params).into_iter();
        let opening = opening.map(|action| encode(&action).unwrap_or_default());
        let loads = plan.phases.iter().flat_map(|phase| &phase.load);
        let loads = loads.filter(|load| load.store == store).filter_map(|load| {
            let step = if matches!(load.arrival, Arrival::Closed(_)) { 2 } else { 1 };
            Some((load.stream, Made { params: Params::of(of_store?, load), step }))
        });
        Actions {
            opening: opening.collect(),
            loads: loads.collect(),
            seed: plan.seed,
            series: HashMap::new(),
            reducer: std::marker::PhantomData,
        }
    }

    /// Returns the encoded action behind an id: `None` if it is not one of a load, or is too old.
    pub(super) fn payload(&mut self, id: &Id) -> Option<Vec<u8>> {
        match id.series {
            Series::Opening { .. } => self.opening.get(usize::try_from(id.n).ok()?).cloned(),
            Series::Mirror { .. } => None,
            Series::Load { stream, first, .. } => {
                let made = self.loads.get(&stream)?;
                let seed = self.seed;
                let generated = self.series.entry(id.series).or_insert_with(|| Generated {
                    random: load::random(seed, stream),
                    next: first,
                    kept: BTreeMap::new(),
                });
                // An id that was made up may be anywhere: what is far ahead is not searched for.
                if id.n > generated.next + made.step * KEPT_MAX as u64 * 256 {
                    return None;
                }
                while generated.next <= id.n {
                    let action = R::action(&mut generated.random, generated.next, &made.params);
                    generated.kept.insert(generated.next, encode(&action).ok()?);
                    generated.next += made.step;
                    if generated.kept.len() > KEPT_MAX {
                        generated.kept.pop_first();
                    }
                }
                generated.kept.get(&id.n).cloned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_were_written() {
        let all = [
            Series::Opening { incarnation: 7 },
            Series::Mirror { node: 3, incarnation: u64::MAX },
            Series::Load { stream: 9, incarnation: 0xabc, first: 12 },
        ];
        for series in all {
            let id = Id { series, n: 40 };
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for wrong in
            ["", "o", "o-1", "l-1-2-3", "x-1-2", "o-1-2-3", "l-1-2-3-4-5", "o--1", "o-1--1"]
        {
            assert_eq!(wrong.parse::<Id>(), Err(()), "{wrong:?}");
        }
    }
}
