//! Middleware: a log of what is dispatched and what it came to, and a filter.
//!
//! ```sh
//! cargo run --release -p samestate --example middleware
//! ```

use std::fmt::Debug;
use std::time::Instant;

use samestate::{Action, State};
use samestate::{DispatchFuture, Next, Reject, create_store};

/// Prints every action, and what it came to: for any store.
fn log<S: State, A: Action + Debug>(action: A, next: Next<'_, S, A>) -> DispatchFuture {
    let (text, began) = (format!("{action:?}"), Instant::now());
    next.run_then(action, move |outcome| {
        let took = began.elapsed();
        match outcome {
            Ok(version) => println!("{text}: applied at version {version}, after {took:?}"),
            Err(error) => println!("{text}: {error}"),
        }
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let withdraw = |account: &mut u32, amount: &u32| -> Result<(), Reject> {
        *account = account.checked_sub(*amount).ok_or("the account is empty")?;
        Ok(())
    };
    let account = create_store("account", withdraw)
        .preloaded(100)
        .middleware(log)
        // A filter: what it refuses never leaves this process.
        .middleware(|amount, next| match amount {
            0 => next.refuse("nothing to withdraw"),
            _ => next.run(amount),
        })
        .open()
        .await?;
    for amount in [70, 0, 70] {
        // The log says what became of it.
        let _ = account.dispatch(amount).await;
    }
    println!("{} are left", account.state());
    Ok(())
}
