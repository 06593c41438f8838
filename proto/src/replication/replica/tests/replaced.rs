//! A replica whose state is replaced, and the nodes below it.

use super::*;
use crate::replication::replica::Decode;
use crate::replication::{Change, Jump};
use crate::wire::{Answer, Entries, FLAG_DIGEST, Outcome};

/// A relay at version 4 with a node below that is there too.
fn at_four(adjust: impl FnOnce(&mut Config)) -> Node {
    let mut relay = Node::attached(b"a", adjust);
    relay.is_asked(DOWN, Some(version(1)));
    for action in [b"b", b"c", b"d"] {
        relay.gets_entry(action, 0);
    }
    relay.works();
    relay.says(DOWN);
    relay.works();
    relay.says(DOWN);
    relay
}

fn second(seq: u64) -> Version {
    Version { epoch: SECOND_LIFE, seq }
}

/// The state of a life that began after action `began` of the first.
fn of_second_life(began: u64, seq: u64, state: &[u8]) -> SnapshotHead {
    let lineage = first_life().continued(SECOND_LIFE, began);
    let version = if seq > began { second(seq) } else { version(seq) };
    SnapshotHead { version, lineage, ..head(seq, state) }
}

/// Gets an entry in the life that it is in now.
fn gets_entry(node: &mut Node, first: u64, flags: u8, action: &[u8]) {
    let epoch = node.replica.lineage().head().expect("it has one").id;
    let entries = entry(9, first, flags, action);
    node.hears(UP, Message::Entries { epoch, first, entries: entries.into(), patches: None });
}

/// The numbers of the entries in these messages.
fn entries_in(messages: &[Message]) -> Vec<u64> {
    let of = |message: &Message| match message {
        Message::Entries { first, entries, .. } => {
            let count = Entries::new(entries).count() as u64;
            (*first..first + count).collect()
        }
        _ => Vec::new(),
    };
    messages.iter().flat_map(of).collect()
}

#[test]
fn a_node_below_that_stands_at_the_new_state_goes_on_and_hears_nothing() {
    let mut relay = at_four(|_| {});
    relay.gets_snapshot(4, b"wxyz");
    assert_eq!(relay.says(DOWN), []);
    gets_entry(&mut relay, 5, 0, b"e");
    let said = relay.says(DOWN);
    assert_eq!((entries_in(&said), said.len()), (vec![5], 1), "{said:?}");
}

#[test]
fn a_node_below_that_is_ahead_of_the_new_state_waits_until_that_is_as_far() {
    let mut relay = at_four(|_| {});
    relay.gets_snapshot(2, b"xy");
    assert_eq!(relay.says(DOWN), []);
    for seq in 3..=5 {
        gets_entry(&mut relay, seq, 0, b"e");
    }
    let said = relay.says(DOWN);
    assert_eq!((entries_in(&said), said.len()), (vec![5], 1), "{said:?}");
}

#[test]
fn a_node_below_that_stands_at_the_new_state_is_told_under_which_lineage() {
    let mut relay = at_four(|_| {});
    relay.woken.clear();
    let head = of_second_life(4, 4, b"wxyz");
    let lineage = head.lineage.clone();
    relay.gets(head, b"wxyz");
    assert!(relay.woken.contains(&DOWN));
    assert_eq!(relay.says(DOWN), [Message::Lineage(lineage)]);
    gets_entry(&mut relay, 5, 0, b"e");
    assert_eq!(entries_in(&relay.says(DOWN)), [5]);
}

#[test]
fn a_node_below_that_stands_in_a_history_that_was_lost_gets_the_new_state() {
    for seq in [3, 4] {
        let mut relay = at_four(|_| {});
        relay.woken.clear();
        relay.gets(of_second_life(2, seq, b"xyz"), b"xyz");
        assert!(relay.woken.contains(&DOWN));
        let said = relay.says(DOWN);
        let states = said.iter().filter_map(|said| match said {
            Message::SnapshotHead(head) => Some(head.version),
            _ => None,
        });
        assert_eq!(states.collect::<Vec<_>>(), [second(seq)], "{said:?}");
        gets_entry(&mut relay, seq + 1, 0, b"e");
        assert_eq!(entries_in(&relay.says(DOWN)), [seq + 1]);
    }
}

#[test]
fn a_node_below_that_is_behind_the_new_state_gets_it() {
    let mut relay = at_four(|_| {});
    relay.gets_snapshot(6, b"uvwxyz");
    assert_eq!(snapshots_in(relay.says(DOWN)), [6]);
}

/// Checks that a node below that asked for a state is told nothing more from the log of before: it
/// gets the new state first.
#[test]
fn a_node_below_that_waits_for_a_state_among_the_entries_gets_the_new_state_alone() {
    let mut relay = at_four(|_| {});
    relay.hears(DOWN, Message::Fetch);
    let head = of_second_life(4, 6, b"uvwxyz");
    relay.gets(head, b"uvwxyz");
    assert!(!relay.replica.downstreams[&DOWN].fetching);
    relay.hears(
        UP,
        Message::Lineage(
            first_life().continued(SECOND_LIFE, 4).continued(Epoch { number: 3, id: 33 }, 6),
        ),
    );
    let said = relay.says(DOWN);
    let first = said.iter().find(|said| !matches!(said, Message::Credit { .. }));
    assert!(matches!(first, None | Some(Message::SnapshotHead(_))), "{said:?}");
}

/// Checks that a copy of before holds no log any more, and makes no fall off the log look like the
/// second one.
#[test]
fn the_copy_that_a_node_below_got_of_the_old_state_no_longer_counts() {
    let mut relay = Node::attached(&[7; 20_000], |config| {
        (config.log_bytes_max, config.catch_up_bytes_max) = (1024, 1 << 20);
    });
    relay.is_asked(DOWN, None);
    relay.says(DOWN);
    relay.works();
    loop {
        let said = relay.says_up_to(DOWN, 1);
        if said.is_empty() || relay.replica.downstreams[&DOWN].copy.is_some() {
            break;
        }
        if matches!(said[..], [Message::SnapshotHead(_)]) {
            relay.gets_entry(&[8; 900], 0);
        }
    }
    assert!(relay.replica.downstreams[&DOWN].copy.is_some(), "it has not caught up");
    relay.gets_snapshot(9, b"x");
    assert!(relay.replica.downstreams[&DOWN].copy.is_none());
}

/// Checks that a resync that was sent before does not stand in for one of the new state.
#[test]
fn a_resync_of_the_new_state_is_sent_where_one_of_the_old_state_was() {
    let mut relay = at_four(|config| config.resync = Resync::Snapshot(4));
    assert_eq!(relay.replica.downstreams[&DOWN].resynced, 4);
    relay.gets_snapshot(3, b"xyz");
    assert_eq!(relay.says(DOWN), []);
    gets_entry(&mut relay, 4, 0, b"d");
    relay.works();
    assert_eq!(snapshots_in(relay.says(DOWN)), [4]);
}

/// Checks that a snapshot that was being cut of a copy is not sent once the copy is known to be
/// wrong.
#[test]
fn a_snapshot_of_a_copy_that_was_found_to_be_wrong_is_not_sent() {
    let mut relay = Node::attached(b"a", |_| {});
    relay.replica.snapshots.drop_newest();
    relay.is_asked(DOWN, None);
    relay.says(DOWN);
    assert_eq!(relay.jobs.len(), 1, "it is being cut");
    relay.gets_entry(b"!no", 0);
    relay.works();
    assert_eq!(snapshots_in(relay.says(DOWN)), [] as [u64; 0]);
    assert!(relay.replica.snapshots.newest().is_none());
    relay.gets_snapshot(2, b"xy");
    assert_eq!(snapshots_in(relay.says(DOWN)), [2]);
}

fn diverged(node: &Node) -> usize {
    node.reports.iter().filter(|report| matches!(report, Report::Diverged(_))).count()
}

/// Gets a marked entry, whose digest is another than the sequencer's.
fn differs(node: &mut Node) {
    let seq = node.replica.version().seq + 1;
    gets_entry(node, seq, FLAG_DIGEST, b"e");
    node.hears(UP, Message::Digest { seq, digest: 1 });
    node.works();
}

/// A node at version 3 that has found out that healing does not help.
fn given_up() -> Node {
    let mut node = Node::attached(b"a", |_| {});
    differs(&mut node);
    assert_eq!(diverged(&node), 1);
    node.gets_snapshot(2, b"xy");
    differs(&mut node);
    assert!(matches!(node.reports[..], [_, Report::NonDeterministic(_)]), "{:?}", node.reports);
    node
}

/// A replacement of a copy, and how often the copy is then found to differ in all.
type Replacement = (usize, fn(&mut Node));

#[test]
fn a_copy_that_was_given_up_is_verified_anew_under_another_upstream_or_lineage_alone() {
    let replacements: [Replacement; 3] = [
        (1, |node| node.gets_snapshot(3, b"xyz")),
        (2, |node| {
            node.replica.follow(node.now);
            node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
            node.hears(UP, Message::Status(status(3)));
            node.gets_snapshot(3, b"xyz");
        }),
        (2, |node| node.gets(of_second_life(1, 3, b"xyz"), b"xyz")),
    ];
    for (number, (found, replace)) in replacements.into_iter().enumerate() {
        let mut node = given_up();
        replace(&mut node);
        let before = diverged(&node);
        differs(&mut node);
        // A copy of the same version that differs is reported as it is replaced.
        let again = diverged(&node) - before;
        assert_eq!(1 + again, found, "{number}: {:?}", node.reports);
    }
}

/// The jumps that subscribers are told of.
fn jumps(node: &mut Node) -> Vec<Jump> {
    let jump = |change: Change<Vec<u8>>| match change {
        Change::Jumped { why, .. } => Some(why),
        _ => None,
    };
    node.replica.take_changes().into_iter().filter_map(jump).collect()
}

#[test]
fn a_state_that_is_the_same_at_the_same_version_replaces_nothing_and_any_other_is_told() {
    let diverged = |node: &Node| node.replica.counters().divergences;
    let cases: [(&[u8], u64, u64, bool); 4] =
        [(b"a", 1, 5, false), (b"b", 1, 5, true), (b"a", 1, 6, true), (b"b", 2, 5, false)];
    for (state, seq, history, differs) in cases {
        let mut node = Node::attached(b"a", |_| {});
        node.replica.set_changes_wanted(true);
        let same = state == b"a" && !differs;
        node.gets(SnapshotHead { history, ..head(seq, state) }, state);
        let installed = node.replica.counters().snapshots_installed;
        assert_eq!((installed, diverged(&node)), (2 - u64::from(same), u64::from(differs)));
        assert_eq!(node.reports, vec![Report::Diverged(version(1)); usize::from(differs)]);
        assert_eq!(jumps(&mut node), vec![Jump::Jumped; usize::from(!same)]);
        assert_eq!(node.replica.history(), history);
    }
}

/// Checks that a copy whose reducer is elsewhere asks for states, and is not told to be wrong for
/// what it gets, nor its subscribers of a jump where it stands.
#[test]
fn a_state_at_the_same_version_is_no_difference_where_the_reducer_is_elsewhere() {
    let mut node = Node::attached(b"%a", |_| {});
    node.replica.set_changes_wanted(true);
    node.gets_snapshot(1, b"%b");
    assert_eq!((jumps(&mut node), &node.reports[..]), (vec![], &[][..]));
    node.gets_snapshot(2, b"%c");
    assert_eq!(jumps(&mut node), [Jump::Jumped]);
}

#[test]
fn the_state_of_a_new_upstream_at_the_same_version_is_no_difference_of_this_copy() {
    let mut node = Node::attached(b"a", |_| {});
    node.replica.set_changes_wanted(true);
    node.replica.follow(node.now);
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    node.hears(UP, Message::Status(status(1)));
    node.gets_snapshot(1, b"b");
    assert_eq!((jumps(&mut node), &node.reports[..]), (vec![Jump::Rebased], &[][..]));
}

/// Begins to get a state, and returns it to be decoded.
fn begins_to_get(node: &mut Node, head: SnapshotHead, state: &[u8]) -> Decode {
    node.hears(UP, Message::SnapshotHead(head));
    let mut bytes = Vec::new();
    let part = bytes::Bytes::copy_from_slice(state);
    Message::SnapshotPart { offset: 0, bytes: part }.write(&mut bytes, node.replica.channel());
    let frame = crate::wire::Decoder::new(usize::MAX).decode(&mut BytesMut::from(&bytes[..]));
    let frame = frame.expect("it is whole").expect("it is whole");
    match node.replica.receive(UP, &frame, node.now) {
        Ok(Received::Decode(decode)) => decode,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_state_that_is_decoded_when_its_link_has_ended_need_not_come_again() {
    let mut node = Node::attached(b"a", |_| {});
    let decode = begins_to_get(&mut node, head(2, b"ab"), b"ab");
    node.replica.link_down(UP, node.now);
    node.replica.install(UP, decode.run::<Tape>(), node.now).expect("it is no fault");
    assert_eq!(node.replica.version(), version(1));
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    let said = node.says(UP);
    let [Message::Attach(attach)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(attach.partial.map(|partial| partial.have), Some(2));
}

/// Checks that a copy that was found to be wrong while a state was decoded is healed by that state,
/// whatever it looks like.
#[test]
fn a_copy_that_is_found_to_be_wrong_while_a_state_is_decoded_is_replaced_by_it() {
    let mut node = Node::attached(b"a", |_| {});
    node.gets_entry(b"b", FLAG_DIGEST);
    node.hears(UP, Message::Digest { seq: 2, digest: 1 });
    let history = node.replica.history();
    let head = SnapshotHead { history, ..head(2, b"ab") };
    let decode = begins_to_get(&mut node, head, b"ab");
    node.works();
    assert!(!node.replica.is_connected(), "it is known to be wrong");
    node.replica.install(UP, decode.run::<Tape>(), node.now).expect("it is good");
    assert!(node.replica.is_connected());
    assert_eq!(node.replica.counters().healed, 1);
}

/// A node at version 1 with a session that was issued at version `at`, and one dispatch that was
/// ordered as action 3 of the first life.
fn answered_as_three(at: u64) -> Node {
    let mut node = Node::attached(b"a", |_| {});
    node.hears(UP, Message::Credit { bytes: 1 << 20 });
    node.replica.dispatch(7, b"x", node.now).expect("it is taken");
    let said = node.says(UP);
    let [Message::SessionOpen { request, .. }] = said[..] else { panic!("{said:?}") };
    node.hears(UP, Message::SessionOpened { request, claim: claim(9), at: version(at) });
    assert!(matches!(node.says(UP)[..], [Message::Dispatch { .. }]));
    let answers = vec![Answer { counter: 1, outcome: Outcome::Applied(version(3)) }];
    node.hears(UP, Message::Answers { claim: claim(9), answers });
    assert_eq!(node.resolved, []);
    node
}

/// Checks this where the state is replaced, and where entries of another life go on from it.
#[test]
fn a_dispatch_whose_answer_lies_on_a_life_that_was_lost_is_sent_again() {
    for replaced in [true, false] {
        let mut node = answered_as_three(1);
        let head = of_second_life(1, if replaced { 3 } else { 1 }, b"xyz");
        match replaced {
            true => node.gets(head, b"xyz"),
            false => node.hears(UP, Message::Lineage(head.lineage)),
        }
        assert_eq!((&node.resolved[..], node.replica.under_way()), (&[][..], 1));
        assert!(matches!(node.says(UP)[..], [Message::Dispatch { .. }]), "{replaced}");
        assert_eq!(node.replica.counters().epochs_changed_in_flight, 1);
        assert_eq!(node.replica.counters().rebased_in_flight, 0);
    }
}

#[test]
fn a_session_that_was_issued_in_a_life_that_was_lost_is_lost_too() {
    let mut node = answered_as_three(2);
    node.gets(of_second_life(1, 3, b"xyz"), b"xyz");
    assert_eq!(node.resolved, [(7, Resolution::OutcomeUnknown)]);
    assert_eq!(node.replica.under_way(), 0);
}

/// Checks that a resync of an older life is not sent: it would take back the lineage that the node
/// below was told.
#[test]
fn a_resync_of_an_older_life_is_not_sent() {
    let mut relay = Node::attached(b"a", |config| config.resync = Resync::Snapshot(4));
    relay.is_asked(DOWN, Some(version(1)));
    relay.says(DOWN);
    for action in [b"b", b"c", b"d"] {
        relay.gets_entry(action, 0);
    }
    relay.works();
    assert_eq!(relay.replica.snapshots.resync().map(|resync| resync.head.version.seq), Some(4));
    relay.hears(UP, Message::Lineage(first_life().continued(SECOND_LIFE, 4)));
    gets_entry(&mut relay, 5, 0, b"e");
    let said = relay.says(DOWN);
    assert_eq!((snapshots_in(said.clone()), entries_in(&said)), (vec![], vec![2, 3, 4, 5]));
}

/// Checks that a state whose decoding outlived its link does not take the place of a newer part.
#[test]
fn a_newer_part_of_a_state_is_kept_and_not_an_older_state_that_came_whole() {
    let mut node = Node::attached(b"a", |_| {});
    let older = begins_to_get(&mut node, head(2, b"ab"), b"ab");
    node.replica.link_down(UP, node.now);
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    node.hears(UP, Message::Status(status(3)));
    node.hears(UP, Message::SnapshotHead(head(3, b"abcde")));
    let bytes = bytes::Bytes::from_static(b"abc");
    node.hears(UP, Message::SnapshotPart { offset: 0, bytes });
    node.replica.link_down(UP, node.now);
    node.replica.install(UP, older.run::<Tape>(), node.now).expect("it is no fault");
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    let said = node.says(UP);
    let [Message::Attach(attach)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(attach.partial.map(|partial| partial.have), Some(3));
}

/// Checks that a client that left its server and came back to the same history lost that history
/// when the sequencer did. An upstream that is not in sync confirms nothing: then it is told of a
/// loss only if the two histories begin alike.
#[test]
fn a_loss_after_a_client_came_back_to_its_history_is_told_as_one() {
    let epoch = Epoch { number: 7, id: 7 };
    let elsewhere = SnapshotHead {
        version: Version { epoch, seq: 3 },
        lineage: Lineage::founded(epoch),
        ..head(3, b"xyz")
    };
    let here = of_second_life(0, 3, b"xyz");
    for (connected, head, told) in [
        (true, &here, Jump::HistoryLost),
        (false, &here, Jump::HistoryLost),
        (true, &elsewhere, Jump::HistoryLost),
        (false, &elsewhere, Jump::Rebased),
    ] {
        let mut node = Node::attached(b"a", |_| {});
        node.replica.set_changes_wanted(true);
        node.replica.follow(node.now);
        node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
        node.hears(UP, Message::Status(Status { connected, ..status(1) }));
        node.hears(UP, Message::Lineage(first_life()));
        node.gets(head.clone(), b"xyz");
        assert_eq!(jumps(&mut node), [told]);
    }
}
