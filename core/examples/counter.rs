//! One counter in five processes: a master and four workers, each of which adds.
//!
//! ```sh
//! cargo run --release -p samestate --example counter
//! ```

use samestate::{Cluster, Mode};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cluster = Cluster::join()?; // the first process is the master, those it forks are workers
    let add = |count: &mut i64, by: &i64| *count += by;
    let counter = cluster.create_store("counter", add).mode(Mode::Action).open().await?;
    if cluster.is_master() {
        cluster.fork(4)?;
        let mut versions = counter.watch();
        while counter.read(|count| *count) < 10 {
            versions.changed().await;
        }
        println!("1 + 2 + 3 + 4 = {}, at version {}", counter.state(), counter.version());
        cluster.close(std::time::Duration::from_secs(5)).await?;
    } else {
        if let Err(error) = counter.dispatch(cluster.worker() as i64).await {
            eprintln!("worker {}: {error}", cluster.worker());
        }
        cluster.master_gone().await;
    }
    Ok(())
}
