//! `Store::metrics`.

use std::time::Duration;

use samestate::metrics::{DispatchMetrics, StoreMetrics};
use samestate::{
    Backup, ClientConfig, DispatchError, Mode, Reject, Resync, Role, ServerConfig, Store,
    StoreBuilder, UndoPanics, create_store,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::ports::free_port;

const DEADLINE: Duration = Duration::from_secs(10);

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens in time")
}

/// A reducer that refuses nothing at all, and dies of `!`.
pub(super) fn words(name: &str) -> StoreBuilder<Vec<String>, String> {
    let push = |words: &mut Vec<String>, word: &String| -> Result<(), Reject> {
        match word.as_str() {
            "" => Err("it is empty".into()),
            "!" => panic!("it dies"),
            _ => {
                words.push(word.clone());
                Ok(())
            }
        }
    };
    create_store(name, push).mode(Mode::Action).on_error(|_| {})
}

/// Waits until a store measures what is wanted.
async fn until(
    store: &Store<Vec<String>, String>,
    wanted: impl Fn(&StoreMetrics) -> bool,
) -> StoreMetrics {
    let waited = tokio::time::timeout(DEADLINE, async {
        loop {
            let metrics = store.metrics();
            if wanted(&metrics) {
                return metrics;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("it never comes to that, but to {:#?}", store.metrics()))
}

fn dispatches(count: impl FnOnce(&mut DispatchMetrics)) -> DispatchMetrics {
    let mut dispatches = DispatchMetrics::default();
    count(&mut dispatches);
    dispatches
}

#[tokio::test]
async fn every_dispatch_is_counted_once_by_what_it_came_to() {
    let store = words("outcomes").configure(|config| config.action_bytes_max = 100);
    let store = store.undo_panics(UndoPanics::Never).open().await.expect("it opens");
    for word in ["one", "two", ""] {
        let _ = store.dispatch(word.to_owned()).await;
    }
    let _ = store.dispatch("long".repeat(100)).await;
    let many = ["three", "", "four"].map(str::to_owned);
    assert_eq!(store.dispatch_many(many).await.len(), 3);
    let _ = store.dispatch("!".to_owned()).await;
    assert_eq!(store.dispatch("x".to_owned()).await, Err(DispatchError::Poisoned));
    let expected = dispatches(|count| {
        (count.ok, count.rejected, count.invalid, count.poisoned) = (4, 3, 1, 1);
    });
    assert_eq!(store.metrics().dispatches, expected);
    assert_eq!(store.metrics().dispatches.by_outcome()[0], ("ok", 4));
}

#[tokio::test]
async fn busy_and_not_connected_and_unknown_are_counted_where_they_are_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let server = words("window").open().await.expect("it opens");
    server.create_server(ServerConfig::unix(&path)).await.expect("it listens");
    let client = words("window").window(4).client(ClientConfig::unix(&path));
    let client = client.open().await.expect("it comes in sync");

    // None of these waits, so that the fifth finds the window full.
    let under_way: Vec<_> = (0..6).map(|word| client.dispatch(word.to_string())).collect();
    assert_eq!(client.metrics().window_used, 4);
    let mut outcomes = Vec::new();
    for dispatching in under_way {
        outcomes.push(within(dispatching).await);
    }
    assert_eq!(outcomes[4..], [Err(DispatchError::Busy(4)), Err(DispatchError::Busy(4))]);
    // These wait for room: nobody is told that it was busy meanwhile.
    let many = within(client.dispatch_many((0..50).map(|word| word.to_string()))).await;
    assert!(many.iter().all(Result::is_ok));
    let expected = dispatches(|count| (count.ok, count.busy) = (54, 2));
    assert_eq!(client.metrics().dispatches, expected);

    server.close(DEADLINE).await.expect("it closes");
    drop(server);
    within(client.until_connected(false)).await;
    let many = within(client.dispatch_many((0..5).map(|word| word.to_string()))).await;
    assert_eq!(many.len(), 5);
    let _ = client.dispatch("late".to_owned()).await;
    let metrics = client.metrics();
    assert_eq!(metrics.dispatches.not_connected, 6);
    assert!(!metrics.connected && metrics.upstream.is_none());
}

#[tokio::test]
async fn what_a_middleware_refuses_is_counted_also_inside_a_read_and_stops_nobody() {
    let store = words("refused").middleware(|word: String, next| match word.as_str() {
        "no" => next.refuse("not that"),
        _ => next.run(word),
    });
    let store = store.open().await.expect("it opens");
    let many = ["yes", "no", "yes"].map(str::to_owned);
    let many = within(store.dispatch_many(many)).await;
    assert_eq!(many.iter().filter(|outcome| outcome.is_ok()).count(), 2);

    // While others change the state: whoever holds the store's lock waits for these reads to end.
    let writer = store.clone();
    let writing = std::thread::spawn(move || {
        for _ in 0..2000 {
            drop(writer.dispatch("yes".to_owned()));
        }
    });
    let reader = store.clone();
    let reading = tokio::task::spawn_blocking(move || {
        for _ in 0..2000 {
            let refused = reader.read(|_| reader.dispatch("no".to_owned()));
            assert!(matches!(refused.try_outcome(), Some(Err(DispatchError::Refused(_)))));
        }
    });
    within(reading).await.expect("it reads to the end");
    writing.join().expect("it writes to the end");
    let expected = dispatches(|count| (count.ok, count.refused) = (2002, 2001));
    assert_eq!(store.metrics().dispatches, expected);
}

#[tokio::test]
async fn both_ends_of_a_link_measure_the_same_link() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let server = words("ends").resync(Resync::Off).open().await.expect("it opens");
    server
        .create_server(ServerConfig::unix(&path).login("app", "secret").login_rounds(4096))
        .await
        .expect("it listens");
    let client = ClientConfig::unix(&path).login("app", "secret");
    let client = words("ends").client(client).open().await.expect("it comes in sync");
    let _subscription = client.subscribe(|_| {});
    for word in 0..20 {
        client.dispatch(word.to_string()).await.expect("it applies");
    }

    let (above, below) = (server.metrics(), client.metrics());
    assert_eq!((above.roles, above.sequencer), (vec![Role::Server], true));
    assert_eq!((below.roles, below.sequencer), (vec![Role::Client], false));
    assert_eq!((above.version, above.version.seq), (below.version, 20));
    assert_eq!((above.subscribers, below.subscribers), (0, 1));
    assert!(above.log_bytes > 0 && above.log_bytes < above.log_bytes_max);
    let up = below.upstream.expect("it has an upstream");
    let [down] = &above.downstream[..] else { panic!("it has one client") };
    assert_eq!(
        (&*up.peer, up.mode),
        (&*format!("the server unix:{}", path.display()), Some(Mode::Action))
    );
    assert!(down.peer.contains("(login app)"), "{}", down.peer);
    assert_eq!((down.attached, down.lag_versions), (true, Some(0)));
    // Nothing is lost on the way, but something may be under way.
    assert!(up.traffic.frames_received <= down.traffic.frames_sent);
    assert!(down.traffic.frames_received <= up.traffic.frames_sent);
    assert!(up.traffic.frames_sent >= 21, "an attach and each dispatch: {up:?}");
    assert!(down.traffic.bytes_sent > 20 * 16, "{down:?}");
    assert_eq!(below.upstream_total.traffic, up.traffic);

    client.close(DEADLINE).await.expect("it closes");
    let after = until(&server, |metrics| metrics.downstream_total.ended == 1).await;
    assert!(after.downstream.is_empty());
    let kept = after.downstream_total.traffic;
    assert!(kept.bytes_sent >= down.traffic.bytes_sent, "what a link carried stays counted");
}

/// A connection to `server` that can be held up.
async fn valve(server: u16) -> (u16, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    let port = listener.local_addr().expect("it has an address").port();
    let (open, opened) = watch::channel(true);
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.expect("it accepts");
        let far = TcpStream::connect(("127.0.0.1", server)).await.expect("it connects");
        let (mut near_reader, mut near_writer) = near.into_split();
        let (mut far_reader, mut far_writer) = far.into_split();
        let up = tokio::io::copy(&mut near_reader, &mut far_writer);
        let down = pass(&mut far_reader, &mut near_writer, opened);
        let _ = tokio::join!(up, down);
    });
    (port, open)
}

/// Copies while it is open.
async fn pass(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    mut opened: watch::Receiver<bool>,
) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut buffer = vec![0; 64 << 10];
    loop {
        let _ = opened.wait_for(|open| *open).await;
        match from.read(&mut buffer).await? {
            0 => return Ok(()),
            read => to.write_all(&buffer[..read]).await?,
        }
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_lags_and_one_that_reads_again_does_not() {
    let server = words("lag").open().await.expect("it opens");
    let port = free_port();
    server.create_server(ServerConfig::tcp(format!("127.0.0.1:{port}"))).await.expect("it listens");
    let (through, valve) = valve(port).await;
    let client = words("lag").client(ClientConfig::tcp(format!("127.0.0.1:{through}")));
    let client = client.liveness(Duration::from_millis(50), DEADLINE).open().await;
    let client = client.expect("it comes in sync");
    let behind = |metrics: &StoreMetrics| {
        let mut lags = metrics.downstream.iter().filter_map(|link| link.lag_versions);
        lags.next().is_some_and(|lag| lag > 0)
    };

    valve.send_replace(false);
    let word = "w".repeat(64 << 10);
    let mut sent = 0_u64;
    while !behind(&server.metrics()) {
        let _ = within(server.dispatch(word.clone())).await;
        tokio::task::yield_now().await;
        sent += 1;
        assert!(sent < 2000, "more than any socket holds");
    }
    let lagging = server.metrics();
    assert_eq!(lagging.counters.divergences, 0);
    valve.send_replace(true);
    until(&server, |metrics| !behind(metrics)).await;
    let told = until(&client, |metrics| metrics.version == server.version()).await;
    assert_eq!(told.version, server.version());
    let caught_up = |metrics: &StoreMetrics| {
        metrics.upstream.as_ref().and_then(|link| link.lag_versions) == Some(0)
    };
    until(&client, caught_up).await;
}

#[tokio::test]
async fn a_backup_says_how_far_it_got() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let backup = || Backup::at(folder.path().join("words.backup")).every_actions(1);
    let store = words("kept").backup(backup()).open().await.expect("it opens");
    for word in 0..5 {
        store.dispatch(word.to_string()).await.expect("it applies");
    }
    let saved = |metrics: &StoreMetrics| metrics.backup.is_some_and(|backup| backup.saved_seq == 5);
    let metrics = until(&store, saved).await;
    let backup_now = metrics.backup.expect("it has one");
    assert!((1..=5).contains(&backup_now.writes), "{backup_now:?}");
    assert_eq!((backup_now.failures, backup_now.stalled), (0, false));
    store.close(DEADLINE).await.expect("it closes");
    drop(store);
    let store = words("kept").backup(backup()).open().await.expect("it opens");
    assert_eq!(store.metrics().backup.map(|backup| backup.saved_seq), Some(5));
    assert_eq!(words("lost").open().await.expect("it opens").metrics().backup, None);
}

#[tokio::test]
async fn metrics_serialise_with_their_names() {
    let store = words("json").open().await.expect("it opens");
    store.dispatch("one".to_owned()).await.expect("it applies");
    let json = serde_json::to_value(store.metrics()).expect("it serialises");
    assert_eq!(json["store"], "json");
    assert_eq!(json["dispatches"]["ok"], 1);
    assert_eq!(json["version"]["seq"], 1);
    assert_eq!(json["counters"]["applied"], 1);
    assert_eq!(json["upstream"], serde_json::Value::Null);
}
