//! The thread that writes a store's backup.
//!
//! It appends what is due to the journal, syncs it, and tells the store. When the journal has
//! outgrown the state, it holds the state still for a moment and has another thread write a whole
//! backup of it, while records go on into the old journal and into the next one; then both files
//! are replaced.
//!
//! After any call to the disk fails, the end of the journal or its place is unknown, so nothing
//! more is appended to it: the store recovers by a whole backup and a new journal, tried again
//! until both are in place. What the store ordered meanwhile is in its state, and so in that
//! backup. Only where the files for a next whole backup cannot be written does the journal go on.

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use samestate_proto::replication::{Image, Span};
use samestate_proto::with_causes;

use super::journal::Journal;
use super::queue::{JournalQueue, Work};
use super::{Backup, BackupError, BackupFiles};
use crate::event::EventKind;
use crate::task::{self, Panicked};

/// A backup that failed is tried again at least this often.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// The longest time that a closing store waits for a whole backup that is being written.
const DRAFT_WITHIN: Duration = Duration::from_secs(60);

/// A state held still, with what else a backup keeps.
pub(crate) struct Held {
    pub(crate) image: Image,
    /// Encodes the state; for a thread of its own.
    pub(crate) encode: Box<dyn FnOnce() -> Result<Vec<u8>, String> + Send>,
}

/// A store, as the writer of its backup sees it. Never called under a lock of this module.
pub(crate) trait Source: Send + Sync {
    /// Holds the state still. All records up to there are in the inbox, or were. `None`: the state
    /// is not this node's to keep, or is half changed.
    fn hold(&self) -> Option<Held>;

    /// Checks, if it is time to, that the state can be restored from its encoding. An error says
    /// why not: the store has stopped, and nothing more is to be written. `Some`: it is not time
    /// to, but will be then.
    fn check(&self) -> Result<Option<Instant>, String>;

    /// All actions up to `seq` are on disk, and these bytes of records are off the inbox.
    fn committed(&self, seq: u64, bytes: usize);

    /// Reports that the disk stopped taking writes, or takes them again.
    fn stalled(&self, stalled: bool);

    /// Something for the operator.
    fn report(&self, kind: EventKind, text: &str);

    /// The writer of the backup panicked.
    fn failed(&self, panic: &Panicked);
}

/// The state of the backup thread.
pub(crate) struct BackupWriter {
    inbox: Arc<JournalQueue>,
    source: Weak<dyn Source>,
    desk: BackupFiles,
    /// `None`: the disk failed, and a whole backup is needed.
    journal: Option<Journal>,
    whole_bytes: u64,
    journal_bytes_min: u64,
    draft: Option<Draft>,
    retry: Duration,
    retry_at: Option<Instant>,
    /// A check of the state that was put off, of what has been written since the last one.
    check_at: Option<Instant>,
    failures: u32,
    /// The error because of which nothing can be appended, since it was reported to the operator.
    stalled: Option<BackupError>,
    /// The operator was told of something that has not been put right yet.
    told: bool,
}

/// A whole backup that is being written elsewhere.
struct Draft {
    /// The journal behind it, unless that came to nothing.
    next: Result<Journal, BackupError>,
    /// All up to here is in the two.
    seq: u64,
}

impl BackupWriter {
    /// Makes a whole backup of the state with which a store starts, and takes over. The thread ends
    /// when the store is closed or gone.
    pub(crate) fn begin(
        mut desk: BackupFiles,
        backup: &Backup,
        image: &Image,
        state: &[u8],
    ) -> Result<PreparedBackup, BackupError> {
        let (journal, whole_bytes) = desk.begin(image, state, false)?;
        let (journal_bytes_min, retry) = (backup.journal_bytes_min, backup.retry);
        Ok(PreparedBackup { desk, journal, whole_bytes, journal_bytes_min, retry })
    }

    fn run(mut self) {
        loop {
            match self.inbox.next([self.retry_at, self.check_at].into_iter().flatten().min()) {
                Work::Append(records, span) => self.append(&records, span),
                Work::Drafted(outcome) => self.finish_draft(outcome),
                Work::Wake => self.wake(),
                Work::Close(records) => {
                    let outcome = self.close(records);
                    return self.end(outcome);
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

    fn wake(&mut self) {
        let now = Instant::now();
        self.retry_at.take_if(|at| *at <= now);
        if self.check_at.take_if(|at| *at <= now).is_some() {
            // The store reports by itself that its state cannot be restored.
            let _ = self.check();
        }
    }

    /// Checks that what is ordered may be written: the state that it leads to can be restored. A
    /// check that is not due is made later, also if nothing more is written.
    fn check(&mut self) -> Result<(), BackupError> {
        let path = || self.desk.files.whole.clone();
        let checked = self.source.upgrade().map_or(Ok(None), |source| source.check());
        self.check_at = checked.map_err(|why| BackupError::Unrestorable { path: path(), why })?;
        Ok(())
    }

    fn append(&mut self, records: &[u8], span: Span) {
        if self.check().is_err() {
            return;
        }
        if let Some(draft) = &mut self.draft
            && let Ok(next) = &mut draft.next
        {
            // One block is synced before the next is begun: see `journal`.
            let written = next.append(&self.desk.seal, span.before, records);
            match written.and_then(|()| next.sync()) {
                Ok(()) => draft.seq = span.last,
                Err(error) => draft.next = Err(error),
            }
        }
        let mut committed = 0;
        if let Some(journal) = &mut self.journal {
            let written = journal.append(&self.desk.seal, span.before, records);
            match written.and_then(|()| journal.sync()) {
                Ok(()) => committed = span.last,
                Err(error) => self.fail(error),
            }
        }
        self.tell(|source| source.committed(committed, records.len()));
    }

    /// Nothing can be appended any more: says so once, and begins anew later.
    fn fail(&mut self, error: BackupError) {
        self.journal = None;
        if self.stalled.is_none() {
            self.tell(|source| {
                let kind = EventKind::BackupStalled { cause: error.io_kind() };
                let text =
                    format!("{}. It is tried again until it can be written", with_causes(&error));
                source.report(kind, &text);
                source.stalled(true);
            });
        }
        (self.stalled, self.told) = (Some(error), true);
        self.postpone();
    }

    fn postpone(&mut self) {
        let wait = self.retry.saturating_mul(1 << self.failures.min(16)).min(RETRY_MAX);
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
        match self.desk.finish_replacement() {
            // The files are not those that were written here.
            Err(error) => self.fail(error),
            Ok(()) => {
                if let Err(error) = self.try_begin_draft() {
                    self.draft_failed(error);
                }
            }
        }
    }

    fn try_begin_draft(&mut self) -> Result<(), BackupError> {
        let next = self.desk.next_journal()?;
        let Some(held) = self.source.upgrade().and_then(|source| source.hold()) else {
            self.desk.discard();
            self.postpone();
            return Ok(());
        };
        let drafting = self.desk.drafting(next.base());
        let (inbox, path) = (Arc::clone(&self.inbox), self.desk.files.whole.clone());
        let Held { image, encode } = held;
        let seq = image.version.seq;
        let (panicked_inbox, source) = (Arc::clone(&inbox), self.source.clone());
        let panicked = move |panic: &Panicked| {
            panicked_inbox.drafted(Err(BackupError::WriterGone));
            if let Some(source) = source.upgrade() {
                source.report(EventKind::TaskPanicked, &format!("a bug: {panic}"));
            }
        };
        let spawned = task::thread("samestate-backup", panicked, move || {
            let encoded = encode().map_err(|why| BackupError::Unrestorable { path, why });
            inbox.drafted(encoded.and_then(|state| drafting.write(&image, &state, false)));
        });
        let path = self.desk.files.whole.clone();
        spawned.map_err(|source| BackupError::Io { what: "start a writer for", path, source })?;
        self.draft = Some(Draft { next: Ok(next), seq });
        Ok(())
    }

    fn finish_draft(&mut self, outcome: Result<u64, BackupError>) {
        let Some(Draft { next, seq }) = self.draft.take() else { return };
        let (next, bytes) = match next.and_then(|next| outcome.map(|bytes| (next, bytes))) {
            Ok(drafted) => drafted,
            Err(error) => return self.draft_failed(error),
        };
        // Not every system puts a file in the place of one that is open.
        self.journal = None;
        match self.desk.put_in_place(next) {
            Ok(journal) => {
                self.journal = Some(journal);
                (self.whole_bytes, self.retry_at, self.failures) = (bytes, None, 0);
                self.recovered(seq);
            }
            // What lies there is restored in full, but nothing may be appended to it.
            Err(error) => self.fail(error),
        }
    }

    /// The files are whole again, and all up to `seq` is in them.
    fn recovered(&mut self, seq: u64) {
        let (stalled, told) = (self.stalled.take().is_some(), std::mem::take(&mut self.told));
        self.tell(|source| {
            source.committed(seq, 0);
            if stalled {
                source.stalled(false);
            }
            if told {
                let text = "the backup can be written again, and is whole";
                source.report(EventKind::BackupRecovered, text);
            }
        });
    }

    /// A whole backup came to nothing. The one before it and its journal go on, if they can.
    fn draft_failed(&mut self, error: BackupError) {
        self.desk.discard();
        if self.journal.is_none() {
            return self.fail(error);
        }
        // The store reports by itself that its state cannot be restored.
        let known = matches!(error, BackupError::Unrestorable { .. });
        if !known && !std::mem::replace(&mut self.told, true) {
            let kind = EventKind::BackupPostponed { cause: error.io_kind() };
            let text = format!("{}. The journal goes on meanwhile", with_causes(&error));
            self.tell(|source| source.report(kind, &text));
        }
        self.postpone();
    }

    /// Writes the rest, and a whole backup, so that the next start need not replay a journal.
    fn close(&mut self, records: Option<(Vec<u8>, Span)>) -> Result<(), BackupError> {
        if let Some((records, span)) = records {
            self.append(&records, span);
        }
        if self.draft.is_some()
            && let Some(outcome) = self.inbox.until_drafted(DRAFT_WITHIN)
        {
            self.finish_draft(outcome);
        }
        self.check()?;
        let source = self.source.upgrade().filter(|_| self.draft.is_none());
        let Some(held) = source.and_then(|source| source.hold()) else {
            // All that may be written is in the journal, if there is one.
            return match self.journal {
                Some(_) => Ok(()),
                None => Err(self.stalled.take().unwrap_or(BackupError::WriterGone)),
            };
        };
        let path = self.desk.files.whole.clone();
        let state = (held.encode)().map_err(|why| BackupError::Unrestorable { path, why })?;
        self.journal = None;
        self.desk.begin(&held.image, &state, true).map(drop)
    }

    fn end(self, outcome: Result<(), BackupError>) {
        let closing = self.inbox.end();
        let path = self.desk.files.whole.clone();
        drop(self);
        // All who closed the store are told the same.
        let said = outcome.as_ref().err().map(|error| with_causes(error));
        let mut outcome = Some(outcome);
        for closing in closing {
            let again = || match &said {
                None => Ok(()),
                Some(said) => Err(BackupError::Io {
                    what: "close",
                    path: path.clone(),
                    source: io::Error::other(said.clone()),
                }),
            };
            // Who gave up waiting hears of it from the disk's own report.
            let _ = closing.send(outcome.take().unwrap_or_else(again));
        }
    }
}

/// A backup that was begun, and waits for its store.
pub(crate) struct PreparedBackup {
    desk: BackupFiles,
    journal: Journal,
    whole_bytes: u64,
    journal_bytes_min: u64,
    retry: Duration,
}

impl PreparedBackup {
    /// Starts the thread.
    pub(crate) fn keep(
        self,
        inbox: Arc<JournalQueue>,
        source: Weak<dyn Source>,
    ) -> Result<(), BackupError> {
        let path = self.desk.files.whole.clone();
        let keeper = BackupWriter {
            inbox,
            source,
            desk: self.desk,
            journal: Some(self.journal),
            whole_bytes: self.whole_bytes,
            journal_bytes_min: self.journal_bytes_min,
            draft: None,
            retry: self.retry,
            retry_at: None,
            check_at: None,
            failures: 0,
            stalled: None,
            told: false,
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
