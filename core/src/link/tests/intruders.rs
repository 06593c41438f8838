//! Peers that do not mean well, and peers that are in trouble.

use std::sync::atomic::Ordering;

use samestate_proto::wire::{
    Decoder, Frame, Message, PROTOCOL_VERSION, begin_frame, channel_of, finish_frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::auth::Credentials;
use crate::link::hello::{self, HELLO_BYTES_MAX, HelloError, Identity};
use crate::link::socket::{Socket, Stream};

async fn connect(listener: &Listener) -> TcpStream {
    let Address::Tcp { host, port } = listener.address() else { panic!("listens on TCP") };
    within("a connection", TcpStream::connect((host.as_str(), *port))).await.expect("connects")
}

/// Makes the connection of a client that has logged in and may ask for stores.
async fn guest(listener: &Listener) -> TcpStream {
    let mut stream = connect(listener).await;
    stream.write_all(&hello_of(PROTOCOL_VERSION)).await.expect("is taken");
    let mut answer = [0; 16 + 8 + 4 + 1 + 8 + 2];
    within("a hello", stream.read_exact(&mut answer)).await.expect("answers");
    stream
}

pub(super) fn hello_of(version: u16) -> Vec<u8> {
    let mut out = Vec::new();
    let start = begin_frame(&mut out, 0, 1);
    out.extend_from_slice(b"samestat");
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&[0; 11]);
    finish_frame(&mut out, start);
    out
}

fn attach(store: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let attach = samestate_proto::wire::Attach {
        protocol: PROTOCOL_VERSION,
        node: samestate_proto::NodeId(9),
        store: store.to_owned(),
        schema_version: 1,
        codec: samestate_proto::wire::Codec::default(),
        resume: None,
        partial: None,
        takes_patches: false,
    };
    Message::Attach(attach).write(&mut out, channel_of(store));
    out
}

/// Reads to the end; a reset is an end too.
async fn ends(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    within("the end of the connection", async {
        let _ = stream.read_to_end(&mut bytes).await;
    })
    .await;
    bytes
}

/// The next frame that comes.
async fn frame(stream: &mut TcpStream, buffer: &mut bytes::BytesMut) -> Frame {
    within("a frame", async {
        loop {
            match Decoder::new(HELLO_BYTES_MAX).decode(buffer).expect("frames") {
                Some(frame) => return frame,
                None => assert_ne!(stream.read_buf(buffer).await.expect("reads"), 0, "is cut"),
            }
        }
    })
    .await
}

fn short() -> ServerConfig {
    ServerConfig {
        login_within: Duration::from_millis(100),
        stall_after: Duration::from_millis(200),
        ..ServerConfig::default()
    }
}

#[tokio::test]
async fn garbage_instead_of_a_hello_is_reported_and_dropped() {
    let (server, mut at_server) = FakePort::new("tasks");
    let listener = serve(any_port(), ServerConfig::default(), server).await;
    let mut stream = connect(&listener).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("is taken");
    ends(&mut stream).await;
    at_server.report("does not speak samestate").await;
}

#[tokio::test]
async fn a_stranger_may_not_send_what_a_guest_may() {
    let (server, mut at_server) = FakePort::new("tasks");
    let listener = serve(any_port(), ServerConfig::default(), server).await;
    let mut stream = connect(&listener).await;
    let mut out = Vec::new();
    let start = begin_frame(&mut out, 0, 1);
    out.resize(out.len() + HELLO_BYTES_MAX + 1, 0);
    finish_frame(&mut out, start);
    stream.write_all(&out[..64]).await.expect("is taken");
    ends(&mut stream).await;
    at_server.report("exceeds the limit of 4096 bytes").await;
}

#[tokio::test]
async fn a_silent_stranger_is_dropped_at_the_deadline() {
    let (server, mut at_server) = FakePort::new("tasks");
    let listener = serve(any_port(), short(), server).await;
    let mut stream = connect(&listener).await;
    assert!(ends(&mut stream).await.is_empty());
    at_server.report("the login was not done within 100ms").await;
}

#[tokio::test]
async fn another_version_of_the_protocol_is_named_on_both_sides() {
    let (server, mut at_server) = FakePort::new("tasks");
    let listener = serve(any_port(), ServerConfig::default(), server).await;
    let mut stream = connect(&listener).await;
    stream.write_all(&hello_of(PROTOCOL_VERSION + 1)).await.expect("is taken");
    let answer = ends(&mut stream).await;
    assert_eq!(&answer[26..28], PROTOCOL_VERSION.to_le_bytes(), "the server says its own");
    at_server.report("speaks version 5 of the protocol, this process versions 1 to 4").await;

    let (client, mut at_client) = FakePort::new("tasks");
    let newer = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = newer.local_addr().expect("is bound");
    let address = Address::tcp(address.ip().to_string(), address.port());
    let _dialer = dial(&address, ClientConfig::default(), client);
    let (mut stream, _) = within("a connection", newer.accept()).await.expect("accepts");
    stream.write_all(&hello_of(PROTOCOL_VERSION + 1)).await.expect("is taken");
    at_client.report("speaks version 5 of the protocol, this process versions 1 to 4").await;
}

#[tokio::test]
async fn what_a_guest_must_not_send_ends_its_link_and_no_other() {
    let mut oversized = attach("tasks");
    let second = oversized.len();
    oversized.extend_from_slice(&attach("tasks"));
    oversized[second..second + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut flipped = attach("tasks");
    flipped[20] ^= 1;
    let mut truncated = attach("tasks");
    truncated.pop();
    let mut stray = Vec::new();
    Message::Heartbeat { seq: 1 }.write(&mut stray, channel_of("tasks"));
    let cases = [
        (oversized, "exceeds the limit"),
        (flipped, "the checksum of a frame does not match"),
        (truncated, "in the middle of a frame"),
        (stray, "a store that it had not asked for"),
    ];

    let (server, mut at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let listener = serve(any_port(), ServerConfig::default(), server.clone()).await;
    let _good = dial(listener.address(), ClientConfig::default(), client);
    let (good, _) = at_server.heard().await;
    for (bytes, words) in cases {
        let mut stream = guest(&listener).await;
        stream.write_all(&bytes).await.expect("is taken");
        stream.shutdown().await.expect("half closes");
        ends(&mut stream).await;
        at_server.report(words).await;
    }
    server.say(good, &Message::Heartbeat { seq: 3 });
    assert_eq!(at_client.heard().await.1, Message::Heartbeat { seq: 3 });
}

#[tokio::test]
async fn a_peer_that_stops_reading_is_cut_while_another_goes_on() {
    let (server, mut at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let listener = serve(any_port(), short(), server.clone()).await;
    let mut stopped = guest(&listener).await;
    stopped.write_all(&attach("tasks")).await.expect("is taken");
    let (stopped_link, _) = at_server.heard().await;
    server.endless.store(true, Ordering::Relaxed);
    server.say(stopped_link, &Message::Heartbeat { seq: 0 });
    at_server.report("the peer took no bytes for 200ms").await;
    server.endless.store(false, Ordering::Relaxed);
    let _other = dial(listener.address(), ClientConfig::default(), client);
    let (other, _) = at_server.heard().await;
    server.say(other, &Message::Heartbeat { seq: 4 });
    assert_eq!(at_client.heard().await.1, Message::Heartbeat { seq: 4 });
}

#[tokio::test]
async fn half_open_connections_are_capped_and_give_their_place_back() {
    let (server, mut at_server) = FakePort::new("tasks");
    let options = ServerConfig { half_open_per_address_max: 3, ..ServerConfig::default() };
    let listener = serve(any_port(), options, server).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(connect(&listener).await);
    }
    let mut refused = connect(&listener).await;
    let words = ends(&mut refused).await;
    let words = String::from_utf8_lossy(&words).into_owned();
    assert!(words.contains("too many connections"), "{words}");

    let (client, mut at_client) = FakePort::new("tasks");
    let options =
        ClientConfig { backoff_max: Duration::from_millis(50), ..ClientConfig::default() };
    let _dialer = dial(listener.address(), options, client);
    at_client.report("the server refused the connection: too many connections").await;
    silent.pop();
    at_client.up().await;
    at_server.heard().await;
}

/// A login on a connection that was made before, which is refused.
async fn try_login(password: &str, socket: &mut Socket) -> HelloError {
    let credentials = Some(Credentials::new("app", password).expect("valid"));
    let mut identity = Identity { client: 1, credentials, ticket: None };
    within("an answer", hello::greet(socket, &mut identity)).await.expect_err("is refused")
}

/// Checks that a server that turns a client away puts no more than a line into its report.
#[tokio::test]
async fn the_words_of_a_server_that_turns_us_away_are_bounded_and_fit_to_be_shown() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = server.local_addr().expect("has an address");
    let stream = TcpStream::connect(address).await.expect("connects");
    let (mut accepted, _) = server.accept().await.expect("accepts");
    let words = hello::busy(&"\x1bno\n".repeat(500));
    accepted.write_all(&words).await.expect("is taken");
    let mut socket = Stream::Tcp(stream).plain(Arc::default(), DEADLINE).expect("a socket");
    let HelloError::Busy(words) = try_login("secret", &mut socket).await else { panic!("busy") };
    assert_eq!(words, "no".repeat(100));
}

#[tokio::test]
async fn sockets_opened_beforehand_give_no_sixth_guess() {
    let (server, _at_server) = FakePort::new("tasks");
    let listener = serve(any_port(), ServerConfig::default().login("app", "secret"), server).await;
    let mut sockets = Vec::new();
    for _ in 0..6 {
        let stream = connect(&listener).await;
        sockets.push(Stream::Tcp(stream).plain(Arc::default(), DEADLINE).expect("a socket"));
    }
    for socket in &mut sockets[..5] {
        let error = try_login("guess", socket).await.to_string();
        assert!(error.contains("the password is wrong"), "{error}");
    }
    let error = try_login("secret", &mut sockets[5]).await.to_string();
    assert!(error.contains("locked out"), "{error}");
    assert_eq!(listener.locked().len(), 1);
}

#[tokio::test]
async fn a_client_that_asks_for_everything_is_cut_with_a_bounded_answer() {
    let (server, mut at_server) = FakePort::new("tasks");
    let listener = serve(any_port(), ServerConfig::default(), server).await;
    let mut stream = guest(&listener).await;
    let many: Vec<u8> = (0..100).flat_map(|n| attach(&format!("store {n}"))).collect();
    stream.write_all(&many).await.expect("is taken");
    let answer = ends(&mut stream).await;
    let mut buffer = bytes::BytesMut::from(&answer[..]);
    let mut refusals = 0;
    while let Some(_refusal) = Decoder::new(HELLO_BYTES_MAX).decode(&mut buffer).expect("frames") {
        refusals += 1;
    }
    assert!(refusals <= 64, "{refusals} refusals");
    at_server.report("too many stores that are not here").await;
}

#[tokio::test]
async fn a_client_that_asks_and_does_not_listen_is_cut() {
    let (server, mut at_server) = FakePort::new("tasks");
    let listener = serve(any_port(), ServerConfig::default(), server).await;
    let mut stream = guest(&listener).await;
    let mut detach = Vec::new();
    Message::Detach.write(&mut detach, channel_of("tasks"));
    let many = detach.repeat(1 << 20);
    within("the end", async { while stream.write_all(&many).await.is_ok() {} }).await;
    at_server.report("lets answers pile up").await;
}

/// A server of all stores of a process, of which there are none yet.
async fn serve_later(options: ServerConfig) -> (Listener, Arc<StoreRegistry>) {
    let ports = StoreRegistry::all();
    let listener = Listener::start(any_port(), options, ports.clone()).await.expect("listens");
    (listener, ports)
}

#[tokio::test]
async fn a_client_that_waits_for_everything_is_cut() {
    let (listener, _ports) = serve_later(ServerConfig::default()).await;
    let mut stream = guest(&listener).await;
    let some: Vec<u8> = (0..64).flat_map(|n| attach(&format!("store {n}"))).collect();
    stream.write_all(&some).await.expect("is taken");
    // One that is waited for already changes nothing; another one is too many.
    stream.write_all(&attach("store 0")).await.expect("is taken");
    let mut alive = Vec::new();
    Message::Heartbeat { seq: 0 }.write(&mut alive, channel_of("store 0"));
    stream.write_all(&alive).await.expect("is taken");
    within("an answer", stream.readable()).await.expect("it is there");
    stream.write_all(&attach("one more")).await.expect("is taken");
    ends(&mut stream).await;
}

#[tokio::test]
async fn who_waits_for_a_store_hears_that_its_server_lives() {
    let (listener, _ports) = serve_later(ServerConfig::default()).await;
    let mut stream = guest(&listener).await;
    let mut said = attach("later");
    Message::Heartbeat { seq: 0 }.write(&mut said, channel_of("later"));
    stream.write_all(&said).await.expect("is taken");
    let answer = frame(&mut stream, &mut bytes::BytesMut::new()).await;
    assert_eq!(answer.channel, hello::LINK_CHANNEL);
}

#[tokio::test]
async fn who_waits_for_a_store_in_silence_is_cut_and_who_says_that_it_lives_is_not() {
    let (listener, ports) = serve_later(short()).await;
    let mut alive = guest(&listener).await;
    let mut silent = guest(&listener).await;
    alive.write_all(&attach("later")).await.expect("is taken");
    silent.write_all(&attach("later")).await.expect("is taken");
    let mut heartbeat = Vec::new();
    Message::Heartbeat { seq: 0 }.write(&mut heartbeat, channel_of("later"));
    let saying = tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_millis(20));
        loop {
            every.tick().await;
            alive.write_all(&heartbeat).await.expect("is not cut");
        }
    });
    ends(&mut silent).await;
    let (later, mut at_later) = FakePort::new("later");
    ports.register(later).expect("is new");
    let (_, first) = at_later.heard().await;
    assert!(matches!(first, Message::Attach(_)), "{first:?}");
    assert!(!saying.is_finished());
    saying.abort();
}

#[tokio::test]
async fn a_guest_who_asks_for_what_is_not_here_again_and_again_is_not_heard_each_time() {
    let (server, mut at_server) = FakePort::new("tasks");
    let listener = serve(any_port(), ServerConfig::default(), server).await;
    for connection in 0..10 {
        let mut stream = guest(&listener).await;
        let many: Vec<u8> =
            (0..10).flat_map(|n| attach(&format!("store {connection} {n}"))).collect();
        stream.write_all(&many).await.expect("is taken");
        // The last refusal was said: so was what the operator is told of it.
        let mut buffer = bytes::BytesMut::new();
        for _ in 0..10 {
            frame(&mut stream, &mut buffer).await;
        }
    }
    let told = at_server.reports_so_far("is not served here");
    assert!((1..=60).contains(&told), "{told} reports of 100");
}

/// Reads so many bytes in all, a little at a time.
async fn read_slowly(stream: &mut TcpStream, bytes: usize) {
    let (mut part, mut read) = ([0; 8 << 10], 0);
    while read < bytes {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = within("bytes", stream.read(&mut part)).await.expect("reads");
        assert_ne!(now, 0, "it is cut after {read} bytes");
        read += now;
    }
}

#[tokio::test]
async fn a_peer_that_reads_slowly_is_not_cut_though_the_socket_is_full_for_many_deadlines() {
    let (server, mut at_server) = FakePort::new("tasks");
    let options = ServerConfig { stall_after: Duration::from_millis(400), ..short() };
    let listener = serve(any_port(), options, server.clone()).await;
    let mut slow = guest(&listener).await;
    slow.write_all(&attach("tasks")).await.expect("is taken");
    let (link, _) = at_server.heard().await;
    server.endless.store(true, Ordering::Relaxed);
    server.say(link, &Message::Heartbeat { seq: 0 });
    read_slowly(&mut slow, 2 << 20).await;
    assert_eq!(at_server.ends_so_far(), 0);
    at_server.report("the peer took no bytes for 400ms").await;
}
