//! The fields of a replica that change together.

use crate::replication::healing::Healing;
use crate::replication::requests::Requests;
use crate::replication::restore_check::RestoreCheck;
use crate::replication::routes::Routes;
use crate::replication::verify::Verify;
use crate::{Lineage, Version};

/// The place of the copy in the history of its store.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// The epochs that led here; empty before a sequencer was heard of.
    pub(super) lineage: Lineage,
    /// The version of the copy.
    pub(super) version: Version,
    /// The rolling hash of all actions up to there.
    pub(super) history: u64,
}

/// The checks that the copy is right, and its repair.
#[derive(Debug, Default)]
pub(super) struct Integrity {
    /// The digests of the copy against the sequencer's.
    pub(super) digests: Verify,
    /// The healing of a copy that differs.
    pub(super) healing: Healing,
    /// The check that snapshots can be restored.
    pub(super) restore_check: RestoreCheck,
}

/// The requests of nodes below that were passed on, and the ways back for the answers.
#[derive(Debug)]
pub(super) struct Relayed {
    /// The links over which the answers of sessions go back.
    pub(super) routes: Routes,
    /// The requests for sessions.
    pub(super) requests: Requests,
}

/// Buffers that are kept from one action to the next, to spare their allocation.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// The newest action dispatched here, encoded.
    pub(super) payload: Vec<u8>,
    /// The patch of the newest action that the reducer ran here.
    pub(super) patch: Vec<u8>,
    /// The newest entry made here.
    pub(super) entry: Vec<u8>,
}
