//! Events of a copy and its links that deserve a line in a log: never a single action.

use super::LinkId;
use crate::Version;
use crate::mutant::mutant;

/// The way in which a link continues after an attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// By the entries after the version that the follower has.
    Entries,
    /// By a snapshot.
    Snapshot,
}

/// Something that happened; what is grave comes as a [`super::Report`] instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A link to the upstream or from downstream attached.
    Attached {
        /// The link.
        link: LinkId,
        /// The way in which the link continues.
        resume: Resume,
        /// Entries follow this version; or the snapshot is at it, or later where this node sends
        /// it.
        version: Version,
        /// The length of the snapshot, once it is known.
        bytes: Option<u64>,
    },
    /// A downstream link was slower than the log is long: a snapshot takes the place of entries.
    FellOff {
        /// The link.
        link: LinkId,
        /// The number of entries that the link skips.
        skipped: u64,
    },
    /// This copy is wrong, or may be: it asks its upstream for a snapshot.
    Healing(Version),
    /// A snapshot took the place of the wrong copy.
    Healed {
        /// The version of the copy now.
        version: Version,
        /// The length of the snapshot.
        bytes: u64,
    },
    /// A store that had a history of its own has the first state of the server it follows now.
    Rebased {
        /// The version before.
        from: Version,
        /// The version after.
        to: Version,
    },
}

impl Note {
    /// The link that it is about; otherwise it is about the copy, and the link to the upstream.
    pub fn link(&self) -> Option<LinkId> {
        match self {
            Note::FellOff { .. } if mutant!(FallBelongsToNoLink) => None,
            Note::Attached { link, .. } | Note::FellOff { link, .. } => Some(*link),
            Note::Healing(_) | Note::Healed { .. } | Note::Rebased { .. } => None,
        }
    }
}
