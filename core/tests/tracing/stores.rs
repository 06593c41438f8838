//! Events of copies: divergence, heal, rebase, rollback.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use samestate::{ClientConfig, Mode, Resync, ServerConfig, StoreBuilder, create_store};
use tracing::Level;

use super::captured::{Line, Log};
use super::links::{list, within};

const DEADLINE: Duration = Duration::from_secs(10);

/// A reducer that adds `bias` to what it gets.
fn biased(name: &str, bias: &Arc<AtomicU32>) -> StoreBuilder<Vec<u32>, u32> {
    let bias = Arc::clone(bias);
    let push = move |list: &mut Vec<u32>, item: &u32| {
        list.push(item + bias.load(Ordering::Relaxed));
    };
    let store = create_store(name, push).mode(Mode::Action).resync(Resync::Verify(1));
    store.on_error(|_| {})
}

#[tokio::test]
async fn a_divergence_its_heal_and_one_that_comes_back_are_logged_with_the_link() {
    const STORE: &str = "diverging";
    let mut log = Log::begin();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let server = biased(STORE, &Arc::default()).open().await.expect("it opens");
    server.create_server(ServerConfig::unix(&path)).await.expect("it listens");
    let bias = Arc::new(AtomicU32::new(0));
    let client = biased(STORE, &bias).client(ClientConfig::unix(&path));
    let client = client.open().await.expect("it comes in sync");
    let ours = |message: &'static str| {
        move |line: &Line| line.is("store", message) && line.field("store") == STORE
    };

    bias.store(1, Ordering::Relaxed);
    client.dispatch(7).await.expect("it applies");
    bias.store(0, Ordering::Relaxed);
    let mut item = 0;
    while log.lines(ours("healed")).is_empty() {
        // The sequencer marks an action now and then: within a budget.
        let _ = within(client.dispatch(item)).await;
        item += 1;
        within(client.until_connected(true)).await;
    }
    let diverged = log.line(ours("diverged")).await;
    assert_eq!(diverged.level, Level::WARN);
    assert!(diverged.field("version").starts_with("e1:"), "{diverged:?}");
    assert_eq!(diverged.field("address"), format!("unix:{}", path.display()));
    let healing = log.line(ours("healing")).await;
    let healed = log.line(ours("healed")).await;
    assert_eq!((healing.level, healed.level), (Level::INFO, Level::INFO));
    let bytes: u64 = healed.field("bytes").parse().expect("a number");
    assert!(bytes > 0);
    assert_eq!(client.counters().healed, 1);

    bias.store(1, Ordering::Relaxed);
    while log.lines(ours("not deterministic")).is_empty() {
        let _ = within(client.dispatch(item)).await;
        item += 1;
        within(client.until_connected(true)).await;
    }
    assert_eq!(log.line(ours("not deterministic")).await.level, Level::ERROR);
}

#[tokio::test]
async fn a_rebase_and_a_rollback_are_logged_with_both_versions() {
    const STORE: &str = "replaced";
    let mut log = Log::begin();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let server = list(STORE).open().await.expect("it opens");
    server.create_server(ServerConfig::unix(&path)).await.expect("it listens");
    let store = list(STORE).open().await.expect("it opens");
    for item in 0..3 {
        store.dispatch(item).await.expect("it applies");
    }
    let client = ClientConfig::unix(&path).backoff_max(Duration::from_millis(100));
    store.create_client(client).expect("it becomes a client");
    within(store.until_connected(true)).await;
    let ours = |message: &'static str| {
        move |line: &Line| line.is("store", message) && line.field("store") == STORE
    };
    let rebased = log.line(ours("rebased")).await;
    assert_eq!(rebased.level, Level::INFO);
    assert_eq!((rebased.field("from"), rebased.field("version")), ("e1:3", "e1:0"));

    store.dispatch(1).await.expect("it applies");
    server.close(DEADLINE).await.expect("it closes");
    drop(server);
    let server = list(STORE).open().await.expect("it opens");
    server.create_server(ServerConfig::unix(&path)).await.expect("it listens");
    let rolled = log.line(ours("rolled back")).await;
    assert_eq!(rolled.level, Level::WARN);
    // Both epochs are the first of their lineage, so their ids tell them apart.
    let parts =
        |field| rolled.field(field).split(['#', ':']).map(str::to_owned).collect::<Vec<_>>();
    let (from, to) = (parts("from"), parts("version"));
    assert_eq!([&from[0], &from[2], &to[0], &to[2]], ["e1", "1", "e1", "0"]);
    assert_ne!(from[1], to[1]);
    let opened = log.lines(ours("opened"));
    assert_eq!(opened.len(), 3);
    assert_eq!((opened[0].level, opened[0].field("sequencer")), (Level::INFO, "true"));
}
