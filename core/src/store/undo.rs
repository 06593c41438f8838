//! The state before an action on which the reducer panicked.
//!
//! A copy of the state before each action would cost a clone each time. Instead one older state is
//! kept, together with the encoded actions applied since, and the state is rebuilt from these. The
//! older state is renewed when the actions take as much memory as a few states, so the clones cost
//! little for each action.

use std::sync::Arc;

/// The actions since the kept state take at least this many bytes before it is renewed, ...
const ACTION_BYTES_MIN: usize = 64 << 10;

/// ... and at most this many, ...
const ACTION_BYTES_MAX: usize = 16 << 20;

/// ... and in between, this many times the size of the state.
const STATES: usize = 4;

/// A state that may be larger than this is not kept unless the user asks for it.
const STATE_BYTES_MAX: usize = 64 << 20;

/// The state is measured again after at least this many bytes of actions.
const MEASURE_AFTER_BYTES: usize = 1 << 20;

/// Whether a panic of the reducer is undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UndoPanics {
    /// While the encoded state has at most about 64 MiB.
    #[default]
    WhileSmall,
    /// Regardless of the size of the state.
    Always,
    /// Never: a panic poisons the store.
    Never,
}

/// An older state, and the actions since.
#[derive(Debug)]
pub(super) struct UndoLog<S> {
    undo: UndoPanics,
    state: Option<Arc<S>>,
    /// The encoded actions since, each behind its length.
    actions: Vec<u8>,
    /// The size of the encoded state when it was last measured, in bytes.
    measured: Option<usize>,
    /// The bytes of the actions applied since: the state rarely grows by more.
    grown: usize,
}

impl<S: Clone> UndoLog<S> {
    pub(super) fn new(undo: UndoPanics) -> Self {
        UndoLog { undo, state: None, actions: Vec::new(), measured: None, grown: 0 }
    }

    /// Prepares for an action that may panic on `state`: keeps this state if that is due.
    /// `measure` returns the size of the encoded state, in bytes.
    pub(super) fn prepare(&mut self, state: &Arc<S>, measure: impl FnOnce(&S) -> usize) {
        if self.undo == UndoPanics::Never || (self.state.is_some() && !self.is_due()) {
            return;
        }
        self.forget();
        let small = |bytes| bytes <= STATE_BYTES_MAX;
        let outdated = self
            .measured
            .is_none_or(|bytes| small(bytes) && self.grown > bytes.max(MEASURE_AFTER_BYTES));
        if outdated {
            (self.measured, self.grown) = (Some(measure(state)), 0);
        }
        if self.undo == UndoPanics::Always || self.measured.is_some_and(small) {
            self.state = Some(Arc::clone(state));
        }
    }

    fn is_due(&self) -> bool {
        let states = self.measured.unwrap_or(0).saturating_add(self.grown).saturating_mul(STATES);
        self.actions.len() > states.clamp(ACTION_BYTES_MIN, ACTION_BYTES_MAX)
    }

    /// Notes that this action was applied.
    pub(super) fn applied(&mut self, payload: &[u8]) {
        self.grown = self.grown.saturating_add(payload.len());
        if self.state.is_some() {
            self.actions.extend_from_slice(&payload.len().to_le_bytes());
            self.actions.extend_from_slice(payload);
        }
    }

    /// Rebuilds the state after the last action that was applied. Returns `None` if no older state
    /// is kept, or `apply` fails.
    pub(super) fn rebuild(
        &mut self,
        mut apply: impl FnMut(&mut S, &[u8]) -> Option<()>,
    ) -> Option<Arc<S>> {
        let mut state = S::clone(self.state.as_deref()?);
        let mut rest = &self.actions[..];
        while let Some((len, after)) = rest.split_first_chunk() {
            let (payload, after) = after.split_at_checked(usize::from_le_bytes(*len))?;
            apply(&mut state, payload)?;
            rest = after;
        }
        self.forget();
        let state = Arc::new(state);
        self.state = Some(Arc::clone(&state));
        Some(state)
    }

    /// Notes that another state was put in place: nothing that is known of the last one holds.
    pub(super) fn replaced(&mut self) {
        self.forget();
        (self.measured, self.grown) = (None, 0);
    }

    fn forget(&mut self) {
        self.state = None;
        self.actions.clear();
        self.actions.shrink_to(ACTION_BYTES_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(state: &mut Vec<u8>, payload: &[u8]) -> Option<()> {
        state.extend_from_slice(payload);
        Some(())
    }

    fn run(undo: UndoPanics, actions: usize) -> (UndoLog<Vec<u8>>, Arc<Vec<u8>>) {
        let (mut log, mut state) = (UndoLog::new(undo), Arc::new(Vec::new()));
        for action in 0..actions {
            log.prepare(&state, Vec::len);
            let payload = action.to_le_bytes();
            push(Arc::make_mut(&mut state), &payload);
            log.applied(&payload);
        }
        log.prepare(&state, Vec::len);
        (log, state)
    }

    #[test]
    fn the_state_is_rebuilt_however_many_actions_came_since_the_kept_one() {
        for actions in [0, 1, 7, 4096, 400_000] {
            let (mut log, state) = run(UndoPanics::WhileSmall, actions);
            assert_eq!(log.rebuild(push), Some(Arc::clone(&state)), "{actions}");
            assert_eq!(log.rebuild(push), Some(state), "and again, after another panic");
        }
    }

    #[test]
    fn an_action_that_fails_when_it_is_applied_again_leaves_nothing_to_rebuild_from() {
        let (mut log, _) = run(UndoPanics::Always, 10);
        assert_eq!(log.rebuild(|_, _| None), None);
    }

    #[test]
    fn nothing_is_kept_where_it_is_not_wanted_or_the_state_is_large() {
        let (mut log, _) = run(UndoPanics::Never, 10);
        assert_eq!(log.rebuild(push), None);
        for (undo, kept) in [(UndoPanics::WhileSmall, false), (UndoPanics::Always, true)] {
            let mut log = UndoLog::new(undo);
            log.prepare(&Arc::new(Vec::new()), |_| STATE_BYTES_MAX + 1);
            assert_eq!(log.rebuild(push).is_some(), kept, "{undo:?}");
        }
    }

    #[test]
    fn a_small_state_is_kept_however_many_actions_pass() {
        let (mut log, state) = (UndoLog::new(UndoPanics::WhileSmall), Arc::new(0_u64));
        let payload = [0; 1000];
        for _ in 0..2 * STATE_BYTES_MAX / payload.len() {
            log.prepare(&state, |_| 8);
            log.applied(&payload);
        }
        assert!(log.rebuild(|_, _| Some(())).is_some());
    }

    #[test]
    fn the_actions_that_are_kept_are_bounded_and_the_clones_are_few() {
        let (mut log, state) = (UndoLog::new(UndoPanics::Always), Arc::new(()));
        let payload = [7; 1000];
        let (mut most, mut kept, mut before) = (0, 0, usize::MAX);
        for _ in 0..100_000 {
            log.prepare(&state, |()| 4 << 20);
            kept += usize::from(log.actions.len() < before);
            before = log.actions.len();
            log.applied(&payload);
            most = most.max(log.actions.len());
        }
        assert!(most <= ACTION_BYTES_MAX + 2 * payload.len(), "{most}");
        assert!(kept <= 2 + 100_000_000 / ACTION_BYTES_MAX, "{kept} clones for 100 MB of actions");
    }
}
