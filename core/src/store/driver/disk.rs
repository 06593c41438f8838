//! A store and the disk of its backup: a disk that hangs is reported, and does not hold up the end
//! of the store.

use std::time::{Duration, Instant};

use crate::backup::{BackupError, DiskNews, Hang, Source};
use crate::event::EventKind;
use crate::link::LinkEndpoint;
use crate::store::driver::shared::Shared;
use crate::store::driver::trace;
use crate::store::reducer::machine::{Action, State};

/// A store that closes looks at the disk this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl<S: State, A: Action> Shared<S, A> {
    /// Reports that the disk hangs, or that it answers again, once each. Returns when to look
    /// again; `None` for a store without a disk.
    pub(crate) fn watch_disk(&self) -> Option<Instant> {
        let inbox = self.inbox.lock().clone()?;
        if let Some(news) = inbox.disk().news() {
            self.report_disk(news);
        }
        Some(inbox.disk().next_look())
    }

    fn report_disk(&self, news: DiskNews) {
        trace::disk_hangs(self.name(), matches!(news, DiskNews::Hangs(_)));
        let (kind, text) = match news {
            DiskNews::Hangs(Hang { what, path, waited }) => {
                let text = format!(
                    "the disk hangs: it has taken {waited:.1?} to {what} `{}`, and nothing of the \
                     backup is written until it answers",
                    path.display()
                );
                (EventKind::DiskHangs { path, waited }, text)
            }
            DiskNews::Answers(after) => {
                let text = format!("the disk answers again, after {after:.1?}");
                (EventKind::DiskAnswers { after }, text)
            }
        };
        Source::report(self, kind, &text);
    }

    /// Ends the backup: all that was ordered is on disk when this returns. A disk that hangs is
    /// waited for until then; `None`: for as long as it takes.
    pub(crate) async fn end_backup(&self, until: Option<Instant>) -> Result<(), BackupError> {
        let Some(inbox) = self.inbox.lock().clone() else { return Ok(()) };
        let Some(mut ended) = inbox.close() else { return Ok(()) };
        loop {
            if let Ok(ended) = tokio::time::timeout(LOOK_EVERY, &mut ended).await {
                return ended.unwrap_or(Err(BackupError::WriterGone));
            }
            self.watch_disk();
            if until.is_some_and(|until| until <= Instant::now())
                && let Some(Hang { what, path, waited }) = inbox.disk().hang()
            {
                return Err(BackupError::DiskHangs { what, path, waited });
            }
        }
    }
}
