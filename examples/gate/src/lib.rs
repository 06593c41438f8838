//! The orders of a shop: the state of a service, and its reducer as a load for scenarios.
//!
//! `tests/convergence.rs` lets a topology of it converge under faults, on virtual time. The
//! program `main.rs` does all that `samestate` does, with this reducer: see its comment.

use std::collections::BTreeMap;

use samestate_sim::load::{Params, Reducer, ReducerInfo, Reject};
use samestate_sim::rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// The number of different orders of a load.
const ORDERS: u64 = 200;

/// The orders, by their number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shop {
    pub orders: BTreeMap<u64, Order>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub items: u32,
    pub shipped: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Action {
    Place { order: u64, items: u32 },
    Ship { order: u64 },
}

/// Checks first and changes then: what is refused leaves the state as it was.
pub fn reduce(shop: &mut Shop, action: &Action) -> Result<(), Reject> {
    match action {
        Action::Place { items: 0, .. } => Err("an order has at least one item".into()),
        Action::Place { order, items } if !shop.orders.contains_key(order) => {
            shop.orders.insert(*order, Order { items: *items, shipped: false });
            Ok(())
        }
        Action::Place { order, .. } => Err(format!("there is an order {order} already").into()),
        Action::Ship { order } => match shop.orders.get_mut(order) {
            Some(found) if !found.shipped => {
                found.shipped = true;
                Ok(())
            }
            _ => Err(format!("there is no order {order} to ship").into()),
        },
    }
}

/// The reducer as scenarios know it: `reducer: orders`.
pub struct Orders;

impl Reducer for Orders {
    type State = Shop;
    type Action = Action;

    const INFO: ReducerInfo = ReducerInfo::new("orders", "orders that are placed and shipped");

    fn reduce(shop: &mut Shop, action: &Action) -> Result<(), Reject> {
        reduce(shop, action)
    }

    fn action(random: &mut dyn Rng, _n: u64, _params: &Params) -> Action {
        let order = random.random_range(0..ORDERS);
        match random.random_range(0..3) {
            0 => Action::Ship { order },
            _ => Action::Place { order, items: random.random_range(1..10) },
        }
    }
}
