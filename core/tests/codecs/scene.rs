//! Stores, the sockets and files between them, and what they said.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use samestate::{Action, State};
use samestate::{
    Backup, ClientConfig, Codec, Mode, Resync, ServerConfig, Store, StoreBuilder, Version,
    create_store,
};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The reports of stores.
#[derive(Clone, Default)]
pub(crate) struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    pub(crate) fn of(&self, words: &str) -> Vec<String> {
        self.0.lock().iter().filter(|text| text.contains(words)).cloned().collect()
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

/// A folder for one test.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    pub(crate) codec: Codec,
    pub said: Said,
}

impl Scene {
    pub(crate) fn new(codec: Codec) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        Scene { folder, codec, said: Said::default() }
    }

    /// A store that compares its copies after every action.
    pub(crate) fn store<S, A>(
        &self,
        reducer: impl Fn(&mut S, &A) + Send + Sync + 'static,
    ) -> StoreBuilder<S, A>
    where
        S: State + Default,
        A: Action,
    {
        let said = self.said.clone();
        create_store("store", reducer)
            .codec(self.codec)
            .mode(Mode::Action)
            .resync(Resync::Verify(1))
            .configure(|config| config.verify_budget = 1.0)
            .on_error(move |event| said.0.lock().push(event.to_string()))
    }

    pub(crate) fn server(&self) -> ServerConfig {
        ServerConfig::path(self.folder.path().join("socket"))
    }

    pub(crate) fn client(&self) -> ClientConfig {
        ClientConfig::path(self.folder.path().join("socket")).backoff_max(Duration::from_millis(20))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    /// A backup that is written after each action.
    pub(crate) fn backup(&self) -> Backup {
        Backup::at(self.path()).every_actions(1)
    }

    /// Waits until the files are free of a store that was dropped.
    pub(crate) async fn free(&self) {
        let lock = std::fs::File::open(self.path().with_extension("lock"));
        let lock = lock.expect("the lock of the backup");
        let locked = tokio::task::spawn_blocking(move || lock.lock());
        within(locked).await.expect("no panic").expect("it locks");
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens in time")
}

/// Waits for something that no store tells of.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    within(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Waits until a copy has come as far as this.
pub(crate) async fn reached<S: State, A: Action>(copy: &Store<S, A>, version: Version) {
    until(|| copy.version().seq >= version.seq && copy.is_connected()).await;
}
