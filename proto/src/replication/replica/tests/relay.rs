//! A node with an upstream and nodes below.

use super::*;

fn lineages(messages: &[Message]) -> Vec<Lineage> {
    let lineage = |message: &Message| match message {
        Message::Lineage(lineage) => Some(lineage.clone()),
        _ => None,
    };
    messages.iter().filter_map(lineage).collect()
}

#[test]
pub(super) fn a_node_that_is_getting_a_snapshot_is_told_of_another_lineage() {
    let state = [7; 40_000];
    let mut relay = Node::attached(&state, |_| {});
    relay.is_asked(DOWN, None);
    relay.says(DOWN);
    relay.works();
    let begun = [relay.says_up_to(DOWN, 1), relay.says_up_to(DOWN, 1)].concat();
    assert!(matches!(begun[..], [Message::SnapshotHead(_), Message::SnapshotPart { .. }]));
    let lineage = first_life().continued(SECOND_LIFE, 1);
    relay.hears(UP, Message::Lineage(lineage.clone()));
    assert_eq!(lineages(&relay.says(DOWN)), [lineage]);
}

#[test]
fn a_node_that_has_not_begun_with_a_snapshot_hears_of_its_lineage_with_it() {
    let mut relay = Node::attached(b"a", |_| {});
    relay.is_asked(DOWN, None);
    let lineage = first_life().continued(SECOND_LIFE, 1);
    relay.hears(UP, Message::Lineage(lineage.clone()));
    relay.says(DOWN);
    relay.works();
    let said = relay.says(DOWN);
    assert_eq!(lineages(&said), [] as [Lineage; 0]);
    let head = said.iter().find_map(|message| match message {
        Message::SnapshotHead(head) => Some(head.lineage.clone()),
        _ => None,
    });
    assert_eq!(head, Some(lineage));
}

/// Checks that a node that was to go on with an interrupted snapshot is told of the lineage that
/// came meanwhile by the head of its snapshot or after that: otherwise it takes the entries that
/// follow for those of another life.
#[test]
pub(super) fn a_node_that_resumes_a_snapshot_hears_of_a_lineage_not_before_its_head() {
    let state = [7; 40_000];
    let mut relay = Node::attached(&state, |_| {});
    relay.is_asked(DOWN, None);
    relay.says(DOWN);
    relay.works();
    let begun = [relay.says_up_to(DOWN, 1), relay.says_up_to(DOWN, 1)].concat();
    let (Message::SnapshotHead(head), Message::SnapshotPart { bytes, .. }) = (&begun[0], &begun[1])
    else {
        panic!("{begun:?}")
    };
    let partial = Some(crate::wire::PartialSnapshot::new(head, bytes.len() as u64));
    relay.replica.link_down(DOWN, relay.now);
    relay.replica.downstream_up(DOWN, relay.now);
    relay.hears(DOWN, Message::Attach(Attach { partial, ..attach(DOWN, None) }));
    let lineage = first_life().continued(SECOND_LIFE, 1);
    relay.hears(UP, Message::Lineage(lineage.clone()));
    let before = relay.says(DOWN);
    relay.works();
    let said = [before, relay.says(DOWN)].concat();
    let at = said.iter().position(|message| matches!(message, Message::SnapshotHead(_)));
    let (before, after) = said.split_at(at.expect("it gets the rest"));
    assert_eq!(lineages(before), [] as [Lineage; 0]);
    let Message::SnapshotHead(head) = &after[0] else { panic!("{after:?}") };
    assert!(head.lineage == lineage || lineages(after) == [lineage], "it is told");
}

/// Checks that a node that had a part of a snapshot gets it under the lineage of now, or another.
#[test]
fn an_interrupted_snapshot_of_another_life_is_not_gone_on_with() {
    let state = [7; 40_000];
    let mut relay = Node::attached(&state, |_| {});
    relay.is_asked(DOWN, None);
    relay.says(DOWN);
    relay.works();
    let begun = [relay.says_up_to(DOWN, 1), relay.says_up_to(DOWN, 1)].concat();
    let (Message::SnapshotHead(head), Message::SnapshotPart { bytes, .. }) = (&begun[0], &begun[1])
    else {
        panic!("{begun:?}")
    };
    let partial = Some(crate::wire::PartialSnapshot::new(head, bytes.len() as u64));
    relay.replica.link_down(DOWN, relay.now);
    let lineage = first_life().continued(SECOND_LIFE, 1);
    relay.hears(UP, Message::Lineage(lineage.clone()));
    relay.replica.downstream_up(DOWN, relay.now);
    relay.hears(DOWN, Message::Attach(Attach { partial, ..attach(DOWN, None) }));
    let before = relay.says(DOWN);
    relay.works();
    let said = [before, relay.says(DOWN)].concat();
    let heads = said.iter().filter_map(|message| match message {
        Message::SnapshotHead(head) => Some(head.lineage.clone()),
        _ => None,
    });
    assert_eq!(heads.collect::<Vec<_>>(), [lineage]);
}
