//! A state of the collections that ship with the library: cloned and digested in O(1), so that a
//! snapshot, a check or a rollback costs the same at a thousand entries and at a million.
//!
//! ```sh
//! cargo run --release -p samestate --example persistent
//! ```

use std::time::Instant;

use samestate::create_store;
use samestate::state::{List, Map, digest};
use serde::{Deserialize, Serialize};

/// The balance of each account, and the newest thousand transfers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Bank {
    accounts: Map<u64, i64>,
    transfers: List<(u64, i64)>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Action {
    Transfer { account: u64, amount: i64 },
}

fn reduce(bank: &mut Bank, action: &Action) {
    let Action::Transfer { account, amount } = *action;
    if bank.accounts.update(&account, |balance| *balance += amount).is_none() {
        bank.accounts.insert(account, amount);
    }
    bank.transfers.push_back((account, amount));
    bank.transfers.truncate_front(1000);
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let accounts = (0..100_000).map(|account| (account, 100)).collect();
    let bank = create_store("bank", reduce)
        .preloaded(Bank { accounts, transfers: List::new() })
        .open()
        .await?;
    let before = bank.state();
    let began = Instant::now();
    let transfers = (0..2000).map(|n| Action::Transfer { account: n, amount: -1 });
    bank.dispatch_many(transfers).await;
    println!("2,000 transfers among 100,000 accounts: {:?}", began.elapsed());
    let began = Instant::now();
    let digest = digest(&*bank.state())?;
    println!("digest {digest} of the whole state: {:?}", began.elapsed());
    bank.read(|bank| {
        println!("account 7: {:?}, before: {:?}", bank.accounts.get(&7), before.accounts.get(&7));
        println!(
            "transfers kept: {}, the newest {:?}",
            bank.transfers.len(),
            bank.transfers.back()
        );
    });
    Ok(())
}
