//! The recent entries of a store, encoded, bounded in bytes. A link is a cursor over it.

use std::collections::VecDeque;

use crate::mutant::mutant;
use crate::wire::Entry;

/// Entries are kept in runs of about this many bytes, or an eighth of the log, dropped whole.
const SEGMENT_BYTES: usize = 64 << 10;

#[derive(Debug)]
struct Segment {
    /// The seq of the first entry.
    first: u64,
    /// The number of bytes that were appended to the log before it.
    written: u64,
    bytes: Vec<u8>,
    /// The offset of each entry.
    starts: Vec<u32>,
    /// The patches of the entries that have one, in their order.
    patches: Vec<u8>,
    /// The end of each entry's patch in `patches`, if one of them has a patch. It is where the one
    /// before ends if the entry has none.
    patch_ends: Vec<u32>,
}

impl Segment {
    fn new(first: u64, written: u64, room: usize) -> Self {
        let starts = Vec::with_capacity((room / 64).min(512));
        let bytes = Vec::with_capacity(room);
        Segment { first, written, bytes, starts, patches: Vec::new(), patch_ends: Vec::new() }
    }

    fn len(&self) -> usize {
        self.bytes.len() + self.patches.len()
    }

    fn end(&self) -> u64 {
        self.first + self.starts.len() as u64
    }

    /// The offset after the patch of the entry before `index`.
    fn patch_start_of(&self, index: usize) -> usize {
        let before = index.checked_sub(1).and_then(|before| self.patch_ends.get(before));
        before.map_or(0, |end| *end as usize)
    }

    fn has_patch(&self, index: usize) -> bool {
        self.patch_ends.get(index).is_some_and(|end| *end as usize > self.patch_start_of(index))
    }

    fn start_of(&self, index: usize) -> usize {
        self.starts.get(index).map_or(self.bytes.len(), |start| *start as usize)
    }
}

/// Entries `base + 1` to `head`, contiguous.
#[derive(Debug)]
pub struct Log {
    segments: VecDeque<Segment>,
    head: u64,
    bytes: usize,
    bytes_max: usize,
    written: u64,
    held: Option<Held>,
    wanted: bool,
}

/// Entries with their patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patched<'a> {
    /// The entries.
    pub entries: &'a [u8],
    /// The patch of each of them.
    pub patches: &'a [u8],
    /// The seq of the last of them.
    pub last: u64,
}

/// The entries that are kept beyond the log's length, for links that get a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The entries after this seq are kept,
    pub after: u64,
    /// up to so many bytes more.
    pub bytes: usize,
}

impl Log {
    /// Empty, standing at `seq`.
    pub fn new(seq: u64, bytes_max: usize) -> Self {
        let (segments, held) = (VecDeque::new(), None);
        Log { segments, head: seq, bytes: 0, bytes_max, written: 0, held, wanted: false }
    }

    /// Forgets all entries and stands at `seq`.
    pub fn reset(&mut self, seq: u64) {
        self.segments.clear();
        self.bytes = 0;
        self.head = seq;
    }

    /// The seq before the first entry kept.
    pub fn base(&self) -> u64 {
        self.segments.front().map_or(self.head, |segment| segment.first - 1)
    }

    /// The seq of the last entry.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Returns whether a cursor that has read up to `seq` can continue from there.
    pub fn serves(&self, seq: u64) -> bool {
        (self.base()..=self.head).contains(&seq)
    }

    /// Appends an entry, written by `write`, as seq `head + 1`, with its patch if it has one.
    pub fn append(&mut self, patch: Option<&[u8]>, write: impl FnOnce(&mut Vec<u8>)) {
        let seq = self.head + 1;
        if self.segments.back().is_none_or(|last| last.len() >= self.segment_bytes()) {
            let room = self.segment_bytes() + self.segment_bytes().min(1024);
            let segment = Segment::new(seq, self.written, room);
            self.segments.push_back(segment);
        }
        let Some(last) = self.segments.back_mut() else { return };
        let start = last.bytes.len();
        last.starts.push(start as u32);
        write(&mut last.bytes);
        let mut added = last.bytes.len() - start;
        if let Some(patch) = patch {
            last.patch_ends.resize(last.starts.len() - 1, last.patches.len() as u32);
            last.patches.extend_from_slice(patch);
            added += patch.len();
        }
        if patch.is_some() || !last.patch_ends.is_empty() {
            last.patch_ends.push(last.patches.len() as u32);
        }
        self.bytes += added;
        self.written += added as u64;
        self.head = seq;
        self.trim();
    }

    /// Keeps more than the log's length, or no more than that any longer.
    pub fn hold(&mut self, held: Option<Held>) {
        self.held = held;
        self.trim();
    }

    /// Drops what is too long, whole segments from the front; those that are held if they are too
    /// long by more than that.
    fn trim(&mut self) {
        while self.bytes > self.bytes_max && self.segments.len() > 1 {
            let Some(front) = self.segments.front() else { return };
            let is_held = |held: &Held| front.end() > held.after + 1;
            let more = self.held.filter(is_held).map_or(0, |held| held.bytes);
            let twice = if mutant!(LogTwiceAsLong) { 2 } else { 1 };
            if self.bytes <= (self.bytes_max * twice).saturating_add(more) {
                return;
            }
            self.bytes -= front.len();
            self.segments.pop_front();
        }
    }

    fn segment_bytes(&self) -> usize {
        (self.bytes_max / 8).clamp(1, SEGMENT_BYTES)
    }

    /// Keeps entries from here on, because another node follows this one.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Returns whether entries are worth keeping.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Passes over one entry without keeping it, for a node without followers.
    pub fn pass(&mut self) {
        if !self.segments.is_empty() {
            self.reset(self.head);
        }
        self.head += 1;
    }

    /// Returns the number of bytes of the entries that are kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of bytes that may be kept beyond the log's length.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.map_or(0, |held| held.bytes)
    }

    /// Returns the number of bytes that were ever appended.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The bytes of entries after `seq` and up to `until`, whole entries, up to about `budget`
    /// bytes (one entry at least), and the seq of the last of them. `None` if there are none.
    pub fn read(&self, seq: u64, until: u64, budget: usize) -> Option<(&[u8], u64)> {
        if seq >= self.head.min(until) {
            return None;
        }
        let (segment, from) = self.place_after(seq)?;
        let start = segment.start_of(from);
        let fits = segment.starts[from + 1..]
            .partition_point(|next| (*next as usize).saturating_sub(start) <= budget);
        // `fits` counts the starts within the budget; the entry before each of them is whole.
        let mut to = from + fits.max(1);
        if to + 1 == segment.starts.len() && segment.bytes.len() - start <= budget {
            to += 1;
        }
        let until = until.saturating_add(u64::from(mutant!(ReadsOnePast)));
        let to = to.min(usize::try_from(until - segment.first).map_or(to, |last| last + 1));
        let end = segment.start_of(to);
        Some((&segment.bytes[start..end], segment.first + to as u64 - 1))
    }

    /// Returns whether the entry after `seq` has its patch here.
    pub fn has_patch_after(&self, seq: u64) -> bool {
        self.place_after(seq).is_some_and(|(segment, index)| segment.has_patch(index))
    }

    /// The segment of the entry after `seq`, and the index of that entry in it.
    fn place_after(&self, seq: u64) -> Option<(&Segment, usize)> {
        let at = self.segments.partition_point(|segment| segment.end() <= seq + 1);
        let segment = self.segments.get(at)?;
        Some((segment, usize::try_from((seq + 1).checked_sub(segment.first)?).ok()?))
    }

    /// As [`Log::read`], the entries that have a patch and their patches: up to the first that has
    /// none.
    pub fn read_patched(&self, seq: u64, until: u64, budget: usize) -> Option<Patched<'_>> {
        if seq >= self.head.min(until) {
            return None;
        }
        let (segment, from) = self.place_after(seq)?;
        let (start, patch_start) = (segment.start_of(from), segment.patch_start_of(from));
        let fits = |to: &usize| {
            let len =
                segment.start_of(to + 1) - start + segment.patch_start_of(to + 1) - patch_start;
            *to == from || len <= budget
        };
        let last = until.min(segment.end() - 1) - segment.first;
        let indices = from..=usize::try_from(last).ok()?;
        let to = indices.take_while(|to| segment.has_patch(*to) && fits(to)).last()? + 1;
        Some(Patched {
            entries: &segment.bytes[start..segment.start_of(to)],
            patches: &segment.patches[patch_start..segment.patch_start_of(to)],
            last: segment.first + to as u64 - 1,
        })
    }

    /// About how many bytes of entries follow `seq`; exact to a segment.
    pub fn bytes_after(&self, seq: u64) -> usize {
        let at = self.segments.partition_point(|segment| segment.end() <= seq + 1);
        self.segments.get(at).map_or(0, |segment| (self.written - segment.written) as usize)
    }
}

/// The rolling hash of a history, one entry longer.
pub(super) fn rolled(history: u64, entry: &Entry<'_>) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let word = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(K);
    word(word(word(history, entry.session), entry.counter), u64::from(entry.crc))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Entries;

    #[test]
    fn an_empty_log_serves_only_where_it_stands() {
        let log = Log::new(7, 1024);
        assert!(log.serves(7) && !log.serves(6) && !log.serves(8));
        assert_eq!(log.read(7, u64::MAX, 100), None);
    }

    #[test]
    fn what_follows_a_cursor_is_known_to_a_segment_and_nothing_follows_the_last_entry() {
        let mut log = Log::new(0, 80);
        (0..4).for_each(|_| log.append(None, |out| out.resize(out.len() + 10, 0)));
        let after: Vec<_> = (0..=4).map(|seq| log.bytes_after(seq)).collect();
        assert_eq!(after, [40, 30, 20, 10, 0]);
        log.reset(9);
        assert_eq!((log.bytes(), log.bytes_after(9), log.base(), log.head()), (0, 0, 9, 9));
    }

    #[test]
    fn a_cursor_stops_where_it_is_told() {
        let mut log = Log::new(0, usize::MAX);
        (0..10).for_each(|n| log.append(None, |out| out.push(n)));
        assert_eq!(log.read(2, 5, 100), Some((&[2, 3, 4][..], 5)));
        assert_eq!(log.read(5, 5, 100), None);
    }

    #[test]
    fn what_is_held_stays_within_its_bound_and_goes_when_it_is_let_go() {
        let mut log = Log::new(0, 1000);
        log.hold(Some(Held { after: 5, bytes: 4000 }));
        let append = |log: &mut Log, count| {
            (0..count).for_each(|_| log.append(None, |out| out.resize(out.len() + 100, 0)));
        };
        append(&mut log, 40);
        assert!(log.serves(5) && log.bytes() <= 5000, "{}", log.bytes());
        append(&mut log, 40);
        assert!(!log.serves(5) && log.bytes() <= 5000, "{}", log.bytes());
        log.hold(None);
        append(&mut log, 1);
        assert!((700..=1000).contains(&log.bytes()), "{}", log.bytes());
    }

    #[test]
    fn the_rolling_hash_tells_apart_histories_of_the_same_actions() {
        let entry = |out: &mut Vec<u8>, counter| {
            Entry::write(out, 5, counter, 0, b"a");
        };
        let (mut one, mut two) = (Vec::new(), Vec::new());
        entry(&mut one, 1);
        entry(&mut two, 2);
        let [one, two] = [&one, &two].map(|bytes| Entries::first(bytes).expect("it is whole").0);
        assert_ne!(rolled(rolled(0, &one), &two), rolled(rolled(0, &two), &one));
        assert_ne!(rolled(0, &one), rolled(1, &one));
    }

    proptest! {
        #[test]
        fn a_cursor_reads_each_entry_with_its_patch_and_stops_before_one_without(
            patches in prop::collection::vec(prop::option::of(8usize..3000), 1..300),
            budget in 1usize..20_000,
        ) {
            let mut log = Log::new(10, usize::MAX);
            for (n, len) in patches.iter().enumerate() {
                let patch = len.map(|len| vec![n as u8; len]);
                log.append(patch.as_deref(), |out| out.resize(out.len() + n % 500 + 1, n as u8));
            }
            let mut seq = 10;
            while seq < log.head() {
                let Some(read) = log.read_patched(seq, u64::MAX, budget) else {
                    prop_assert!(patches[(seq - 10) as usize].is_none());
                    prop_assert!(!log.has_patch_after(seq));
                    seq += 1;
                    continue;
                };
                prop_assert!(read.last > seq && log.has_patch_after(seq));
                let (mut entries, mut with) = (Vec::new(), Vec::new());
                let range = (seq - 10) as usize..(read.last - 10) as usize;
                for (n, patch) in range.clone().zip(&patches[range]) {
                    entries.resize(entries.len() + n % 500 + 1, n as u8);
                    with.resize(with.len() + patch.unwrap_or_default(), n as u8);
                    prop_assert!(patch.is_some());
                }
                prop_assert_eq!((read.entries, read.patches), (&entries[..], &with[..]));
                let len = entries.len() + with.len();
                prop_assert!(len <= budget || read.last == seq + 1);
                seq = read.last;
            }
            prop_assert_eq!(log.read_patched(seq, u64::MAX, budget), None);
            prop_assert_eq!(log.read_patched(10, 10, budget), None);
        }

        #[test]
        fn a_cursor_reads_every_entry_once_and_in_order(
            sizes in prop::collection::vec(1usize..5000, 1..200),
            budget in 1usize..20_000,
        ) {
            let mut log = Log::new(10, usize::MAX);
            let mut expected = Vec::new();
            for (n, size) in sizes.iter().enumerate() {
                log.append(None, |out| out.resize(out.len() + size, n as u8));
                expected.resize(expected.len() + size, n as u8);
            }
            let (mut seq, mut read) = (10, Vec::new());
            while let Some((bytes, last)) = log.read(seq, u64::MAX, budget) {
                prop_assert!(last > seq);
                let whole: usize = sizes[(seq - 10) as usize..(last - 10) as usize].iter().sum();
                prop_assert_eq!(whole, bytes.len());
                prop_assert!(bytes.len() <= budget || last == seq + 1);
                read.extend_from_slice(bytes);
                seq = last;
            }
            prop_assert_eq!(seq, log.head());
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn a_bounded_log_stays_bounded_and_contiguous(
            sizes in prop::collection::vec(1usize..9000, 1..200),
        ) {
            let mut log = Log::new(0, 200_000);
            for size in sizes {
                log.append(None, |out| out.resize(out.len() + size, 0));
                prop_assert!(log.bytes <= 200_000 + SEGMENT_BYTES);
                prop_assert!(log.read(log.base(), u64::MAX, 1).is_some());
            }
        }
    }
}
