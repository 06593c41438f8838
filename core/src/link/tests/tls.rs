//! The cost of a link over TLS, counted at the socket.

use samestate_proto::wire::Message;

use super::*;
use crate::link::Tls;

/// A certificate that is its own CA, for `localhost`, and options that use it.
fn options(folder: &std::path::Path) -> (ServerConfig, ClientConfig) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("it is written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("it is written");
    let server = Some(Tls::server(&certificate, key));
    let client = Some(Tls::client(certificate).name("localhost"));
    (
        ServerConfig { tls: server, ..ServerConfig::default() },
        ClientConfig { tls: client, ..ClientConfig::default() },
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_count_the_bytes_on_the_wire_and_few_system_calls() {
    const MESSAGES: u64 = 100_000;
    let folder = tempfile::tempdir().expect("a folder");
    let (server_options, client_options) = options(folder.path());
    let (server, mut at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let listener = serve(any_port(), server_options, server.clone()).await;
    let dialer = dial(listener.address(), client_options, client.clone());
    let link = at_client.up().await;
    at_server.heard().await;
    for seq in 1..=MESSAGES {
        client.say(link, &Message::Heartbeat { seq });
    }
    for seq in 1..=MESSAGES {
        let (_, heard) = at_server.heard().await;
        assert_eq!(heard, Message::Heartbeat { seq });
    }
    dialer.close().await;
    at_server.down().await;
    let (sent, received) = (dialer.stats().counts(), listener.stats().counts());
    assert_eq!(received.bytes_read, sent.bytes_written);
    assert_eq!(received.bytes_written, sent.bytes_read);
    // What is said, and on top of it at most 1 % and a handshake.
    let mut said = Vec::new();
    Message::Heartbeat { seq: 1 }.write(&mut said, 1);
    let said = said.len() as u64 * MESSAGES;
    let most = said + said / 100 + 4096;
    assert!((said..most).contains(&sent.bytes_written), "{said} bytes said, {sent:?}");
    assert!(sent.writes < MESSAGES / 10, "{sent:?}");
    assert!(received.reads < MESSAGES / 10, "{received:?}");
}
