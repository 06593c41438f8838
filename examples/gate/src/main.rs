//! All that `samestate` does, with the reducer of the shop:
//!
//! ```sh
//! cargo run -- run orders.yaml
//! cargo run -- simulate orders.yaml --seeds 0..1000
//! ```

use gate::Orders;
use samestate_sim::cli::ExitCode;
use samestate_sim::load::Shipped;

fn main() -> ExitCode {
    samestate_sim::main_with::<(Orders, Shipped)>()
}
