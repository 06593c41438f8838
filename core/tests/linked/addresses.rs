//! Addresses as people write them, in servers and clients.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::time::Duration;

use samestate::Address;
use samestate::{ClientConfig, ServerConfig, Store};

use super::ports::free_port;
use super::{Path, list, within};

async fn served(server: ServerConfig) -> (Store<Vec<u32>, u32>, u16) {
    let store = list().preloaded(vec![7]).open().await.expect("it opens");
    let serving = store.create_server(server).await.expect("it listens");
    let port = match serving.address() {
        Address::Tcp { port, .. } => *port,
        _ => 0,
    };
    (store, port)
}

async fn joins(client: ClientConfig) {
    let what = format!("{client:?}");
    let joined = within(list().client(client).open()).await;
    assert_eq!(*joined.expect(&what).state(), [7], "{what}");
}

/// Returns whether this machine has that address.
fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[tokio::test]
async fn a_server_on_localhost_listens_at_both_of_its_addresses() {
    let (_store, port) = served(ServerConfig::tcp("localhost:0")).await;
    joins(ClientConfig::tcp(format!("127.0.0.1:{port}"))).await;
    joins(ClientConfig::tcp(format!("LOCALHOST.:{port}"))).await;
    if has_ipv6() {
        joins(ClientConfig::tcp(format!("[::1]:{port}"))).await;
    }
}

#[tokio::test]
async fn a_client_of_localhost_finds_a_server_at_either_of_its_addresses() {
    let (_v4, port) = served(ServerConfig::tcp("127.0.0.1:0")).await;
    joins(ClientConfig::tcp(format!("localhost:{port}"))).await;
    if has_ipv6() {
        let (_v6, port) = served(ServerConfig::tcp("[::1]:0")).await;
        joins(ClientConfig::tcp(format!("localhost:{port}"))).await;
    }
}

#[tokio::test]
async fn without_a_host_a_server_is_everywhere_and_a_client_goes_to_this_machine() {
    let (_store, port) =
        served(ServerConfig::tcp(":0").login("app", "secret").login_rounds(4096)).await;
    for address in [":", "*:", "0.0.0.0:", "[::]:", "tcp://127.0.0.1:"] {
        joins(ClientConfig::tcp(format!("{address}{port}")).login("app", "secret")).await;
    }
}

#[tokio::test]
async fn what_is_no_address_is_refused_at_once_by_server_and_client() {
    for text in ["", "10001", "localhost:65536", "http://localhost:1", "::1", "a b:1", "[::1"] {
        let store = list().open().await.expect("it opens");
        let server =
            store.create_server(ServerConfig::tcp(text)).await.expect_err(text).to_string();
        let client = list().client(ClientConfig::tcp(text)).start().expect_err(text).to_string();
        assert_eq!(server, client);
        assert!(server.starts_with(&format!("invalid address {text:?}: ")), "{server}");
    }
    let error = list().client(ClientConfig::tcp("localhost:0")).start().expect_err("no port");
    assert!(error.to_string().contains("give a client the one it chose"), "{error}");
}

#[cfg(unix)]
mod socket_files {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[tokio::test]
    async fn a_path_that_is_not_utf_8_is_taken_as_it_is() {
        let folder = Path::new();
        let path = folder.0.path().join(OsStr::from_bytes(b"a\xff.sock"));
        let (_store, _) = served(ServerConfig::unix(&path)).await;
        assert!(path.exists());
        joins(ClientConfig::unix(&path)).await;
        joins(ClientConfig::at(Address::unix(&path))).await;
        let there = folder.0.path().join(OsStr::from_bytes(b"b\xff.sock"));
        let (_store, _) = served(ServerConfig::path(&there)).await;
        joins(ClientConfig::path(&there)).await;
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_for_a_socket_says_how_long_it_may_be() {
        let path = format!("/tmp/{}", "l".repeat(120));
        let store = list().open().await.expect("it opens");
        let error =
            store.create_server(ServerConfig::unix(&path)).await.expect_err("too long").to_string();
        assert!(error.contains("it has 125 bytes") && error.contains("at most 10"), "{error}");
        let client = list().client(ClientConfig::unix(&path)).start().expect_err("too long");
        assert_eq!(client.to_string(), error);
    }

    /// Fills the queue of a listener that does not accept, so that a connect would wait.
    fn fill(path: &std::path::Path) -> Vec<socket2::Socket> {
        let mut waiting = Vec::new();
        loop {
            let unix = socket2::Domain::UNIX;
            let socket = socket2::Socket::new(unix, socket2::Type::STREAM, None).expect("a socket");
            socket.set_nonblocking(true).expect("it is set");
            let address = socket2::SockAddr::unix(path).expect("a path");
            match socket.connect(&address) {
                Ok(()) => waiting.push(socket),
                Err(_) => return waiting,
            }
        }
    }

    /// The only thread of this runtime must not wait for a process that may never answer.
    #[tokio::test]
    async fn a_socket_whose_owner_does_not_accept_is_in_use_and_nobody_waits_for_it() {
        let folder = Path::new();
        let path = folder.0.path().join("hung");
        let hung = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let hung = hung.expect("a socket");
        hung.bind(&socket2::SockAddr::unix(&path).expect("a path")).expect("it binds");
        hung.listen(0).expect("it listens");
        let _waiting = fill(&path);
        // Would an attempt to connect wait, this would end it, and the test by its assertion.
        let release = std::thread::spawn({
            let hung = hung.try_clone().expect("a clone");
            move || {
                std::thread::sleep(Duration::from_secs(5));
                while hung.accept().is_ok() {}
            }
        });
        let store = list().open().await.expect("it opens");
        let serving = store.create_server(ServerConfig::unix(&path)).await;
        let error = serving.expect_err("it is in use").to_string();
        assert!(error.contains("a server answers there"), "{error}");
        assert!(!release.is_finished(), "it waited for the owner");
        assert!(path.exists(), "the owner keeps its file");
    }

    #[tokio::test]
    async fn a_stale_file_is_replaced_and_one_in_use_is_not() {
        let folder = Path::new();
        let path = folder.0.path().join("s");
        drop(UnixListener::bind(&path).expect("it binds"));
        let (_store, _) = served(ServerConfig::unix(&path)).await;
        UnixStream::connect(&path).expect("it is served");
        let other = list().open().await.expect("it opens");
        let _held = UnixListener::bind(folder.0.path().join("t")).expect("it binds");
        let error = other.create_server(ServerConfig::unix(folder.0.path().join("t"))).await;
        assert!(error.expect_err("in use").to_string().contains("a server answers there"));
    }
}

#[tokio::test]
async fn a_port_that_is_taken_at_one_address_of_a_name_is_taken() {
    if !has_ipv6() {
        return;
    }
    let port = free_port();
    let Ok(_taken) = TcpListener::bind((Ipv6Addr::LOCALHOST, port)) else { return };
    let store = list().open().await.expect("it opens");
    let error = store.create_server(ServerConfig::tcp(format!("localhost:{port}"))).await;
    let error = error.expect_err("half of it is taken").to_string();
    assert!(error.contains("choose another port"), "{error}");
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err(), "nothing is left behind");
}
