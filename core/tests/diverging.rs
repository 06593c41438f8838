//! Copies that differ from the sequencer's, over real sockets: found, reported, healed, and given
//! up where healing does not help.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use samestate::{Action, State};
use samestate::{
    Change, ClientConfig, Jump, Mode, Resync, ServerConfig, Store, StoreBuilder, create_store,
};
use serde::{Deserialize, Serialize};

const DEADLINE: Duration = Duration::from_secs(20);

/// After so many actions the copies are compared.
const EVERY: u64 = 10;

/// The reports of stores to their operators.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    fn of(&self, words: &str) -> Vec<String> {
        self.0.lock().iter().filter(|text| text.contains(words)).cloned().collect()
    }

    fn diverged(&self) -> usize {
        self.of("differs from the sequencer's").len()
    }

    fn non_deterministic(&self) -> usize {
        self.of("not deterministic").len()
    }
}

/// Compares every [`EVERY`] actions, whatever that costs.
fn checked<S: State, A: Action>(builder: StoreBuilder<S, A>, said: &Said) -> StoreBuilder<S, A> {
    let said = said.clone();
    builder
        .mode(Mode::Action)
        .resync(Resync::Verify(EVERY))
        .configure(|config| config.verify_budget = 1.0)
        .on_error(move |event| said.0.lock().push(event.to_string()))
}

struct Sockets(tempfile::TempDir);

impl Sockets {
    fn new() -> Self {
        Sockets(tempfile::tempdir().expect("there is room"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn server(&self, name: &str) -> ServerConfig {
        ServerConfig::path(self.path(name))
    }

    fn client(&self, name: &str) -> ClientConfig {
        ClientConfig::path(self.path(name)).backoff_max(Duration::from_millis(50))
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens in time")
}

/// Waits for something that no store tells of.
async fn until(mut holds: impl FnMut() -> bool) {
    within(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Dispatches so many actions, each of which the copies get before the next.
async fn dispatched<S: State, A: Action>(
    actions: impl Iterator<Item = A>,
    root: &Store<S, A>,
    copies: &[&Store<S, A>],
) {
    for action in actions {
        let version = root.dispatch(action).await.expect("it applies");
        until(|| copies.iter().all(|copy| copy.version().seq >= version.seq)).await;
    }
}

/// Dispatches the same action until something holds.
async fn dispatched_until<S: State, A: Action + Copy>(
    action: A,
    root: &Store<S, A>,
    copies: &[&Store<S, A>],
    mut holds: impl FnMut() -> bool,
) {
    within(async {
        while !holds() {
            dispatched([action].into_iter(), root, copies).await;
        }
    })
    .await;
}

fn assert_names(text: &str, store: &str, node: impl ToString, seq: u64) {
    for word in [format!("`{store}`"), node.to_string(), format!(":{seq} ")] {
        assert!(text.contains(&word), "`{word}` in: {text}");
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Stamped {
    count: u64,
    at_ns: u128,
}

/// Reads the clock: what a reducer must not do.
fn stamp(state: &mut Stamped, by: &u64) {
    state.count += by;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    state.at_ns = now.map_or(0, |since| since.as_nanos());
}

#[tokio::test]
async fn a_reducer_that_reads_the_clock_is_healed_once_and_then_called_non_deterministic_once() {
    let (sockets, said) = (Sockets::new(), Said::default());
    let server = checked(create_store("stamped", stamp), &said).open().await.expect("it opens");
    server.create_server(sockets.server("s")).await.expect("it listens");
    let client = checked(create_store("stamped", stamp), &said).client(sockets.client("s"));
    let client = client.open().await.expect("it is in sync");

    dispatched((0..EVERY).map(|_| 1), &server, &[&client]).await;
    until(|| said.diverged() == 1).await;
    assert_names(&said.of("differs from")[0], "stamped", client.node(), EVERY);
    until(|| client.counters().healed == 1).await;
    assert_eq!(client.state(), server.state(), "the snapshot is the sequencer's very state");

    dispatched_until(1, &server, &[&client], || said.non_deterministic() == 1).await;
    let text = &said.of("not deterministic")[0];
    let seq = (EVERY..=client.version().seq).find(|seq| text.contains(&format!(":{seq} ")));
    assert_names(text, "stamped", client.node(), seq.expect("it names the version"));
    assert!(said.of("not deterministic")[0].contains("clocks"), "it says where to look");

    dispatched((0..20 * EVERY).map(|_| 1), &server, &[&client]).await;
    assert_eq!((said.diverged(), said.non_deterministic()), (1, 1), "{:?}", said.0.lock());
    assert_eq!(client.counters().healed, 1, "it is not healed in a loop");
    let counts = (client.state().count, server.state().count);
    assert_eq!(counts, (client.version().seq, server.version().seq), "it goes on");
}

/// A reducer whose next action goes wrong at one copy, when it is told so.
#[derive(Clone, Default)]
struct Slip(Arc<AtomicBool>);

impl Slip {
    fn once(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn reducer(&self) -> impl Fn(&mut Vec<u64>, &u64) + Send + Sync + 'static {
        let slips = Arc::clone(&self.0);
        move |list, item| {
            let slipped = slips.swap(false, Ordering::Relaxed);
            list.push(if slipped { u64::MAX } else { *item });
        }
    }
}

fn list(slip: &Slip, said: &Said) -> StoreBuilder<Vec<u64>, u64> {
    checked(create_store("list", slip.reducer()), said)
}

#[tokio::test]
async fn a_copy_that_went_wrong_is_healed_each_time_and_its_subscribers_are_told_of_a_jump() {
    let (sockets, said, slip) = (Sockets::new(), Said::default(), Slip::default());
    let server = list(&Slip::default(), &said).open().await.expect("it opens");
    server.create_server(sockets.server("s")).await.expect("it listens");
    let client = list(&slip, &said).client(sockets.client("s")).open().await.expect("in sync");
    let jumps = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&jumps);
    client
        .subscribe(move |change| {
            if matches!(change, Change::Jumped { why: Jump::Jumped, .. }) {
                counting.fetch_add(1, Ordering::Relaxed);
            }
        })
        .forever();
    for time in 1..=3 {
        slip.once();
        dispatched(0..1, &server, &[&client]).await;
        assert_ne!(client.state(), server.state(), "it is wrong, and nobody knows");
        dispatched_until(1, &server, &[&client], || client.counters().healed == time).await;
        assert_eq!(client.state(), server.state());
        until(|| jumps.load(Ordering::Relaxed) == time).await;
        // Found right in between: so it is no reducer that is always wrong.
        let verified = client.counters().verified;
        dispatched_until(1, &server, &[&client], || client.counters().verified > verified).await;
        assert_eq!(client.state(), server.state());
    }
    assert_eq!((said.diverged(), said.non_deterministic()), (3, 0), "{:?}", said.0.lock());
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Unmarked {
    players: HashSet<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Marked {
    #[serde(serialize_with = "samestate::state::as_set")]
    players: HashSet<u64>,
    /// Goes wrong when it is told so, to show that copies are compared.
    wrong: bool,
}

#[tokio::test]
async fn a_set_that_is_not_marked_is_found_and_explained_though_the_reducer_is_right() {
    let (sockets, said) = (Sockets::new(), Said::default());
    let join = |lobby: &mut Unmarked, player: &u64| lobby.players.extend([*player]);
    let server = checked(create_store("lobby", join), &said).open().await.expect("it opens");
    server.create_server(sockets.server("s")).await.expect("it listens");
    let client = checked(create_store("lobby", join), &said).client(sockets.client("s"));
    let client = client.open().await.expect("it is in sync");
    dispatched(0..20, &server, &[&client]).await;
    dispatched_until(20, &server, &[&client], || said.non_deterministic() == 1).await;
    let text = &said.of("not deterministic")[0];
    assert!(text.contains("sets") && text.contains("samestate::state::as_set"), "{text}");
    assert_eq!(said.diverged(), 1);
    assert_eq!(client.state().players, server.state().players, "no harm was done");
}

#[tokio::test]
async fn a_set_that_is_marked_is_never_called_wrong_unless_it_is() {
    let (sockets, said) = (Sockets::new(), Said::default());
    let wrong = Arc::new(AtomicBool::new(false));
    let join = |wrong: &Arc<AtomicBool>| {
        let wrong = Arc::clone(wrong);
        move |lobby: &mut Marked, player: &u64| {
            lobby.players.insert(*player);
            lobby.wrong = wrong.load(Ordering::Relaxed);
        }
    };
    let right = Arc::default();
    let server = checked(create_store("lobby", join(&right)), &said);
    let server = server.open().await.expect("it opens");
    server.create_server(sockets.server("s")).await.expect("it listens");
    let client = checked(create_store("lobby", join(&wrong)), &said).client(sockets.client("s"));
    let client = client.open().await.expect("it is in sync");
    dispatched(0..20 * EVERY, &server, &[&client]).await;
    dispatched_until(1, &server, &[&client], || client.counters().verified > 0).await;
    assert_eq!(*said.0.lock(), Vec::<String>::new());
    wrong.store(true, Ordering::Relaxed);
    dispatched_until(1, &server, &[&client], || said.diverged() == 1).await;
    wrong.store(false, Ordering::Relaxed);
    until(|| client.counters().healed == 1).await;
    dispatched(0..1, &server, &[&client]).await;
    assert_eq!(client.state(), server.state());
}

#[tokio::test]
async fn a_diverged_relay_heals_first_and_its_clients_end_up_with_the_sequencers_state() {
    let (sockets, said) = (Sockets::new(), Said::default());
    let (right, slip) = (Slip::default(), Slip::default());
    // The copies are compared for the first time long after one has gone wrong.
    let list = |slip: &Slip| list(slip, &said).resync(Resync::Verify(300));
    let server = list(&right).open().await.expect("it opens");
    server.create_server(sockets.server("upper")).await.expect("it listens");
    // A log that is shorter than what it was given: who joins gets the state as it is then, and not
    // an earlier snapshot with what came since.
    let relay = list(&slip).client(sockets.client("upper")).log_bytes_max(2000);
    let relay = relay.open().await.expect("it is in sync");
    relay.create_server(sockets.server("lower")).await.expect("it listens");
    let lower = || list(&right).client(sockets.client("lower"));
    let early = lower().open().await.expect("it is in sync");

    dispatched(0..100, &server, &[&relay, &early]).await;
    slip.once();
    dispatched(0..1, &server, &[&relay, &early]).await;
    assert_ne!(relay.state(), server.state(), "the relay is wrong, and nobody knows");
    assert_eq!(early.state(), server.state(), "it gets the actions as they were ordered");
    let late = lower().open().await.expect("it is in sync");
    assert_eq!(late.state(), relay.state(), "who joins now gets the relay's wrong copy");

    // The late one finds out for itself, or gets the new state of the relay before that.
    let healed = || relay.counters().healed >= 1;
    dispatched_until(1, &server, &[&relay, &early, &late], healed).await;
    let verified = || [&relay, &late].iter().all(|copy| copy.counters().verified > 0);
    dispatched_until(1, &server, &[&relay, &early, &late], verified).await;
    for copy in [&relay, &early, &late] {
        assert_eq!(copy.state(), server.state());
    }
    let by_relay = said.of(&format!("`list` at node {}", relay.node()));
    assert!(by_relay.iter().any(|text| text.contains("differs")), "{:?}", said.0.lock());
    assert_eq!(said.of(&early.node().to_string()).len(), 0, "its copy was right throughout");
    assert_eq!(early.counters().healed, 0);
    assert_eq!(said.non_deterministic(), 0, "{:?}", said.0.lock());
}
