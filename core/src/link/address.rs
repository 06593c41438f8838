//! Addresses at which servers listen and to which clients connect.

mod parse;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
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

/// The prefix of the names of pipes on Windows.
pub(super) const PIPES: &str = r"\\.\pipe\";
/// The longest path of a socket file, in bytes (`sun_path` of `sockaddr_un`, without the end).
const SOCKET_PATH_BYTES_MAX: usize =
    if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

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

    /// Returns an address for a path: a socket file, or a named pipe on Windows, which has no
    /// socket files. Its name is all of the path, or what follows `\\.\pipe\` in it, with `-` for
    /// what a name cannot have: `\`, `/` and `:`.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        match cfg!(windows) {
            false => Address::Unix(path),
            true => Address::Pipe(pipe_at(&path.to_string_lossy())),
        }
    }

    /// Returns the default address of a server: all interfaces, port 10001.
    pub fn server_default() -> Self {
        Address::tcp(Self::ALL_INTERFACES, Self::PORT)
    }

    /// Returns the default address of a client: `localhost`, port 10001.
    pub fn client_default() -> Self {
        Address::tcp(Self::LOCALHOST, Self::PORT)
    }

    /// Returns whether bytes sent to this address cannot leave this machine. A name counts only if
    /// it is `localhost`: what others resolve to may change.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Unix(_) | Address::Pipe(_) => true,
            Address::Tcp { host, .. } => {
                is_localhost(host)
                    || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
            }
        }
    }

    /// Reads an address, with this port unless it has one.
    pub(crate) fn read(text: &str, port: u16) -> Result<Self, LinkError> {
        parse::parse(text, port).map_err(|why| LinkError::BadAddress { text: text.to_owned(), why })
    }

    /// Returns the address that a client connects to: for a client, all interfaces mean this
    /// machine.
    pub(crate) fn for_client(self) -> Result<Self, LinkError> {
        match self {
            Address::Tcp { port: 0, .. } => {
                let why =
                    "port 0 lets the system choose a server's; give a client the one it chose";
                Err(LinkError::BadAddress { text: self.to_string(), why: why.to_owned() })
            }
            Address::Tcp { host, port } if is_unspecified(&host) => {
                Ok(Address::tcp(Self::LOCALHOST, port))
            }
            address => Ok(address),
        }
    }

    /// Checks that this system has sockets of this kind, and can create one at this address.
    pub(crate) fn check_here(&self) -> Result<(), LinkError> {
        match self {
            Address::Unix(_) if !cfg!(unix) => Err(self.is_not_here()),
            Address::Pipe(_) if !cfg!(windows) => Err(self.is_not_here()),
            Address::Unix(path) => match what_is_wrong_with(path) {
                Some(why) => Err(LinkError::BadSocketPath { path: path.clone(), why }),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    pub(super) fn is_not_here(&self) -> LinkError {
        LinkError::NotHere { address: self.clone() }
    }
}

/// Returns whether this name is that of this machine (RFC 6761, section 6.3).
pub(super) fn is_localhost(host: &str) -> bool {
    host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case(Address::LOCALHOST)
}

fn is_unspecified(host: &str) -> bool {
    host == Address::ALL_INTERFACES || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
}

/// Describes the reason why there can be no socket file at this path, if there is one.
fn what_is_wrong_with(path: &Path) -> Option<String> {
    let path = path.as_os_str().as_encoded_bytes();
    if path.is_empty() {
        return Some("it is empty".to_owned());
    }
    if path.starts_with(b"@") || path.starts_with(b"\0") {
        let why = "abstract sockets have no permissions and are not supported; write `./@name` for \
                   a file with such a name";
        return Some(why.to_owned());
    }
    if path.contains(&0) {
        return Some("a path has no zero byte".to_owned());
    }
    let (len, max) = (path.len(), SOCKET_PATH_BYTES_MAX);
    (len > max).then(|| {
        format!(
            "it has {len} bytes, and the path of a socket has at most {max}; choose a shorter one"
        )
    })
}

/// The name of the pipe that stands for a socket file at this path.
fn pipe_at(path: &str) -> String {
    path.strip_prefix(PIPES).unwrap_or(path).replace(['\\', '/', ':'], "-")
}

impl FromStr for Address {
    type Err = LinkError;

    /// Reads `host:port`, `[ipv6]:port`, `*:port` or `:port` (all interfaces; to a client, this
    /// machine), with or without `tcp://` before it; `unix:path`; or `pipe:name`, which may be
    /// written as `\\.\pipe\name` too. Without a port it is [`Address::PORT`].
    fn from_str(text: &str) -> Result<Self, LinkError> {
        Address::read(text, Self::PORT)
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
    fn an_address_is_shown_as_it_can_be_read_again() {
        for text in
            ["localhost:10001", "*:8888", "[::1]:1", "10.0.0.1:0", "unix:/tmp/a.sock", "pipe:a b"]
        {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_named_first() {
        let error = "localhost:x".parse::<Address>().expect_err("no port").to_string();
        assert!(error.starts_with("invalid address \"localhost:x\": a port is"), "{error}");
    }

    #[test]
    fn all_interfaces_are_this_machine_to_a_client() {
        for text in [":1", "*:1", "0.0.0.0:1", "[::]:1"] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.for_client().expect(text), Address::tcp("localhost", 1), "{text}");
        }
        let elsewhere = Address::tcp("example.org", 1);
        assert_eq!(elsewhere.clone().for_client().expect("it stays"), elsewhere);
        let error = Address::tcp("localhost", 0).for_client().expect_err("no port").to_string();
        assert!(error.contains("give a client the one it chose"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_no_socket_can_have_is_refused_with_the_reason() {
        let long = "l".repeat(SOCKET_PATH_BYTES_MAX + 1);
        for (path, words) in [
            ("", "empty"),
            ("@tasks", "`./@name`"),
            ("\0tasks", "abstract"),
            ("a\0b", "zero byte"),
            (&long, "choose a shorter one"),
        ] {
            let error = Address::unix(path).check_here().expect_err(words).to_string();
            assert!(error.starts_with("invalid socket path ") && error.contains(words), "{error}");
        }
        for path in [&long[1..], "./@tasks", " ", "größe"] {
            Address::unix(path).check_here().expect(path);
        }
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
    fn only_what_stays_on_this_machine_is_local() {
        for local in [
            "localhost:1",
            "LOCALHOST.:1",
            "127.0.0.9:1",
            "[::ffff:127.0.0.1]:1",
            "unix:/x",
            "pipe:x",
        ] {
            assert!(local.parse::<Address>().expect(local).is_local(), "{local}");
        }
        for open in ["*:1", "0.0.0.0:1", "[::]:1", "example.org:1", "10.0.0.1:1"] {
            assert!(!open.parse::<Address>().expect(open).is_local(), "{open}");
        }
    }
}
