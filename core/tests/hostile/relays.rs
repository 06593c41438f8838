//! Clients of a relay that mean ill: what they do stays there. The relay's own link, its
//! neighbours and the sequencer are not disturbed.

use std::time::{Duration, Instant};

use samestate::{ClientConfig, Mode, Resync, StoreBuilder, Version, create_store};
use samestate_proto::Claim;
use samestate_proto::wire::{Answer, Message, Outcome, PROTOCOL_VERSION, Status};
use serde::{Deserialize, Serialize, Serializer};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use super::alone::alone;
use super::costs::{MIB, grew_at_most};
use super::floods::resident_bytes;
use super::guests::bad_bytes;
use super::peer::{Peer, Session, action, attach, framed};
use super::scene::{Good, List, Place, Reports, STORE, list, same, within};

const DEAD_AFTER: Duration = Duration::from_secs(5);

/// A sequencer, a relay that follows it, and a good client of the relay.
struct Behind {
    root: List,
    relay: List,
    reports: Reports,
    place: Place,
    good: Good,
}

impl Behind {
    async fn new(root: StoreBuilder<Vec<u32>, u32>) -> Self {
        let (root_place, place) = (Place::new(), Place::new());
        let root = root.open().await.expect("it opens");
        root.create_server(root_place.server()).await.expect("it listens");
        let (reports, on_error) = Reports::new();
        let relay = list().on_error(on_error).client(root_place.client());
        let relay = relay.open().await.expect("it comes in sync");
        relay.create_server(place.server()).await.expect("it listens");
        let good = Good::start(list().client(place.client())).await;
        Behind { root, relay, reports, place, good }
    }

    async fn guest(&self) -> Peer {
        Peer::guest(&self.place.path()).await
    }

    async fn dispatcher(&self) -> (Peer, Session) {
        Peer::dispatcher(&self.place.path()).await
    }

    /// Ends it: the relay never lost its link, nor got another state, and the good client was not
    /// disturbed.
    async fn end_undisturbed(self) {
        let (client, _) = self.good.stop().await;
        same(&self.root, &client).await;
        let (root, relay) = (self.root.counters(), self.relay.counters());
        assert_eq!((root.resumed, root.snapshots_sent), (0, 1), "the relay attached once");
        assert_eq!(relay.snapshots_installed, 1);
    }
}

#[tokio::test]
async fn bad_bytes_of_a_client_cut_its_link_and_not_the_one_of_its_relay() {
    let mut behind = Behind::new(list()).await;
    let (_, any) = behind.dispatcher().await;
    for at in 0..bad_bytes(any).len() {
        let (mut guest, session) = behind.dispatcher().await;
        let (bytes, words) = bad_bytes(session).swap_remove(at);
        guest.send(&bytes).await;
        guest.half_close().await;
        assert!(guest.is_dropped().await);
        behind.reports.say(words).await;
    }
    let (mut guest, session) = behind.dispatcher().await;
    guest.say(&session.dispatch_bytes(1, Vec::new())).await;
    assert!(guest.is_dropped().await);
    behind.reports.say("a dispatch of nothing").await;
    behind.end_undisturbed().await;
}

/// The number of requests of each of them.
const ASKED: usize = 100;

/// Asks for the state in every way there is, again and again.
async fn asks(mut guest: Peer) {
    let asking = [
        Message::Heal { seq: 0 },
        Message::Heal { seq: 1 << 40 },
        Message::Fetch,
        Message::Detach,
        Message::Attach(attach(STORE)),
    ];
    let asking = asking.iter().flat_map(framed).collect::<Vec<u8>>();
    guest.say(&Message::Attach(attach(STORE))).await;
    for _ in 0..ASKED {
        let served = |message| matches!(message, Message::SnapshotHead(_)).then_some(());
        guest.hears(served).await;
        assert!(guest.try_send(&asking).await, "it is served");
    }
}

/// Says of each digest that it is told that its own differs there, as soon as it can.
async fn doubts(mut guest: Peer, digests: usize) {
    guest.say(&Message::Attach(attach(STORE))).await;
    for _ in 0..digests {
        let seq = guest
            .hears(|message| match message {
                Message::Digest { seq, .. } => Some(seq),
                _ => None,
            })
            .await;
        let doubt = framed(&Message::Heal { seq });
        assert!(guest.try_send(&doubt.repeat(3)).await, "it is served");
    }
}

#[tokio::test]
async fn who_asks_a_relay_for_snapshots_for_ever_costs_the_sequencer_not_one() {
    let behind = Behind::new(list().resync(Resync::Verify(10))).await;
    let mut asking = JoinSet::new();
    for _ in 0..10 {
        asking.spawn(asks(behind.guest().await));
        asking.spawn(doubts(behind.guest().await, 10));
    }
    while let Some(ended) = asking.join_next().await {
        ended.expect("it was served to the end");
    }
    let relay = behind.relay.counters();
    assert!(relay.snapshots_sent as usize >= 10 * ASKED, "{relay:?}");
    assert!(relay.heals_through_relay as usize >= 10 * ASKED, "{relay:?}");
    behind.end_undisturbed().await;
}

/// A list whose digest is slow at the relay: there the reducer sets a mark that is not sent, and
/// that no other node sees.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Vec<u32>")]
struct Slow {
    list: Vec<u32>,
    at_relay: bool,
}

impl From<Vec<u32>> for Slow {
    fn from(list: Vec<u32>) -> Self {
        Slow { list, at_relay: false }
    }
}

impl Serialize for Slow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.at_relay {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.list.serialize(serializer)
    }
}

fn slow(at_relay: bool) -> StoreBuilder<Slow, u32> {
    let push = move |slow: &mut Slow, item: &u32| {
        slow.list.push(*item);
        slow.at_relay = at_relay;
    };
    create_store(STORE, push).mode(Mode::Action).on_error(|_| {})
}

#[tokio::test]
async fn who_doubts_what_a_relay_is_still_looking_at_moves_it_seldom() {
    const DIGESTS: usize = 40;
    let (root_place, place) = (Place::new(), Place::new());
    let root = slow(false).resync(Resync::Verify(10)).open().await.expect("it opens");
    root.create_server(root_place.server()).await.expect("it listens");
    let relay = slow(true).client(root_place.client()).open().await.expect("it comes in sync");
    relay.create_server(place.server()).await.expect("it listens");
    let began = Instant::now();
    let mut doubting = JoinSet::new();
    for _ in 0..4 {
        doubting.spawn(doubts(Peer::guest(&place.path()).await, DIGESTS));
    }
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    while !doubting.is_empty() {
        tokio::select! {
            Some(ended) = doubting.join_next() => ended.expect("it was served to the end"),
            _ = pace.tick() => drop(root.dispatch(7).await.expect("it is applied")),
        }
    }
    let counters = relay.counters();
    assert!(counters.heals_through_relay as usize >= DIGESTS, "{counters:?}");
    let most = 1 + began.elapsed().as_secs() / DEAD_AFTER.as_secs();
    assert!(counters.heals_deferred <= most, "{most}: {counters:?}");
    within(relay.until_connected(true)).await;
}

/// Asks for this many sessions at once.
async fn asks_for_sessions(guest: &mut Peer, hop: u32, count: u64) {
    let requests = (0..count).map(|request| Message::SessionOpen { hop, request });
    let requests: Vec<u8> = requests.flat_map(|request| framed(&request)).collect();
    assert!(guest.try_send(&requests).await);
}

#[tokio::test]
async fn who_asks_a_relay_for_sessions_for_ever_gets_few_and_drives_out_no_neighbours() {
    const SESSIONS_MAX: usize = 64;
    const AT_ONCE: u64 = 256;
    const ASKED: u64 = 100_000;
    // The neighbours are silent meanwhile, for some seconds on a slow machine.
    let liveness = (Duration::from_millis(500), Duration::from_secs(60));
    let bounded = || {
        let list = list().liveness(liveness.0, liveness.1);
        list.configure(|config| config.sessions_max = SESSIONS_MAX)
    };
    let (root_place, place) = (Place::new(), Place::new());
    let root = bounded().open().await.expect("it opens");
    root.create_server(root_place.server()).await.expect("it listens");
    let relay = bounded().client(root_place.client()).open().await.expect("it comes in sync");
    relay.create_server(place.server()).await.expect("it listens");
    let (mut victim, theirs) = Peer::dispatcher(&place.path()).await;
    victim.say(&theirs.dispatch(1, &action(7))).await;
    applied(&mut victim, theirs).await;

    let began = Instant::now();
    let mut thief = Peer::guest(&place.path()).await;
    let hop = thief.attached().await;
    let before = root.counters();
    asks_for_sessions(&mut thief, hop, ASKED).await;
    thief.say(&Message::Heal { seq: 0 }).await;
    thief.snapshot_past(0).await;
    let dropped = relay.counters().requests_dropped;
    let earned = (began.elapsed().as_secs() + 1) * (AT_ONCE / 16);
    let passed_on = ASKED - dropped;
    assert!(passed_on <= AT_ONCE + earned, "{passed_on} of {ASKED} were passed on");
    assert_eq!(root.counters().snapshots_sent, before.snapshots_sent);

    // By now the sequencer has heard all that was passed on: they are answered in order.
    let (mut last, own) = Peer::dispatcher(&place.path()).await;
    last.say(&own.dispatch(1, &action(8))).await;
    applied(&mut last, own).await;
    victim.say(&theirs.dispatch(2, &action(9))).await;
    applied(&mut victim, theirs).await;
    assert_eq!(*root.state(), [7, 8, 9]);
}

async fn applied(peer: &mut Peer, session: Session) {
    let answers = peer.answers(session.claim).await;
    let applied = matches!(answers[..], [Answer { outcome: Outcome::Applied(_), .. }]);
    assert!(applied, "{answers:?}");
}

/// A relay whose upstream takes no dispatches, and the upstream.
async fn held_up(place: &Place) -> (List, Peer) {
    let upstream = Place::new();
    let listener = UnixListener::bind(upstream.path()).expect("it listens");
    let patient = list().liveness(Duration::from_millis(500), Duration::from_secs(60));
    let relay = patient.client(ClientConfig::unix(upstream.path())).start().expect("it starts");
    let mut root = Peer::over(within(listener.accept()).await.expect("it comes").0);
    root.greet(PROTOCOL_VERSION, false).await;
    root.hears(|message| matches!(message, Message::Attach(_)).then_some(())).await;
    let status = Status {
        hop: 1,
        connected: true,
        mode: Mode::Action,
        version: Some(Version::default()),
        path: Vec::new(),
    };
    root.say(&Message::Status(status)).await;
    relay.create_server(place.server()).await.expect("it listens");
    (relay, root)
}

/// A guest of a relay that is held up: the number of its hop.
async fn guest_of(place: &Place) -> (Peer, Session) {
    let mut guest = Peer::guest(&place.path()).await;
    guest.say(&Message::Attach(attach(STORE))).await;
    let hop = guest.status().await.hop;
    let claim = Claim { session: 1, ..Claim::default() };
    (guest, Session { hop, claim })
}

#[test]
fn what_guests_leave_at_a_relay_that_is_held_up_is_bounded() {
    alone(async || {
        let place = Place::new();
        let (relay, _root) = held_up(&place).await;
        let before = resident_bytes();
        let long = vec![0; 4 * MIB - 64];
        for _ in 0..30 {
            let (mut guest, session) = guest_of(&place).await;
            for counter in 1..=2 {
                guest.say(&session.dispatch(counter, &long)).await;
            }
            guest.half_close().await;
            assert!(guest.is_dropped().await);
        }
        grew_at_most(48, before, "30 guests that leave 8 MiB each and go");

        // Small ones, far apart: each must not hold on to what it came with.
        let before = resident_bytes();
        let (mut guest, session) = guest_of(&place).await;
        let beats = framed(&Message::Heartbeat { seq: 0 }).repeat(16_000);
        for counter in 1..=200 {
            let sent = [framed(&session.dispatch(counter, &[7])), beats.clone()].concat();
            assert!(guest.try_send(&sent).await);
        }
        guest.say(&Message::Heal { seq: 0 }).await;
        grew_at_most(16, before, "200 dispatches among 75 MiB of heartbeats");
        drop(relay);
    });
}
