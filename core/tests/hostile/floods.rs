//! Clients that ask for more than they take, or take nothing.

use std::time::Duration;

use samestate::{ClientConfig, Mode, Store, create_store};
use samestate_proto::wire::Message;

use super::alone::alone;
use super::peer::{Peer, action, attach, framed};
use super::scene::{LOGIN, PASSWORD, Place, STORE, Scene, list, within};

const MIB: usize = 1 << 20;

/// The memory of this process that is in use now, in bytes.
pub(super) fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages: usize = statm.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("pages");
    pages * rustix::param::page_size()
}

/// Sends the same bytes until the peer cuts the link or `bytes_max` were sent.
async fn floods(mut guest: Peer, bytes: &[u8], bytes_max: usize) {
    for _ in 0..bytes_max / bytes.len() {
        if !guest.try_send(bytes).await {
            break;
        }
    }
}

#[tokio::test]
async fn who_asks_and_takes_no_answers_is_cut() {
    // Long, so that a slow machine does not cut it before for taking no bytes.
    let place = Place::new();
    let options = place.server().stall_after(Duration::from_secs(60));
    let mut scene = Scene::with(place, list(), options).await;
    let (guest, session) = scene.dispatcher().await;
    let request = framed(&Message::SessionOpen { hop: session.hop, request: 1 });
    floods(guest, &request.repeat(1000), 64 * MIB).await;
    scene.reports.say("more requests than it reads answers to").await;
    scene.end_undisturbed().await;
}

#[tokio::test]
async fn who_dispatches_beyond_its_credit_is_cut() {
    let mut scene = Scene::new().await;
    let (mut guest, session) = scene.dispatcher().await;
    guest.say(&session.dispatch(1, &action(7))).await;
    let again = framed(&session.dispatch(1, &[0; 100]));
    floods(guest, &again.repeat(1000), 64 * MIB).await;
    scene.reports.say("beyond its credit").await;
    assert_eq!(scene.end_undisturbed().await, [7], "however often it came");
}

/// Counts, and keeps the newest.
pub(super) type Pages = Store<(u64, String), String>;

pub(super) fn pages() -> samestate::StoreBuilder<(u64, String), String> {
    let reducer = |pages: &mut (u64, String), page: &String| {
        *pages = (pages.0 + 1, page.clone());
    };
    create_store(STORE, reducer)
        .mode(Mode::Action)
        .on_error(|_| {})
        .log_bytes_max(MIB)
        .liveness(Duration::from_millis(500), Duration::from_secs(60))
}

const PAGE_BYTES: usize = 16 << 10;
const PAGES: u64 = 4096;

#[test]
fn who_stops_reading_falls_off_the_log_at_no_cost_to_the_others() {
    alone(async || {
        let place = Place::new();
        let server: Pages = pages().open().await.expect("it opens");
        server.create_server(place.server()).await.expect("it listens");
        let client = ClientConfig::unix(place.path()).login(LOGIN, PASSWORD);
        let good = pages().client(client).open().await.expect("it comes in sync");
        let mut stopped = Peer::guest(&place.path()).await;
        stopped.say(&Message::Attach(attach(STORE))).await;
        stopped.status().await;

        let page = "x".repeat(PAGE_BYTES);
        let mut most = 0;
        let before = resident_bytes();
        for _ in 0..PAGES / 64 {
            let outcomes = within(good.dispatch_many(vec![page.clone(); 64])).await;
            assert!(outcomes.iter().all(Result::is_ok), "the other client is not disturbed");
            most = most.max(resident_bytes().saturating_sub(before));
        }
        let sent = PAGES as usize * PAGE_BYTES;
        assert!(most < sent / 2, "{most} bytes were kept of {sent}");
        assert_eq!(good.read(|pages| pages.0), PAGES);

        let version = stopped.snapshot_past(PAGES - 1).await;
        assert_eq!(version, server.version(), "it reads again and gets the newest state");
        let counters = server.counters();
        assert!(counters.snapshots_forced >= 1 && counters.entries_skipped > 0, "{counters:?}");
    });
}
