//! Clients that claim what was given to others: a session, its answers, a grant, a copy in doubt.

use std::time::Duration;

use samestate::{Backup, ServerConfig};
use samestate_proto::wire::{Answer, Entries, Message, Outcome};
use samestate_proto::{Claim, TOKEN_BYTES, Token};

use super::peer::{Peer, Session, action};
use super::scene::{List, Place, Reports, Scene, list, within};

/// The action that only a thief dispatches.
const STOLEN: u32 = 66;

/// The same session, by all that a thief can guess of its token.
fn guesses(victim: Session, thief: Session) -> Vec<Session> {
    let token = victim.claim.token.to_bytes();
    let mut close = token;
    close[TOKEN_BYTES - 1] ^= 1;
    let tokens = [thief.claim.token, Token::default(), Token::from_bytes(close)];
    let claims = tokens.map(|token| Claim { token, ..victim.claim });
    claims.map(|claim| Session { claim, ..thief }).to_vec()
}

async fn one(peer: &mut Peer, session: Session) -> Answer {
    let mut answers = peer.answers(session.claim).await;
    assert_eq!(answers.len(), 1);
    answers.swap_remove(0)
}

async fn applied(peer: &mut Peer, session: Session, counter: u64) {
    let answer = one(peer, session).await;
    assert!(matches!(answer.outcome, Outcome::Applied(_)), "{answer:?}");
    assert_eq!(answer.counter, counter);
}

#[tokio::test]
async fn nobody_dispatches_in_a_session_by_knowing_its_number() {
    let mut scene = Scene::new().await;
    let (mut victim, theirs) = scene.dispatcher().await;
    let (mut thief, own) = scene.dispatcher().await;
    victim.say(&theirs.dispatch(1, &action(7))).await;
    applied(&mut victim, theirs, 1).await;
    let seen = thief
        .hears(|message| match message {
            Message::Entries { entries, .. } => Entries::new(&entries)
                .flatten()
                .map(|entry| entry.session)
                .find(|session| *session == theirs.claim.session),
            _ => None,
        })
        .await;
    assert_eq!(seen, theirs.claim.session, "the log tells the number to everybody");
    for guess in guesses(theirs, own) {
        for counter in [1, 2, 1 << 40] {
            thief.say(&guess.dispatch(counter, &action(STOLEN))).await;
            assert_eq!(one(&mut thief, guess).await.outcome, Outcome::Expired);
        }
    }
    let report = scene.reports.say("dispatches in another's session").await;
    let token = format!("{:02x?}", theirs.claim.token.to_bytes());
    assert!(!report.contains(&token), "{report}");
    victim.say(&theirs.dispatch(2, &action(8))).await;
    applied(&mut victim, theirs, 2).await;
    thief.say(&own.dispatch(1, &action(9))).await;
    applied(&mut thief, own, 1).await;
    assert_eq!(scene.end_undisturbed().await, [7, 8, 9], "nor are the thief's own touched");
}

/// A relay between a sequencer and two clients.
struct Tree {
    root: List,
    relay: List,
    reports: Reports,
    place: Place,
    root_place: Place,
}

impl Tree {
    async fn new() -> Self {
        let (root_place, place) = (Place::new(), Place::new());
        let (reports, on_error) = Reports::new();
        let root = list().on_error(on_error).open().await.expect("it opens");
        root.create_server(root_place.server()).await.expect("it listens");
        let relay = list().client(root_place.client()).open().await.expect("it comes in sync");
        relay.create_server(place.server()).await.expect("it listens");
        Tree { root, relay, reports, place, root_place }
    }

    async fn dispatcher(&self) -> (Peer, Session) {
        Peer::dispatcher(&self.place.path()).await
    }
}

#[tokio::test]
async fn nobody_behind_the_same_relay_turns_anothers_answers_aside() {
    let mut tree = Tree::new().await;
    let (mut victim, theirs) = tree.dispatcher().await;
    let (mut thief, own) = tree.dispatcher().await;
    for counter in 1..=10 {
        for guess in guesses(theirs, own) {
            thief.say(&guess.dispatch(counter, &action(STOLEN))).await;
        }
        victim.say(&theirs.dispatch(counter, &action(counter as u32))).await;
        for guess in guesses(theirs, own) {
            thief.say(&guess.dispatch(counter, &action(STOLEN))).await;
        }
        applied(&mut victim, theirs, counter).await;
        for guess in guesses(theirs, own).repeat(2) {
            assert_eq!(one(&mut thief, guess).await.outcome, Outcome::Expired);
        }
    }
    tree.reports.say("dispatches in another's session").await;
    thief.say(&own.dispatch(1, &action(11))).await;
    applied(&mut thief, own, 1).await;
    assert_eq!(*tree.root.state(), (1..=11).collect::<Vec<u32>>());
}

#[tokio::test]
async fn the_same_number_of_a_request_gets_each_its_own_session() {
    let tree = Tree::new().await;
    let mut peers = Vec::new();
    for _ in 0..3 {
        let mut peer = Peer::guest(&tree.place.path()).await;
        let hop = peer.attached().await;
        peers.push((peer, hop));
    }
    for (peer, hop) in &mut peers {
        peer.say(&Message::SessionOpen { hop: *hop, request: 5 }).await;
    }
    let mut claims = Vec::new();
    for (peer, _) in &mut peers {
        let claim = peer.hears(|message| match message {
            Message::SessionOpened { request: 5, claim, .. } => Some(claim),
            _ => None,
        });
        claims.push(claim.await);
    }
    claims.sort_unstable();
    claims.dedup_by_key(|claim| claim.token);
    assert_eq!(claims.len(), 3);
}

#[tokio::test]
async fn an_origin_that_moves_takes_its_session_with_it() {
    let tree = Tree::new().await;
    let (mut peer, session) = tree.dispatcher().await;
    peer.say(&session.dispatch(1, &action(7))).await;
    applied(&mut peer, session, 1).await;
    drop(peer);
    let mut peer = Peer::guest(&tree.root_place.path()).await;
    let moved = Session { hop: peer.attached().await, ..session };
    peer.say(&moved.dispatch(1, &action(7))).await;
    applied(&mut peer, moved, 1).await;
    peer.say(&moved.dispatch(2, &action(8))).await;
    applied(&mut peer, moved, 2).await;
    assert_eq!(*tree.root.state(), [7, 8], "once");
}

#[tokio::test]
async fn a_doubt_about_a_version_that_was_never_verified_gets_a_snapshot_and_moves_no_relay() {
    let tree = Tree::new().await;
    let before = tree.relay.counters();
    for item in 1..=3 {
        tree.root.dispatch(item).await.expect("it applies");
    }
    let mut thief = Peer::guest(&tree.place.path()).await;
    thief.attached().await;
    thief.snapshot_past(0).await;
    for seq in [1, 2, 99, (1 << 62) - 1] {
        thief.say(&Message::Heal { seq }).await;
        thief.snapshot_past(0).await;
    }
    let after = tree.relay.counters();
    assert_eq!(after.heals_unfounded - before.heals_unfounded, 4);
    assert_eq!(after.heals_deferred, before.heals_deferred);
    assert_eq!(after.snapshots_installed, before.snapshots_installed);
    assert!(tree.relay.is_connected());
}

#[tokio::test]
async fn the_next_life_of_a_sequencer_knows_a_session_by_its_token() {
    let place = Place::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("list.backup");
    let open = || async {
        let store = list().backup(Backup::at(&path).every_actions(1));
        let store = store.open().await.expect("it opens");
        let server = ServerConfig::unix(place.path()).login("app", "secret").login_rounds(4096);
        store.create_server(server).await.expect("it listens");
        store
    };
    let store = open().await;
    let (mut peer, session) = Peer::dispatcher(&place.path()).await;
    peer.say(&session.dispatch(1, &action(7))).await;
    applied(&mut peer, session, 1).await;
    within(store.close(Duration::from_secs(5))).await.expect("it is written");
    let store = open().await;
    let (mut peer, own) = Peer::dispatcher(&place.path()).await;
    let back = Session { hop: own.hop, ..session };
    for guess in guesses(back, own) {
        peer.say(&guess.dispatch(2, &action(STOLEN))).await;
        assert_eq!(one(&mut peer, guess).await.outcome, Outcome::Expired);
    }
    peer.say(&back.dispatch(1, &action(7))).await;
    applied(&mut peer, back, 1).await;
    peer.say(&back.dispatch(2, &action(8))).await;
    applied(&mut peer, back, 2).await;
    assert_eq!(*store.state(), [7, 8], "once");
}
