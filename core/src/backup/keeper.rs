//! The thread that writes a store's backup.
//!
//! It appends what is due to the journal, syncs it, and tells the store. When the journal has
//! outgrown the state, it holds the state still for a moment and has another thread write a whole
//! backup of it, while records go on into the old journal and into the next one; then both files
//! are replaced.
//!
//! When the disk takes nothing, the end of the journal is not known any more, so nothing is
//! appended to it: the way back is a whole backup and a new journal, tried again until there is
//! room. What the store ordered meanwhile is in its state, and so in that backup.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::inbox::{Closing, Inbox, Work};
use super::journal::Journal;
use super::{Backup, BackupError, Desk};
use crate::replication::{Image, Span};
use crate::task::{self, Panicked};

/// How soon a backup that failed is tried again, first and at most.
const RETRY: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// How long a store that closes waits for a whole backup that is being written.
const DRAFT_WITHIN: Duration = Duration::from_secs(60);

/// A state held still, with what else a backup keeps.
pub(crate) struct Held {
    pub(crate) image: Image,
    /// Encodes the state; for a thread of its own.
    pub(crate) encode: Box<dyn FnOnce() -> Result<Vec<u8>, String> + Send>,
}

/// A store, as the writer of its backup sees it. Never called under a lock of this room.
pub(crate) trait Source: Send + Sync {
    /// Holds the state still. All records up to there are in the inbox, or were. `None`: the state
    /// is not this node's to keep, or is half changed.
    fn hold(&self) -> Option<Held>;

    /// All actions up to `seq` are on disk, and these bytes of records are off the inbox.
    fn committed(&self, seq: u64, bytes: usize);

    /// Whether the disk takes anything.
    fn stalled(&self, stalled: bool);

    /// Something for the operator.
    fn report(&self, text: &str);

    /// The writer of the backup panicked.
    fn failed(&self, panic: &Panicked);
}

/// What the thread works with.
pub(crate) struct Keeper {
    inbox: Arc<Inbox>,
    source: Weak<dyn Source>,
    desk: Desk,
    /// `None`: the disk failed, and a whole backup is needed.
    journal: Option<Journal>,
    whole_bytes: u64,
    journal_bytes_min: u64,
    draft: Option<Draft>,
    retry_at: Option<Instant>,
    failures: u32,
}

/// A whole backup that is being written elsewhere.
struct Draft {
    /// The journal behind it; `None` if it came to nothing.
    next: Option<Journal>,
    /// All up to here is in the two.
    seq: u64,
}

impl Keeper {
    /// Makes a whole backup of where a store's life begins, and takes over. The thread ends when
    /// the store is closed or gone.
    pub(crate) fn begin(
        mut desk: Desk,
        backup: &Backup,
        image: &Image,
        state: &[u8],
    ) -> Result<Beginning, BackupError> {
        let (journal, whole_bytes) = desk.begin(image, state)?;
        let journal_bytes_min = backup.journal_bytes_min;
        Ok(Beginning { desk, journal, whole_bytes, journal_bytes_min })
    }

    fn run(mut self) {
        loop {
            match self.inbox.next(self.retry_at) {
                Work::Append(records, span) => self.append(&records, span),
                Work::Drafted(outcome) => self.finish_draft(outcome),
                Work::Retry => self.retry_at = None,
                Work::Close(records, closing) => {
                    let outcome = self.close(records);
                    return self.end(outcome, closing);
                }
            }
            if self.wants_draft() {
                self.begin_draft();
            }
        }
    }

    fn tell(&self, tell: impl FnOnce(&dyn Source)) {
        if let Some(source) = self.source.upgrade() {
            tell(&*source);
        }
    }

    fn append(&mut self, records: &[u8], span: Span) {
        if let Some(draft) = &mut self.draft
            && let Some(next) = &mut draft.next
        {
            // One block is synced before the next is begun: see `journal`.
            let written = next.append(&self.desk.seal, span.before, records);
            match written.and_then(|()| next.sync()) {
                Ok(()) => draft.seq = span.last,
                Err(_) => draft.next = None,
            }
        }
        let mut committed = 0;
        if let Some(journal) = &mut self.journal {
            let written = journal.append(&self.desk.seal, span.before, records);
            match written.and_then(|()| journal.sync()) {
                Ok(()) => committed = span.last,
                Err(error) => self.fail(&error),
            }
        }
        self.tell(|source| source.committed(committed, records.len()));
    }

    /// The disk takes nothing: says so once.
    fn fail(&mut self, error: &BackupError) {
        if self.journal.take().is_some() {
            self.tell(|source| {
                source.report(&format!("{error}. It is tried again until it can be written"));
                source.stalled(true);
            });
        }
        self.postpone();
    }

    fn postpone(&mut self) {
        let wait = RETRY.saturating_mul(1 << self.failures.min(16)).min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(Instant::now() + wait);
    }

    fn wants_draft(&self) -> bool {
        let outgrown = self
            .journal
            .as_ref()
            .is_none_or(|journal| journal.bytes() > self.whole_bytes.max(self.journal_bytes_min));
        outgrown && self.draft.is_none() && self.retry_at.is_none()
    }

    fn begin_draft(&mut self) {
        if let Err(error) = self.try_begin_draft() {
            self.draft_failed(&error);
        }
    }

    fn try_begin_draft(&mut self) -> Result<(), BackupError> {
        let id = self.desk.new_id()?;
        let next = Journal::create(&self.desk.files.journal_new, id)?;
        let Some(held) = self.source.upgrade().and_then(|source| source.hold()) else {
            self.postpone();
            return Ok(());
        };
        let drafting = self.desk.drafting(id);
        let (inbox, path) = (Arc::clone(&self.inbox), self.desk.files.whole.clone());
        let Held { image, encode } = held;
        let seq = image.version.seq;
        let (panicked_inbox, source) = (Arc::clone(&inbox), self.source.clone());
        let panicked = move |panic: &Panicked| {
            panicked_inbox.drafted(Err(BackupError::WriterGone));
            if let Some(source) = source.upgrade() {
                source.report(&format!("a bug: {panic}"));
            }
        };
        let spawned = task::thread("samestate-backup", panicked, move || {
            let encoded = encode().map_err(|why| BackupError::Unencodable { path, why });
            inbox.drafted(encoded.and_then(|state| drafting.write(&image, &state)));
        });
        let path = self.desk.files.whole.clone();
        spawned.map_err(|source| BackupError::Io { what: "start a writer for", path, source })?;
        self.draft = Some(Draft { next: Some(next), seq });
        Ok(())
    }

    fn finish_draft(&mut self, outcome: Result<u64, BackupError>) {
        let Some(Draft { next, seq }) = self.draft.take() else { return };
        let Some(next) = next else {
            self.desk.discard();
            return self.postpone();
        };
        let recovered = self.journal.is_none();
        let placed = outcome.and_then(|bytes| {
            // Not every system puts a file in the place of one that is open.
            self.journal = None;
            let journal = self.desk.put_in_place(next);
            journal.map(|journal| (journal, bytes)).inspect_err(|error| {
                // What lies there is a whole backup and a journal that do not fail a restore, but
                // nothing may be appended to either.
                self.fail(error);
            })
        });
        match placed {
            Ok((journal, bytes)) => {
                self.journal = Some(journal);
                (self.whole_bytes, self.retry_at, self.failures) = (bytes, None, 0);
                self.tell(|source| {
                    source.committed(seq, 0);
                    if recovered {
                        source.stalled(false);
                        source.report("the backup can be written again, and is whole");
                    }
                });
            }
            Err(error) => self.draft_failed(&error),
        }
    }

    /// A whole backup came to nothing. The one before it and its journal go on, if they can.
    fn draft_failed(&mut self, error: &BackupError) {
        if self.journal.is_some() && self.failures == 0 {
            self.tell(|source| source.report(&format!("{error}. The journal goes on meanwhile")));
        }
        self.desk.discard();
        self.postpone();
    }

    /// Writes the rest, and a whole backup if there is a journal: the next life need not replay it.
    fn close(&mut self, records: Option<(Vec<u8>, Span)>) -> Result<(), BackupError> {
        if let Some((records, span)) = records {
            self.append(&records, span);
        }
        if self.draft.is_some()
            && let Some(outcome) = self.inbox.until_drafted(DRAFT_WITHIN)
        {
            self.finish_draft(outcome);
        }
        if self.draft.is_some() && self.journal.is_none() {
            return Err(BackupError::WriterGone);
        }
        let stale = self.journal.as_ref().is_none_or(|journal| !journal.is_empty());
        let held = self.source.upgrade().filter(|_| stale && self.draft.is_none());
        let Some(held) = held.and_then(|source| source.hold()) else { return Ok(()) };
        let path = self.desk.files.whole.clone();
        let state = (held.encode)().map_err(|why| BackupError::Unencodable { path, why })?;
        self.journal = None;
        self.desk.begin(&held.image, &state).map(drop)
    }

    fn end(self, outcome: Result<(), BackupError>, closing: Option<Closing>) {
        self.inbox.end();
        let Keeper { desk, .. } = self;
        drop(desk);
        if let Some(closing) = closing {
            let _ = closing.send(outcome);
        }
    }
}

/// A backup that was begun, and waits for its store.
pub(crate) struct Beginning {
    desk: Desk,
    journal: Journal,
    whole_bytes: u64,
    journal_bytes_min: u64,
}

impl Beginning {
    /// Starts the thread.
    pub(crate) fn keep(
        self,
        inbox: Arc<Inbox>,
        source: Weak<dyn Source>,
    ) -> Result<(), BackupError> {
        let path = self.desk.files.whole.clone();
        let keeper = Keeper {
            inbox,
            source,
            desk: self.desk,
            journal: Some(self.journal),
            whole_bytes: self.whole_bytes,
            journal_bytes_min: self.journal_bytes_min,
            draft: None,
            retry_at: None,
            failures: 0,
        };
        let (inbox, source) = (Arc::clone(&keeper.inbox), keeper.source.clone());
        let panicked = move |panic: &Panicked| {
            inbox.break_off();
            if let Some(source) = source.upgrade() {
                source.failed(panic);
            }
        };
        let started = task::thread("samestate-journal", panicked, move || keeper.run());
        started.map_err(|source| BackupError::Io { what: "start a writer for", path, source })
    }
}
