//! One store of two reducers, each for a part of its state.
//!
//! ```sh
//! cargo run --release -p samestate --example combine
//! ```

use samestate::{Reject, combine_reducers, create_store};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Game {
    score: u32,
    log: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Action {
    Score(u32),
    Say(String),
}

fn score(score: &mut u32, points: &u32) -> Result<(), Reject> {
    *score = score.checked_add(*points).ok_or("no score is that high")?;
    Ok(())
}

fn log(log: &mut Vec<String>, action: &Action) {
    log.push(format!("{action:?}"));
}

/// Returns the points that an action adds to the score, if any.
fn points(action: &Action) -> Option<&u32> {
    match action {
        Action::Score(points) => Some(points),
        Action::Say(_) => None,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let reducer = combine_reducers::<Game, Action>()
        .slice(|game| &mut game.score, points, score)
        .slice(|game| &mut game.log, |action| Some(action), log)
        .reducer();
    let game = create_store("game", reducer).open().await?;
    for action in [Action::Score(7), Action::Say("hello".into()), Action::Score(u32::MAX)] {
        if let Err(error) = game.dispatch(action).await {
            println!("{error}: neither part changed");
        }
    }
    println!("{:?}", game.state());
    Ok(())
}
