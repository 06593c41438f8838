//! One server for all stores of a process, and one connection for all stores that follow it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use samestate::PeerAddress;
use samestate::{
    ClientConfig, Cluster, DispatchError, Error, Mode, Role, ServerConfig, ServerHandle, Store,
    StoreBuilder, create_store,
};
use tokio::net::{TcpListener, TcpStream};

const DEADLINE: Duration = Duration::from_secs(10);

/// Silence after which a link is dead, here.
const DEAD_AFTER: Duration = Duration::from_millis(500);

type Sum = Store<i64, i64>;

fn add(sum: &mut i64, by: &i64) {
    *sum += by;
}

fn quick(builder: StoreBuilder<i64, i64>) -> StoreBuilder<i64, i64> {
    builder.mode(Mode::Action).liveness(Duration::from_millis(50), DEAD_AFTER).on_error(|_| {})
}

fn here(name: &str) -> StoreBuilder<i64, i64> {
    quick(create_store(name, add))
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens in time")
}

/// Between clients and a server: counts the connections.
struct Way {
    address: String,
    count: Arc<AtomicUsize>,
}

impl Way {
    async fn to(server: &ServerHandle) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address").to_string();
        let (count, server) = (Arc::<AtomicUsize>::default(), server.address().to_string());
        let counter = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let server = server.clone();
                tokio::spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(server).await {
                        // It ends as either end does.
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Way { address, count }
    }

    fn client(&self) -> ClientConfig {
        ClientConfig::tcp(&self.address)
            .login("app", "secret")
            .backoff_max(Duration::from_millis(200))
    }

    fn connections(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

fn server() -> ServerConfig {
    ServerConfig::tcp("127.0.0.1:0").login("app", "secret").login_rounds(4096)
}

/// A process that serves all of its stores.
async fn house() -> (Cluster, Way) {
    let cluster = Cluster::alone();
    let serving = cluster.create_server(server()).await.expect("it listens");
    let way = Way::to(&serving).await;
    (cluster, way)
}

async fn open(cluster: &Cluster, name: &str) -> Sum {
    quick(cluster.create_store(name, add)).open().await.expect("it opens")
}

async fn follow(way: &Way, name: &str) -> Sum {
    here(name).client(way.client()).open().await.expect("it comes in sync")
}

#[tokio::test]
async fn three_stores_follow_one_server_over_one_connection() {
    let (cluster, way) = house().await;
    let names = ["apples", "pears", "plums"];
    let mut pairs = Vec::new();
    for name in names {
        pairs.push((open(&cluster, name).await, follow(&way, name).await));
    }
    for (by, (server, client)) in (1..).zip(&pairs) {
        client.dispatch(by).await.expect("it applies");
        assert_eq!(*server.state(), by);
        assert_eq!(
            (server.roles(), client.roles()),
            (vec![Role::Master, Role::Server], vec![Role::Client])
        );
    }
    assert_eq!(way.connections(), 1);
}

#[tokio::test]
async fn a_store_that_its_process_opens_later_is_waited_for_and_holds_no_other_up() {
    let (cluster, way) = house().await;
    let _early_there = open(&cluster, "early").await;
    let early = follow(&way, "early").await;
    let late = here("late").client(way.client()).start().expect("it starts");
    let began = Instant::now();
    while began.elapsed() < 3 * DEAD_AFTER {
        early.dispatch(1).await.expect("the link stays up while the other store is waited for");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!late.is_connected());
    let late_there = open(&cluster, "late").await;
    within(late.until_connected(true)).await;
    late.dispatch(2).await.expect("it applies");
    assert_eq!((*late_there.state(), way.connections()), (2, 1));
}

#[tokio::test]
async fn a_store_that_closes_at_either_end_leaves_the_others_and_comes_back() {
    let (cluster, way) = house().await;
    let (staying_there, leaving_there) =
        (open(&cluster, "staying").await, open(&cluster, "leaving").await);
    let (staying, leaving) = (follow(&way, "staying").await, follow(&way, "leaving").await);

    leaving.close(DEADLINE).await.expect("it closes");
    staying.dispatch(1).await.expect("it goes on");
    let back = follow(&way, "leaving").await;
    back.dispatch(2).await.expect("it applies");
    assert_eq!(*leaving_there.state(), 2);

    leaving_there.close(DEADLINE).await.expect("it closes");
    drop(leaving_there);
    within(back.until_connected(false)).await;
    assert_eq!(back.dispatch(3).await, Err(DispatchError::NotConnected));
    staying.dispatch(1).await.expect("it goes on");
    let again = open(&cluster, "leaving").await;
    within(back.until_connected(true)).await;
    back.dispatch(4).await.expect("it applies");
    assert_eq!((*again.state(), *staying_there.state(), way.connections()), (4, 2, 1));
}

#[tokio::test]
async fn a_store_that_is_refused_leaves_the_others_on_the_connection() {
    let (cluster, way) = house().await;
    let _served = (open(&cluster, "good").await, open(&cluster, "other shape").await);
    let good = follow(&way, "good").await;
    let (sender, mut errors) = tokio::sync::mpsc::unbounded_channel();
    let refused = here("other shape")
        .schema_version(2)
        .on_error(move |event| sender.send(event.to_string()).expect("the test listens"))
        .client(way.client())
        .start()
        .expect("it starts");
    let error = within(errors.recv()).await.expect("it is said");
    assert!(error.contains("schema_version 2 at the client, 1 at the server"), "{error}");
    good.dispatch(1).await.expect("it goes on");
    assert!(good.is_connected() && !refused.is_connected());
    assert_eq!(way.connections(), 1);
}

#[tokio::test]
async fn a_store_that_is_served_later_at_a_shared_address_is_asked_for_again() {
    let first = here("first").open().await.expect("it opens");
    let path = tempfile::tempdir().expect("a temporary folder");
    let path = path.path().join("s");
    let server = || ServerConfig::path(&path);
    let client = || ClientConfig::path(&path);
    first.create_server(server()).await.expect("it listens");
    let first_here = here("first").client(client()).open().await.expect("it comes in sync");
    let (sender, mut errors) = tokio::sync::mpsc::unbounded_channel();
    let second_here = here("second")
        .on_error(move |event| drop(sender.send(event.to_string())))
        .client(client())
        .start()
        .expect("it starts");
    let error = within(errors.recv()).await.expect("it is said");
    assert!(error.contains("`second` is not served here"), "{error}");
    let second = here("second").open().await.expect("it opens");
    second.create_server(server()).await.expect("it joins that server");
    within(second_here.until_connected(true)).await;
    second_here.dispatch(1).await.expect("it applies");
    first_here.dispatch(2).await.expect("it applies");
    assert_eq!((*first.state(), *second.state()), (2, 1));
}

#[tokio::test]
async fn another_login_or_another_copy_of_a_store_has_a_connection_of_its_own() {
    let cluster = Cluster::alone();
    let serving = cluster.create_server(server().login("b", "b")).await.expect("it listens");
    let way = Way::to(&serving).await;
    let there = (open(&cluster, "one").await, open(&cluster, "two").await);
    let one = follow(&way, "one").await;
    let copy = follow(&way, "one").await;
    let other_login = ClientConfig::tcp(&way.address).login("b", "b");
    let two = here("two").client(other_login).open().await.expect("it comes in sync");
    for store in [&one, &copy, &two] {
        store.dispatch(1).await.expect("it applies");
    }
    assert_eq!((*there.0.state(), *there.1.state(), way.connections()), (2, 1, 3));
}

#[tokio::test]
async fn a_connection_ends_with_its_last_store() {
    let (cluster, way) = house().await;
    let _there = (open(&cluster, "one").await, open(&cluster, "two").await);
    for connections in 1..=3 {
        let (one, two) = (follow(&way, "one").await, follow(&way, "two").await);
        assert_eq!(way.connections(), connections, "a new one after the last was closed");
        one.close(DEADLINE).await.expect("it closes");
        two.close(DEADLINE).await.expect("it closes");
    }
}

#[tokio::test]
async fn all_stores_of_a_connection_come_back_with_their_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let client = || ClientConfig::path(&path).backoff_max(Duration::from_millis(200));
    let mut clients = Vec::new();
    for name in ["one", "two"] {
        clients.push(here(name).client(client()).start().expect("it starts"));
    }
    for life in 1..=2 {
        let cluster = Cluster::alone();
        cluster.create_server(ServerConfig::path(&path)).await.expect("it listens");
        let there = (open(&cluster, "one").await, open(&cluster, "two").await);
        for client in &clients {
            within(client.until_connected(true)).await;
            client.dispatch(life).await.expect("it applies");
        }
        assert_eq!((*there.0.state(), *there.1.state()), (life, life));
        cluster.close(DEADLINE).await.expect("its server ends");
        for client in &clients {
            within(client.until_connected(false)).await;
        }
    }
}

#[tokio::test]
async fn a_clusters_server_shares_its_address_with_no_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = |name: &str| ServerConfig::path(folder.path().join(name));
    let cluster = Cluster::alone();
    let (mine, alone) = (open(&cluster, "mine").await, here("alone").open().await.expect("opens"));
    alone.create_server(server("a")).await.expect("it listens");
    let taken = cluster.create_server(server("a")).await;
    assert!(matches!(taken, Err(Error::AlreadyServed(_))), "{taken:?}");
    cluster.create_server(server("b")).await.expect("it listens");
    for store in [&mine, &alone] {
        let taken = store.create_server(server("b")).await;
        assert!(matches!(taken, Err(Error::AlreadyServed(_))), "{taken:?}");
    }
    cluster.close(DEADLINE).await.expect("its server ends");
    alone.create_server(server("b")).await.expect("the address is free again");
}

#[tokio::test]
async fn a_lock_out_is_lifted_at_the_server() {
    let store = here("guarded").open().await.expect("it opens");
    let serving = store.create_server(server()).await.expect("it listens");
    let address = serving.address().to_string();
    let (sender, mut errors) = tokio::sync::mpsc::unbounded_channel();
    let try_with = |password: String| {
        let sender = sender.clone();
        here("guarded")
            .on_error(move |event| drop(sender.send(event.to_string())))
            .client(ClientConfig::tcp(&address).login("app", password))
            .start()
            .expect("it starts")
    };
    for wrong in 0..5 {
        let _store = try_with(format!("wrong {wrong}"));
        let error = within(errors.recv()).await.expect("it is said");
        assert!(error.contains("refuses"), "{error}");
    }
    let guest = PeerAddress::Ip("127.0.0.1".parse().expect("an address"));
    assert_eq!(serving.locked().iter().map(|locked| locked.address).collect::<Vec<_>>(), [guest]);
    let shut_out = try_with("secret".into());
    let error = within(errors.recv()).await.expect("it is said");
    assert!(error.contains("locked out") && !shut_out.is_connected(), "{error}");

    assert!(serving.unlock(guest), "there was something to lift");
    assert!(serving.locked().is_empty() && !serving.unlock(guest));
    let client = ClientConfig::tcp(&address).login("app", "secret").backoff_max(DEADLINE / 2);
    here("guarded").client(client).open().await.expect("it is let in");
}
