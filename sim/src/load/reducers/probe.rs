//! `probe`: a small state in which any slip in the order of actions shows. What the swarm of
//! `samestate simulate` runs for the most part.
//!
//! Every action has a number of its own, which mixes into a mark that depends on all before it;
//! some are rejected by a rule over the state, so that an outcome depends on the order too.

use rand::Rng;
use samestate::state::{Delta, Patching};
use serde::{Deserialize, Serialize};

use crate::load::reducer::{Params, Reducer, ReducerInfo, Reject, Wrong};

/// The numbers of so many actions are kept, newest last.
const RECENT_MAX: usize = 12;

/// One action in so many asks for what some states reject.
const UNLESS_EVERY: u64 = 5;

/// So many states reject what others take: one in three.
const REJECTING: u64 = 3;

/// The probe.
pub struct Probe;

/// The traces of the actions. It clones in a moment, whatever its encoding's size: the padding is a
/// number here, and bytes only where it is encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Delta)]
pub struct ProbeState {
    /// The number of applied actions.
    pub applied: u64,
    /// A mark that depends on all actions and on their order.
    pub mark: u64,
    /// The numbers of the latest actions, newest last.
    pub recent: Vec<u64>,
    /// Sums over the actions; which one an action goes to depends on the mark.
    #[delta(whole)]
    pub sums: [u64; 4],
    /// The number of padding bytes in the encoding.
    #[serde(with = "padding", rename = "padding")]
    pub padding_bytes: u32,
}

/// An action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeAction {
    /// Its number: drawn, so that hardly two are the same.
    pub id: u64,
    /// The request to the reducer.
    pub ask: ProbeAsk,
    /// The number of padding bytes in its encoding.
    #[serde(with = "padding", rename = "padding")]
    pub padding_bytes: u32,
}

/// The request of an action to the reducer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeAsk {
    /// Change the state.
    Add,
    /// Change the state, unless it is one of the third of all states that reject it.
    AddUnless,
    /// Reject.
    Reject,
    /// Change the state, then panic.
    Panic,
    /// Pad the state's encoding with so many bytes.
    Pad(u32),
}

impl Reducer for Probe {
    type State = ProbeState;
    type Action = ProbeAction;

    const INFO: ReducerInfo = ReducerInfo {
        name: "probe",
        about: "a small state, padded to `size` bytes, in which any slip in the order of actions \
                shows; it rejects one action in fifteen by itself",
        sized: true,
        payload: true,
        poisonable: true,
    };

    fn reduce(state: &mut ProbeState, action: &ProbeAction) -> Result<(), Reject> {
        match action.ask {
            ProbeAsk::AddUnless if (state.mark ^ action.id).is_multiple_of(REJECTING) => {
                return Err(format!("not after {:x}", state.mark).into());
            }
            ProbeAsk::Reject => return Err("asked to be rejected".into()),
            ProbeAsk::Pad(bytes) => state.padding_bytes = bytes,
            ProbeAsk::Add | ProbeAsk::AddUnless | ProbeAsk::Panic => {}
        }
        state.applied += 1;
        state.mark = mixed(state.mark, action.id);
        assert!(action.ask != ProbeAsk::Panic, "the probe was asked to panic");
        if state.recent.len() >= RECENT_MAX {
            state.recent.remove(0);
        }
        state.recent.push(action.id);
        let sum = (state.mark % state.sums.len() as u64) as usize;
        state.sums[sum] = state.sums[sum].wrapping_add(action.id);
        Ok(())
    }

    fn patching() -> Option<Patching<Self::State>> {
        Some(Patching::new())
    }

    fn action(random: &mut dyn Rng, n: u64, params: &Params) -> ProbeAction {
        let (id, drawn) = (random.next_u64(), random.next_u64());
        let ask = match params.poison.of(n) {
            Some(Wrong::Rejects) => ProbeAsk::Reject,
            Some(Wrong::Panics) => ProbeAsk::Panic,
            None if drawn.is_multiple_of(UNLESS_EVERY) => ProbeAsk::AddUnless,
            None => ProbeAsk::Add,
        };
        ProbeAction { id, ask, padding_bytes: in_bounds(params.payload_or(0) as u64) }
    }

    fn opening(params: &Params) -> Vec<ProbeAction> {
        let pad = |bytes| ProbeAsk::Pad(in_bounds(bytes));
        let ask = params.state_bytes.map(pad).into_iter();
        ask.map(|ask| ProbeAction { id: 0, ask, padding_bytes: 0 }).collect()
    }
}

/// An encoding has a gigabyte of padding at most: no message is longer.
fn in_bounds(bytes: u64) -> u32 {
    bytes.min(1 << 30) as u32
}

/// Depends on both words, and on the order in which words come.
fn mixed(mark: u64, word: u64) -> u64 {
    (mark.rotate_left(25) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1)
}

/// A number that is encoded as so many bytes.
mod padding {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_bytes::{ByteBuf, Bytes};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    pub(super) fn serialize<S: Serializer>(bytes: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        Bytes::new(&vec![0x5a; *bytes as usize]).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let bytes = ByteBuf::deserialize(deserializer)?;
        u32::try_from(bytes.len()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::load::reducer::Poison;

    fn add(id: u64) -> ProbeAction {
        ProbeAction { id, ask: ProbeAsk::Add, padding_bytes: 0 }
    }

    fn after(actions: &[ProbeAction]) -> ProbeState {
        let mut state = ProbeState::default();
        for action in actions {
            Probe::reduce(&mut state, action).expect("an `Add` is never rejected");
        }
        state
    }

    #[test]
    fn the_order_of_two_actions_shows_for_ever() {
        let later: Vec<_> = (3..30).map(add).collect();
        let (mut one, mut other) = (vec![add(1), add(2)], vec![add(2), add(1)]);
        assert_ne!(after(&one), after(&other));
        one.extend(later.clone());
        other.extend(later);
        assert_ne!(after(&one).mark, after(&other).mark);
        assert_eq!(after(&one).recent, after(&other).recent);
    }

    #[test]
    fn an_action_applied_twice_shows() {
        assert_ne!(after(&[add(0)]), after(&[add(0), add(0)]));
    }

    #[test]
    fn padding_is_carried_by_the_encoding_alone() {
        let params = Params {
            state_bytes: Some(10_000),
            payload_bytes: Some(300),
            poison: Poison::default(),
        };
        let state = after(&Probe::opening(&params));
        let bytes = rmp_serde::to_vec(&state).expect("it has a form");
        assert!((10_000..10_100).contains(&bytes.len()), "{}", bytes.len());
        assert_eq!(rmp_serde::from_slice::<ProbeState>(&bytes).expect("it reads"), state);
        let mut random = rand_pcg::Pcg64::seed_from_u64(1);
        let action = Probe::action(&mut random, 0, &params);
        let bytes = rmp_serde::to_vec(&action).expect("it has a form");
        assert!((300..340).contains(&bytes.len()), "{}", bytes.len());
        assert_eq!(rmp_serde::from_slice::<ProbeAction>(&bytes).expect("it reads"), action);
    }

    #[test]
    fn one_action_in_fifteen_is_rejected_and_poison_comes_when_asked_for() {
        let mut random = rand_pcg::Pcg64::seed_from_u64(2);
        let mut state = ProbeState::default();
        let usual = Params::default();
        let actions: Vec<_> = (0..3_000).map(|n| Probe::action(&mut random, n, &usual)).collect();
        let results = actions.iter().map(|action| Probe::reduce(&mut state, action));
        let rejected = results.filter(Result::is_err).count();
        assert!((100..300).contains(&rejected), "{rejected}");
        let poison = Poison { reject_every: 2, panic_every: 3 };
        let poisoned = Params { poison, ..Params::default() };
        let asks = [1, 2].map(|n| Probe::action(&mut random, n, &poisoned).ask);
        assert_eq!(asks, [ProbeAsk::Reject, ProbeAsk::Panic]);
    }
}
