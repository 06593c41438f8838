//! The steps of a store in these tests, and the checks of its backup.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use samestate_proto::replication::StateMachine;

use super::simulated::{FOLDER, Simulated};
use crate::backup::{About, BackupFiles};
use crate::store::ReducerMachine;
use crate::{Backup, BackupError, Codec, DispatchError, Error, Store, create_store};

pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// So soon a backup that failed is tried again.
const RETRY: Duration = Duration::from_millis(1);

pub(super) type List = Store<Vec<u64>, u64>;

pub(super) fn push(list: &mut Vec<u64>, item: &u64) {
    list.push(*item);
}

/// One store over its lives: what it acknowledged, and what may or may not have been applied.
pub(super) struct Life {
    pub(super) disk: Simulated,
    durable: bool,
    journal_bytes_min: u64,
    hangs_after: Duration,
    next: u64,
    acknowledged: Vec<u64>,
    unknown: Vec<u64>,
    told: Arc<Mutex<Vec<String>>>,
    /// The number of openings and closings that failed.
    errors: Cell<usize>,
}

impl Life {
    pub(super) fn new(durable: bool) -> Self {
        Life::on(Simulated::default(), durable)
    }

    pub(super) fn on(disk: Simulated, durable: bool) -> Self {
        let (acknowledged, unknown, told, errors) = Default::default();
        let (journal_bytes_min, hangs_after) = (250, DEADLINE);
        let next = 1;
        Life {
            disk,
            durable,
            journal_bytes_min,
            hangs_after,
            next,
            acknowledged,
            unknown,
            told,
            errors,
        }
    }

    /// The same, after a crash that left this disk.
    pub(super) fn on_another(&self, disk: Simulated) -> Self {
        let (acknowledged, unknown) = (self.acknowledged.clone(), self.unknown.clone());
        Life { next: self.next, acknowledged, unknown, ..Life::on(disk, self.durable) }
    }

    /// The journal is replaced when it is longer than this.
    pub(super) fn journal_bytes_min(mut self, bytes: u64) -> Self {
        self.journal_bytes_min = bytes;
        self
    }

    /// The disk hangs if a call takes this long.
    pub(super) fn hangs_after(mut self, after: Duration) -> Self {
        self.hangs_after = after;
        self
    }

    fn backup(&self) -> Backup {
        let path = Path::new(FOLDER).join("list.backup");
        let backup = Backup::at(path).every_actions(1).journal_bytes_min(self.journal_bytes_min);
        backup.on(Arc::new(self.disk.clone()), RETRY).hangs_after(self.hangs_after)
    }

    /// Holds what is on this disk against what was acknowledged, without a store.
    pub(super) fn check_disk(&self, disk: &Simulated) -> Result<(), BackupError> {
        let backup = self.backup().on(Arc::new(disk.clone()), RETRY);
        let (store, codec) = ("list".into(), Codec::default());
        let (_, restored) = BackupFiles::open(&backup, About { store, schema_version: 1, codec })?;
        let mut machine = ReducerMachine::new(Vec::new(), push, codec);
        if let Some(mut restored) = restored {
            machine.install(restored.decode::<ReducerMachine<Vec<u64>, u64>>()?);
            restored.replay(&mut machine)?;
        }
        self.check(&machine.state());
        Ok(())
    }

    /// Opens the store, and holds its state against what was acknowledged.
    pub(super) fn open(&self) -> crate::Result<List> {
        let told = Arc::clone(&self.told);
        let store =
            create_store("list", push).on_error(move |event| told.lock().push(event.to_string()));
        let store = store.backup(self.backup());
        let store = if self.durable { store.durable().start()? } else { store.start()? };
        self.check(&store.state());
        Ok(store)
    }

    /// Opens the store; where the disk fails just then, that is said, and the next try succeeds.
    pub(super) fn open_at_last(&self) -> List {
        match self.open() {
            Ok(store) => store,
            Err(error) => {
                self.is_clear(&error);
                self.disk.mend();
                self.open().expect("the files are as they were")
            }
        }
    }

    /// An error of the backup that names its file.
    fn is_clear(&self, error: &Error) {
        self.errors.set(self.errors.get() + 1);
        assert!(matches!(error, Error::Backup(_)), "{error}");
        let gone = matches!(error, Error::Backup(BackupError::WriterGone));
        assert!(gone || error.to_string().contains("/data/list.backup"), "{error}");
    }

    /// Checks that the list has every acknowledged item, in order, and no refused one.
    fn check(&self, list: &[u64]) {
        let calls = || self.disk.calls();
        assert!(list.is_sorted_by(|one, next| one < next), "{list:?}");
        let promised = if self.durable { &self.acknowledged[..] } else { &[] };
        for item in promised {
            assert!(list.contains(item), "{item} was acknowledged: {list:?}; {:?}", calls());
        }
        for item in list {
            let known = self.acknowledged.contains(item) || self.unknown.contains(item);
            assert!(known, "{item} was refused: {list:?}");
        }
    }

    /// Dispatches the next item, and notes what became of it.
    pub(super) async fn dispatch(&mut self, store: &List) -> Result<(), DispatchError> {
        let item = self.next;
        self.next += 1;
        let outcome = tokio::time::timeout(DEADLINE, store.dispatch(item)).await;
        match outcome.expect("it resolves in time") {
            Ok(_) => self.acknowledged.push(item),
            Err(DispatchError::OutcomeUnknown) => {
                self.unknown.push(item);
                return Err(DispatchError::OutcomeUnknown);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Dispatches the next item to a store that is not durable, and waits until it is written, or
    /// until the operator is told that it cannot be.
    pub(super) async fn dispatch_and_write(&mut self, store: &List) {
        let calls = self.disk.calls().len();
        self.dispatch(store).await.expect("nothing is promised of the disk");
        let written = || self.disk.calls().len() > calls || !self.told().is_empty();
        until("it is written", written).await;
    }

    /// Dispatches some items. If the disk fails, checks that this was reported and that the store
    /// continues.
    pub(super) async fn dispatch_all(&mut self, store: &List, items: usize) {
        for _ in 0..items {
            if let Err(error) = self.dispatch(store).await {
                let expected =
                    matches!(error, DispatchError::OutcomeUnknown | DispatchError::Stalled);
                assert!(expected, "{error}");
                let told = self.told();
                assert!(told.iter().any(|text| text.contains("tried again")), "{told:?}");
                connected(store).await;
            }
        }
    }

    /// Dispatches some items, until one is not acknowledged. Whether all were.
    pub(super) async fn dispatch_until_it_fails(&mut self, store: &List, items: usize) -> bool {
        for _ in 0..items {
            if self.dispatch(store).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Waits until a first whole backup has been replaced, as it is due after some items, or until
    /// it was reported that it cannot be.
    pub(super) async fn replaced(&self) {
        let renames = || self.disk.calls().iter().filter(|call| call.starts_with("rename")).count();
        until("it is replaced", || renames() >= 4 || self.was_told()).await;
    }

    /// Closes a store; where the disk fails just then, that is said.
    pub(super) async fn close(&self, store: List) -> bool {
        store.close(DEADLINE).await.map_err(|error| self.is_clear(&error)).is_ok()
    }

    /// Ends a store as by `kill -9`.
    pub(super) async fn kill(&mut self, store: List) {
        self.disk = self.disk.taken_over();
        // What it does now is nothing to the disk any more.
        let _ = store.close(DEADLINE).await;
    }

    /// Returns whether a failure of the disk was reported.
    pub(super) fn was_told(&self) -> bool {
        self.errors.get() > 0 || !self.told().is_empty()
    }

    /// All that the operator was told.
    pub(super) fn told(&self) -> Vec<String> {
        self.told.lock().clone()
    }

    /// Returns the number of acknowledged items.
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }
}

pub(super) async fn connected(store: &List) {
    let connected = tokio::time::timeout(DEADLINE, store.until_connected(true));
    connected.await.expect("it goes on by itself");
}

/// Waits for something.
pub(super) async fn until(what: &str, is: impl Fn() -> bool) {
    let waited = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waited).await.unwrap_or_else(|_| panic!("never: {what}"));
}
