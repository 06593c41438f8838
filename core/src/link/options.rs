//! Options of servers and clients at the level of links.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::LinkError;
#[cfg(feature = "tls")]
use super::{ClientTls, ServerTls};
use crate::auth::{Credentials, Iterations, LockOutPolicy};

/// The limits and deadlines that a server applies to its clients.
#[derive(Clone)]
pub struct ServerOptions {
    /// The logins and their passwords. Many clients may share a login. Without a login, the server
    /// accepts every client.
    pub logins: Vec<(String, Zeroizing<String>)>,
    /// The number of PBKDF2 rounds, and so the work of trying one password against a recorded
    /// login. Default: 600,000.
    pub iterations: Iterations,
    /// The rules of the lock-out. Default: five failures lock an address out for three hours.
    pub lock_out: LockOutPolicy,
    /// The TLS options. With them, the server uses TLS only.
    #[cfg(feature = "tls")]
    pub tls: Option<ServerTls>,
    /// The time within which a client has to log in, including the TLS handshake, and then to ask
    /// for a store. Default: 10 s.
    pub hello_within: Duration,
    /// The time after which a client that takes no bytes is cut. Default: 10 s.
    pub stall_after: Duration,
    /// The maximum number of unauthenticated connections. Default: 256. When the limit is reached,
    /// one of an address that has several is evicted for a new connection.
    pub half_open_max: usize,
    /// The maximum number of unauthenticated connections of one address, or of one user on a
    /// socket file. Default: 64. When the limit is reached, one that has lasted for two seconds
    /// is evicted for the next connection of that address.
    pub half_open_per_address_max: usize,
    /// The maximum number of connections in all. Default: 10,000.
    pub connections_max: usize,
    /// The permissions of a socket file. Default: 0o600, so that only this user may connect.
    pub unix_mode: u32,
    /// The longest delay between two attempts to listen. Default: 5 s. The first delay is 100 ms.
    pub backoff_max: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            logins: Vec::new(),
            iterations: Iterations::DEFAULT,
            lock_out: LockOutPolicy::default(),
            #[cfg(feature = "tls")]
            tls: None,
            hello_within: Duration::from_secs(10),
            stall_after: Duration::from_secs(10),
            half_open_max: 256,
            half_open_per_address_max: 64,
            connections_max: 10_000,
            unix_mode: 0o600,
            backoff_max: Duration::from_secs(5),
        }
    }
}

/// Checks that a span is long enough for a timer.
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
    allowed: &'static str,
) -> Result<(), LinkError> {
    match fits {
        true => Ok(()),
        false => Err(LinkError::BadOption { name, value: format!("{value:?}"), allowed }),
    }
}

impl ServerOptions {
    /// Refuses options that cannot work for any server.
    pub(super) fn check(&self) -> Result<(), LinkError> {
        check_span("hello_within", self.hello_within)?;
        check_span("stall_after", self.stall_after)?;
        check_span("backoff_max", self.backoff_max)?;
        check_count("half_open_max", self.half_open_max)?;
        check_count("half_open_per_address_max", self.half_open_per_address_max)?;
        check_count("connections_max", self.connections_max)
    }

    /// Adds a login.
    pub fn login(mut self, login: &str, password: &str) -> Self {
        self.logins.push((login.to_owned(), Zeroizing::new(password.to_owned())));
        self
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

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let logins: Vec<_> = self.logins.iter().map(|(login, _)| login).collect();
        f.debug_struct("ServerOptions").field("logins", &logins).finish_non_exhaustive()
    }
}

/// The limits and deadlines that a client applies to its server.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The login and password. A client with credentials refuses a server that does not ask for a
    /// login.
    pub credentials: Option<Credentials>,
    /// The TLS options. With them, the client uses TLS only.
    #[cfg(feature = "tls")]
    pub tls: Option<ClientTls>,
    /// The longest delay between two attempts to connect. Default: 5 s. The first delay is at most
    /// 100 ms.
    pub backoff_max: Duration,
    /// The delay after a server refused the login or the store. Default: 30 s. Earlier attempts
    /// would only lock the address out.
    pub retry_refused_after: Duration,
    /// The time for which each address of the server is tried. Default: 5 s.
    pub connect_within: Duration,
    /// The time within which the login has to be done, including the TLS handshake. Default: 10 s.
    pub hello_within: Duration,
    /// The time after which a client leaves a server that takes no bytes. Default: 10 s.
    pub stall_after: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            credentials: None,
            #[cfg(feature = "tls")]
            tls: None,
            backoff_max: Duration::from_secs(5),
            retry_refused_after: Duration::from_secs(30),
            connect_within: Duration::from_secs(5),
            hello_within: Duration::from_secs(10),
            stall_after: Duration::from_secs(10),
        }
    }
}

impl ClientOptions {
    /// Refuses options that cannot work for any client.
    pub(super) fn check(&self) -> Result<(), LinkError> {
        check_span("backoff_max", self.backoff_max)?;
        check_span("retry_refused_after", self.retry_refused_after)?;
        check_span("connect_within", self.connect_within)?;
        check_span("hello_within", self.hello_within)?;
        check_span("stall_after", self.stall_after)
    }

    /// Sets the login and the password.
    ///
    /// # Errors
    ///
    /// If either is empty, too long, or has control characters.
    pub fn login(mut self, login: &str, password: &str) -> Result<Self, LinkError> {
        self.credentials = Some(Credentials::new(login, password)?);
        Ok(self)
    }
}
