//! Links that are slow, or that carry nothing any more, with deadlines shortened to match.

use std::time::Duration;

use samestate::Address;
use samestate::{ClientConfig, Mode, ServerConfig, Store, StoreBuilder, create_store};

use super::wire::Wire;
use super::within;

const HEARTBEAT: Duration = Duration::from_millis(50);
const DEAD_AFTER: Duration = Duration::from_millis(500);
const BYTES_PER_S: u64 = 200_000;
/// Takes three times the deadline on the wire.
const LARGE: usize = 300_000;

fn log() -> StoreBuilder<Vec<String>, String> {
    let push = |log: &mut Vec<String>, line: &String| log.push(line.clone());
    let log = create_store("log", push).mode(Mode::Action).liveness(HEARTBEAT, DEAD_AFTER);
    log.on_error(|_| {})
}

/// A server that holds this much, and the slow wire to it.
async fn behind_a_wire(bytes: usize) -> (Store<Vec<String>, String>, Wire) {
    let server = log().preloaded(vec!["s".repeat(bytes)]).open().await.expect("it opens");
    let serving = server.create_server(ServerConfig::tcp("127.0.0.1:0")).await.expect("it listens");
    let Address::Tcp { port, .. } = *serving.address() else { panic!("it listens on TCP") };
    let wire = Wire::to(port, BYTES_PER_S).await;
    (server, wire)
}

fn client(wire: &Wire) -> ClientConfig {
    ClientConfig::tcp(wire.address()).backoff_max(Duration::from_millis(100))
}

#[tokio::test]
async fn a_follower_joins_over_a_slow_link_at_its_first_attempt() {
    let (server, wire) = behind_a_wire(LARGE).await;
    let follower = within(log().client(client(&wire)).open()).await.expect("it comes in sync");
    assert_eq!(follower.state(), server.state());
    assert_eq!(wire.connections(), 1, "it was never cut");
}

#[tokio::test]
async fn a_large_action_goes_up_a_slow_link_in_one_piece() {
    let (server, wire) = behind_a_wire(1).await;
    let follower = within(log().client(client(&wire)).open()).await.expect("it comes in sync");
    within(follower.dispatch("c".repeat(LARGE))).await.expect("it applies");
    assert_eq!(server.state().len(), 2);
    assert_eq!(wire.connections(), 1, "it was never cut");
}

#[tokio::test]
async fn a_link_on_which_nothing_moves_is_left_in_time_and_made_again() {
    let (server, wire) = behind_a_wire(1).await;
    let follower = within(log().client(client(&wire)).open()).await.expect("it comes in sync");
    wire.set_rate(0);
    within(follower.until_connected(false)).await;
    within(server.dispatch("meanwhile".into())).await.expect("the server goes on");
    wire.set_rate(BYTES_PER_S);
    within(follower.until_connected(true)).await;
    assert_eq!(follower.state(), server.state());
    assert!(wire.connections() > 1);
}
