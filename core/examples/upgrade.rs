//! A store whose state takes another shape: its backup is converted, and the old one stays.
//!
//! ```sh
//! cargo run --release -p samestate --example upgrade
//! ```

use std::path::Path;
use std::time::Duration;

use samestate::{Backup, StoreBuilder, create_store};
use serde::{Deserialize, Serialize};

/// The shape of schema version 1: names alone.
type Old = Vec<String>;

/// The shape of schema version 2.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Task {
    name: String,
    done: bool,
}

/// As release 1 opened it.
fn old_store(path: &Path) -> StoreBuilder<Old, String> {
    let push = |tasks: &mut Old, name: &String| tasks.push(name.clone());
    create_store("tasks", push).schema_version(1).backup(Backup::at(path))
}

/// As release 2 opens it.
fn new_store(path: &Path) -> StoreBuilder<Vec<Task>, String> {
    let finish = |tasks: &mut Vec<Task>, name: &String| {
        tasks.iter_mut().filter(|task| task.name == *name).for_each(|task| task.done = true);
    };
    create_store("tasks", finish).schema_version(2).backup(Backup::at(path))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (old_path, new_path) = (folder.path().join("tasks-1"), folder.path().join("tasks-2"));
    let old = old_store(&old_path).open().await?;
    old.dispatch("write".into()).await?;
    old.close(Duration::from_secs(5)).await?; // leaves a whole backup and an empty journal

    if let Err(refused) = new_store(&old_path).open().await {
        println!("release 2, too early: {refused}");
    }

    let old = old_store(&old_path).open().await?;
    let names = old.state();
    let converted = names.iter().map(|name| Task { name: name.clone(), done: false }).collect();
    let new = new_store(&new_path).preloaded(converted).open().await?;
    old.close(Duration::from_secs(5)).await?;
    new.dispatch("write".into()).await?;
    println!("release 2: {:?}", new.state());
    new.close(Duration::from_secs(5)).await?;
    Ok(())
}
