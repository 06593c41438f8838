//! The replicated value: a state and the reducer that changes it, as the protocol sees them.

use std::fmt;

/// The reason why an action was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The reducer refused it; the state is as it was.
    Rejected(String),
    /// The reducer panicked, and the state was put back as it was.
    RolledBack(String),
    /// The reducer panicked, and the state may be half changed.
    Poisoned(String),
    /// The payload is not an action of this store.
    Undecodable(String),
    /// The patch does not fit the state, which may be half changed.
    Misfit(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Rejected(why) => f.write_str(why),
            Fault::RolledBack(why) => write!(f, "the reducer panicked (rolled back): {why}"),
            Fault::Poisoned(why) => write!(f, "the reducer panicked: {why}"),
            Fault::Undecodable(why) => write!(f, "the action cannot be decoded: {why}"),
            Fault::Misfit(why) => write!(f, "the patch cannot be applied: {why}"),
        }
    }
}

/// A state held still: what a snapshot or a digest is made from, away from the replica's lock.
pub trait StateView: Clone {
    /// The encoded state.
    ///
    /// # Errors
    ///
    /// In words: what the state has that the codec cannot express.
    fn encode(&self) -> Result<Vec<u8>, String>;

    /// The structural digest of the state.
    ///
    /// # Errors
    ///
    /// In words: why the state cannot be walked.
    fn digest(&self) -> Result<u64, String>;

    /// Checks that `bytes`, the encoded state, decode to the same state again.
    ///
    /// # Errors
    ///
    /// In words: the path of the part that does not come back, and why.
    fn check(&self, bytes: &[u8]) -> Result<(), String>;
}

/// A deterministic state machine with encoded actions and states.
pub trait StateMachine {
    /// The type of a dispatched action in this process.
    type Input: ?Sized;
    /// The type of a decoded action, for subscribers. It is moved a few times.
    type Action;
    /// A decoded state, ready to take the place of the current one.
    type State;
    /// The current state, held still; O(1).
    type StateView: StateView;

    /// Returns whether actions change the state. A copy whose reducer is elsewhere decodes them and
    /// tells of them; its state is that of the last snapshot, and is never checked nor served.
    fn reduces(&self) -> bool {
        true
    }

    /// Applies an encoded action. Every node applies actions by this alone, also those that were
    /// made in its own process: where a codec changes a value, it does so everywhere.
    ///
    /// # Errors
    ///
    /// If the action cannot be decoded, is rejected, or the reducer panics.
    fn apply(&mut self, payload: &[u8]) -> Result<Self::Action, Fault>;

    /// Returns whether this machine makes patches of its state and applies them.
    fn takes_patches(&self) -> bool {
        false
    }

    /// Applies an encoded action, and appends the patch of what it changed to `patch`. Returns
    /// false if there is no patch: it would have more than `bytes_max` bytes or be large beside the
    /// whole state, or the machine makes none.
    ///
    /// # Errors
    ///
    /// As [`StateMachine::apply`].
    fn apply_and_diff(
        &mut self,
        payload: &[u8],
        patch: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(Self::Action, bool), Fault> {
        let _ = (patch, bytes_max);
        self.apply(payload).map(|action| (action, false))
    }

    /// Applies the patch that another node made of the encoded action `payload`.
    ///
    /// # Errors
    ///
    /// If the action or the patch cannot be decoded, or the patch does not fit the state.
    fn apply_patch(&mut self, payload: &[u8], patch: &[u8]) -> Result<Self::Action, Fault> {
        let _ = patch;
        self.apply(payload)
    }

    /// Appends the encoded action to `out`.
    ///
    /// # Errors
    ///
    /// In words: what the action has that the codec cannot express.
    fn encode_action(&self, action: &Self::Input, out: &mut Vec<u8>) -> Result<(), String>;

    /// Checks that `payload`, the encoded action, can be decoded.
    ///
    /// # Errors
    ///
    /// In words: the path of the part that cannot, and why.
    fn check_action(&self, action: &Self::Input, payload: &[u8]) -> Result<(), String>;

    /// Holds the current state still.
    fn freeze(&self) -> Self::StateView;

    /// Decodes a state; needs no lock.
    ///
    /// # Errors
    ///
    /// In words: why the bytes are no such state.
    fn decode_state(bytes: &[u8]) -> Result<Self::State, String>;

    /// The digest of a decoded state; needs no lock.
    ///
    /// # Errors
    ///
    /// In words: why the state cannot be walked.
    fn digest_state(state: &Self::State) -> Result<u64, String>;

    /// Puts a decoded state in the place of the current one.
    fn install(&mut self, state: Self::State);
}
