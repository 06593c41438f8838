//! The state of one replica: what the library ships, with the types of its reducer hidden.
//!
//! A world holds stores of several reducers, so their states are trait objects here. Underneath is
//! [`ReducerMachine`], as in every real process. Each action carries an id of its own behind its
//! encoding, by which the checker follows it: eight bytes more on the wire than in a real cluster.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;
use rand::Rng;
use samestate::ReducerMachine;
use samestate::state::digest;
use samestate_proto::replication::{Fault, StateMachine, StateView};
use samestate_proto::wire::Codec;

use crate::load::catalog::Table;
use crate::load::{
    Held, HeldState, Params, Reducer, Registry, Shipped, UnknownReducer, Visitor, encode,
};

/// So many bytes behind the encoding of each action say which one it is.
const ID_BYTES: usize = 8;

/// An action as it goes over the wire, its id behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The id of the action: unique in a simulation.
    pub id: u64,
    /// Its encoding and its id; empty where it came from elsewhere.
    payload: Bytes,
}

impl Action {
    /// The action with this encoding.
    pub fn new(id: u64, mut encoded: Vec<u8>) -> Self {
        encoded.extend_from_slice(&id.to_le_bytes());
        Action { id, payload: encoded.into() }
    }

    /// The length of what goes over the wire, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.payload.len()
    }
}

/// The encoding of an action, and its id.
pub(crate) fn parts(payload: &[u8]) -> Option<(&[u8], u64)> {
    let (encoded, id) = payload.split_last_chunk::<ID_BYTES>()?;
    Some((encoded, u64::from_le_bytes(*id)))
}

/// A reducer, its types hidden.
#[derive(Clone, Copy)]
pub struct Kind {
    name: &'static str,
    fresh: fn() -> Box<dyn AnyCopy>,
    action: fn(&mut dyn Rng, u64, &Params) -> Vec<u8>,
    opening: fn(&Params) -> Vec<Vec<u8>>,
    mirroring: fn(Vec<u8>) -> Option<Vec<u8>>,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

type KindOf = fn(&str) -> Result<Kind, UnknownReducer>;

static KINDS: Table<KindOf> = Table::new(kind::<Shipped>);

/// Adds a registry's reducers.
pub(crate) fn add_reducers<R: Registry>() {
    KINDS.add::<R>(kind::<R>);
}

fn kind<R: Registry>(name: &str) -> Result<Kind, UnknownReducer> {
    struct Of;
    impl Visitor for Of {
        type Output = Kind;
        fn visit<R: Reducer>(self) -> Kind {
            Kind::of::<R>()
        }
    }
    R::visit(name, Of)
}

/// The decoders of the states of each reducer: a snapshot names its reducer.
static DECODERS: RwLock<BTreeMap<&str, Decode>> = RwLock::new(BTreeMap::new());

type Decode = fn(&[u8]) -> Result<Still, String>;

impl Kind {
    /// The reducer that this process knows under this name.
    pub fn named(name: &str) -> Result<Kind, UnknownReducer> {
        KINDS.of(name)(name)
    }

    /// This reducer.
    pub fn of<R: Reducer>() -> Kind {
        DECODERS.write().insert(R::INFO.name, |bytes| {
            let state = ReducerMachine::<R::State, R::Action>::decode_state(bytes)?;
            Ok(Still(Arc::new(Frost::<R>(Arc::new(state)))))
        });
        Kind {
            name: R::INFO.name,
            fresh: || Box::new(Live::<R>::of(R::State::default())),
            action: |random, n, params| encoded(&R::action(random, n, params)),
            opening: |params| R::opening(params).iter().map(encoded).collect(),
            mirroring: |state| R::mirroring(state).as_ref().map(encoded),
        }
    }

    /// The `n`-th action of a load, encoded.
    pub fn action(&self, random: &mut dyn Rng, n: u64, params: &Params) -> Vec<u8> {
        (self.action)(random, n, params)
    }

    /// The actions that bring an empty store into the state a load begins with, encoded.
    pub fn opening(&self, params: &Params) -> Vec<Vec<u8>> {
        (self.opening)(params)
    }

    /// The action that sets a store to another's serialised state, encoded.
    pub fn mirroring(&self, serialised: Vec<u8>) -> Option<Vec<u8>> {
        (self.mirroring)(serialised)
    }
}

/// Shipped actions encode; one of a user's that does not is told by the reducer, as undecodable.
fn encoded<A: serde::Serialize>(action: &A) -> Vec<u8> {
    encode(action).unwrap_or_default()
}

/// A state that actions change.
trait AnyCopy: Send {
    fn apply(&mut self, encoded: &[u8]) -> Result<(), Fault>;
    fn takes_patches(&self) -> bool;
    /// Appends the patch of what the action changed; false if there is none.
    fn apply_and_diff(
        &mut self,
        encoded: &[u8],
        patch: &mut Vec<u8>,
        max: usize,
    ) -> Result<bool, Fault>;
    fn apply_patch(&mut self, encoded: &[u8], patch: &[u8]) -> Result<(), Fault>;
    fn check_action(&self, encoded: &[u8]) -> Result<(), String>;
    fn still(&self) -> Still;
    fn install(&mut self, state: &Still);
}

struct Live<R: Reducer>(ReducerMachine<R::State, R::Action>);

impl<R: Reducer> Live<R> {
    fn of(state: R::State) -> Self {
        let machine = ReducerMachine::new(state, R::reduce, Codec::MessagePack);
        Live(machine.patching(R::patching()))
    }
}

impl<R: Reducer> AnyCopy for Live<R> {
    fn apply(&mut self, encoded: &[u8]) -> Result<(), Fault> {
        self.0.apply(encoded).map(|_| ())
    }

    fn takes_patches(&self) -> bool {
        self.0.takes_patches()
    }

    fn apply_and_diff(
        &mut self,
        encoded: &[u8],
        patch: &mut Vec<u8>,
        max: usize,
    ) -> Result<bool, Fault> {
        self.0.apply_and_diff(encoded, patch, max).map(|(_, is_made)| is_made)
    }

    fn apply_patch(&mut self, encoded: &[u8], patch: &[u8]) -> Result<(), Fault> {
        self.0.apply_patch(encoded, patch).map(|_| ())
    }

    fn check_action(&self, encoded: &[u8]) -> Result<(), String> {
        let decoded = rmp_serde::from_slice::<R::Action>(encoded);
        decoded.map(drop).map_err(|error| error.to_string())
    }

    fn still(&self) -> Still {
        Still(Arc::new(Frost::<R>(self.0.state())))
    }

    fn install(&mut self, state: &Still) {
        if let Some(frost) = state.0.as_any().downcast_ref::<Frost<R>>() {
            self.0.install(R::State::clone(&frost.0));
        }
    }
}

/// A state held still.
#[derive(Clone)]
pub struct Still(Arc<dyn AnyStill>);

impl fmt::Debug for Still {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a state of {}", self.0.name())
    }
}

trait AnyStill: Send + Sync {
    fn name(&self) -> &'static str;
    fn encode(&self) -> Result<Vec<u8>, String>;
    fn digest(&self) -> Result<u64, String>;
    fn thaw(&self) -> Box<dyn AnyCopy>;
    fn held(&self) -> Box<dyn HeldState>;
    fn as_any(&self) -> &dyn Any;
}

struct Frost<R: Reducer>(Arc<R::State>);

impl<R: Reducer> AnyStill for Frost<R> {
    fn name(&self) -> &'static str {
        R::INFO.name
    }

    fn encode(&self) -> Result<Vec<u8>, String> {
        encode(&*self.0).map_err(|error| error.to_string())
    }

    fn digest(&self) -> Result<u64, String> {
        digest(&*self.0).map(|digest| digest.0).map_err(|error| error.to_string())
    }

    fn thaw(&self) -> Box<dyn AnyCopy> {
        Box::new(Live::<R>::of(R::State::clone(&self.0)))
    }

    fn held(&self) -> Box<dyn HeldState> {
        Box::new(Held::<R>::new(Arc::clone(&self.0)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Still {
    /// The state, to be compared and mirrored.
    pub(crate) fn held(&self) -> Box<dyn HeldState> {
        self.0.held()
    }

    /// Its encoding, as final states are.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.encode().unwrap_or_default()
    }

    /// Its digest; 0 for a state that cannot be serialised.
    pub(crate) fn digest_or_zero(&self) -> u64 {
        self.0.digest().unwrap_or_default()
    }
}

impl StateView for Still {
    /// A byte that says how all is encoded (as the library's own), the state, and its reducer's
    /// name, so that it can be decoded without knowing which store it is of.
    fn encode(&self) -> Result<Vec<u8>, String> {
        let name = self.0.name();
        let mut out = vec![b'M'];
        out.append(&mut self.0.encode()?);
        out.extend_from_slice(name.as_bytes());
        out.push(u8::try_from(name.len()).map_err(|_| format!("`{name}` is too long a name"))?);
        Ok(out)
    }

    fn digest(&self) -> Result<u64, String> {
        self.0.digest()
    }

    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        let same = ErasedMachine::decode_state(bytes)?.0.digest()? == self.0.digest()?;
        same.then_some(()).ok_or_else(|| "its digest is another after decoding".to_owned())
    }
}

/// A fault inside one copy, from outside.
#[derive(Clone, Debug, Default)]
pub struct Mishap(Arc<AtomicU8>);

impl Mishap {
    /// The next action is applied twice, unnoticed.
    pub const SLIP: u8 = 1;
    /// The next action fails at this copy.
    pub const FAIL: u8 = 2;
    /// Every action is applied twice: as if the reducer were not deterministic.
    pub const ALWAYS_SLIP: u8 = 3;

    /// Lets it happen.
    pub fn set(&self, what: u8) {
        self.0.store(what, Ordering::Relaxed);
    }

    fn take(&self) -> u8 {
        let what = self.0.load(Ordering::Relaxed);
        if what != 0 && what != Mishap::ALWAYS_SLIP {
            self.set(0);
        }
        what
    }
}

/// The state of one replica.
pub struct ErasedMachine {
    copy: Box<dyn AnyCopy>,
    mishap: Mishap,
}

impl fmt::Debug for ErasedMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.still())
    }
}

impl ErasedMachine {
    /// The empty state of a reducer.
    pub fn new(kind: Kind, mishap: Mishap) -> Self {
        ErasedMachine { copy: (kind.fresh)(), mishap }
    }

    /// One that begins with this state.
    pub fn from_still(state: &Still, mishap: Mishap) -> Self {
        ErasedMachine { copy: state.0.thaw(), mishap }
    }

    /// The state, held still.
    pub fn still(&self) -> Still {
        self.copy.still()
    }

    /// Applies an action's encoding, without its id.
    pub(crate) fn reduce(&mut self, encoded: &[u8]) -> Result<(), Fault> {
        self.copy.apply(encoded)
    }
}

impl ErasedMachine {
    /// Changes the state as an action does, unless there is a mishap.
    fn change<T>(
        &mut self,
        payload: &[u8],
        change: impl FnOnce(&mut dyn AnyCopy, &[u8]) -> Result<T, Fault>,
    ) -> Result<(Action, T), Fault> {
        let (encoded, id) =
            parts(payload).ok_or_else(|| Fault::Undecodable(format!("{} bytes", payload.len())))?;
        let mishap = self.mishap.take();
        if mishap == Mishap::FAIL {
            return Err(Fault::RolledBack("by mishap".into()));
        }
        let changed = change(&mut *self.copy, encoded)?;
        if mishap != 0 {
            // What is refused the second time has not changed anything.
            let _ = self.copy.apply(encoded);
        }
        Ok((Action { id, payload: Bytes::new() }, changed))
    }
}

impl StateMachine for ErasedMachine {
    type Input = Action;
    type Action = Action;
    type State = Still;
    type StateView = Still;

    fn apply(&mut self, payload: &[u8]) -> Result<Action, Fault> {
        self.change(payload, |copy, encoded| copy.apply(encoded)).map(|(action, ())| action)
    }

    fn takes_patches(&self) -> bool {
        self.copy.takes_patches()
    }

    fn apply_and_diff(
        &mut self,
        payload: &[u8],
        patch: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(Action, bool), Fault> {
        self.change(payload, |copy, encoded| copy.apply_and_diff(encoded, patch, bytes_max))
    }

    fn apply_patch(&mut self, payload: &[u8], patch: &[u8]) -> Result<Action, Fault> {
        let changed = self.change(payload, |copy, encoded| copy.apply_patch(encoded, patch));
        changed.map(|(action, ())| action)
    }

    fn encode_action(&self, action: &Action, out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(&action.payload);
        Ok(())
    }

    fn check_action(&self, _: &Action, payload: &[u8]) -> Result<(), String> {
        let (encoded, _) = parts(payload).ok_or("it has no id")?;
        self.copy.check_action(encoded)
    }

    fn freeze(&self) -> Still {
        self.still()
    }

    fn decode_state(bytes: &[u8]) -> Result<Still, String> {
        let named = bytes.split_last().and_then(|(len, rest)| {
            let (state, name) = rest.split_at_checked(rest.len().checked_sub(*len as usize)?)?;
            Some((state, std::str::from_utf8(name).ok()?))
        });
        let (state, name) = named.ok_or("its last bytes name no reducer")?;
        let decode = DECODERS.read().get(name).copied();
        decode.ok_or_else(|| format!("there is no reducer called `{name}`"))?(state)
    }

    fn digest_state(state: &Still) -> Result<u64, String> {
        state.0.digest()
    }

    fn install(&mut self, state: Still) {
        self.copy.install(&state);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_state_of_every_reducer_comes_back_as_it_was_encoded() {
        let mut random = rand_pcg::Pcg64::seed_from_u64(3);
        for name in Shipped::names() {
            let kind = Kind::named(name).unwrap();
            let (mut one, mut other) = (
                ErasedMachine::new(kind, Mishap::default()),
                ErasedMachine::new(kind, Mishap::default()),
            );
            let opening = kind.opening(&Params::default());
            let actions = (0..9).map(|n| kind.action(&mut random, n, &Params::default()));
            for (id, encoded) in opening.into_iter().chain(actions.collect::<Vec<_>>()).enumerate()
            {
                let action = Action::new(id as u64, encoded);
                let _ = one.apply(&action.payload);
            }
            let bytes = StateView::encode(&one.still()).unwrap();
            other.install(ErasedMachine::decode_state(&bytes).unwrap());
            assert_eq!(other.still().bytes(), one.still().bytes(), "{name}");
            assert_eq!(other.still().digest_or_zero(), one.still().digest_or_zero(), "{name}");
        }
    }

    #[test]
    fn a_snapshot_that_names_no_reducer_is_refused() {
        for bytes in [&b""[..], &b"M\x05"[..], &b"Mabc\x03"[..], &b"\xff"[..]] {
            assert!(ErasedMachine::decode_state(bytes).is_err(), "{bytes:?}");
        }
    }
}
