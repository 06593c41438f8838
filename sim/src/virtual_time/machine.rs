//! The store of a simulation: a small state that any slip in the order shows in.
//!
//! Every action has an id of its own, by which the checker follows it. Some are rejected, by a
//! rule over the state; some make the reducer panic, which a persistent state rolls back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use samestate::replication::{Fault, Frozen, Machine};

/// The ids kept in the state, newest last.
const RECENT_MAX: usize = 12;

/// An action is encoded as its id, what it does, how it is padded, and padding.
const HEADER_BYTES: usize = 13;

/// What an action asks of the reducer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Change the state.
    Add,
    /// Change the state, unless it is one of the third of all states that reject it.
    AddUnless,
    /// Panic.
    Panic,
}

/// An action: unique in a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// Who it is.
    pub id: u64,
    /// What it asks.
    pub ask: Ask,
    /// How many bytes its encoding is longer than it need be.
    pub padding_bytes: u32,
}

impl Action {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_le_bytes());
        out.push(self.ask as u8);
        out.extend_from_slice(&self.padding_bytes.to_le_bytes());
        out.resize(out.len() + self.padding_bytes as usize, 0xa5);
    }

    /// The action of a payload, if it is one.
    pub fn read(payload: &[u8]) -> Option<Action> {
        let id = u64::from_le_bytes(*payload.first_chunk()?);
        let ask = match payload.get(8)? {
            0 => Ask::Add,
            1 => Ask::AddUnless,
            2 => Ask::Panic,
            _ => return None,
        };
        let padding_bytes = u32::from_le_bytes(*payload.get(9..)?.first_chunk()?);
        let whole = payload.len() == HEADER_BYTES + padding_bytes as usize;
        whole.then_some(Action { id, ask, padding_bytes })
    }
}

/// The state: every action leaves a mark that depends on all before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    applied: u64,
    mark: u64,
    recent: Vec<u64>,
    keyed: [u64; 4],
    /// How long the encoding is beyond what it holds, so that snapshots have some weight.
    padding_bytes: u32,
}

impl State {
    /// An empty state, whose encoding is padded by this much.
    pub fn new(padding_bytes: u32) -> Self {
        State { padding_bytes, ..State::default() }
    }

    /// The reducer.
    pub fn reduce(&mut self, action: &Action) -> Result<(), Fault> {
        match action.ask {
            Ask::AddUnless if (self.mark ^ action.id).is_multiple_of(3) => {
                return Err(Fault::Rejected(format!("not after {:x}", self.mark)));
            }
            Ask::Panic => return Err(Fault::RolledBack("as asked".into())),
            _ => {}
        }
        self.applied += 1;
        self.mark = mixed(self.mark, action.id);
        if self.recent.len() == RECENT_MAX {
            self.recent.remove(0);
        }
        self.recent.push(action.id);
        let key = (self.mark % self.keyed.len() as u64) as usize;
        self.keyed[key] = self.keyed[key].wrapping_add(action.id);
        Ok(())
    }

    /// Equal states have equal digests.
    pub fn digest(&self) -> u64 {
        let head = mixed(mixed(self.applied, self.mark), u64::from(self.padding_bytes));
        let words = self.recent.iter().chain(&self.keyed);
        words.fold(head, |hash, word| mixed(hash, *word))
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(200 + self.padding_bytes as usize);
        let head = [self.applied, self.mark, self.recent.len() as u64];
        for word in head.iter().chain(&self.recent).chain(&self.keyed) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.padding_bytes.to_le_bytes());
        out.resize(out.len() + self.padding_bytes as usize, 0x5a);
        out
    }

    fn decode(bytes: &[u8]) -> Option<State> {
        let mut words = bytes.chunks_exact(8).map_while(|word| word.first_chunk());
        let mut next = || words.next().map(|word| u64::from_le_bytes(*word));
        let (applied, mark, count) = (next()?, next()?, next()?);
        let count = usize::try_from(count).ok().filter(|count| *count <= RECENT_MAX)?;
        let recent = (0..count).map(|_| next()).collect::<Option<Vec<_>>>()?;
        let keyed = [next()?, next()?, next()?, next()?];
        let at = (3 + count + keyed.len()) * 8;
        let padding_bytes = u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
        let whole = bytes.len() == at + 4 + padding_bytes as usize;
        whole.then_some(State { applied, mark, recent, keyed, padding_bytes })
    }
}

fn mixed(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(25) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What goes wrong inside one copy, from outside.
#[derive(Clone, Debug, Default)]
pub struct Mishap(Arc<AtomicU8>);

impl Mishap {
    /// At the next action the state goes wrong, and nobody is told.
    pub const SLIP: u8 = 1;
    /// The next action fails at this copy.
    pub const FAIL: u8 = 2;
    /// Every action goes wrong: the reducer is not deterministic.
    pub const ALWAYS_SLIP: u8 = 3;

    /// Lets it happen.
    pub fn set(&self, what: u8) {
        self.0.store(what, Ordering::Relaxed);
    }

    fn take(&self) -> u8 {
        let what = self.0.load(Ordering::Relaxed);
        if what != Mishap::ALWAYS_SLIP {
            self.set(0);
        }
        what
    }
}

/// The state of one replica.
#[derive(Debug)]
pub struct Subject {
    state: State,
    mishap: Mishap,
}

impl Subject {
    /// With this state.
    pub fn new(state: State, mishap: Mishap) -> Self {
        Subject { state, mishap }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }
}

/// A state held still.
#[derive(Clone, Debug)]
pub struct Still(State);

impl Frozen for Still {
    fn encode(&self) -> Result<Vec<u8>, String> {
        Ok(self.0.encode())
    }

    fn digest(&self) -> Result<u64, String> {
        Ok(self.0.digest())
    }
}

impl Machine for Subject {
    type Action = Action;
    type State = State;
    type Frozen = Still;

    fn apply(&mut self, payload: &[u8]) -> Result<Action, Fault> {
        let action = Action::read(payload)
            .ok_or_else(|| Fault::Undecodable(format!("{} bytes", payload.len())))?;
        self.apply_local(action)
    }

    fn apply_local(&mut self, action: Action) -> Result<Action, Fault> {
        let mishap = self.mishap.take();
        if mishap == Mishap::FAIL {
            return Err(Fault::RolledBack("by mishap".into()));
        }
        self.state.reduce(&action)?;
        if mishap != 0 {
            self.state.keyed[0] ^= 1 << (action.id % 64);
        }
        Ok(action)
    }

    fn encode_action(&self, action: &Action, out: &mut Vec<u8>) -> Result<(), String> {
        action.write(out);
        Ok(())
    }

    fn freeze(&self) -> Still {
        Still(self.state.clone())
    }

    fn decode_state(bytes: &[u8]) -> Result<State, String> {
        State::decode(bytes).ok_or_else(|| format!("{} bytes are no state", bytes.len()))
    }

    fn digest_state(state: &State) -> Result<u64, String> {
        Ok(state.digest())
    }

    fn install(&mut self, state: State) {
        self.state = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_and_an_action_come_back_as_they_were_encoded() {
        let mut state = State::new(3);
        for id in 0..20 {
            let action = Action { id, ask: Ask::AddUnless, padding_bytes: id as u32 };
            let mut payload = Vec::new();
            action.write(&mut payload);
            assert_eq!(Action::read(&payload), Some(action));
            let _ = state.reduce(&action);
        }
        assert_eq!(State::decode(&state.encode()), Some(state));
    }

    #[test]
    fn the_order_of_two_actions_shows_in_the_digest() {
        let add = |id| Action { id, ask: Ask::Add, padding_bytes: 0 };
        let (mut one, mut other) = (State::new(0), State::new(0));
        for id in [1, 2] {
            one.reduce(&add(id)).unwrap();
            other.reduce(&add(3 - id)).unwrap();
        }
        assert_ne!(one.digest(), other.digest());
    }
}
