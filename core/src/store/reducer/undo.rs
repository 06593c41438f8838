//! The state before an action on which the reducer panicked.
//!
//! A copy of the state before each action would cost a clone each time. Instead one older state is
//! kept, together with the encoded actions applied since, and the state is rebuilt from these. The
//! older state is renewed when the actions take as much memory as a few states, so the clones cost
//! little for each action.

use std::sync::Arc;

/// The number of bytes that the actions since the kept state take at least before it is renewed.
const ACTION_BYTES_MIN: usize = 64 << 10;

/// The number of bytes that they take at most.
const ACTION_BYTES_MAX: usize = 16 << 20;

/// The number of bytes between the two limits, as a multiple of the size of the state.
const STATES: usize = 4;

/// A state with more encoded bytes is not kept unless the user asks for it.
const STATE_BYTES_MAX: usize = 64 << 20;

/// A state that is not kept is measured again after this many bytes of actions, and then after
/// twice as many each time.
const PAUSE_BYTES_MIN: usize = 1 << 20;

/// The choice of whether a panic of the reducer is undone.
///
/// A state that nests deeper than 128 levels is never kept: to clone it may take more stack than
/// there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UndoPanics {
    /// While the encoded state has at most 64 MiB.
    #[default]
    WhileSmall,
    /// Regardless of the size of the state.
    Always,
    /// Never: a panic poisons the store.
    Never,
}

/// An older state, and the actions since.
#[derive(Debug)]
pub(crate) struct UndoLog<S> {
    undo: UndoPanics,
    state: Option<Arc<S>>,
    /// The encoded actions since, each behind its length.
    actions: Vec<u8>,
    /// The state is renewed when the actions take more bytes than this.
    action_bytes_max: usize,
    /// The bytes of actions applied since the state was found too large to be kept.
    paused: usize,
    /// The value of `paused` at which the state is measured again.
    pause: usize,
}

impl<S: Clone> UndoLog<S> {
    pub(crate) fn new(undo: UndoPanics) -> Self {
        let (state, actions) = (None, Vec::new());
        UndoLog { undo, state, actions, action_bytes_max: 0, paused: 0, pause: 0 }
    }

    /// Prepares for an action that may panic on `state`: keeps this state if that is due.
    ///
    /// `measure` returns the size of the encoded state in bytes, and `None` if it has more than the
    /// given number or cannot be kept for another reason.
    pub(crate) fn prepare(
        &mut self,
        state: &Arc<S>,
        measure: impl FnOnce(&S, usize) -> Option<usize>,
    ) {
        let state_bytes_max = match self.undo {
            UndoPanics::WhileSmall => STATE_BYTES_MAX,
            UndoPanics::Always => usize::MAX,
            UndoPanics::Never => return,
        };
        let is_due = match self.state {
            Some(_) => self.actions.len() > self.action_bytes_max,
            None => self.paused >= self.pause,
        };
        if !is_due {
            return;
        }
        self.forget();
        self.paused = 0;
        if let Some(bytes) = measure(state, state_bytes_max) {
            self.pause = 0;
            self.action_bytes_max =
                bytes.saturating_mul(STATES).clamp(ACTION_BYTES_MIN, ACTION_BYTES_MAX);
            self.state = Some(Arc::clone(state));
        } else {
            self.pause = self.pause.saturating_mul(2).max(PAUSE_BYTES_MIN);
        }
    }

    /// Notes that this action was applied.
    pub(crate) fn applied(&mut self, payload: &[u8]) {
        if self.state.is_some() {
            self.actions.extend_from_slice(&payload.len().to_le_bytes());
            self.actions.extend_from_slice(payload);
        } else {
            self.paused = self.paused.saturating_add(payload.len());
        }
    }

    /// Rebuilds the state after the last action that was applied. Returns `None` if no older state
    /// is kept, or `apply` fails. The next action keeps the rebuilt state, so that panics in a row
    /// do not each apply all of these actions again.
    pub(crate) fn rebuild(
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
        Some(Arc::new(state))
    }

    /// Notes that another state was put in place: nothing that is known of the last one holds.
    pub(crate) fn replaced(&mut self) {
        self.forget();
        (self.paused, self.pause) = (0, 0);
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

    fn measure(state: &[u8], bytes_max: usize) -> Option<usize> {
        Some(state.len()).filter(|bytes| *bytes <= bytes_max)
    }

    fn run(undo: UndoPanics, actions: usize) -> (UndoLog<Vec<u8>>, Arc<Vec<u8>>) {
        let (mut log, mut state) = (UndoLog::new(undo), Arc::new(Vec::new()));
        for action in 0..actions {
            log.prepare(&state, |state, max| measure(state, max));
            let payload = action.to_le_bytes();
            push(Arc::make_mut(&mut state), &payload);
            log.applied(&payload);
        }
        log.prepare(&state, |state, max| measure(state, max));
        (log, state)
    }

    #[test]
    fn the_state_is_rebuilt_however_many_actions_came_since_the_kept_one() {
        for actions in [0, 1, 7, 4096, 400_000] {
            let (mut log, state) = run(UndoPanics::WhileSmall, actions);
            assert_eq!(log.rebuild(push), Some(Arc::clone(&state)), "{actions}");
            log.prepare(&state, |state, max| measure(state, max));
            assert_eq!(log.rebuild(push), Some(state), "and again, after another panic");
        }
    }

    #[test]
    fn an_action_that_fails_when_it_is_applied_again_leaves_nothing_to_rebuild_from() {
        let (mut log, _) = run(UndoPanics::Always, 10);
        assert_eq!(log.rebuild(|_, _| None), None);
    }

    #[test]
    fn nothing_is_kept_where_it_is_not_wanted() {
        let (mut log, _) = run(UndoPanics::Never, 10);
        assert_eq!(log.rebuild(push), None);
    }

    /// Applies 100 MB of actions to a state of this size. Returns the most bytes of actions that
    /// were kept, and how often the state was measured.
    fn storm(undo: UndoPanics, state_bytes: usize) -> (usize, usize) {
        let (mut log, state) = (UndoLog::new(undo), Arc::new(()));
        let (mut most, mut times) = (0, 0);
        for _ in 0..100_000 {
            log.prepare(&state, |(), bytes_max| {
                times += 1;
                Some(state_bytes).filter(|bytes| *bytes <= bytes_max)
            });
            log.applied(&[7; 1000]);
            most = most.max(log.actions.len());
        }
        assert_eq!(log.state.is_some(), most > 0);
        (most, times)
    }

    #[test]
    fn the_actions_that_are_kept_are_bounded_and_the_clones_are_few() {
        let (most, times) = storm(UndoPanics::WhileSmall, STATE_BYTES_MAX);
        assert!((ACTION_BYTES_MAX..ACTION_BYTES_MAX + 2000).contains(&most), "{most}");
        assert!(times <= 1 + 101_000_000 / ACTION_BYTES_MAX, "{times} clones");
        let (most, _) = storm(UndoPanics::WhileSmall, 100);
        assert!(most <= ACTION_BYTES_MIN + 2000, "{most} for a small state");
    }

    /// Applies actions until the state is measured again. Returns how many bytes that took.
    fn until_measured(log: &mut UndoLog<()>, state_bytes: usize) -> usize {
        let (state, mut applied) = (Arc::new(()), 0);
        loop {
            let mut is_measured = false;
            log.prepare(&state, |(), bytes_max| {
                is_measured = true;
                Some(state_bytes).filter(|bytes| *bytes <= bytes_max)
            });
            if is_measured {
                return applied;
            }
            log.applied(&[7; 1 << 10]);
            applied += 1 << 10;
        }
    }

    #[test]
    fn the_pause_is_twice_as_long_each_time_until_the_state_could_be_kept() {
        let (mut log, large) = (UndoLog::new(UndoPanics::WhileSmall), STATE_BYTES_MAX + 1);
        let waits = [large, large, large, 1, large, large].map(|bytes| {
            let waited = until_measured(&mut log, bytes);
            waited / PAUSE_BYTES_MIN
        });
        assert_eq!(waits, [0, 1, 2, 4, 0, 1], "in the shortest pauses");
        log.replaced();
        assert_eq!(until_measured(&mut log, large), 0, "another state may be small");
    }

    #[test]
    fn a_large_state_is_kept_only_on_request_and_is_measured_seldom() {
        let (most, times) = storm(UndoPanics::WhileSmall, STATE_BYTES_MAX + 1);
        assert!(most == 0 && times < 10, "{most} bytes, measured {times} times");
        let (most, _) = storm(UndoPanics::Always, STATE_BYTES_MAX + 1);
        assert!(most > ACTION_BYTES_MAX, "{most}");
    }
}
