//! A part of the state, as a stream: a thermostat that hears of its own room only.
//!
//! ```sh
//! cargo run --release -p samestate --example selectors
//! ```

use std::collections::BTreeMap;

use samestate::{Change, create_store};

type Celsius = BTreeMap<String, i32>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let measured = |rooms: &mut Celsius, (room, celsius): &(String, i32)| {
        rooms.insert(room.clone(), *celsius);
    };
    let rooms = create_store("rooms", measured).open().await?;
    let mut all = rooms.changes();
    let mut kitchen = rooms.select(|rooms| rooms.get("kitchen").copied()).stream();

    for (room, celsius) in [("kitchen", 21), ("cellar", 9), ("kitchen", 21), ("kitchen", 23)] {
        if let Err(error) = rooms.dispatch((room.into(), celsius)).await {
            eprintln!("{error}");
        }
        // Every change is in this stream, in order.
        if let Some(Change::Applied { version, action }) = all.next().await {
            println!("{version}: {} has {} degrees", action.0, action.1);
        }
        // This one has the newest part, if it is another than before.
        tokio::select! {
            biased;
            Some(celsius) = kitchen.next() => println!("   the thermostat hears: {celsius:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    Ok(())
}
