//! How a store is served, and how it follows a server (A4, A7).

use std::path::PathBuf;
use std::time::Duration;

use crate::link::Address;
#[cfg(feature = "tls")]
use crate::link::{ClientTls, ServerTls};

/// How a store is served. Anyone may link to a server without logins: give it some.
#[derive(Clone, Debug)]
#[must_use = "hand it to `create_server`"]
pub struct Server {
    pub(super) address: String,
    pub(super) logins: Vec<(String, String)>,
    pub(super) login_within: Duration,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<ServerTls>,
}

/// Where a server listens that was told nothing (A4): on all interfaces, at port 10001.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let tasks = samestate::create_store("tasks", |sum: &mut u64, by: &u64| *sum += by).open().await?;
/// use samestate::Server;
///
/// match tasks.create_server(Server::default().login("app", "secret")).await {
///     Ok(serving) => println!("listening on {}", serving.address()),
///     Err(error) => eprintln!("{error}"), // another program has that port
/// }
/// # Ok(())
/// # }
/// ```
impl Default for Server {
    fn default() -> Self {
        Server::tcp(Address::server_default().to_string())
    }
}

impl Server {
    /// On TCP, at `host:port`. `*` or no host: all interfaces; the article's port is 10001.
    pub fn tcp(address: impl Into<String>) -> Self {
        let login_within = Duration::from_secs(10);
        Server {
            address: address.into(),
            logins: Vec::new(),
            login_within,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// At this path (A4): a Unix socket, or on Windows a named pipe; see [`Address::path`].
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Server::tcp(Address::path(path).to_string())
    }

    /// On a Unix socket at this path. A stale socket file there is replaced.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Server::tcp(format!("unix:{}", path.into().display()))
    }

    /// On a named pipe of Windows, `\\.\pipe\` before its name. Only the master of a cluster may (A4), and
    /// only processes of the same user come in.
    pub fn pipe(name: impl Into<String>) -> Self {
        Server::tcp(format!("pipe:{}", name.into()))
    }

    /// Lets in who proves to know this password. May be called several times; many clients may
    /// share a login.
    pub fn login(mut self, login: impl Into<String>, password: impl Into<String>) -> Self {
        self.logins.push((login.into(), password.into()));
        self
    }

    /// Who is not logged in within this, or then asks for no store within this, is dropped.
    /// Default: 10 s.
    pub fn login_within(mut self, deadline: Duration) -> Self {
        self.login_within = deadline;
        self
    }

    /// Speaks TLS, and turns away who does not: `.tls(Tls::server("cert.pem", "key.pem"))`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }
}

/// How a store follows a server. Stores of one process that say the same here, each with a name
/// of its own, share one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "hand it to `create_client`"]
pub struct Client {
    pub(super) address: String,
    pub(super) login: Option<(String, String)>,
    pub(super) backoff_max: Duration,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<ClientTls>,
}

/// Where a client goes that was told nothing (A7): to `localhost`, at port 10001.
impl Default for Client {
    fn default() -> Self {
        Client::tcp(Address::client_default().to_string())
    }
}

impl Client {
    /// Over TCP, at `host:port`.
    pub fn tcp(address: impl Into<String>) -> Self {
        Client {
            address: address.into(),
            login: None,
            backoff_max: Duration::from_secs(5),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// At this path (A7): over a Unix socket, or on Windows a named pipe; see [`Address::path`].
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Client::tcp(Address::path(path).to_string())
    }

    /// Over the Unix socket at this path.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Client::tcp(format!("unix:{}", path.into().display()))
    }

    /// Over the named pipe of Windows of this name.
    pub fn pipe(name: impl Into<String>) -> Self {
        Client::tcp(format!("pipe:{}", name.into()))
    }

    /// Proves to know this password.
    pub fn login(mut self, login: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some((login.into(), password.into()));
        self
    }

    /// The longest wait between two attempts to reconnect. Default: 5 s.
    pub fn backoff_max(mut self, longest: Duration) -> Self {
        self.backoff_max = longest;
        self
    }

    /// Speaks TLS, with a server that proves who it is: `.tls(Tls::client("ca.pem"))`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }
}
