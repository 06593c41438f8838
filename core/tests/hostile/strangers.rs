//! Tests of peers that never logged in.

use std::time::Duration;

use samestate::{ClientConfig, ServerConfig};
use samestate_proto::Claim;
use samestate_proto::wire::{FRAME_HEADER_BYTES, Message, PROTOCOL_VERSION};
use tokio::net::TcpStream;

use super::peer::{Peer, Session, action, attach, framed, hello, raw};
use super::ports::free_port;
use super::scene::{Good, LOGIN, PASSWORD, Place, Reports, STORE, Scene, list, same, within};

#[tokio::test]
async fn what_a_stranger_sends_is_named_and_dropped_and_disturbs_nobody() {
    let mut scene = Scene::new().await;
    let mut random = vec![0; 4096];
    getrandom::fill(&mut random).expect("random bytes");
    random[..4].copy_from_slice(&100u32.to_le_bytes());
    let mut oversized = hello(PROTOCOL_VERSION, false);
    oversized[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut truncated = hello(PROTOCOL_VERSION, false);
    truncated.truncate(FRAME_HEADER_BYTES + 5);
    let mut flipped = hello(PROTOCOL_VERSION, false);
    flipped[FRAME_HEADER_BYTES] ^= 1;
    let dispatch = framed(
        &Session { hop: 1, claim: Claim { session: 1, ..Claim::default() } }
            .dispatch(1, &action(7)),
    );
    let mut flipped_dispatch = dispatch.clone();
    flipped_dispatch[FRAME_HEADER_BYTES + 30] ^= 1;
    let cases = [
        (random, "the checksum of a frame does not match"),
        (oversized, "exceeds the limit of 4096 bytes"),
        (truncated, "closed the connection before the login was done"),
        (flipped, "the checksum of a frame does not match"),
        (hello(PROTOCOL_VERSION + 1, false), "speaks version 5 of the protocol"),
        (dispatch, "does not speak samestate: expected a hello"),
        (flipped_dispatch, "the checksum of a frame does not match"),
        (raw(0, 1, b"something else"), "does not speak samestate: expected a hello of samestate"),
    ];
    for (bytes, words) in cases {
        let mut stranger = scene.stranger().await;
        stranger.send(&bytes).await;
        stranger.half_close().await;
        assert!(stranger.is_dropped().await);
        let report = scene.reports.say(words).await;
        assert!(report.contains("was not let in"), "{report}");
    }
    assert!(scene.end_undisturbed().await.is_empty(), "no stranger changed anything");
}

#[tokio::test]
async fn a_stranger_that_greets_and_speaks_without_a_password_reads_and_changes_nothing() {
    let mut scene = Scene::new().await;
    let mut stranger = scene.stranger().await;
    stranger.greet(PROTOCOL_VERSION, false).await;
    stranger.say(&Message::Attach(attach(STORE))).await;
    stranger
        .say(
            &Session { hop: 1, claim: Claim { session: 1, ..Claim::default() } }
                .dispatch(1, &action(7)),
        )
        .await;
    assert_eq!(stranger.frame().await, None, "not a byte of the store");
    scene.reports.say("expected a step of the login").await;
    assert!(scene.end_undisturbed().await.is_empty());
}

#[tokio::test]
async fn peers_that_say_nothing_or_half_a_word_are_dropped_at_the_deadline() {
    let place = Place::new();
    let options = place.server().login_within(Duration::from_millis(300));
    let mut scene = Scene::with(place, list(), options).await;
    let mut silent = scene.stranger().await;
    let mut half = scene.stranger().await;
    half.send(&hello(PROTOCOL_VERSION, false)[..20]).await;
    assert!(silent.is_dropped().await && half.is_dropped().await);
    for _ in 0..2 {
        scene.reports.say("the login was not done within 300ms").await;
    }
    scene.end_undisturbed().await;
}

#[tokio::test]
async fn six_passwords_over_sockets_opened_beforehand_lock_the_address_out() {
    let address = format!("127.0.0.1:{}", free_port());
    let (mut reports, on_error) = Reports::new();
    let server = list().on_error(on_error).open().await.expect("it opens");
    let options = ServerConfig::tcp(&address).login(LOGIN, PASSWORD).login_rounds(4096);
    server.create_server(options).await.expect("it listens");
    let client = ClientConfig::tcp(&address).login(LOGIN, PASSWORD);
    let good = Good::start(list().client(client)).await;

    let mut sockets = Vec::new();
    for _ in 0..6 {
        let stream = within(TcpStream::connect(&address)).await.expect("it connects");
        sockets.push(Peer::over(stream));
    }
    for (guess, socket) in sockets.iter_mut().enumerate() {
        let password = if guess < 5 { "guess" } else { PASSWORD };
        let said = socket.log_in(password).await.expect_err("it is not let in");
        let words = if guess < 5 { "password is wrong" } else { "locked out" };
        assert!(said.contains(words), "guess {guess}: {said}");
        assert!(socket.is_dropped().await);
        reports.say(words).await;
    }

    let (client, dispatched) = good.stop().await;
    same(&server, &client).await;
    assert_eq!(*server.state(), dispatched, "whom it knew goes on from the same address");
}
