//! Connections and servers.

use std::time::Duration;

use samestate::{ClientConfig, Mode, ServerConfig, Store, StoreBuilder, create_store};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tracing::Level;

use super::captured::{Line, Log};
use super::ports::free_port;

const DEADLINE: Duration = Duration::from_secs(10);

pub(super) fn list(name: &str) -> StoreBuilder<Vec<u32>, u32> {
    let push = |list: &mut Vec<u32>, item: &u32| list.push(*item);
    create_store(name, push).mode(Mode::Action).on_error(|_| {})
}

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens in time")
}

/// A port in front of a server, by which its clients can be cut off.
struct Proxy {
    port: u16,
    server: u16,
    task: JoinHandle<()>,
}

impl Proxy {
    async fn start(port: u16, server: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("it listens");
        let port = listener.local_addr().expect("it has an address").port();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.expect("it accepts");
                connections.spawn(async move {
                    let mut far =
                        TcpStream::connect(("127.0.0.1", server)).await.expect("it connects");
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Proxy { port, server, task }
    }

    /// Cuts all connections, and takes new ones again.
    async fn cut(self) -> Proxy {
        self.task.abort();
        let _ = self.task.await;
        Proxy::start(self.port, self.server).await
    }
}

/// Returns a filter for the events that a client of this store logs about its link.
fn upstream(store: &str) -> impl Fn(&Line) -> bool {
    move |line| line.span.is("side", "upstream") && line.field("store") == store
}

async fn served(name: &str) -> (Store<Vec<u32>, u32>, u16) {
    let server = list(name).open().await.expect("it opens");
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    server
        .create_server(ServerConfig::tcp(&address).login("app", "s3cret").login_rounds(4096))
        .await
        .expect("it listens");
    (server, port)
}

#[tokio::test]
async fn a_link_that_is_cut_is_followed_from_connecting_to_its_loss_and_back() {
    const STORE: &str = "cut";
    let mut log = Log::begin();
    let (server, port) = served(STORE).await;
    let proxy = Proxy::start(0, port).await;
    let address = format!("127.0.0.1:{}", proxy.port);
    let client = ClientConfig::tcp(&address).login("app", "s3cret");
    let client = list(STORE).client(client).open().await.expect("it comes in sync");
    client.dispatch(1).await.expect("it applies");

    let ours = upstream(STORE);
    let of_store = |line: &Line| line.is("store", "in sync") && ours(line);
    log.line(of_store).await;
    let told: Vec<_> = log.lines(&ours).into_iter().map(|line| line.message).collect();
    assert_eq!(told, ["connecting", "connected", "logged in", "attached", "in sync"]);
    let attached = log.line(|line| line.is("store", "attached") && ours(line)).await;
    assert_eq!((attached.level, attached.field("resume")), (Level::INFO, "snapshot"));
    assert_eq!(attached.field("version"), "e1:0");
    assert_ne!(attached.field("bytes"), "");
    assert_eq!(attached.field("peer"), "the server");
    assert_eq!(attached.field("address"), address);

    let proxy = proxy.cut().await;
    let lost = log.line(|line| line.is("link", "lost") && ours(line)).await;
    assert_eq!((lost.level, lost.field("reason")), (Level::WARN, "the peer closed the connection"));
    let waits = log.line(|line| line.is("link", "backing off") && ours(line)).await;
    assert_eq!(waits.level, Level::DEBUG);
    let wait: u64 = waits.field("wait_ms").parse().expect("a number");
    assert!(wait <= 100, "the first retry comes within 100 ms, not {wait}");
    let again = log.nth(1, |line| line.is("store", "attached") && ours(line)).await;
    assert_eq!((again.field("resume"), again.field("version")), ("entries", "e1:1"));
    log.nth(1, of_store).await;
    assert_eq!(log.lines(|line| line.is("store", "out of sync") && ours(line)).len(), 1);
    within(client.until_connected(true)).await;

    // The server's side of it, by the same names.
    let there = |line: &Line| {
        line.is("store", "attached")
            && line.span.is("side", "downstream")
            && line.field("store") == STORE
    };
    let attached = log.nth(1, there).await;
    assert_eq!((attached.level, attached.field("resume")), (Level::DEBUG, "entries"));
    assert_eq!((attached.field("login"), attached.field("address")), ("app", "127.0.0.1"));
    assert!(attached.field("peer").starts_with("client 127.0.0.1:"), "{attached:?}");

    // Not a line more for the actions, at whatever level.
    let before = log.lines(|line| line.field("store") == STORE).len();
    let outcomes = within(client.dispatch_many(0..500)).await;
    assert!(outcomes.iter().all(Result::is_ok));
    let after = log.lines(|line| line.field("store") == STORE);
    assert_eq!(after.len(), before, "{:#?}", &after[before..]);

    client.close(DEADLINE).await.expect("it closes");
    let closed = log.line(|line| line.is("link", "closed") && ours(line)).await;
    assert_eq!(closed.level, Level::DEBUG);
    server.close(DEADLINE).await.expect("it closes");
    drop(proxy);
}

#[tokio::test]
async fn a_server_that_loses_its_socket_file_says_that_it_fell_over_and_came_back() {
    let mut log = Log::begin();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let address = format!("unix:{}", path.display());
    let server = list("fallen").open().await.expect("it opens");
    server.create_server(ServerConfig::unix(&path)).await.expect("it listens");
    std::fs::remove_file(&path).expect("it is removed");
    let ours = |line: &Line| line.target == "samestate::server" && line.field("address") == address;
    log.line(|line| ours(line) && line.message == "came back").await;
    server.close(DEADLINE).await.expect("it closes");
    let told = log.lines(ours);
    let told: Vec<_> = told.iter().map(|line| (line.level, &*line.message)).collect();
    let expected = [
        (Level::INFO, "started"),
        (Level::WARN, "fell over"),
        (Level::INFO, "came back"),
        (Level::INFO, "closed"),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn wrong_passwords_are_logged_on_both_sides_and_so_is_the_lock_out() {
    let mut log = Log::begin();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let server = list("locked").open().await.expect("it opens");
    let options = ServerConfig::unix(&path).login("app", "r1ght-password").login_rounds(4096);
    server.create_server(options).await.expect("it listens");
    let mut clients = Vec::new();
    for tries in 0..6 {
        let client = ClientConfig::unix(&path).login("app", "wr0ng-password");
        let client = list("locked").client(client).start().expect("it starts");
        clients.push(client);
        let refused = |line: &Line| line.is("link", "login refused") && upstream("locked")(line);
        let refused = log.nth(tries, refused).await;
        assert_eq!(refused.level, Level::WARN);
        let locked = refused.field("reason").contains("locked out");
        assert_eq!(locked, tries == 5, "{refused:?}");
    }
    let here = path.display().to_string();
    let there =
        |line: &Line| line.span.is("side", "downstream") && line.field("peer").contains(&here);
    let locked = log.line(|line| line.is("link", "locked out") && there(line)).await;
    assert_eq!(locked.level, Level::WARN);
    assert!(locked.field("address").starts_with("user "), "{locked:?}");
    let seconds: u64 = locked.field("seconds").parse().expect("a number");
    assert_eq!(seconds, 3 * 60 * 60);
    let refused = log.lines(|line| line.is("link", "login refused") && there(line));
    assert_eq!(refused.len(), 6);
    let text = log.text();
    assert!(!text.contains("r1ght") && !text.contains("wr0ng"), "a password is logged");
}
