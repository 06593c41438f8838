//! A server and its clients, what they report, and a tap on the wire.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use samestate::{ClientConfig, Event, Mode, ServerConfig, Store, StoreBuilder, create_store};
use samestate::{ClientTls, ServerTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::ports::free_port;

/// The longest time that a test waits for an event.
const DEADLINE: Duration = Duration::from_secs(20);

pub(super) type List = Store<Vec<String>, String>;

pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(DEADLINE, future).await;
    waited.unwrap_or_else(|_| panic!("{what} did not happen"))
}

pub(super) fn list() -> StoreBuilder<Vec<String>, String> {
    let push = |list: &mut Vec<String>, item: &String| list.push(item.clone());
    create_store("list", push).mode(Mode::Action).on_error(|_| {})
}

/// The reports of a store.
pub(super) struct Reports(mpsc::UnboundedReceiver<String>);

impl Reports {
    pub(super) fn new() -> (Self, impl Fn(&Event) + Send + Sync + 'static) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Reports(receiver), move |event: &Event| drop(sender.send(event.to_string())))
    }

    /// Waits for a report with these words.
    pub(super) async fn say(&mut self, words: &str) -> String {
        let mut passed = Vec::new();
        let found = tokio::time::timeout(DEADLINE, async {
            loop {
                let text = self.0.recv().await.expect("the store lives");
                if text.contains(words) {
                    return text;
                }
                passed.push(text);
            }
        });
        let found = found.await;
        found.unwrap_or_else(|_| panic!("nobody reports {words:?}, but {passed:?}"))
    }

    /// All there are until now.
    pub(super) fn so_far(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// A store that is served on this machine, with a login.
pub(super) struct Served {
    pub(super) store: List,
    pub(super) reports: Reports,
    pub(super) port: u16,
}

impl Served {
    pub(super) async fn new(tls: Option<ServerTls>) -> Self {
        Served::with(tls, |server| server).await
    }

    pub(super) async fn with(
        tls: Option<ServerTls>,
        change: impl FnOnce(ServerConfig) -> ServerConfig,
    ) -> Self {
        let (reports, on_error) = Reports::new();
        let store = list().on_error(on_error).open().await.expect("it opens");
        let port = free_port();
        let mut server = ServerConfig::tcp(format!("127.0.0.1:{port}"))
            .login("app", "secret")
            .login_rounds(4096);
        if let Some(tls) = tls {
            server = server.tls(tls);
        }
        store.create_server(change(server)).await.expect("it listens");
        Served { store, reports, port }
    }

    /// A client of it that has not opened.
    pub(super) fn client(&self, tls: Option<ClientTls>) -> StoreBuilder<Vec<String>, String> {
        list().client(client(self.port, tls))
    }

    /// A client that comes in, and whose dispatch arrives.
    pub(super) async fn is_served(&self, tls: ClientTls) -> List {
        let client = within("a client", self.client(Some(tls)).open()).await.expect("it comes in");
        let version =
            within("a dispatch", client.dispatch("hello".into())).await.expect("it is ok");
        assert_eq!(self.store.version(), version);
        client
    }

    /// A client that does not come in; what it says about it.
    pub(super) async fn is_refused(&self, tls: Option<ClientTls>, words: &str) -> String {
        let (mut reports, on_error) = Reports::new();
        let client = self.client(tls).on_error(on_error).start().expect("it starts");
        let said = reports.say(words).await;
        assert!(!client.is_connected());
        said
    }

    pub(super) async fn stranger(&self) -> TcpStream {
        let connected = TcpStream::connect(("127.0.0.1", self.port)).await;
        connected.expect("it connects")
    }
}

pub(super) fn client(port: u16, tls: Option<ClientTls>) -> ClientConfig {
    let client = ClientConfig::tcp(format!("localhost:{port}")).login("app", "secret");
    let client = client.backoff_max(Duration::from_millis(50));
    match tls {
        Some(tls) => client.tls(tls),
        None => client,
    }
}

/// Stands between clients and a server, and keeps all that passes.
pub(super) struct Tap {
    pub(super) port: u16,
    passed: Arc<Mutex<Vec<u8>>>,
    cut: watch::Sender<u32>,
}

impl Tap {
    pub(super) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let passed = Arc::<Mutex<Vec<u8>>>::default();
        let (cut, cuts) = watch::channel(0);
        let kept = Arc::clone(&passed);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.expect("it connects");
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                for (mut from, mut to) in [(from_client, to_server), (from_server, to_client)] {
                    let (kept, mut cuts) = (Arc::clone(&kept), cuts.clone());
                    cuts.mark_unchanged();
                    tokio::spawn(async move {
                        let mut buffer = vec![0; 64 << 10];
                        loop {
                            let read = tokio::select! {
                                read = from.read(&mut buffer) => read.unwrap_or(0),
                                _ = cuts.changed() => 0,
                            };
                            if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
                                return;
                            }
                            kept.lock().extend_from_slice(&buffer[..read]);
                        }
                    });
                }
            }
        });
        Tap { port, passed, cut }
    }

    /// Ends all connections that are up.
    pub(super) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    pub(super) fn has_seen(&self, words: &str) -> bool {
        self.passed.lock().windows(words.len()).any(|window| window == words.as_bytes())
    }
}
