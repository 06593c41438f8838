//! Every option at its ends: it works, or is refused by name before anything begins.

use std::time::Duration;

use samestate::{Backup, ClientConfig, Cluster, Error, Resync, ServerConfig, StoreBuilder};

use super::scene::{Place, Reports, add, sum, within};

const TINY: Duration = Duration::from_nanos(1);

type Builder = StoreBuilder<i64, i64>;
type Adjust = Box<dyn Fn(Builder) -> Builder>;

/// An option of a store with a value, and what becomes of it.
struct Case {
    name: &'static str,
    value: String,
    /// The allowed values, if this one is refused.
    allowed: Option<&'static str>,
    adjust: Adjust,
}

/// The options of a store with every kind of value, and what is allowed if that one is not.
#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add<T: std::fmt::Debug + Copy + 'static>(
        &mut self,
        name: &'static str,
        values: impl IntoIterator<Item = T>,
        allowed: Option<&'static str>,
        adjust: fn(Builder, T) -> Builder,
    ) {
        self.0.extend(values.into_iter().map(|value| Case {
            name,
            value: format!("{value:?}"),
            allowed,
            adjust: Box::new(move |store| adjust(store, value)),
        }));
    }

    /// Values that work.
    fn work<T: std::fmt::Debug + Copy + 'static>(
        &mut self,
        name: &'static str,
        values: impl IntoIterator<Item = T>,
        adjust: fn(Builder, T) -> Builder,
    ) {
        self.add(name, values, None, adjust);
    }
}

fn spans_of_stores(cases: &mut Cases) {
    let (none, least, max) = (Duration::ZERO, Duration::from_millis(1), Duration::MAX);
    let (usual, soon) = (Duration::from_millis(500), Duration::from_micros(1500));
    let least_allowed = Some("1 ms or more");
    let deadline: fn(Builder, Duration) -> Builder = |store, span| store.dispatch_deadline(span);
    cases.add("dispatch_deadline", [none, TINY], least_allowed, deadline);
    cases.work("dispatch_deadline", [least, max], deadline);
    let liveness: fn(Builder, _) -> Builder = |store, (beat, dead)| store.liveness(beat, dead);
    cases.add("liveness (heartbeat)", [(none, max), (TINY, max)], least_allowed, liveness);
    let twice = Some("twice the heartbeat, 1ms, or more");
    cases.add("liveness (dead_after)", [(least, none), (least, soon)], twice, liveness);
    let twice = Some("or more");
    cases.add("liveness (dead_after)", [(usual, usual), (max, usual)], twice, liveness);
    cases.work("liveness", [(least, least * 200), (usual, max), (max, max)], liveness);
    cases.work("pressure_grace", [none, TINY, max], |store, span| store.pressure_grace(span));
    cases.work("stall_grace", [none, TINY, max], |store, span| {
        store.configure(|config| config.stall_grace = span)
    });
    cases.work("open_timeout", [max], |store, span| store.open_timeout(span));
}

fn counts_of_stores(cases: &mut Cases) {
    let max = usize::MAX;
    let window: fn(Builder, usize) -> Builder = |store, count| store.window(count);
    cases.add("window", [0, (1 << 24) + 1, max], Some("1 to 16777216"), window);
    cases.work("window", [1, 1 << 24], window);
    let most = Some("1099511627776 bytes at most");
    let log: fn(Builder, usize) -> Builder = |store, bytes| store.log_bytes_max(bytes);
    cases.add("log_bytes_max", [(1 << 40) + 1, max], most, log);
    cases.work("log_bytes_max", [0, 1, 1 << 40], log);
    let more: fn(Builder, usize) -> Builder = |store, bytes| store.catch_up_bytes_max(bytes);
    cases.add("catch_up_bytes_max", [(1 << 40) + 1, max], most, more);
    cases.work("catch_up_bytes_max", [0, 1, 1 << 40], more);
    let resync: fn(Builder, Resync) -> Builder = |store, resync| store.resync(resync);
    for kind in [Resync::Verify, Resync::Snapshot] {
        let allowed = Some("every 1 to 1000000000 actions, or `Resync::Off`");
        cases.add("resync", [0, 1_000_000_001, u64::MAX].map(kind), allowed, resync);
        cases.work("resync", [1, 1_000_000_000].map(kind), resync);
    }
    cases.work("schema_version", [0, 1, u32::MAX], |store, version| store.schema_version(version));
    let action: fn(Builder, usize) -> Builder =
        |store, bytes| store.configure(|config| config.action_bytes_max = bytes);
    cases.add("action_bytes_max", [0, max], Some("1 to 1073741824 bytes"), action);
    cases.work("action_bytes_max", [1, 1 << 30], action);
    cases.work("sessions_max", [0, 1, max], |store, count| {
        store.configure(|config| config.sessions_max = count)
    });
    cases.work("events_max", [0, 1, max], |store, count| {
        store.configure(|config| (config.events_max, config.events_bytes_max) = (count, count))
    });
    let budget: fn(Builder, f64) -> Builder =
        |store, budget| store.configure(|config| config.verify_budget = budget);
    let share = Some("more than 0, and 1 at most");
    let beyond = [f64::NAN, -1.0, -0.0, 0.0, 1.1, f64::MAX, f64::INFINITY, f64::NEG_INFINITY];
    cases.add("verify_budget", beyond, share, budget);
    cases.work("verify_budget", [f64::MIN_POSITIVE, 1.0], budget);
}

fn paces_of_backups(cases: &mut Cases) {
    fn backup(adjust: impl Fn(Backup) -> Backup) -> impl Fn(Builder) -> Builder {
        move |store| {
            // Not in a folder: what is refused touches no file.
            store.backup(adjust(Backup::at("/nowhere/sum")))
        }
    }
    let beyond = [
        f64::NAN,
        f64::NEG_INFINITY,
        f64::MIN,
        -1.0,
        -0.0,
        0.0,
        f64::MIN_POSITIVE,
        0.000_9,
        31_536_000.1,
        f64::MAX,
        f64::INFINITY,
    ];
    cases.add("every_seconds", beyond, Some("0.001 to 31536000.0 seconds"), |store, seconds| {
        backup(move |backup| backup.every_seconds(seconds))(store)
    });
    let beyond = [0, 1_000_000_001, u64::MAX];
    cases.add("every_actions", beyond, Some("1 to 1000000000 actions"), |store, actions| {
        backup(move |backup| backup.every_actions(actions))(store)
    });
    #[cfg(feature = "encryption")]
    cases.add("key", [""], Some("a passphrase of 1 byte or more"), |store, key| {
        backup(move |backup| backup.key(key))(store)
    });
}

/// Checks that a store works whatever its options: a dispatch at the server and one at the client
/// end, and no task panics.
async fn works(what: &str, adjust: &dyn Fn(Builder) -> Builder) {
    let (place, reports) = (Place::new(), Reports::default());
    let opened = adjust(sum().on_error(reports.collect())).open().await;
    let server = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    server.create_server(place.server()).await.expect("it listens");
    let client = adjust(sum().on_error(reports.collect()).client(place.client()));
    let client =
        within(what, client.open()).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    for store in [&server, &client, &server, &client] {
        // With a log of no bytes or a deadline of a millisecond not every one succeeds.
        let _ = within(what, store.dispatch(1)).await;
    }
    within(what, client.close(Duration::from_millis(50))).await.unwrap_or_default();
    within(what, server.close(Duration::MAX)).await.unwrap_or_else(|e| panic!("{what}: {e}"));
    let panicked: Vec<_> =
        reports.all().into_iter().filter(|report| report.contains("panicked")).collect();
    assert!(panicked.is_empty(), "{what}: {panicked:?}");
}

#[tokio::test]
async fn every_option_of_a_store_works_at_its_ends_and_is_refused_by_name_beyond() {
    let mut cases = Cases::default();
    spans_of_stores(&mut cases);
    counts_of_stores(&mut cases);
    paces_of_backups(&mut cases);
    for Case { name, value, allowed, adjust } in cases.0 {
        let what = format!("{name} {value}");
        let Some(allowed) = allowed else {
            works(&what, &*adjust).await;
            continue;
        };
        let opened = adjust(sum()).open().await;
        let error = opened.err().unwrap_or_else(|| panic!("{what} is not refused"));
        refused(&error, name);
        assert!(error.to_string().ends_with(allowed), "{what}: {error}");
    }
}

#[tokio::test]
async fn every_pace_of_a_backup_works_at_its_ends() {
    for seconds in [0.001, 31_536_000.0] {
        let folder = Place::new();
        let backup = move || Backup::at(folder.file("sum")).every_seconds(seconds);
        works(&format!("every_seconds {seconds}"), &move |store| store.backup(backup())).await;
    }
    for actions in [1, 1_000_000_000] {
        let folder = Place::new();
        let backup = move || Backup::at(folder.file("sum")).every_actions(actions);
        works(&format!("every_actions {actions}"), &move |store| store.backup(backup())).await;
    }
}

fn refused(error: &Error, option: &str) {
    let Error::Options { name, allowed, .. } = error else { panic!("{option}: {error}") };
    assert_eq!(*name, option);
    assert!(error.to_string().contains(allowed.as_str()), "{error}");
}

#[tokio::test]
async fn mode_delta_needs_a_state_that_has_patches() {
    let store = samestate::create_store("sum", add).mode(samestate::Mode::Delta);
    let error = store.open().await.expect_err("it is refused");
    refused(&error, "mode");
    assert!(error.to_string().contains("`delta()`"), "{error}");
    samestate::create_store("sum", add).delta().open().await.expect("it opens");
}

#[tokio::test]
async fn names_of_stores_have_bounds() {
    let long = "n".repeat(255);
    for name in [&long, "größe", "a b", "a\"b\\c{d}"] {
        samestate::create_store(name, add).open().await.expect("it opens");
    }
    for name in ["", " ", "a\nb", "\0", &"n".repeat(256), &"n".repeat(65_000)] {
        let error = samestate::create_store(name, add).open().await.expect_err("it is refused");
        refused(&error, "name of the store");
    }
}

#[tokio::test]
async fn a_server_and_a_client_refuse_spans_in_which_nothing_can_happen() {
    let place = Place::new();
    let store = sum().open().await.expect("it opens");
    for span in [Duration::ZERO, TINY] {
        let server: ServerConfig = place.server().login_within(span);
        let error = store.create_server(server).await.expect_err("it is refused");
        refused(&error, "login_within");
        let client: ClientConfig = place.client().backoff_max(span);
        let error = sum().client(client).open().await.expect_err("it is refused");
        refused(&error, "backoff_max");
    }
    for rounds in [0, 4095, 1_000_001, u32::MAX] {
        let server = place.server().login("app", "secret").login_rounds(rounds);
        let error = store.create_server(server).await.expect_err("it is refused");
        refused(&error, "login_rounds");
    }
    let server = place.server().login_within(Duration::MAX);
    store.create_server(server).await.expect("it listens");
    let client = place.client().backoff_max(Duration::MAX);
    let copy = sum().client(client).open_timeout(Duration::MAX).open().await;
    copy.expect("it comes in sync").dispatch(1).await.expect("it applies");
}

#[tokio::test]
async fn an_open_timeout_of_nothing_is_enough_for_a_store_alone() {
    sum().open_timeout(Duration::ZERO).open().await.expect("it is in sync from the beginning");
    let client = sum().client(Place::new().client()).open_timeout(Duration::ZERO);
    assert!(matches!(client.open().await, Err(Error::NotInSync { .. })));
}

#[tokio::test]
async fn a_cluster_refuses_numbers_of_workers_that_it_cannot_have() {
    let cluster = Cluster::alone();
    for number in [0, usize::MAX] {
        refused(&cluster.fork_as(number).expect_err("it is refused"), "number of the worker");
    }
    let error = cluster.fork(usize::MAX).expect_err("it is refused");
    refused(&error, "count of workers to fork");
    assert_eq!(cluster.workers(), []);
    cluster.fork(0).expect("nothing is started");
}
