//! Where a server listens and a client connects (article, A4 and A7).

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::LinkError;

/// A server's place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// Over TCP.
    Tcp {
        /// A name or an IP address; [`Address::ALL_INTERFACES`] for a server on all interfaces.
        host: String,
        /// The port; 0 lets the system choose one.
        port: u16,
    },
    /// A Unix socket file.
    Unix(PathBuf),
    /// A named pipe of Windows: what follows `\\.\pipe\`, at most 247 characters and none of them a
    /// backslash.
    Pipe(String),
}

/// Where Windows keeps its named pipes.
pub(super) const PIPES: &str = r"\\.\pipe\";
/// The longest name of a pipe, in characters, with the place where they are kept (`CreateNamedPipe`).
const PIPE_LENGTH_MAX: usize = 256;

impl Address {
    /// The port unless another is given.
    pub const PORT: u16 = 10001;
    /// A server's host unless another is given: every interface, IPv6 and IPv4.
    pub const ALL_INTERFACES: &'static str = "*";
    /// A client's host unless another is given.
    pub const LOCALHOST: &'static str = "localhost";

    /// Over TCP.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Address::Tcp { host: host.into(), port }
    }

    /// Over a socket file.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Address::Unix(path.into())
    }

    /// Over a named pipe of Windows.
    pub fn pipe(name: impl Into<String>) -> Self {
        Address::Pipe(name.into())
    }

    /// What this system has at a path (A4): a socket file, or on Windows, where there are none, a
    /// named pipe. Its name is all of the path, or what follows `\\.\pipe\` in it, with `-` for what a
    /// name cannot have: `\`, `/` and `:`.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        match cfg!(windows) {
            false => Address::Unix(path),
            true => Address::Pipe(pipe_at(&path.to_string_lossy())),
        }
    }

    /// Where a server listens that was told nothing (A4): all interfaces, port 10001.
    pub fn server_default() -> Self {
        Address::tcp(Self::ALL_INTERFACES, Self::PORT)
    }

    /// Where a client connects that was told nothing (A7): `localhost`, port 10001.
    pub fn client_default() -> Self {
        Address::tcp(Self::LOCALHOST, Self::PORT)
    }

    /// Whether what is sent there cannot leave this machine. A name counts only if it is
    /// `localhost`: what others resolve to may change.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Unix(_) | Address::Pipe(_) => true,
            Address::Tcp { host, .. } => {
                host == Self::LOCALHOST
                    || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
            }
        }
    }

    /// Whether this system has sockets of this kind; an error says what it has instead.
    pub(crate) fn check_here(&self) -> Result<(), LinkError> {
        match self {
            Address::Unix(_) if !cfg!(unix) => Err(self.is_not_here()),
            Address::Pipe(_) if !cfg!(windows) => Err(self.is_not_here()),
            _ => Ok(()),
        }
    }

    pub(super) fn is_not_here(&self) -> LinkError {
        LinkError::NotHere { address: self.clone() }
    }
}

/// The name of the pipe that stands for a socket file at this path.
fn pipe_at(path: &str) -> String {
    path.strip_prefix(PIPES).unwrap_or(path).replace(['\\', '/', ':'], "-")
}

impl FromStr for Address {
    type Err = LinkError;

    /// Reads `host:port`, `[ipv6]:port`, `*:port`, `:port` (all interfaces), `unix:path`, or
    /// `pipe:name`, which may be written as `\\.\pipe\name` too.
    fn from_str(text: &str) -> Result<Self, LinkError> {
        let bad = |why| LinkError::BadAddress { text: text.to_owned(), why };
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(bad("a path follows `unix:`")),
                path => Ok(Address::unix(path)),
            };
        }
        if let Some(name) = text.strip_prefix("pipe:").or(text.strip_prefix(PIPES)) {
            return match name {
                "" => Err(bad("a name follows `pipe:`")),
                name if name.contains('\\') => Err(bad("a pipe's name has no backslash")),
                name if PIPES.len() + name.chars().count() > PIPE_LENGTH_MAX => {
                    Err(bad("a pipe's name has at most 247 characters"))
                }
                name => Ok(Address::pipe(name)),
            };
        }
        let (host, port) =
            text.rsplit_once(':').ok_or(bad("write `host:port`, `unix:path` or `pipe:name`"))?;
        let port = port.parse().map_err(|_| bad("a port is a number from 0 to 65535"))?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(host) => host,
            None if host.contains(':') => return Err(bad("write an IPv6 address in brackets")),
            None if host.is_empty() => Self::ALL_INTERFACES,
            None => host,
        };
        Ok(Address::tcp(host, port))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Pipe(name) => write!(f, "pipe:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in
            ["localhost:10001", "*:8888", "[::1]:1", "10.0.0.1:0", "unix:/tmp/a.sock", "pipe:a b"]
        {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
        assert_eq!(":80".parse::<Address>().expect("a port"), Address::tcp("*", 80));
        let as_windows_writes_it: Address = r"\\.\pipe\tasks".parse().expect("a pipe");
        assert_eq!(as_windows_writes_it, Address::pipe("tasks"));
    }

    #[test]
    fn a_path_is_a_pipe_where_there_are_no_socket_files() {
        assert_eq!(pipe_at(r"\\.\pipe\tasks"), "tasks");
        assert_eq!(pipe_at(r"C:\temp\tasks.sock"), "C--temp-tasks.sock");
        let here = Address::path("/tmp/tasks.sock");
        let expected = if cfg!(windows) { "pipe:-tmp-tasks.sock" } else { "unix:/tmp/tasks.sock" };
        assert_eq!(here.to_string(), expected);
    }

    #[test]
    fn what_is_no_address_says_what_one_is() {
        let long = format!("pipe:{}", "p".repeat(248));
        for text in
            ["", "localhost", "a:b", "a:70000", "::1:80", "unix:", "pipe:", r"pipe:a\b", &long]
        {
            let error = text.parse::<Address>().expect_err(text);
            assert!(error.to_string().starts_with(&format!("{text:?} is no address: ")), "{error}");
        }
    }

    #[test]
    fn only_what_stays_on_this_machine_is_local() {
        for local in
            ["localhost:1", "127.0.0.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/x", "pipe:x"]
        {
            assert!(local.parse::<Address>().expect(local).is_local(), "{local}");
        }
        for open in ["*:1", "0.0.0.0:1", "[::]:1", "example.org:1", "10.0.0.1:1"] {
            assert!(!open.parse::<Address>().expect(open).is_local(), "{open}");
        }
    }
}
