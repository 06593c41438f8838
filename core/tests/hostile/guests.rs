//! Clients that logged in, and then misbehave.

use std::time::Duration;

use samestate::Version;
use samestate_proto::wire::{
    Answer, Attach, Entry, FRAME_HEADER_BYTES, Message, Outcome, SnapshotHead, Status, channel_of,
};
use samestate_proto::{Claim, Lineage, Mode};

use super::peer::{Session, action, attach, framed, raw};
use super::scene::{Place, STORE, Scene, list};

/// Returns the outcome of a dispatch, if it was answered.
async fn outcome(answers: Vec<Answer>) -> Outcome {
    assert_eq!(answers.len(), 1);
    answers.into_iter().next().expect("one").outcome
}

/// Bytes that a guest with a session must not send, and how the server calls them.
pub(super) fn bad_bytes(session: Session) -> Vec<(Vec<u8>, &'static str)> {
    let dispatch = framed(&session.dispatch(1, &action(7)));
    let mut flipped = dispatch.clone();
    flipped[FRAME_HEADER_BYTES + 30] ^= 1;
    let mut oversized = dispatch.clone();
    oversized[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut truncated = dispatch;
    truncated.pop();
    let mut random = vec![0; 4096];
    getrandom::fill(&mut random).expect("random bytes");
    random[..4].copy_from_slice(&100u32.to_le_bytes());
    let mut entry = Vec::new();
    Entry::write(&mut entry, session.claim.session, 1, 0, &action(7));
    *entry.last_mut().expect("a payload") ^= 1;
    let mut of_another = Vec::new();
    Entry::write(&mut of_another, session.claim.session + 1, 1, 0, &action(7));
    let mut beyond = Vec::new();
    Entry::write(&mut beyond, session.claim.session, u64::MAX, 0, &action(7));
    let cut_short = entry[..entry.len() - 1].to_vec();
    vec![
        (flipped, "the checksum of a frame does not match"),
        (oversized, "exceeds the limit"),
        (truncated, "in the middle of a frame"),
        (random, "the checksum of a frame does not match"),
        (framed(&session.dispatch_bytes(1, entry)), "the checksum of an entry does not match"),
        (framed(&session.dispatch_bytes(1, cut_short)), "ends inside its entry's payload"),
        (framed(&session.dispatch_bytes(1, of_another)), "an entry of another session"),
        (framed(&session.dispatch_bytes(1, beyond)), "an impossible counter"),
        (framed(&session.dispatch(u64::MAX, &action(7))), "an impossible oldest"),
        (framed(&Message::Attach(attach(STORE))), "a second request for the store"),
        (raw(channel_of(STORE), 99, b"?"), "unknown kind of frame: 99"),
        (raw(channel_of(STORE), Message::DISPATCH, b"short"), "ends inside its session"),
        (raw(channel_of("other"), Message::DISPATCH, &[0; 20]), "that it had not asked for"),
        (raw(0, 16, &[0; 4]), "unknown kind of frame: 16"),
    ]
}

/// Returns the messages that only a server may send.
fn answers_from_below(version: Version) -> Vec<Message> {
    let lineage = Lineage::founded(version.epoch);
    let head =
        SnapshotHead { version, history: 0, len: u64::MAX, crc: 0, lineage: lineage.clone() };
    let status = Status {
        hop: 9,
        connected: false,
        mode: Mode::Action,
        version: Some(version),
        path: Vec::new(),
    };
    vec![
        Message::Status(status),
        Message::Lineage(lineage),
        Message::SnapshotHead(head),
        Message::SnapshotChunk(vec![0; 100].into()),
        Message::SnapshotPart { offset: 0, bytes: vec![0; 100].into() },
        Message::Entries {
            epoch: version.epoch.id,
            first: 1,
            entries: vec![0; 40].into(),
            patches: None,
        },
        Message::Answers { claim: Claim::default(), answers: Vec::new() },
        Message::SessionOpened { request: 1, claim: Claim::default(), at: version },
        Message::Digest { seq: 1, digest: 1 },
        Message::Credit { bytes: u64::MAX },
    ]
}

#[tokio::test]
async fn bad_bytes_of_a_guest_cut_its_link_and_no_other() {
    let mut scene = Scene::new().await;
    let (_, any) = scene.dispatcher().await;
    for at in 0..bad_bytes(any).len() {
        let (mut guest, session) = scene.dispatcher().await;
        let (bytes, words) = bad_bytes(session).swap_remove(at);
        guest.send(&bytes).await;
        guest.half_close().await;
        assert!(guest.is_dropped().await);
        let report = scene.reports.say(words).await;
        assert!(report.contains("login app"), "it says whose link that was: {report}");
    }
    assert!(scene.end_undisturbed().await.is_empty(), "nothing of it became state");
}

#[tokio::test]
async fn what_only_a_server_may_say_cuts_the_link_of_a_client_that_says_it() {
    let mut scene = Scene::new().await;
    for message in answers_from_below(scene.server.version()) {
        let (mut guest, _) = scene.dispatcher().await;
        guest.say(&message).await;
        assert!(guest.is_dropped().await);
        scene.reports.say("it sent an answer from downstream").await;
    }
    assert!(scene.end_undisturbed().await.is_empty());
}

#[tokio::test]
async fn a_client_that_speaks_before_it_asks_is_cut() {
    let mut scene = Scene::new().await;
    let mut guest = scene.guest().await;
    guest.say(&Message::SessionOpen { hop: 1, request: 1 }).await;
    assert!(guest.is_dropped().await);
    scene.reports.say("a store that it had not asked for").await;
    scene.end_undisturbed().await;
}

#[tokio::test]
async fn clients_of_another_version_schema_codec_or_store_are_refused_and_named() {
    let place = Place::new();
    let options = place.server().login_within(Duration::from_secs(1));
    let store = list().liveness(Duration::from_millis(100), Duration::from_secs(1));
    let mut scene = Scene::with(place, store, options).await;
    let cases = [
        (
            Attach { protocol: 5, ..attach(STORE) },
            "protocol version 5 at the client, versions 1 to 4 at the server",
        ),
        (
            Attach { schema_version: 7, ..attach(STORE) },
            "schema_version 7 at the client, 1 at the server",
        ),
        (
            Attach { codec: samestate::Codec::Json, ..attach(STORE) },
            "codec Json at the client, MessagePack at the server",
        ),
        (attach("twin"), "store `twin` is not served here"),
    ];
    let mut guests = Vec::new();
    for (attach, words) in cases {
        let mut guest = scene.guest().await;
        guest.say(&Message::Attach(attach)).await;
        let refusal = guest
            .hears(|message| match message {
                Message::Refused(refusal) => Some(refusal.text),
                other => panic!("served with {other:?}"),
            })
            .await;
        assert!(refusal.contains(words), "{refusal}");
        scene.reports.say(words).await;
        guests.push(guest);
    }
    let mut other = scene.guest().await;
    let mut out = Vec::new();
    Message::Attach(attach("other")).write(&mut out, channel_of("other"));
    other.send(&out).await;
    scene.reports.say("store `other` is not served here").await;
    guests.push(other);
    guests.push(scene.guest().await);
    for guest in &mut guests {
        assert!(guest.is_dropped().await, "whom nothing is served does not stay");
    }
    scene.end_undisturbed().await;
}

#[tokio::test]
async fn a_client_that_falls_silent_is_cut() {
    let place = Place::new();
    let options = place.server();
    let store = list().liveness(Duration::from_millis(100), Duration::from_millis(1000));
    let mut scene = Scene::with(place, store, options).await;
    let (mut guest, _) = scene.dispatcher().await;
    assert!(guest.is_dropped().await);
    scene.reports.say("nothing was heard for").await;
    scene.end_undisturbed().await;
}

#[tokio::test]
async fn a_session_that_was_never_issued_applies_nothing_and_its_link_goes_on() {
    let scene = Scene::new().await;
    let (mut guest, session) = scene.dispatcher().await;
    let claim = Claim { session: session.claim.session ^ 1 << 40, ..session.claim };
    let unknown = Session { claim, ..session };
    guest.say(&unknown.dispatch(1, &action(7))).await;
    assert_eq!(outcome(guest.answers(unknown.claim).await).await, Outcome::Expired);
    guest.say(&session.dispatch(1, &action(8))).await;
    let answered = outcome(guest.answers(session.claim).await).await;
    assert!(matches!(answered, Outcome::Applied(_)), "{answered:?}");
    assert_eq!(scene.end_undisturbed().await, [8]);
}

#[tokio::test]
async fn a_gap_between_counters_is_never_passed_over() {
    let scene = Scene::new().await;
    let (mut guest, session) = scene.dispatcher().await;
    let mut entries = Vec::new();
    for counter in [2, 3, 1 << 40, 1, 1, 2, 4] {
        Entry::write(&mut entries, session.claim.session, counter, 0, &action(counter as u32));
        let entry = std::mem::take(&mut entries);
        guest.say(&session.dispatch_bytes(1, entry)).await;
    }
    let mut answered = Vec::new();
    while answered.len() < 3 {
        answered
            .extend(guest.answers(session.claim).await.into_iter().map(|answer| answer.counter));
    }
    assert_eq!(answered, [1, 1, 2]);
    assert_eq!(scene.end_undisturbed().await, [1, 2]);
}

#[tokio::test]
async fn the_last_counter_there_is_breaks_nothing() {
    let scene = Scene::new().await;
    let (mut guest, session) = scene.dispatcher().await;
    for _ in 0..2 {
        guest.say(&session.dispatch(1 << 62, &action(7))).await;
        let answered = outcome(guest.answers(session.claim).await).await;
        assert!(matches!(answered, Outcome::Applied(_)), "{answered:?}");
    }
    guest.say(&session.dispatch(1, &action(8))).await;
    assert_eq!(outcome(guest.answers(session.claim).await).await, Outcome::Unknown);
    assert_eq!(scene.end_undisturbed().await, [7], "once");
}

#[tokio::test]
async fn an_action_that_cannot_be_decoded_is_rejected_and_the_next_is_applied() {
    let scene = Scene::new().await;
    let (mut guest, session) = scene.dispatcher().await;
    let nested = vec![0x91; 1 << 20];
    for (counter, payload) in [&b"\xc1\xc1\xc1"[..], b"", b"\xa3abc", &nested].iter().enumerate() {
        guest.say(&session.dispatch(counter as u64 + 1, payload)).await;
        let answered = outcome(guest.answers(session.claim).await).await;
        assert!(matches!(answered, Outcome::Rejected(_)), "{answered:?}");
    }
    guest.say(&session.dispatch(5, &action(8))).await;
    let answered = outcome(guest.answers(session.claim).await).await;
    assert!(matches!(answered, Outcome::Applied(_)), "{answered:?}");
    assert_eq!(scene.end_undisturbed().await, [8]);
}
