//! The same program with bugs in its reducer, of the three kinds that replicas cannot survive. The
//! tests of this package show that each of them is found, and shrunk to a file that this program
//! replays:
//!
//! ```sh
//! cargo run --bin planted -- simulate orders.yaml --set stores.orders.reducer=orders-by-clock
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use gate::{Action, Orders, Shop, reduce};
use samestate_sim::cli::ExitCode;
use samestate_sim::load::{Params, Reducer, ReducerInfo, Reject, Shipped};
use samestate_sim::rand::Rng;

/// Declares a reducer of orders with a bug.
macro_rules! planted {
    ($reducer:ident, $name:literal, $about:literal, $reduce:expr) => {
        struct $reducer;

        impl Reducer for $reducer {
            type State = Shop;
            type Action = Action;

            const INFO: ReducerInfo = ReducerInfo::new($name, $about);

            fn reduce(shop: &mut Shop, action: &Action) -> Result<(), Reject> {
                let reduce: fn(&mut Shop, &Action) -> Result<(), Reject> = $reduce;
                reduce(shop, action)
            }

            fn action(random: &mut dyn Rng, n: u64, params: &Params) -> Action {
                Orders::action(random, n, params)
            }
        }
    };
}

planted!(ByClock, "orders-by-clock", "a bug: the time of each replica decides", |shop, action| {
    reduce(shop, action)?;
    if let Action::Place { order, .. } = action {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let placed = shop.orders.get_mut(order).expect("it was placed just now");
        placed.items = now.subsec_nanos();
    }
    Ok(())
});

planted!(LostUpdate, "orders-lost-update", "a bug: every fifth call is lost", |shop, action| {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    match CALLS.fetch_add(1, Ordering::Relaxed) % 5 {
        4 => Ok(()),
        _ => reduce(shop, action),
    }
});

planted!(ByOrder, "orders-by-order", "a bug: the order of a hash map decides", |shop, action| {
    let shipped = match action {
        Action::Place { .. } => return reduce(shop, action),
        Action::Ship { .. } => {
            let waiting = shop.orders.iter().filter(|(_, order)| !order.shipped);
            let waiting: HashMap<u64, ()> = waiting.map(|(number, _)| (*number, ())).collect();
            waiting.keys().next().copied()
        }
    };
    let order = shipped.ok_or("there is no order to ship")?;
    reduce(shop, &Action::Ship { order })
});

fn main() -> ExitCode {
    samestate_sim::main_with::<(ByClock, (LostUpdate, (ByOrder, Shipped)))>()
}
