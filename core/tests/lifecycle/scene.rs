//! Helpers that the tests share.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use samestate::{ClientConfig, Event, Mode, ServerConfig, Store, StoreBuilder, create_store};

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) type Sum = Store<i64, i64>;

pub(crate) fn add(sum: &mut i64, by: &i64) {
    *sum += by;
}

pub(crate) fn sum() -> StoreBuilder<i64, i64> {
    create_store("sum", add).mode(Mode::Action).on_error(|_| {})
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// A socket of its own, in a folder that goes with it.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Place(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn server(&self) -> ServerConfig {
        ServerConfig::path(self.0.path().join("s")).login_rounds(4096)
    }

    pub(crate) fn client(&self) -> ClientConfig {
        ClientConfig::path(self.0.path().join("s")).backoff_max(Duration::from_millis(50))
    }

    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }
}

/// The reports of a store.
#[derive(Clone, Default)]
pub(crate) struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    pub(crate) fn collect(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let reports = Arc::clone(&self.0);
        move |event| reports.lock().push(event.to_string())
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    /// Waits for a report that contains this.
    pub(crate) async fn with(&self, text: &str) -> String {
        let found = async {
            loop {
                let found = self.0.lock().iter().find(|report| report.contains(text)).cloned();
                match found {
                    Some(report) => return report,
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        match tokio::time::timeout(DEADLINE, found).await {
            Ok(report) => report,
            Err(_) => panic!("no report of {text:?} among {:?}", self.all()),
        }
    }
}
