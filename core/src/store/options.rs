//! Options of servers and clients (A4, A7).

use std::path::PathBuf;
use std::time::Duration;

use super::Result;

use crate::link::Address;
#[cfg(feature = "tls")]
use crate::link::{ClientTls, ServerTls};

/// An address as the user gave it. A text is parsed when it is used, so that building options
/// cannot fail. A path is not a text, and need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Text(String),
    Address(Address),
}

impl Place {
    pub(super) fn address(&self) -> Result<Address> {
        match self {
            Place::Text(text) => Ok(text.parse()?),
            Place::Address(address) => Ok(address.clone()),
        }
    }
}

/// The options of a server of a store. A server without logins accepts every client, so add a
/// login.
#[derive(Clone, Debug)]
#[must_use = "hand it to `create_server`"]
pub struct ServerConfig {
    pub(super) place: Place,
    pub(super) logins: Vec<(String, String)>,
    pub(super) login_rounds: Option<u32>,
    pub(super) login_within: Duration,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<ServerTls>,
}

/// The default address of a server (A4): all interfaces, port 10001.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let reduce = |sum: &mut u64, by: &u64| *sum += by;
/// # let tasks = samestate::create_store("tasks", reduce).open().await?;
/// use samestate::ServerConfig;
///
/// match tasks.create_server(ServerConfig::default().login("app", "secret")).await {
///     Ok(serving) => println!("listening on {}", serving.address()),
///     Err(error) => eprintln!("{error}"), // another program has that port
/// }
/// # Ok(())
/// # }
/// ```
impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig::at(Address::server_default())
    }
}

impl ServerConfig {
    /// Listens on TCP, at `host:port`. `*` or no host means all interfaces; no port means 10001,
    /// the article's. The server listens at all addresses of a name that belong to this machine,
    /// such as 127.0.0.1 and `::1` for `localhost`.
    pub fn tcp(address: impl Into<String>) -> Self {
        ServerConfig::new(Place::Text(address.into()))
    }

    /// Listens at this address.
    pub fn at(address: Address) -> Self {
        ServerConfig::new(Place::Address(address))
    }

    fn new(place: Place) -> Self {
        let login_within = Duration::from_secs(10);
        ServerConfig {
            place,
            logins: Vec::new(),
            login_rounds: None,
            login_within,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Listens at this path (A4): on a Unix socket, or on a named pipe on Windows. See
    /// [`Address::path`].
    pub fn path(path: impl Into<PathBuf>) -> Self {
        ServerConfig::at(Address::path(path))
    }

    /// Listens on a Unix socket at this path, which has at most 107 bytes (103 on systems other
    /// than Linux). A stale socket file is replaced.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        ServerConfig::at(Address::unix(path))
    }

    /// Listens on a named pipe of Windows; `\\.\pipe\` is put before the name. Only the master of a
    /// cluster may create a pipe (A4), and only processes of the same user may open it.
    pub fn pipe(name: impl Into<String>) -> Self {
        ServerConfig::tcp(format!("pipe:{}", name.into()))
    }

    /// Accepts clients that authenticate with this login. May be called several times. Many clients
    /// may share a login.
    pub fn login(mut self, login: impl Into<String>, password: impl Into<String>) -> Self {
        self.logins.push((login.into(), password.into()));
        self
    }

    /// Sets the number of PBKDF2 rounds that a client computes at its first login, and this server
    /// for each of its logins when it starts. The number decides how expensive it is to guess a
    /// password from a login that was recorded on a wire without TLS. 4,096 to 1,000,000. Default:
    /// 600,000, about 0.1 s of a core.
    pub fn login_rounds(mut self, rounds: u32) -> Self {
        self.login_rounds = Some(rounds);
        self
    }

    /// Sets the time within which a client has to log in and ask for a store. A slower one is
    /// dropped. 1 ms or more; [`Duration::MAX`] means no limit. Default: 10 s.
    pub fn login_within(mut self, deadline: Duration) -> Self {
        self.login_within = deadline;
        self
    }

    /// Uses TLS, and refuses clients without it: `.tls(Tls::server("cert.pem", "key.pem"))`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }
}

/// The options of a client of a server. Stores of one process with the same options share one
/// connection, if their names differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "hand it to `create_client`"]
pub struct ClientConfig {
    pub(super) place: Place,
    pub(super) login: Option<(String, String)>,
    pub(super) backoff_max: Duration,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<ClientTls>,
}

/// The default address of a client (A7): `localhost`, port 10001.
impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig::at(Address::client_default())
    }
}

impl ClientConfig {
    /// Connects over TCP, to `host:port`. No host means this machine; no port means 10001. The
    /// client tries all addresses of a name.
    pub fn tcp(address: impl Into<String>) -> Self {
        ClientConfig::new(Place::Text(address.into()))
    }

    /// Connects to this address.
    pub fn at(address: Address) -> Self {
        ClientConfig::new(Place::Address(address))
    }

    fn new(place: Place) -> Self {
        ClientConfig {
            place,
            login: None,
            backoff_max: Duration::from_secs(5),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Connects to this path (A7): over a Unix socket, or over a named pipe on Windows. See
    /// [`Address::path`].
    pub fn path(path: impl Into<PathBuf>) -> Self {
        ClientConfig::at(Address::path(path))
    }

    /// Connects over the Unix socket at this path.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        ClientConfig::at(Address::unix(path))
    }

    /// Connects over the named pipe of Windows with this name.
    pub fn pipe(name: impl Into<String>) -> Self {
        ClientConfig::tcp(format!("pipe:{}", name.into()))
    }

    /// Logs in with this login and password.
    pub fn login(mut self, login: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some((login.into(), password.into()));
        self
    }

    /// Sets the longest delay between two attempts to reconnect: 1 ms or more. With
    /// [`Duration::MAX`], each delay is longer than the one before. Default: 5 s.
    pub fn backoff_max(mut self, longest: Duration) -> Self {
        self.backoff_max = longest;
        self
    }

    /// Uses TLS, with a server that proves its identity: `.tls(Tls::client("ca.pem"))`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }
}
