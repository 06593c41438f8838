//! Mode `delta`: patches made, sent, applied and passed on.

use bytes::Bytes;

use super::*;
use crate::wire::{Entries, PATCH_HEADER_BYTES, Patches, WireError, finish_patch};

fn in_mode_delta(config: &mut Config) {
    config.mode = Mode::Delta;
}

/// A node below that takes patches, or does not, asks for the store.
fn is_asked(node: &mut Node, link: LinkId, takes_patches: bool) {
    node.replica.downstream_up(link, node.now);
    node.hears(link, Message::Attach(Attach { takes_patches, ..attach(link, None) }));
}

/// A node in mode delta with this node below, which has its state.
fn feeding(mut node: Node, takes_patches: bool) -> Node {
    is_asked(&mut node, DOWN, takes_patches);
    node.says(DOWN);
    node.works();
    node.says(DOWN);
    node
}

/// Returns the content of messages in short: actions, patches behind a `+`, snapshots by version.
fn told(messages: &[Message]) -> Vec<String> {
    let mut told = Vec::new();
    for message in messages {
        match message {
            Message::SnapshotHead(head) => told.push(format!("snapshot {}", head.version.seq)),
            Message::Entries { entries, patches, .. } => {
                let mut with = patches.as_ref().map(|patches| Patches::new(patches));
                for entry in Entries::new(entries) {
                    let entry = entry.expect("intact");
                    let mut text = String::from_utf8_lossy(entry.payload).into_owned();
                    if let Some(patches) = &mut with {
                        let patch = patches.take(entry.crc).expect("intact");
                        text += "+";
                        text += &String::from_utf8_lossy(&patch[PATCH_HEADER_BYTES..]);
                    }
                    told.push(text);
                }
                assert!(with.is_none_or(|patches| patches.is_empty()));
            }
            _ => {}
        }
    }
    told
}

/// The message that brings these actions with their patches, the first of them at `first`.
fn patched(first: u64, actions: &[(&[u8], &[u8])]) -> Message {
    let (mut entries, mut patches) = (Vec::new(), Vec::new());
    for (counter, (action, patch)) in (first..).zip(actions) {
        let bytes = entry(9, counter, 0, action);
        let mut patch = [&[0; PATCH_HEADER_BYTES], *patch].concat();
        finish_patch(&mut patch, Entries::first(&bytes).expect("whole").0.crc);
        entries.extend(bytes);
        patches.extend(patch);
    }
    let (epoch, entries) = (FIRST_LIFE.id, entries.into());
    Message::Entries { epoch, first, entries, patches: Some(patches.into()) }
}

fn modes(messages: &[Message]) -> Vec<Mode> {
    let mode = |message: &Message| match message {
        Message::Status(status) => Some(status.mode),
        _ => None,
    };
    messages.iter().filter_map(mode).collect()
}

#[test]
fn who_takes_patches_gets_them_and_who_does_not_gets_the_actions() {
    let mut node = Node::sequencer(in_mode_delta);
    is_asked(&mut node, DOWN, true);
    is_asked(&mut node, OTHER, false);
    assert_eq!(modes(&node.says(DOWN)), [Mode::Delta]);
    assert_eq!(modes(&node.says(OTHER)), [Mode::Action]);
    node.works();
    for link in [DOWN, OTHER] {
        node.says(link);
    }
    node.dispatches(b"a");
    node.dispatches(b"b");
    assert_eq!(told(&node.says(DOWN)), ["a+A", "b+B"]);
    assert_eq!(told(&node.says(OTHER)), ["a", "b"]);
}

#[test]
fn no_patches_are_made_for_nobody() {
    let mut node = Node::sequencer(in_mode_delta);
    node.dispatches(b"a");
    assert_eq!(node.replica.holdings().log_bytes, 0);
    let mut node = feeding(Node::sequencer(|_| {}), true);
    node.dispatches(b"a");
    assert_eq!(told(&node.says(DOWN)), ["a"]);
}

#[test]
pub(super) fn a_patch_that_is_too_large_gives_way_to_a_snapshot_between_the_patches_around_it() {
    let mut node = feeding(Node::sequencer(in_mode_delta), true);
    for action in [&b"a"[..], b"b", b"#c"] {
        node.dispatches(action);
    }
    assert_eq!(told(&node.says(DOWN)), ["a+A", "b+B"]);
    node.works();
    node.dispatches(b"d");
    assert_eq!(told(&node.says(DOWN)), ["snapshot 3", "d+D"]);
    assert_eq!(node.replica.counters().patches_too_large, 1);
    assert_eq!(node.replica.counters().snapshots_forced, 0, "it fell off no log");
}

#[test]
fn a_node_whose_patches_are_all_too_large_is_sent_states_and_none_twice() {
    let mut node = feeding(Node::sequencer(in_mode_delta), true);
    for seq in 1..6 {
        node.dispatches(b"#x");
        node.says(DOWN);
        node.works();
        // It moved on while the snapshot was cut, and the snapshot will do.
        assert_eq!(told(&node.says(DOWN)), [format!("snapshot {seq}")]);
    }
}

#[test]
fn an_action_too_long_to_go_with_its_patch_in_one_frame_has_none() {
    let mut node = feeding(Node::sequencer(in_mode_delta), true);
    let limit = node.replica.config().action_bytes_max;
    node.dispatches(&vec![b'a'; limit / 4]);
    node.dispatches(&vec![b'a'; limit]);
    assert_eq!(told(&node.says(DOWN)).len(), 1);
    assert_eq!(node.replica.counters().patches_too_large, 1);
}

#[test]
fn a_large_patch_leaves_no_large_buffer_behind() {
    let mut node = feeding(Node::sequencer(in_mode_delta), true);
    let limit = node.replica.config().action_bytes_max;
    for len in [limit / 4, limit] {
        node.dispatches(&vec![b'a'; len]);
        assert!(node.replica.buffers.patch.capacity() <= 128 << 10);
    }
}

#[test]
pub(super) fn a_copy_applies_the_patch_and_not_the_action_and_passes_both_on() {
    for (mode, passed) in [(Mode::Delta, ["a+1", "b+22"]), (Mode::Action, ["a", "b"])] {
        let mut relay = Node::attached(b"s", |config| config.mode = mode);
        relay.hears(UP, Message::Status(Status { mode: Mode::Delta, ..status(1) }));
        relay = feeding(relay, true);
        relay.hears(UP, patched(2, &[(b"a", b"1"), (b"b", b"22")]));
        assert_eq!(relay.replica.machine().0, b"s122");
        assert_eq!(told(&relay.says(DOWN)), passed, "{mode:?}");
    }
}

#[test]
fn a_relay_that_gets_actions_makes_patches_of_its_own() {
    let mut relay = feeding(Node::attached(b"s", in_mode_delta), true);
    relay.gets_entry(b"a", 0);
    assert_eq!(told(&relay.says(DOWN)), ["a+A"]);
}

#[test]
fn a_patch_that_does_not_fit_is_reported_and_the_copy_healed() {
    let mut node = Node::attached(b"s", |_| {});
    node.hears(UP, patched(2, &[(b"a", b"1"), (b"b", b"^"), (b"c", b"3")]));
    let [Report::FailedHere { seq: 3, why }] = &node.reports[..] else {
        panic!("{:?}", node.reports)
    };
    assert!(why.contains("cannot be applied"), "{why}");
    assert!(matches!(node.says(UP)[..], [Message::Heal { .. }]));
    assert!(!node.replica.is_connected());
}

#[test]
fn a_patch_that_is_damaged_missing_or_one_too_many_cuts_the_link() {
    let whole = || patched(2, &[(b"a", b"1"), (b"b", b"2")]);
    let spoilt = |spoil: fn(&mut Vec<u8>)| {
        let Message::Entries { epoch, first, entries, patches: Some(patches) } = whole() else {
            panic!("it has patches")
        };
        let mut patches = patches.to_vec();
        spoil(&mut patches);
        let patches = Some(Bytes::from(patches));
        let mut node = Node::attached(b"s", |_| {});
        node.hear(UP, Message::Entries { epoch, first, entries, patches })
    };
    assert_eq!(spoilt(|_| {}), Ok(()));
    let last = |patches: &mut Vec<u8>| *patches.last_mut().expect("not empty") ^= 1;
    assert_eq!(spoilt(last), Err(LinkFault::Wire(WireError::PatchChecksum)));
    assert!(spoilt(|patches| patches.truncate(PATCH_HEADER_BYTES + 1)).is_err());
    assert!(spoilt(|patches| patches.extend([0; PATCH_HEADER_BYTES])).is_err());
    let swap = |patches: &mut Vec<u8>| patches.rotate_left(PATCH_HEADER_BYTES + 1);
    assert!(spoilt(swap).is_err(), "each belongs to its action");
}
