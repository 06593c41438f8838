//! The values that are drawn from the system's random generator when a store opens.

use samestate_proto::{TOKEN_KEY_BYTES, TokenKey};

use crate::store::error::Result;

/// Draws the key for the tokens of one epoch.
pub(crate) fn token_key() -> Result<TokenKey> {
    let mut random = [0; TOKEN_KEY_BYTES];
    getrandom::fill(&mut random)?;
    Ok(TokenKey::new(random))
}

/// Names a node, or an epoch: no two in the world have the same.
pub(crate) fn id() -> Result<u64> {
    Ok(getrandom::u64()?)
}
