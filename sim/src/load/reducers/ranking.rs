//! `ranking`: an expensive reducer over a large state. Each action changes one entry of the
//! persistent map, and then walks all of them to find the leader.

use std::sync::Arc;

use rand::{Rng, RngExt, SeedableRng};
use samestate::state::{Delta, Map, Patching};
use serde::{Deserialize, Serialize};

use crate::load::reducer::{Params, Reducer, ReducerInfo, Reject};
use crate::load::text;

/// The default size of the ranking: a megabyte.
const BYTES: u64 = 1_000_000;

/// The biggest ranking: actions come from outside, and growing must stay bounded.
const BYTES_MAX: u64 = 1 << 30;

/// The number of bytes of a player's profile.
const PROFILE_BYTES: u64 = 100;

/// An action gives fewer points than this.
const POINTS_MAX: u64 = 1_000;

/// A ranking of players.
pub struct Ranking;

/// The players, and who leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Delta)]
pub struct RankingState {
    /// The players by their number.
    pub players: Map<u64, Player>,
    /// The number of the player with the most points.
    pub leader: u64,
    /// The points of that player.
    pub most: u64,
}

/// A player.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Delta)]
pub struct Player {
    /// The points so far.
    pub points: u64,
    /// The text that makes the ranking large.
    pub profile: Arc<str>,
}

/// The actions on the ranking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RankingAction {
    /// Enters players anew, with profiles drawn from a seed.
    Enter {
        /// The size of all profiles, in bytes.
        bytes: u64,
        /// The seed of the profiles.
        seed: u64,
    },
    /// Gives points to a player, who has to be there.
    Score {
        /// The number of the player.
        player: u64,
        /// The points.
        points: u64,
    },
}

impl Reducer for Ranking {
    type State = RankingState;
    type Action = RankingAction;

    const INFO: ReducerInfo = ReducerInfo {
        name: "ranking",
        about: "players with profiles of `size` bytes in all, of which each action changes one and \
                compares all: an expensive reducer over a large state",
        sized: true,
        payload: false,
        poisonable: false,
    };

    fn reduce(state: &mut RankingState, action: &RankingAction) -> Result<(), Reject> {
        match action {
            RankingAction::Enter { bytes, .. } if *bytes > BYTES_MAX => {
                return Err(Reject(format!(
                    "a ranking has at most {BYTES_MAX} bytes, not {bytes}"
                )));
            }
            RankingAction::Enter { bytes, seed } => state.players = entered(*bytes, *seed),
            RankingAction::Score { player, points } => {
                let scored = state.players.update(player, |player| {
                    player.points = player.points.saturating_add(*points);
                });
                scored.ok_or_else(|| Reject(format!("there is no player {player}")))?;
            }
        }
        // The first of those with the most points.
        let best = state.players.iter().rev().max_by_key(|(_, player)| player.points);
        (state.leader, state.most) = best.map_or((0, 0), |(number, best)| (*number, best.points));
        Ok(())
    }

    fn patching() -> Option<Patching<RankingState>> {
        Some(Patching::new())
    }

    fn action(random: &mut dyn Rng, _n: u64, params: &Params) -> RankingAction {
        let player = random.random_range(0..players(params.state_bytes.unwrap_or(BYTES)));
        RankingAction::Score { player, points: random.random_range(0..POINTS_MAX) }
    }

    fn opening(params: &Params) -> Vec<RankingAction> {
        vec![RankingAction::Enter { bytes: params.state_bytes.unwrap_or(BYTES), seed: 1 }]
    }
}

fn players(bytes: u64) -> u64 {
    bytes.div_ceil(PROFILE_BYTES).max(1)
}

fn entered(bytes: u64, seed: u64) -> Map<u64, Player> {
    let mut random = rand_pcg::Pcg64::seed_from_u64(seed);
    let mut left = bytes;
    let player = |number| {
        let length = left.min(PROFILE_BYTES);
        left -= length;
        let mut profile = String::with_capacity(length as usize);
        text::fill(&mut random, &mut profile, length as usize);
        (number, Player { points: 0, profile: profile.into() })
    };
    (0..players(bytes)).map(player).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_is_the_first_player_with_the_most_points() {
        let params = Params { state_bytes: Some(50_050), ..Params::default() };
        let mut state = RankingState::default();
        for action in Ranking::opening(&params) {
            Ranking::reduce(&mut state, &action).expect("it fits");
        }
        let bytes: usize = state.players.values().map(|player| player.profile.len()).sum();
        assert_eq!((state.players.len(), bytes), (501, 50_050));
        let mut random = rand_pcg::Pcg64::seed_from_u64(3);
        for n in 0..1000 {
            let action = Ranking::action(&mut random, n, &params);
            Ranking::reduce(&mut state, &action).expect("the player is there");
            let most = state.players.values().map(|player| player.points).max();
            let leader = state.players.iter().find(|(_, player)| Some(player.points) == most);
            assert_eq!(leader.map(|(number, _)| *number), Some(state.leader));
            assert_eq!(most, Some(state.most));
        }
    }

    #[test]
    fn what_cannot_be_done_is_rejected_and_changes_nothing() {
        let mut state = RankingState::default();
        let enter = RankingAction::Enter { bytes: u64::MAX, seed: 1 };
        assert!(Ranking::reduce(&mut state, &enter).is_err());
        let score = RankingAction::Score { player: 7, points: 1 };
        assert!(Ranking::reduce(&mut state, &score).is_err());
        assert_eq!(state, RankingState::default());
    }
}
