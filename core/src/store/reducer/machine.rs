//! State and reducer as the machine that is replicated.
//!
//! The state is in an `Arc` behind a lock. A reader gets a clone of the `Arc`. The next action then
//! changes a copy, so that a state is cloned at most once a version, and only if a clone of the
//! `Arc` is still alive. Snapshots and digests are made from such an `Arc`, without the lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Mutex, RecursiveRwLock, RecursiveRwLockReadGuard, RecursiveRwLockWriteGuard};
use samestate_proto::replication::{Fault, StateMachine, StateView};
use samestate_proto::wire::Codec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{check, decode, decode_own, encode, encoded_bytes};
use crate::state::{Delta, Patching, digest};
use crate::store::reducer::undo::{UndoLog, UndoPanics};

/// A reducer's refusal: the state is as it was, and the origin of the action is told why.
///
/// ```
/// use samestate::Reject;
///
/// fn withdraw(balance: &mut u64, amount: &u64) -> Result<(), Reject> {
///     *balance = balance.checked_sub(*amount).ok_or("the balance is too low")?;
///     Ok(())
/// }
/// # assert!(withdraw(&mut 1, &2).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject(pub String);

impl<T: Into<String>> From<T> for Reject {
    fn from(why: T) -> Self {
        Reject(why.into())
    }
}

/// The return types of a reducer: nothing, or `Result<(), Reject>`.
pub trait IntoReduction {
    /// True if the type can express a refusal.
    const CAN_REJECT: bool;

    /// Converts the value to a result: an error if the action was rejected.
    ///
    /// # Errors
    ///
    /// The reason of the rejection.
    fn verdict(self) -> Result<(), Reject>;
}

impl IntoReduction for () {
    const CAN_REJECT: bool = false;

    fn verdict(self) -> Result<(), Reject> {
        Ok(())
    }
}

impl IntoReduction for Result<(), Reject> {
    const CAN_REJECT: bool = true;

    fn verdict(self) -> Result<(), Reject> {
        self
    }
}

/// The requirements of a state.
pub trait State: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> State for T {}

/// The requirements of an action.
pub trait Action: Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Action for T {}

/// The first byte of an encoded state says how the rest is encoded.
const MESSAGE_PACK: u8 = b'M';
const JSON: u8 = b'J';

pub(crate) type Reducer<S, A> = Box<dyn Fn(&mut S, &A) -> Result<(), Reject> + Send + Sync>;

/// The state as its readers share it. Reads nest, so they may pass a writer that waits; the gate
/// keeps them from passing it for ever: a read that is not nested waits behind the writer there.
#[derive(Debug)]
pub(crate) struct Cell<S> {
    gate: Mutex<()>,
    state: RecursiveRwLock<Arc<S>>,
}

impl<S> Cell<S> {
    fn new(state: S) -> Arc<Self> {
        Arc::new(Cell { gate: Mutex::new(()), state: RecursiveRwLock::new(Arc::new(state)) })
    }

    pub(crate) fn read(&self, nested: bool) -> RecursiveRwLockReadGuard<'_, Arc<S>> {
        if !nested {
            drop(self.gate.lock());
        }
        self.state.read()
    }

    fn write(&self) -> RecursiveRwLockWriteGuard<'_, Arc<S>> {
        let _gate = self.gate.lock();
        self.state.write()
    }
}

/// A typed state and its reducer: the replicated part of a store. It is for programs that drive a
/// [`samestate_proto::replication::Replica`] themselves: the simulator, and benchmarks.
pub struct ReducerMachine<S, A> {
    cell: Arc<Cell<S>>,
    reducer: Reducer<S, A>,
    codec: Codec,
    undo: UndoLog<S>,
    patching: Option<Patching<S>>,
    /// False: the reducer is elsewhere.
    reduces: bool,
}

impl<S: State, A: Action> ReducerMachine<S, A> {
    /// A machine in this state.
    pub fn new<V: IntoReduction>(
        state: S,
        reducer: impl Fn(&mut S, &A) -> V + Send + Sync + 'static,
        codec: Codec,
    ) -> Self {
        let reducer: Reducer<S, A> =
            Box::new(move |state, action| reducer(state, action).verdict());
        let undo = UndoLog::new(UndoPanics::default());
        let cell = Cell::new(state);
        ReducerMachine { cell, reducer, codec, undo, patching: None, reduces: true }
    }

    /// Sets whether a panic of the reducer is undone.
    pub fn undo_panics(self, undo: UndoPanics) -> Self {
        ReducerMachine { undo: UndoLog::new(undo), ..self }
    }

    /// Makes patches of the state and applies them: for mode `delta`.
    pub fn with_patches(self) -> Self
    where
        S: Delta,
    {
        self.patching(Some(Patching::new()))
    }

    /// Sets the functions that make and apply patches, if there are any.
    pub fn patching(self, patching: Option<Patching<S>>) -> Self {
        ReducerMachine { patching, ..self }
    }

    /// A machine whose reducer is elsewhere: see [`StateMachine::reduces`].
    pub fn without_reducer(state: S, codec: Codec) -> Self {
        ReducerMachine {
            reduces: false,
            ..ReducerMachine::new(state, |_: &mut S, _: &A| {}, codec)
        }
    }

    /// The current state.
    pub fn state(&self) -> Arc<S> {
        Arc::clone(&self.cell.read(true))
    }

    pub(crate) fn cell(&self) -> Arc<Cell<S>> {
        Arc::clone(&self.cell)
    }

    fn decoded(&self, payload: &[u8]) -> Result<A, Fault> {
        guarded(|| decode::<A>(self.codec, payload)).map_err(Fault::Undecodable)
    }

    fn reduce(&mut self, action: &A, payload: &[u8]) -> Result<(), Fault> {
        self.reduce_watched(action, payload, None)
    }

    /// Runs the reducer, for which the state records its changes if it is watched.
    fn reduce_watched(
        &mut self,
        action: &A,
        payload: &[u8],
        watched: Option<Watched<'_, S>>,
    ) -> Result<(), Fault> {
        #[cfg(samestate_slow_apply)]
        let _handicap = super::slow::Handicap::begin();
        let ReducerMachine { cell, reducer, codec, undo, .. } = self;
        let mut guard = cell.write();
        undo.prepare(&guard, |state, bytes_max| measured(*codec, state, bytes_max));
        let state = Arc::make_mut(&mut guard);
        let before = watched.as_ref().map(|watched| {
            watched.patching.record(state, true);
            S::clone(state)
        });
        match catch_unwind(AssertUnwindSafe(|| reducer(state, action))) {
            Ok(verdict) => {
                if let (Some(watched), Some(before)) = (watched, before) {
                    if verdict.is_ok() {
                        (watched.compare)(&before, state);
                    }
                    watched.patching.record(state, false);
                }
                if verdict.is_ok() {
                    undo.applied(payload);
                }
                verdict.map_err(|reject| Fault::Rejected(reject.0))
            }
            Err(panic) => {
                let why = words_of(panic.as_ref());
                let again = |state: &mut S, payload: &[u8]| {
                    let action = guarded(|| decode::<A>(*codec, payload)).ok()?;
                    catch_unwind(AssertUnwindSafe(|| reducer(state, &action))).ok()?.ok()
                };
                let Some(before) = undo.rebuild(again) else { return Err(Fault::Poisoned(why)) };
                *guard = before;
                Err(Fault::RolledBack(why))
            }
        }
    }
}

/// The size of the encoded state, if it has at most so many bytes and can be encoded.
fn measured<S: State>(codec: Codec, state: &S, bytes_max: usize) -> Option<usize> {
    guarded(|| Ok(encoded_bytes(codec, state, bytes_max))).ok().flatten()
}

/// A state whose change by an action is to be known.
struct Watched<'a, S> {
    patching: &'a Patching<S>,
    /// Called with the state from before the action and after it.
    compare: &'a mut dyn FnMut(&S, &S),
}

/// A patch of at most this many bytes is always sent: a snapshot is no less work.
const PATCH_BYTES_MIN: usize = 1 << 10;

/// Returns whether a patch of so many bytes is at most half of the encoded state. Encodes no more
/// of the state than twice the patch.
fn is_small<S: State>(codec: Codec, state: &S, patch_bytes: usize) -> bool {
    patch_bytes <= PATCH_BYTES_MIN || measured(codec, state, patch_bytes * 2 - 1).is_none()
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}

/// Does work of the user's types; a panic is an error like another.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(words_of(panic.as_ref())))
}

impl<S: State, A: Action> StateMachine for ReducerMachine<S, A> {
    type Input = A;
    type Action = A;
    type State = S;
    type StateView = Held<S>;

    fn reduces(&self) -> bool {
        self.reduces
    }

    fn apply(&mut self, payload: &[u8]) -> Result<A, Fault> {
        let action = self.decoded(payload)?;
        if self.reduces {
            self.reduce(&action, payload)?;
        }
        Ok(action)
    }

    fn takes_patches(&self) -> bool {
        self.patching.is_some() && self.reduces
    }

    fn apply_and_diff(
        &mut self,
        payload: &[u8],
        patch: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(A, bool), Fault> {
        let Some(patching) = self.patching.filter(|_| self.reduces) else {
            return self.apply(payload).map(|action| (action, false));
        };
        let action = self.decoded(payload)?;
        let (codec, start, mut is_made) = (self.codec, patch.len(), false);
        let mut compare = |before: &S, after: &S| {
            let written = guarded(|| patching.diff(codec, before, after, patch, bytes_max));
            is_made = written.is_ok() && is_small(codec, after, patch.len() - start);
        };
        let watched = Watched { patching: &patching, compare: &mut compare };
        self.reduce_watched(&action, payload, Some(watched))?;
        Ok((action, is_made))
    }

    fn apply_patch(&mut self, payload: &[u8], patch: &[u8]) -> Result<A, Fault> {
        let patching =
            self.patching.ok_or_else(|| Fault::Misfit("this store takes no patches".into()))?;
        let action = self.decoded(payload)?;
        let mut guard = self.cell.write();
        // What the undo log knows are actions, which are not run here.
        self.undo.replaced();
        let state = Arc::make_mut(&mut guard);
        guarded(|| patching.apply(self.codec, state, patch)).map_err(Fault::Misfit)?;
        Ok(action)
    }

    fn encode_action(&self, action: &A, out: &mut Vec<u8>) -> Result<(), String> {
        guarded(|| encode(self.codec, action, out))
    }

    fn check_action(&self, action: &A, payload: &[u8]) -> Result<(), String> {
        guarded(|| decode_own(self.codec, action, payload).map(drop))
    }

    fn freeze(&self) -> Held<S> {
        Held { state: Arc::clone(&self.cell.read(true)), codec: self.codec }
    }

    fn decode_state(bytes: &[u8]) -> Result<S, String> {
        match bytes.split_first() {
            Some((&MESSAGE_PACK, state)) => decode(Codec::MessagePack, state),
            Some((&JSON, state)) => decode(Codec::Json, state),
            _ => Err("its first byte names no codec".into()),
        }
    }

    fn digest_state(state: &S) -> Result<u64, String> {
        digest(state).map(|digest| digest.0).map_err(|error| error.to_string())
    }

    fn install(&mut self, state: S) {
        *self.cell.write() = Arc::new(state);
        self.undo.replaced();
    }
}

/// Encodes a state, and checks that it can be restored. A panic of its types is an error.
///
/// # Errors
///
/// In words: the path of the part that does not come back, and why.
pub(crate) fn encoded(frozen: &impl StateView) -> Result<Vec<u8>, String> {
    guarded(|| {
        let bytes = frozen.encode()?;
        frozen.check(&bytes)?;
        Ok(bytes)
    })
}

/// A state held still.
pub struct Held<S> {
    state: Arc<S>,
    codec: Codec,
}

impl<S> Clone for Held<S> {
    fn clone(&self) -> Self {
        Held { state: Arc::clone(&self.state), codec: self.codec }
    }
}

impl<S: State> StateView for Held<S> {
    fn encode(&self) -> Result<Vec<u8>, String> {
        let mut out = vec![match self.codec {
            Codec::MessagePack => MESSAGE_PACK,
            Codec::Json => JSON,
        }];
        encode(self.codec, &*self.state, &mut out)?;
        Ok(out)
    }

    fn digest(&self) -> Result<u64, String> {
        digest(&*self.state).map(|digest| digest.0).map_err(|error| error.to_string())
    }

    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        let (_, encoded) = bytes.split_first().ok_or("it has no first byte")?;
        check(self.codec, &*self.state, encoded).map(drop)
    }
}
