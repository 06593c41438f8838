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
