//! `replace`: keeps its payload as opaque bytes. The target of mirrors: an action carries
//! another store's whole serialised state, as in the article's tests.

use std::sync::Arc;

use rand::Rng;
use samestate::state::{Delta, Patching};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::load::reducer::{Params, Reducer, ReducerInfo, Reject};
use crate::load::text;

/// The last bytes put there.
pub struct Replace;

/// The bytes, shared with the action that brought them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Delta)]
pub struct ReplaceState {
    /// Opaque.
    #[delta(whole)]
    pub content: Arc<ByteBuf>,
}

/// The actions on the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplaceAction {
    /// Puts these in their place.
    Set(Arc<ByteBuf>),
}

impl Reducer for Replace {
    type State = ReplaceState;
    type Action = ReplaceAction;

    const INFO: ReducerInfo = ReducerInfo {
        name: "replace",
        about: "keeps the newest payload as opaque bytes; what mirrors dispatch into",
        sized: false,
        payload: true,
        poisonable: false,
    };

    fn reduce(state: &mut ReplaceState, action: &ReplaceAction) -> Result<(), Reject> {
        let ReplaceAction::Set(content) = action;
        state.content = Arc::clone(content);
        Ok(())
    }

    fn patching() -> Option<Patching<Self::State>> {
        Some(Patching::new())
    }

    fn action(random: &mut dyn Rng, n: u64, params: &Params) -> ReplaceAction {
        let bytes = text::numbered(random, n, params.payload_or(64)).into_bytes();
        ReplaceAction::Set(Arc::new(ByteBuf::from(bytes)))
    }

    fn mirroring(serialised: Vec<u8>) -> Option<ReplaceAction> {
        Some(ReplaceAction::Set(Arc::new(ByteBuf::from(serialised))))
    }

    fn mirrored(state: &ReplaceState) -> Option<&[u8]> {
        Some(state.content.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_holds_what_was_mirrored_byte_for_byte() {
        let action = Replace::mirroring(vec![0, 159, 255]).expect("it can be mirrored into");
        let mut state = ReplaceState::default();
        Replace::reduce(&mut state, &action).expect("never rejects");
        assert_eq!(Replace::mirrored(&state), Some(&[0, 159, 255][..]));
    }
}
