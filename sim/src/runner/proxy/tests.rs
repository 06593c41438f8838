use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::*;
use crate::faults::{Shape, Ways};

/// The longest time that any step may take.
const PATIENCE: Duration = Duration::from_secs(10);

const BOTH: Ways = Ways { up: true, down: true };

const UP: Ways = Ways { up: true, down: false };

/// A server that sends back what it gets.
async fn echo_over_tcp() -> Address {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    Address::Tcp(port)
}

fn echo_over_unix(path: &Path) -> Address {
    let listener = UnixListener::bind(path).expect("a free path");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    Address::Unix(path.to_owned())
}

/// The proxy of a link, and what came of its faults.
struct Proxied {
    proxy: Proxy,
    events: mpsc::UnboundedReceiver<ProxyEvent>,
}

/// A proxy before this server.
fn proxied(address: Address, beside: &Path) -> Proxied {
    let (heard, events) = mpsc::unbounded_channel();
    let told = move |event| {
        let _ = heard.send(event);
    };
    let server = Server { link: 0, seed: 1, address, other_password: None };
    Proxied { proxy: Proxy::start(server, beside, told).expect("it can listen"), events }
}

impl Proxied {
    async fn next(&mut self) -> ProxyEvent {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        event.expect("in time").expect("the proxy is there")
    }

    /// The evidence of a fault that was injected, the next event.
    async fn evidence(&mut self, of: usize) -> (u64, String) {
        match self.next().await {
            ProxyEvent { fault, at_ns, what: Happened::Injected(text) } if fault == of => {
                (at_ns, text)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The end of a fault, the next event.
    async fn end(&mut self, of: usize) -> u64 {
        match self.next().await {
            ProxyEvent { fault, at_ns, what: Happened::Ended(_) } if fault == of => at_ns,
            other => panic!("{other:?}"),
        }
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        let Address::Tcp(port) = self.proxy.address() else { panic!("{:?}", self.proxy) };
        TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await
    }

    async fn connected(&self) -> TcpStream {
        let mut client = self.dial().await.expect("it listens");
        there_and_back(&mut client).await.expect("bytes pass");
        client
    }

    fn shape(&self, fault: usize, ways: Ways, shape: Shape, ms: u64) {
        let lasts = Duration::from_millis(ms);
        self.proxy.inject(fault, LinkFault::Shape { ways, shape, lasts });
    }
}

async fn there_and_back(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.write_all(b"ping").await?;
    let mut back = [0; 4];
    stream.read_exact(&mut back).await?;
    assert_eq!(&back, b"ping");
    Ok(())
}

#[tokio::test]
async fn a_cut_resets_open_connections_refuses_new_ones_and_ends() {
    let mut link = proxied(echo_over_tcp().await, Path::new(""));
    let mut client = link.connected().await;
    link.proxy.inject(7, LinkFault::Cut { lasts: Duration::from_millis(300) });
    let (at_ns, evidence) = link.evidence(7).await;
    assert_eq!(evidence, "1 connection severed after 8 bytes");
    let refused = link.dial().await.expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let broken = client.read(&mut [0; 4]).await.expect_err("not an orderly end");
    assert_eq!(broken.kind(), ErrorKind::ConnectionReset);
    let restored_ns = link.end(7).await;
    assert!(restored_ns - at_ns >= 300_000_000, "{}", restored_ns - at_ns);
    let _client = link.connected().await;
    let next = link.next().await;
    assert_eq!((next.fault, next.what), (7, Happened::Reconnected));
}

#[tokio::test]
async fn a_unix_link_is_cut_just_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = echo_over_unix(&folder.path().join("server.sock"));
    let beside = folder.path().join("proxy.sock");
    let mut link = proxied(server, &beside);
    let mut client = UnixStream::connect(&beside).await.expect("it listens");
    there_and_back(&mut client).await.expect("bytes pass");
    link.proxy.inject(0, LinkFault::Cut { lasts: Duration::from_millis(100) });
    link.evidence(0).await;
    assert_eq!(client.read(&mut [0; 4]).await.expect("an end"), 0);
    assert!(UnixStream::connect(&beside).await.is_err());
    link.end(0).await;
    let mut client = UnixStream::connect(&beside).await.expect("it listens again");
    there_and_back(&mut client).await.expect("bytes pass again");
}

#[tokio::test]
async fn a_fault_of_connections_waits_for_one() {
    let mut link = proxied(echo_over_tcp().await, Path::new(""));
    link.proxy.inject(3, LinkFault::Cut { lasts: Duration::from_millis(1) });
    assert!(matches!(link.next().await.what, Happened::NotInjected(_)));
    link.proxy.inject(4, LinkFault::Reset);
    let mut client = link.dial().await.expect("it listens");
    // Severed as soon as bytes have gone both ways: whether the client still reads them is open.
    let _ = there_and_back(&mut client).await;
    link.evidence(4).await;
    link.end(4).await;
    let _client = link.connected().await;
}

#[tokio::test]
async fn the_end_of_one_side_is_passed_on_without_losing_what_came_before() {
    let link = proxied(echo_over_tcp().await, Path::new(""));
    let mut client = link.connected().await;
    let (mut from, mut to) = client.split();
    let sent = vec![7; 1 << 20];
    let writing = async {
        to.write_all(&sent).await?;
        to.shutdown().await
    };
    let mut back = Vec::new();
    let (written, read) = tokio::join!(writing, from.read_to_end(&mut back));
    written.expect("all is taken");
    read.expect("an orderly end");
    assert!(back == sent, "{} of {} bytes came back", back.len(), sent.len());
}

#[tokio::test]
async fn held_bytes_and_a_held_end_arrive_when_the_fault_is_over() {
    let mut link = proxied(echo_over_tcp().await, Path::new(""));
    let mut client = link.connected().await;
    link.shape(1, UP, Shape::Hold, 200);
    // The order is taken before these bytes, or else they pass at once: both ways they are echoed.
    tokio::task::yield_now().await;
    let begun = Instant::now();
    let mut back = Vec::new();
    client.write_all(b"held").await.expect("there is room");
    client.shutdown().await.expect("it is open");
    client.read_to_end(&mut back).await.expect("an orderly end");
    assert_eq!(back, b"held");
    assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
    assert_eq!(link.evidence(1).await.1, "up: 4 bytes held");
    link.end(1).await;
}

#[tokio::test]
async fn a_fault_that_met_no_bytes_is_not_injected() {
    let mut link = proxied(echo_over_tcp().await, Path::new(""));
    let _client = link.connected().await;
    link.shape(1, BOTH, Shape::Delay(Duration::from_millis(5)), 20);
    assert!(matches!(link.next().await.what, Happened::NotInjected(_)));
}

#[tokio::test]
async fn delay_and_jitter_make_bytes_late_and_keep_their_order() {
    let mut link = proxied(echo_over_tcp().await, Path::new(""));
    let mut client = link.connected().await;
    link.shape(1, BOTH, Shape::Delay(Duration::from_millis(60)), 1_000);
    link.shape(2, BOTH, Shape::Jitter(Duration::from_millis(20)), 1_000);
    tokio::task::yield_now().await;
    let begun = Instant::now();
    for byte in 0..100u8 {
        client.write_all(&[byte]).await.expect("it is open");
    }
    let mut back = [0; 100];
    client.read_exact(&mut back).await.expect("they come");
    assert!(back.iter().copied().eq(0..100), "{back:?}");
    assert!(begun.elapsed() >= Duration::from_millis(120), "{:?}", begun.elapsed());
    for fault in [1, 2] {
        assert!(link.evidence(fault).await.1.contains("bytes delayed, by"));
        link.end(fault).await;
    }
}

#[tokio::test]
async fn a_bandwidth_and_a_slow_reader_bound_the_bytes_of_a_second() {
    for shape in [Shape::Bandwidth(20_000), Shape::Reader(20_000)] {
        let mut link = proxied(echo_over_tcp().await, Path::new(""));
        let mut client = link.connected().await;
        link.shape(1, UP, shape, 2_000);
        tokio::task::yield_now().await;
        let begun = Instant::now();
        client.write_all(&[1; 10_000]).await.expect("there is room");
        client.read_exact(&mut [0; 10_000]).await.expect("they come");
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(400), "{shape:?}: {took:?}");
        let (_, evidence) = link.evidence(1).await;
        assert!(evidence.contains("10000 bytes"), "{evidence}");
        link.end(1).await;
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_leaves_all_to_its_sender() {
    let mut link = proxied(echo_over_tcp().await, Path::new(""));
    let mut client = link.connected().await;
    link.shape(1, UP, Shape::Reader(0), 200);
    tokio::task::yield_now().await;
    there_and_back(&mut client).await.expect("in the end");
    assert_eq!(link.evidence(1).await.1, "up: 0 bytes taken, 4 waiting at once at most");
    link.end(1).await;
}

#[tokio::test]
async fn a_half_open_connection_loses_all_and_tells_neither_end() {
    let mut link = proxied(echo_over_tcp().await, Path::new(""));
    let mut client = link.connected().await;
    link.proxy.inject(1, LinkFault::HalfOpen);
    assert_eq!(link.evidence(1).await.1, "1 connection half open");
    link.end(1).await;
    client.write_all(b"lost").await.expect("it is not told");
    let waited = tokio::time::timeout(Duration::from_millis(100), client.read(&mut [0; 4])).await;
    assert!(waited.is_err(), "{waited:?}");
    let _other = link.connected().await;
}

#[tokio::test]
async fn one_bit_is_flipped_and_the_record_says_which() {
    let mut link = proxied(echo_over_tcp().await, Path::new(""));
    let mut client = link.connected().await;
    link.proxy.inject(1, LinkFault::Corrupt { up: true });
    tokio::task::yield_now().await;
    client.write_all(&[0; 64]).await.expect("it is open");
    let mut back = [0; 64];
    client.read_exact(&mut back).await.expect("all come");
    let flipped: u32 = back.iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(flipped, 1, "{back:?}");
    let (_, evidence) = link.evidence(1).await;
    let byte = back.iter().position(|byte| *byte != 0).expect("one differs");
    let bit = back[byte].trailing_zeros();
    assert_eq!(evidence, format!("bit {bit} of byte {byte} of 64 flipped"));
    link.end(1).await;
}

#[tokio::test]
async fn a_closed_port_refuses_new_connections_and_keeps_those_that_are_open() {
    let mut link = proxied(echo_over_tcp().await, Path::new(""));
    let mut client = link.connected().await;
    link.proxy.inject(1, LinkFault::Refuse { lasts: Duration::from_millis(300) });
    let refused = async {
        while link.dial().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("it is closed at last");
    there_and_back(&mut client).await.expect("it stays open");
    let (_, evidence) = link.evidence(1).await;
    assert!(evidence.contains("attempts to connect refused; 1 connection open"), "{evidence}");
    link.end(1).await;
    let _client = link.connected().await;
}

#[tokio::test]
async fn clients_get_to_the_server_with_another_password_while_the_fault_lasts() {
    let reserved = Place::before(&Address::Tcp(0), Path::new("")).expect("a free port");
    let Address::Tcp(port) = reserved.address() else { panic!("{reserved:?}") };
    let refusing = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("it is ours");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = refusing.accept().await {
            let mut asked = [0; 4];
            let _ = stream.read_exact(&mut asked).await;
            let _ = stream.write_all(b"no").await;
        }
    });
    let (heard, events) = mpsc::unbounded_channel();
    let told = move |event| {
        let _ = heard.send(event);
    };
    let address = echo_over_tcp().await;
    let server = Server { link: 0, seed: 1, address, other_password: Some(reserved) };
    let proxy = Proxy::start(server, Path::new(""), told).expect("it can listen");
    let mut link = Proxied { proxy, events };
    let _client = link.connected().await;
    link.proxy.inject(1, LinkFault::OtherPassword { lasts: Duration::from_millis(300) });
    link.evidence(1).await;
    let mut client = link.dial().await.expect("it listens");
    client.write_all(b"ping").await.expect("it is open");
    let mut back = Vec::new();
    let refused = tokio::time::timeout(PATIENCE, client.read_to_end(&mut back)).await;
    refused.expect("in time").expect("an end");
    assert_eq!(back, b"no");
    let ended = link.next().await;
    let words = "1 × the old password was tried".to_owned();
    assert_eq!(ended.what, Happened::Ended(Some(words)));
    let _client = link.connected().await;
}
