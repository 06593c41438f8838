//! The bytes that a peer sent before it went.

use std::sync::atomic::Ordering;

use samestate_proto::wire::{Message, PROTOCOL_VERSION};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fake::{Event, FakePort};
use super::intruders::hello_of;
use super::*;

/// A write that fails must not hide what came before: a standby would lose actions that it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_came_before_a_peer_went_is_read_although_a_write_fails_first() {
    const HEARTBEATS: u64 = 200;
    let (client, mut at_client) = FakePort::new("tasks");
    client.endless.store(true, Ordering::Relaxed);
    let peer = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = peer.local_addr().expect("is bound");
    let address = Address::tcp(address.ip().to_string(), address.port());
    let options = ClientConfig::default().backoff_max(Duration::from_millis(1));
    let _dialer = dial(&address, options, client.clone());
    for round in 0..40 {
        let (mut stream, _) = within("a connection", peer.accept()).await.expect("accepts");
        stream.write_all(&hello_of(PROTOCOL_VERSION)).await.expect("is taken");
        // Its hello, and some of its endless words. The rest is never read.
        stream.read_exact(&mut [0; 20_000]).await.expect("it speaks");
        let mut last_words = Vec::new();
        for seq in 1..=HEARTBEATS {
            Message::Heartbeat { seq }.write(&mut last_words, client.channel());
        }
        stream.write_all(&last_words).await.expect("is taken");
        drop(stream);
        let heard = std::cell::Cell::new(0);
        let ended = at_client.first("the end of the link", |event| match event {
            Event::Heard(_, Message::Heartbeat { seq }) => {
                heard.set(seq);
                None
            }
            Event::Down(_) => Some(()),
            _ => None,
        });
        ended.await;
        assert_eq!(heard.get(), HEARTBEATS, "in round {round}");
    }
}
