//! The configuration of servers and clients: addresses, logins, limits and deadlines.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Address, LinkError};
#[cfg(feature = "tls")]
use super::{ClientTls, ServerTls};
use crate::auth::{Iterations, LockOutPolicy};

/// An address as the user gave it. A text is parsed when it is used, so that building a
/// configuration cannot fail. A path is not a text, and need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Text(String),
    Address(Address),
}

impl Place {
    fn address(&self) -> Result<Address, LinkError> {
        match self {
            Place::Text(text) => text.parse(),
            Place::Address(address) => Ok(address.clone()),
        }
    }
}

/// The configuration of a server. A server without logins accepts every client, so add a login.
///
/// `Debug` shows the logins, and no password.
#[derive(Clone)]
#[must_use = "hand it to `create_server`"]
pub struct ServerConfig {
    pub(super) place: Place,
    pub(crate) logins: Vec<(String, Zeroizing<String>)>,
    /// Those of them that may promote.
    pub(crate) operators: BTreeSet<String>,
    pub(crate) login_rounds: u32,
    pub(crate) login_within: Duration,
    pub(crate) lock_out: LockOutPolicy,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<ServerTls>,
    pub(crate) stall_after: Duration,
    pub(crate) half_open_max: usize,
    pub(crate) half_open_per_address_max: usize,
    pub(crate) connections_max: usize,
    pub(crate) unix_mode: u32,
    pub(crate) backoff_max: Duration,
}

/// The default address of a server: all interfaces, port 10001.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// # let reduce = |sum: &mut u64, by: &u64| *sum += by;
/// # let tasks = samestate::create_store("tasks", reduce).open().await?;
/// use samestate::ServerConfig;
///
/// match tasks.create_server(ServerConfig::default().login("app", "secret")).await {
///     Ok(server) => println!("listening on {}", server.address()),
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
    /// Listens on TCP, at `host:port`. `*` or no host means all interfaces. No port means 10001,
    /// and port 0 one that is free, which [`crate::ServerHandle::address`] returns. The server
    /// listens at all addresses of a name that belong to this machine, such as 127.0.0.1 and `::1`
    /// for `localhost`.
    pub fn tcp(address: impl Into<String>) -> Self {
        ServerConfig::new(Place::Text(address.into()))
    }

    /// Listens at this address.
    pub fn at(address: Address) -> Self {
        ServerConfig::new(Place::Address(address))
    }

    fn new(place: Place) -> Self {
        ServerConfig {
            place,
            logins: Vec::new(),
            operators: BTreeSet::new(),
            login_rounds: Iterations::DEFAULT.get(),
            login_within: Duration::from_secs(10),
            lock_out: LockOutPolicy::default(),
            #[cfg(feature = "tls")]
            tls: None,
            stall_after: Duration::from_secs(10),
            half_open_max: 256,
            half_open_per_address_max: 64,
            connections_max: 10_000,
            unix_mode: 0o600,
            backoff_max: Duration::from_secs(5),
        }
    }

    /// Listens at this path: on a Unix socket, or on a named pipe on Windows. See
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
    /// cluster may create a pipe, and only processes of the same user may open it.
    pub fn pipe(name: impl Into<String>) -> Self {
        ServerConfig::tcp(format!("pipe:{}", name.into()))
    }

    /// Accepts clients that authenticate with this login. May be called several times. Many clients
    /// may share a login.
    pub fn login(mut self, login: impl Into<String>, password: impl Into<String>) -> Self {
        self.logins.push((login.into(), Zeroizing::new(password.into())));
        self
    }

    /// Accepts operators with this login too. They may do what clients may, and
    /// [promote](ClientConfig::promote) the stores that this server serves.
    pub fn operator(mut self, login: impl Into<String>, password: impl Into<String>) -> Self {
        let login = login.into();
        self.operators.insert(login.clone());
        self.login(login, password)
    }

    /// Sets the number of PBKDF2 rounds that a client computes at its first login, and this server
    /// for each of its logins when it starts. The number decides how expensive it is to guess a
    /// password from a login that was recorded on a wire without TLS. 4,096 to 1,000,000. Default:
    /// 600,000, about 0.1 s of a core.
    pub fn login_rounds(mut self, rounds: u32) -> Self {
        self.login_rounds = rounds;
        self
    }

    /// Sets the time within which a client has to log in, its TLS handshake included, and then to
    /// ask for a store. A slower client is dropped. 1 ms or more; [`Duration::MAX`] means no limit.
    /// Default: 10 s.
    pub fn login_within(mut self, deadline: Duration) -> Self {
        self.login_within = deadline;
        self
    }

    /// Sets the rules by which an address is locked out after failed logins. Default: five failures
    /// lock it out for three hours.
    pub fn lock_out(mut self, policy: LockOutPolicy) -> Self {
        self.lock_out = policy;
        self
    }

    /// Uses TLS, and refuses clients without it: `.tls(Tls::server("cert.pem", "key.pem"))`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the time after which a client that takes no bytes is cut. 1 ms or more. Default: 10 s.
    pub fn stall_after(mut self, longest: Duration) -> Self {
        self.stall_after = longest;
        self
    }

    /// Sets the maximum number of unauthenticated connections. Default: 256. When the limit is
    /// reached, a connection of an address that has several is evicted for a new one.
    pub fn half_open_max(mut self, connections: usize) -> Self {
        self.half_open_max = connections;
        self
    }

    /// Sets the maximum number of unauthenticated connections of one address, or of one user on a
    /// socket file. Default: 64. When the limit is reached, a connection that has lasted for two
    /// seconds is evicted for the next one of that address.
    pub fn half_open_per_address_max(mut self, connections: usize) -> Self {
        self.half_open_per_address_max = connections;
        self
    }

    /// Sets the maximum number of connections in all. Default: 10,000.
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// Sets the permissions of a socket file. Default: `0o600`, so that only this user may connect.
    pub fn unix_mode(mut self, mode: u32) -> Self {
        self.unix_mode = mode;
        self
    }

    /// Sets the longest delay before a listener that failed is restored. 1 ms or more. Default: 5
    /// s; the first delay is 100 ms.
    pub fn backoff_max(mut self, longest: Duration) -> Self {
        self.backoff_max = longest;
        self
    }

    /// Parses the address.
    pub(crate) fn address(&self) -> Result<Address, LinkError> {
        self.place.address()
    }

    /// Checks that a server can work with these values.
    pub(crate) fn check(&self) -> Result<(), LinkError> {
        let (least, most) = (Iterations::MIN, Iterations::MAX);
        let rounds = self.login_rounds;
        let fits = (least..=most).contains(&rounds);
        check("login_rounds", rounds, fits, format!("{least} to {most}"))?;
        check_span("login_within", self.login_within)?;
        check_span("stall_after", self.stall_after)?;
        check_span("backoff_max", self.backoff_max)?;
        check_count("half_open_max", self.half_open_max)?;
        check_count("half_open_per_address_max", self.half_open_per_address_max)?;
        check_count("connections_max", self.connections_max)
    }

    /// Returns whether a client needs neither a password nor a certificate.
    pub(super) fn lets_anyone_in(&self) -> bool {
        #[cfg(feature = "tls")]
        let asks_for_certificates = self.tls.as_ref().is_some_and(ServerTls::asks_clients);
        #[cfg(not(feature = "tls"))]
        let asks_for_certificates = false;
        self.logins.is_empty() && !asks_for_certificates
    }

    pub(super) fn speaks_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        let tls = self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let tls = false;
        tls
    }
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let logins: Vec<_> = self.logins.iter().map(|(login, _)| login).collect();
        f.debug_struct("ServerConfig")
            .field("place", &self.place)
            .field("logins", &logins)
            .finish_non_exhaustive()
    }
}

/// One address of a server, or several, as texts: see [`ClientConfig::tcp`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(Vec<String>);

impl<T: Into<String>> From<Vec<T>> for Addresses {
    fn from(addresses: Vec<T>) -> Self {
        Addresses(addresses.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for Addresses {
    fn from(addresses: [T; N]) -> Self {
        Vec::from(addresses).into()
    }
}

impl From<String> for Addresses {
    fn from(address: String) -> Self {
        Addresses(vec![address])
    }
}

impl From<&String> for Addresses {
    fn from(address: &String) -> Self {
        address.clone().into()
    }
}

impl From<&str> for Addresses {
    fn from(address: &str) -> Self {
        address.to_owned().into()
    }
}

/// The configuration of a client. Stores of one process with the same configuration share one
/// connection, if their names differ.
///
/// `Debug` shows the login, and no password.
#[derive(Clone, PartialEq, Eq)]
#[must_use = "hand it to `create_client`"]
pub struct ClientConfig {
    pub(super) places: Vec<Place>,
    pub(crate) login: Option<(String, Zeroizing<String>)>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<ClientTls>,
    pub(crate) backoff_max: Duration,
    pub(crate) retry_refused_after: Duration,
    pub(crate) connect_within: Duration,
    pub(crate) login_within: Duration,
    pub(crate) stall_after: Duration,
}

/// The default address of a client: `localhost`, port 10001.
impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig::at(Address::client_default())
    }
}

impl ClientConfig {
    /// Connects over TCP, to `host:port`. No host means this machine; no port means 10001. The
    /// client tries all addresses that a name has.
    ///
    /// Several servers of one store may be given: relays, say, of which one is enough. The client
    /// begins with the first. When it is not let in, or a connection does not last a second, it
    /// tries the next at once, and waits only after it has tried each of them. After a connection
    /// is lost it begins with the same server. It follows the store where it left off, and
    /// dispatches under way are applied once, whichever servers they pass.
    ///
    /// A server that lets the client in and does not serve its store keeps it, and is asked again
    /// after [`ClientConfig::retry_refused_after`].
    ///
    /// ```
    /// # use samestate::ClientConfig;
    /// let client = ClientConfig::tcp(["relay-a:10001", "relay-b:10001"]).login("app", "secret");
    /// ```
    pub fn tcp(addresses: impl Into<Addresses>) -> Self {
        ClientConfig::new(addresses.into().0.into_iter().map(Place::Text).collect())
    }

    /// Connects to this address.
    pub fn at(address: Address) -> Self {
        ClientConfig::new(vec![Place::Address(address)])
    }

    fn new(places: Vec<Place>) -> Self {
        ClientConfig {
            places,
            login: None,
            #[cfg(feature = "tls")]
            tls: None,
            backoff_max: Duration::from_secs(5),
            retry_refused_after: Duration::from_secs(30),
            connect_within: Duration::from_secs(5),
            login_within: Duration::from_secs(10),
            stall_after: Duration::from_secs(10),
        }
    }

    /// Connects to this path: over a Unix socket, or over a named pipe on Windows. See
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

    /// Logs in with this login and password. A client with a login refuses a server that does not
    /// ask for one.
    pub fn login(mut self, login: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some((login.into(), Zeroizing::new(password.into())));
        self
    }

    /// Uses TLS, with a server that proves its identity: `.tls(Tls::client("ca.pem"))`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the longest delay between two attempts to reconnect: 1 ms or more. With
    /// [`Duration::MAX`], each delay is longer than the one before. Default: 5 s; the first delay
    /// is at most 100 ms.
    pub fn backoff_max(mut self, longest: Duration) -> Self {
        self.backoff_max = longest;
        self
    }

    /// Sets the delay after a server refused the login or the store. 1 ms or more. Default: 30 s;
    /// frequent attempts would only lock the address out.
    pub fn retry_refused_after(mut self, delay: Duration) -> Self {
        self.retry_refused_after = delay;
        self
    }

    /// Sets the time for which each address of the server is tried. 1 ms or more. Default: 5 s.
    pub fn connect_within(mut self, deadline: Duration) -> Self {
        self.connect_within = deadline;
        self
    }

    /// Sets the time within which the login, and before it the TLS handshake, have to be done. 1 ms
    /// or more. Default: 10 s.
    pub fn login_within(mut self, deadline: Duration) -> Self {
        self.login_within = deadline;
        self
    }

    /// Sets the time after which a server that takes no bytes is left. 1 ms or more. Default: 10 s.
    pub fn stall_after(mut self, longest: Duration) -> Self {
        self.stall_after = longest;
        self
    }

    /// Parses the addresses: one, or more.
    pub(crate) fn addresses(&self) -> Result<Vec<Address>, LinkError> {
        check_count("addresses", self.places.len())?;
        self.places.iter().map(Place::address).collect()
    }

    /// The same, beginning with the server of this index.
    pub(crate) fn beginning_with(mut self, server: usize) -> Self {
        self.places.rotate_left(server);
        self
    }

    /// Checks that it names exactly one address.
    pub(crate) fn check_one_address(&self) -> Result<(), LinkError> {
        check("addresses", self.places.len(), self.places.len() == 1, "1")
    }

    /// Checks that a client can work with these values.
    pub(crate) fn check(&self) -> Result<(), LinkError> {
        check_span("backoff_max", self.backoff_max)?;
        check_span("retry_refused_after", self.retry_refused_after)?;
        check_span("connect_within", self.connect_within)?;
        check_span("login_within", self.login_within)?;
        check_span("stall_after", self.stall_after)
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("places", &self.places)
            .field("login", &self.login.as_ref().map(|(login, _)| login))
            .finish_non_exhaustive()
    }
}

/// Shorter spans are below what a timer can do.
const SPAN_MIN: Duration = Duration::from_millis(1);

fn check_span(name: &'static str, span: Duration) -> Result<(), LinkError> {
    check(name, span, span >= SPAN_MIN, "1 ms or more")
}

fn check_count(name: &'static str, count: usize) -> Result<(), LinkError> {
    check(name, count, count > 0, "1 or more")
}

fn check(
    name: &'static str,
    value: impl fmt::Debug,
    fits: bool,
    allowed: impl Into<String>,
) -> Result<(), LinkError> {
    if fits {
        return Ok(());
    }
    Err(LinkError::BadOption { name, value: format!("{value:?}"), allowed: allowed.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_configuration_shows_a_password() {
        let server = ServerConfig::tcp(":1").login("app", "hunter2");
        let client = ClientConfig::tcp("here:1").login("app", "hunter2");
        for shown in [format!("{server:?} {server:#?}"), format!("{client:?} {client:#?}")] {
            assert!(shown.contains("app") && !shown.contains("hunter2"), "{shown}");
        }
    }
}
