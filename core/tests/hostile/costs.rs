//! The costs of strangers, guests and slow peers: memory against a bound, and others served
//! meanwhile. The bounds are explained in `docs/limits.md`.
//!
//! Memory is that of the whole process, attackers included, so what is measured is more than the
//! server's. Each such test has a process of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use samestate::internals::{ClientHandshake, ClientStep, Credentials, NONCE_BYTES, Nonce};
use samestate::{ClientConfig, ServerConfig, create_store};
use samestate_proto::wire::{FRAME_HEADER_BYTES, Message, Outcome, PROTOCOL_VERSION, channel_of};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpSocket, TcpStream};

use super::alone::alone;
use super::floods::{pages, resident_bytes};
use super::peer::{Peer, attach, raw};
use super::ports::free_port;
use super::scene::{Good, LOGIN, List, PASSWORD, Place, Reports, STORE, Scene, list, same, within};

pub(super) const MIB: usize = 1 << 20;

/// Checks that the process grew by no more than this many MiB since it had `before` bytes.
pub(super) fn grew_at_most(mib: usize, before: usize, what: &str) {
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown <= mib * MIB, "{what} cost {grown} bytes, more than {mib} MiB");
}

/// A server on TCP, a good client of it, and where strangers come from: another address.
struct OnTcp {
    server: List,
    reports: Reports,
    good: Good,
    address: SocketAddr,
}

const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

impl OnTcp {
    async fn new() -> Self {
        OnTcp::with(|server| server).await
    }

    /// Served so.
    async fn with(options: impl FnOnce(ServerConfig) -> ServerConfig) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (reports, on_error) = Reports::new();
        let server = list().on_error(on_error).open().await.expect("it opens");
        let served = options(
            ServerConfig::tcp(address.to_string()).login(LOGIN, PASSWORD).login_rounds(4096),
        );
        server.create_server(served).await.expect("it listens");
        let good = Good::start(list().client(client(address))).await;
        OnTcp { server, reports, good, address }
    }

    async fn stranger(&self) -> TcpStream {
        self.stranger_from(STRANGER).await
    }

    async fn stranger_from(&self, address: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((address, 0))).expect("all of 127/8 is this machine's");
        within(socket.connect(self.address)).await.expect("it connects")
    }

    async fn end_undisturbed(self) {
        let (client, dispatched) = self.good.stop().await;
        same(&self.server, &client).await;
        assert_eq!(*self.server.state(), dispatched);
    }
}

fn client(address: SocketAddr) -> ClientConfig {
    ClientConfig::tcp(address.to_string()).login(LOGIN, PASSWORD)
}

/// Raises the limit of open files, or says that the system does not allow it.
fn may_open(files: u64) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < files) {
        limit.current = Some(files);
        setrlimit(Resource::Nofile, limit).unwrap_or_else(|error| {
            panic!(
                "this test opens {files} files at once, and the system allows {:?} ({error}): \
                 raise the hard limit with `ulimit -Hn {files}`",
                limit.maximum
            )
        });
    }
}

#[test]
fn ten_thousand_half_open_connections_cost_little_and_others_come_and_go() {
    alone(async || {
        may_open(12_000);
        let scene = OnTcp::new().await;
        let before = resident_bytes();
        let mut strangers = Vec::new();
        for _ in 0..10_000 {
            strangers.push(scene.stranger().await);
        }
        let newcomer = list().client(client(scene.address)).open();
        let newcomer = within(newcomer).await.expect("it is let in beside them");
        grew_at_most(64, before, "10,000 connections without a login");
        drop(strangers);
        newcomer.close(Duration::from_secs(1)).await.expect("it ends");
        scene.end_undisturbed().await;
    });
}

/// The number of connections that one address may hold without a login, and the number of addresses
/// that fill all places.
const PER_ADDRESS: usize = 64;
const ADDRESSES: u8 = 4;

/// Longer than any test waits.
fn patient(server: ServerConfig) -> ServerConfig {
    server.login_within(Duration::from_secs(600))
}

#[tokio::test]
async fn strangers_that_fill_all_places_make_room_for_a_newcomer() {
    let mut scene = OnTcp::with(patient).await;
    let mut strangers = Vec::new();
    for number in 0..ADDRESSES {
        for _ in 0..PER_ADDRESS {
            let address = Ipv4Addr::new(127, 0, 0, 10 + number);
            strangers.push(scene.stranger_from(address).await);
        }
    }
    let newcomer = list().client(client(scene.address)).open();
    let newcomer = within(newcomer).await.expect("it is let in");
    scene.reports.say("this one gave way").await;
    newcomer.close(Duration::from_secs(1)).await.expect("it ends");
    drop(strangers);
    scene.end_undisturbed().await;
}

#[tokio::test]
async fn strangers_that_share_an_address_with_a_newcomer_make_room_for_it() {
    let mut scene = OnTcp::with(patient).await;
    let mut strangers = Vec::new();
    for _ in 0..PER_ADDRESS {
        strangers.push(scene.stranger_from(Ipv4Addr::LOCALHOST).await);
    }
    let often = client(scene.address).backoff_max(Duration::from_millis(200));
    let newcomer = list().client(often).open();
    let newcomer = within(newcomer).await.expect("it is let in");
    scene.reports.say("this one gave way").await;
    newcomer.close(Duration::from_secs(1)).await.expect("it ends");
    drop(strangers);
    scene.end_undisturbed().await;
}

fn handshake(password: &str) -> ClientHandshake {
    let credentials = Credentials::new(LOGIN, password).expect("valid");
    let mut random = [0; NONCE_BYTES];
    getrandom::fill(&mut random).expect("random bytes");
    ClientHandshake::new(credentials, Nonce::new(random))
}

const LOG_IN: u8 = 2;

/// As many as are let through at once from one address.
const SOCKETS: usize = 60;

#[tokio::test]
async fn of_sixty_passwords_tried_at_the_same_moment_five_are_looked_at() {
    let scene = OnTcp::new().await;
    let mut proofs = Vec::new();
    for _ in 0..SOCKETS {
        let mut socket = Peer::over(scene.stranger().await);
        socket.greet(PROTOCOL_VERSION, false).await;
        let mut guess = handshake("guess");
        let challenge = socket.log_in_step(&guess.start()).await;
        let ClientStep::Reply(proof) = guess.step(&challenge).expect("it is asked") else {
            panic!("let in without a proof");
        };
        proofs.push((socket, proof));
    }
    for (socket, proof) in &mut proofs {
        socket.send(&raw(0, LOG_IN, proof)).await;
    }
    let mut looked_at = 0;
    for (socket, _) in &mut proofs {
        let said = socket.frame().await.expect("a refusal").body;
        looked_at += usize::from(&said[..] == b"e=invalid-proof");
        assert!(said.starts_with(b"e="), "{said:?}");
        assert!(socket.is_dropped().await);
    }
    assert_eq!(looked_at, 5, "of {SOCKETS}");
    scene.end_undisturbed().await;
}

#[tokio::test]
async fn a_login_that_was_recorded_and_is_sent_again_is_refused() {
    let mut scene = OnTcp::new().await;
    let mut honest = handshake(PASSWORD);
    let mut guest = Peer::over(scene.stranger().await);
    guest.greet(PROTOCOL_VERSION, false).await;
    let first = honest.start();
    let challenge = guest.log_in_step(&first).await;
    let ClientStep::Reply(proof) = honest.step(&challenge).expect("it is asked") else {
        panic!("let in without a proof");
    };
    let accepted = guest.log_in_step(&proof).await;
    assert_eq!(honest.step(&accepted), Ok(ClientStep::Accepted), "what is recorded is good");

    let mut replay = Peer::over(scene.stranger().await);
    replay.greet(PROTOCOL_VERSION, false).await;
    let other = replay.log_in_step(&first).await;
    assert_ne!(other, challenge, "each conversation has its own nonce");
    let said = replay.log_in_step(&proof).await;
    assert_eq!(&said[..], b"e=other-error");
    replay.say(&Message::Attach(attach(STORE))).await;
    assert!(replay.is_dropped().await, "and nothing is served");
    scene.reports.say("belongs to another conversation").await;
    scene.end_undisturbed().await;
}

/// The number of guests that announce a frame, or ask for snapshots.
const GUESTS: usize = 50;

#[test]
fn frames_that_are_announced_and_do_not_come_cost_nothing() {
    alone(async || {
        let scene = Scene::new().await;
        let mut guests = Vec::new();
        for _ in 0..GUESTS {
            guests.push(scene.dispatcher().await.0);
        }
        let before = resident_bytes();
        let frame = raw(channel_of(STORE), Message::DISPATCH, &vec![0; 4 * MIB]);
        let before = before.max(resident_bytes());
        for guest in &mut guests {
            guest.send(&frame[..FRAME_HEADER_BYTES + 100]).await;
        }
        let mut last = scene.dispatcher().await.0;
        last.say(&Message::Heartbeat { seq: 0 }).await;
        grew_at_most(32, before, "50 frames of 4 MiB that were announced");
        scene.end_undisturbed().await;
    });
}

/// An action that may hold itself.
#[derive(Serialize, Deserialize)]
enum Tree {
    Leaf(u32),
    Branch(Vec<Tree>),
}

/// A branch in a branch, that deep.
fn deep(levels: usize) -> Vec<u8> {
    let mut payload = b"\x81\xa6Branch\x91".repeat(levels);
    payload.extend_from_slice(b"\x81\xa4Leaf\x07");
    payload
}

#[test]
fn an_action_that_claims_billions_of_items_or_nests_without_end_is_rejected() {
    alone(async || {
        let place = Place::new();
        let count = |leaves: &mut Vec<u32>, tree: &Tree| match tree {
            Tree::Leaf(leaf) => leaves.push(*leaf),
            Tree::Branch(_) => leaves.push(0),
        };
        let server = create_store(STORE, count).on_error(|_| {}).open().await.expect("it opens");
        server.create_server(place.server()).await.expect("it listens");
        let (mut guest, session) = Peer::dispatcher(&place.path()).await;
        let before = resident_bytes();
        let bombs = [
            b"\x81\xa6Branch\xdd\xff\xff\xff\xff".to_vec(),
            b"\x81\xa6Branch\xdf\xff\xff\xff\xff".to_vec(),
            b"\x81\xdb\xff\xff\xff\xff".to_vec(),
            b"\x81\xa6Branch\xc6\xff\xff\xff\xff".to_vec(),
            deep(1100),
            deep(100_000),
        ];
        for (counter, bomb) in (1..).zip(&bombs) {
            guest.say(&session.dispatch(counter, bomb)).await;
            let answers = guest.answers(session.claim).await;
            let refused = matches!(answers[0].outcome, Outcome::Rejected(_));
            assert!(refused, "bomb {counter}: {answers:?}");
        }
        grew_at_most(32, before, "actions that claim more than they hold");
        server.dispatch(Tree::Leaf(7)).await.expect("the store goes on");
        assert_eq!(server.read(|leaves| leaves.last().copied()), Some(7));
    });
}

/// A state of this size is asked for without end.
const STATE_BYTES: usize = MIB;

#[test]
fn guests_that_ask_for_snapshots_for_ever_share_a_few_of_them() {
    alone(async || {
        let place = Place::new();
        let server = pages().open().await.expect("it opens");
        server.create_server(place.server()).await.expect("it listens");
        let logged_in = ClientConfig::unix(place.path()).login(LOGIN, PASSWORD);
        let good = pages().client(logged_in).open().await.expect("it comes in sync");
        let page = "x".repeat(STATE_BYTES);
        within(good.dispatch(page.clone())).await.expect("it is applied");
        let before = resident_bytes();
        let mut asking = tokio::task::JoinSet::new();
        for at in 0..GUESTS {
            let mut guest = Peer::guest(&place.path()).await;
            guest.say(&Message::Attach(attach(STORE))).await;
            asking.spawn(async move {
                // Every other one never reads what it asked for.
                while guest.try_send(&super::peer::framed(&Message::Heal { seq: 0 })).await {
                    if at % 2 == 0 && guest.frame().await.is_none() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
        let mut most = 0;
        for _ in 0..40 {
            let outcome = within(good.dispatch(page.clone())).await;
            outcome.expect("the other client is not disturbed");
            most = most.max(resident_bytes().saturating_sub(before));
        }
        asking.shutdown().await;
        // The log of 1 MiB, three snapshots and a state of 1 MiB, on two nodes, and what 50 guests
        // read.
        assert!(most <= 64 * MIB, "{most} bytes");
        assert_eq!(good.read(|pages| pages.0), 41);
    });
}
