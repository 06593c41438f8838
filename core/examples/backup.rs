//! A count that survives its process: run it several times, and kill it if you like.
//!
//! ```sh
//! cargo run -p samestate --example backup
//! ```

use samestate::{Backup, create_store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let path = std::env::temp_dir().join("samestate-example.backup");
    let add = |count: &mut i64, by: &i64| *count += by;
    // Durable: `Ok` means that it is on disk.
    let count = create_store("count", add).backup(Backup::at(&path)).durable().open().await?;
    println!("{} holds {}, at version {}", path.display(), count.state(), count.version());
    for _ in 0..3 {
        match count.dispatch(1).await {
            Ok(version) => println!("{} is on disk, at version {version}", count.state()),
            Err(error) => eprintln!("{error}"),
        }
    }
    count.close(std::time::Duration::from_secs(10)).await?;
    Ok(())
}
