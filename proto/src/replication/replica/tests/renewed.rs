//! A way up that is made anew, and the lineages that come over it.

use super::*;
use crate::replication::Jump;

/// Checks that a node that leaves its upstream and comes back to the same history has replaced
/// nothing: what it loses later is a loss, and not the price of another upstream.
#[test]
fn a_node_that_goes_on_in_the_same_history_under_its_new_upstream_is_not_rebased() {
    let mut node = Node::attached(b"a", |_| {});
    node.replica.set_changes_wanted(true);
    node.gets_entry(b"b", 0);
    node.replica.take_changes();
    node.replica.follow(node.now);
    node.replica.upstream_up(UP, PROTOCOL_VERSION, node.now);
    node.hears(UP, Message::Status(status(2)));
    node.hears(UP, Message::Lineage(first_life()));
    assert!(node.replica.is_connected());
    let lineage = first_life().continued(SECOND_LIFE, 1);
    let at = Version { epoch: SECOND_LIFE, seq: 2 };
    node.gets(SnapshotHead { version: at, lineage, ..head(2, b"ac") }, b"ac");
    let told = node.replica.take_changes();
    let why = told.iter().find_map(|change| match change {
        crate::replication::Change::Jumped { why, .. } => Some(*why),
        _ => None,
    });
    assert_eq!(why, Some(Jump::HistoryLost));
    assert!(matches!(node.reports[..], [Report::HistoryLost { .. }]), "{:?}", node.reports);
}
