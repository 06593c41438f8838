//! Sessions that are read from a file, which may say anything.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Session, Sessions};

/// The sessions as they are kept on disk.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    table: BTreeMap<u64, Session>,
    clock: u64,
    issued: u64,
    capacity: usize,
    window: usize,
}

/// Clocks beyond this are not believed, so that a clock never overflows.
const CLOCK_MAX: u64 = u64::MAX / 2;

impl From<Kept> for Sessions {
    /// Keeps the order in which the sessions were last used, and its numbers where they are
    /// credible: ascending, and far from an overflow.
    fn from(kept: Kept) -> Self {
        let Kept { table, clock, issued, capacity, window } = kept;
        let mut sessions = Sessions { table, issued, ..Sessions::new(capacity, window) };
        let mut by_use: Vec<_> = sessions.table.iter_mut().collect();
        by_use.sort_by_key(|(session, row)| (row.used, **session));
        let ascending = by_use.is_sorted_by(|before, after| before.1.used < after.1.used);
        let newest = by_use.last().map_or(0, |(_, row)| row.used).max(clock);
        let credible = ascending && newest <= CLOCK_MAX;
        sessions.clock = if credible { newest } else { by_use.len() as u64 };
        for (place, (session, row)) in (1..).zip(by_use) {
            row.used = if credible { row.used } else { place };
            sessions.by_holder.entry(row.holder).or_default().insert(row.used, *session);
        }
        sessions
    }
}
