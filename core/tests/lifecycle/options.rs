//! Every option at its ends: it works, or is refused by name before anything begins.

use std::time::Duration;

use samestate::{Backup, Client, Cluster, Error, Resync, Server, StoreBuilder};

use super::scene::{Place, Reports, add, sum, within};

const TINY: Duration = Duration::from_nanos(1);

type Builder = StoreBuilder<i64, i64>;
type Adjust = Box<dyn Fn(Builder) -> Builder>;

/// The options of a store, each at one of its ends.
fn store_options() -> Vec<(String, Adjust)> {
    let mut options: Vec<(String, Adjust)> = Vec::new();
    for span in [Duration::ZERO, TINY, Duration::from_millis(1), Duration::MAX] {
        let mut add =
            |name: &str, adjust: Adjust| options.push((format!("{name} {span:?}"), adjust));
        add("dispatch_deadline", Box::new(move |store| store.dispatch_deadline(span)));
        add("liveness", Box::new(move |store| store.liveness(span, span)));
        add("liveness", Box::new(move |store| store.liveness(span, Duration::MAX)));
        add("liveness", Box::new(move |store| store.liveness(Duration::from_millis(500), span)));
        add(
            "stall_grace",
            Box::new(move |store| store.configure(|config| config.stall_grace = span)),
        );
    }
    for count in [0, 1, usize::MAX - 1, usize::MAX] {
        let mut add =
            |name: &str, adjust: Adjust| options.push((format!("{name} {count}"), adjust));
        add("window", Box::new(move |store| store.window(count)));
        add("log_bytes_max", Box::new(move |store| store.log_bytes_max(count)));
        add("resync", Box::new(move |store| store.resync(Resync::Verify(count as u64))));
        add("resync", Box::new(move |store| store.resync(Resync::Snapshot(count as u64))));
        add("schema_version", Box::new(move |store| store.schema_version(count as u32)));
        add(
            "action_bytes_max",
            Box::new(move |store| store.configure(|config| config.action_bytes_max = count)),
        );
        add(
            "sessions_max",
            Box::new(move |store| store.configure(|config| config.sessions_max = count)),
        );
        add(
            "events_max",
            Box::new(move |store| {
                store.configure(|config| {
                    config.events_max = count;
                    config.events_bytes_max = count;
                })
            }),
        );
    }
    for budget in [f64::NAN, -1.0, 0.0, f64::MIN_POSITIVE, 1.0, 2.0, f64::INFINITY] {
        let adjust = move |store: Builder| store.configure(|config| config.verify_budget = budget);
        options.push((format!("verify_budget {budget}"), Box::new(adjust)));
    }
    options
}

/// What every store does, whatever its options: a dispatch at the server and one at the client end,
/// and no task panics.
async fn works(what: &str, adjust: &dyn Fn(Builder) -> Builder) {
    let (place, reports) = (Place::new(), Reports::default());
    let opened = adjust(sum().on_error(reports.collect())).open().await;
    let server = match opened {
        Ok(server) => server,
        Err(Error::Options { name, value, allowed }) => {
            let option = what.split(' ').next().expect("a name");
            assert!(name.starts_with(option), "{what}: refused as {name}");
            assert!(!value.is_empty() && !allowed.is_empty(), "{what}: {value:?}, {allowed:?}");
            return;
        }
        Err(error) => panic!("{what}: {error}"),
    };
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
async fn every_option_of_a_store_works_at_its_ends_or_is_refused_by_name() {
    for (what, adjust) in store_options() {
        works(&what, &*adjust).await;
    }
}

#[tokio::test]
async fn every_pace_of_a_backup_works_at_its_ends() {
    for seconds in [f64::NAN, -1.0, 0.0, f64::MIN_POSITIVE, f64::MAX, f64::INFINITY] {
        let folder = Place::new();
        let backup = move || Backup::at(folder.file("sum")).every_seconds(seconds);
        works(&format!("every_seconds {seconds}"), &move |store| store.backup(backup())).await;
    }
    for actions in [0, 1, u64::MAX] {
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
        let server: Server = place.server().login_within(span);
        let error = store.create_server(server).await.expect_err("it is refused");
        refused(&error, "login_within");
        let client: Client = place.client().backoff_max(span);
        let error = sum().client(client).open().await.expect_err("it is refused");
        refused(&error, "backoff_max");
    }
    for rounds in [0, 4095, 1_000_001, u32::MAX] {
        let server = place.server().login("app", "secret").login_rounds(rounds);
        let error = store.create_server(server).await.expect_err("it is refused").to_string();
        assert!(error.contains("choose 4096 to 1000000"), "{error}");
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
