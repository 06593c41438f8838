use std::io::ErrorKind;

use super::*;

/// The longest time that any step may take.
const PATIENCE: Duration = Duration::from_secs(10);

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

async fn proxied(server: Address, beside: &Path) -> (Proxy, mpsc::UnboundedReceiver<ProxyEvent>) {
    let (heard, events) = mpsc::unbounded_channel();
    let told = move |event| {
        let _ = heard.send(event);
    };
    (Proxy::start(server, beside, told).await.expect("it can listen"), events)
}

async fn next(events: &mut mpsc::UnboundedReceiver<ProxyEvent>) -> ProxyEvent {
    let event = tokio::time::timeout(PATIENCE, events.recv()).await;
    event.expect("in time").expect("the proxy is there")
}

fn port(proxy: &Proxy) -> u16 {
    let Address::Tcp(port) = proxy.address() else { panic!("{:?}", proxy.address()) };
    *port
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
    let (proxy, mut events) = proxied(echo_over_tcp().await, Path::new("")).await;
    let address = (Ipv4Addr::LOCALHOST, port(&proxy));
    let mut client = TcpStream::connect(address).await.expect("it listens");
    there_and_back(&mut client).await.expect("bytes pass");
    proxy.cut(7, Duration::from_millis(300));
    let ProxyEvent::Cut { fault: 7, severed, at_ns } = next(&mut events).await else {
        panic!("the connection was open");
    };
    assert_eq!(severed, [Severed { carried_bytes: 8, lost_bytes: 0 }]);
    let refused = TcpStream::connect(address).await.expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let broken = client.read(&mut [0; 4]).await.expect_err("not an orderly end");
    assert_eq!(broken.kind(), ErrorKind::ConnectionReset);
    let ProxyEvent::Restored { fault: 7, at_ns: restored_ns } = next(&mut events).await else {
        panic!("the cut ends");
    };
    assert!(restored_ns - at_ns >= 300_000_000, "{}", restored_ns - at_ns);
    let mut client = TcpStream::connect(address).await.expect("it listens again");
    there_and_back(&mut client).await.expect("bytes pass again");
    assert!(matches!(next(&mut events).await, ProxyEvent::Reconnected { fault: 7, .. }));
}

#[tokio::test]
async fn a_unix_link_is_cut_just_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = echo_over_unix(&folder.path().join("server.sock"));
    let beside = folder.path().join("proxy.sock");
    let (proxy, mut events) = proxied(server, &beside).await;
    let mut client = UnixStream::connect(&beside).await.expect("it listens");
    there_and_back(&mut client).await.expect("bytes pass");
    proxy.cut(0, Duration::from_millis(100));
    assert!(matches!(next(&mut events).await, ProxyEvent::Cut { fault: 0, .. }));
    assert_eq!(client.read(&mut [0; 4]).await.expect("an end"), 0);
    assert!(UnixStream::connect(&beside).await.is_err());
    assert!(matches!(next(&mut events).await, ProxyEvent::Restored { fault: 0, .. }));
    let mut client = UnixStream::connect(&beside).await.expect("it listens again");
    there_and_back(&mut client).await.expect("bytes pass again");
}

#[tokio::test]
async fn a_cut_waits_for_something_to_sever() {
    let (proxy, mut events) = proxied(echo_over_tcp().await, Path::new("")).await;
    proxy.cut(3, Duration::from_millis(1));
    assert_eq!(next(&mut events).await, ProxyEvent::NotCut { fault: 3 });
    proxy.cut(4, Duration::from_millis(1));
    let address = (Ipv4Addr::LOCALHOST, port(&proxy));
    let mut client = TcpStream::connect(address).await.expect("it listens");
    // Severed as soon as bytes have gone both ways: whether the client still reads them is open.
    let _ = there_and_back(&mut client).await;
    assert!(matches!(next(&mut events).await, ProxyEvent::Cut { fault: 4, .. }));
}

#[tokio::test]
async fn the_end_of_one_side_is_passed_on_without_losing_what_came_before() {
    let (proxy, _events) = proxied(echo_over_tcp().await, Path::new("")).await;
    let address = (Ipv4Addr::LOCALHOST, port(&proxy));
    let mut client = TcpStream::connect(address).await.expect("it listens");
    let sent = vec![7; 1 << 20];
    let (mut from, mut to) = client.split();
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
