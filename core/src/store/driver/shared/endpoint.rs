//! The side of a store that connections see: frames in, frames out, and links that begin and end.

use std::fmt::Display;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use samestate_proto::replication::{LinkFault, LinkId, Received};
use samestate_proto::wire::Frame;
use samestate_proto::{Lineage, Version, with_causes};

use super::{Inner, Shared};
use crate::event::{Event, EventKind};
use crate::link::{LinkEndpoint, LinkHandle, Setback, Side};
use crate::store::reducer::machine::{Action, ReducerMachine, State};
use crate::store::serve::attachments;
use crate::task::{BoxFuture, words_of};

impl<S: State, A: Action> LinkEndpoint for Shared<S, A> {
    fn channel(&self) -> u32 {
        self.channel
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }

    fn up(&self, link: LinkId, side: Side, protocol: u16, handle: Arc<dyn LinkHandle>) {
        self.handles.lock().insert(link, handle);
        if side == Side::Upstream {
            // It is reached now. What was wrong with this store may still be.
            self.setback.send_if_modified(|setback| {
                let reached = matches!(setback, Some(Setback::Unreachable(_)));
                setback.take_if(|_| reached).is_some()
            });
        }
        self.with(|inner, now| match side {
            Side::Upstream => inner.replica.upstream_up(link, protocol, now),
            Side::Downstream => inner.replica.downstream_up(link, now),
        });
    }

    fn receive(&self, link: LinkId, frame: &Frame) -> Result<(), LinkFault> {
        match self.with(|inner, now| inner.replica.receive(link, frame, now))? {
            Received::Done => Ok(()),
            Received::Decode(decode) => {
                let decoded = decode.run::<ReducerMachine<S, A>>();
                let installed = self.with(|inner, now| inner.replica.install(link, decoded, now));
                self.installed.notify_waiters();
                installed
            }
        }
    }

    fn heard(&self, link: LinkId) {
        self.with(|inner, now| inner.replica.heard(link, now));
    }

    fn fill(&self, link: LinkId, out: &mut Vec<u8>, budget: usize) {
        self.with(|inner, now| inner.replica.fill(link, out, budget, now));
    }

    fn down(&self, link: LinkId) {
        self.with(|inner, now| inner.replica.link_down(link, now));
        // Under one lock, so that a total counts the traffic of the link exactly once.
        let mut handles = self.handles.lock();
        let ended = handles.remove(&link);
        if let Some(ended) = &ended {
            self.ended.lock().add(&**ended);
        }
        drop(handles);
    }

    fn set_back(&self, why: Setback) {
        self.setback.send_replace(Some(why));
    }

    fn lineage(&self) -> Option<(bool, Lineage)> {
        let both = |inner: &mut Inner<S, A>| {
            (inner.replica.is_sequencer(), inner.replica.lineage().clone())
        };
        Some(self.with(|inner, _| both(inner))).filter(|(_, lineage)| !lineage.is_empty())
    }

    fn promote(&self) -> BoxFuture<Result<Version, String>> {
        let upkeep = self.attachments.get().and_then(Weak::upgrade);
        let both = self.me().upgrade().zip(upkeep);
        Box::pin(async move {
            let (shared, upkeep) = both.ok_or_else(|| "it is being closed".to_owned())?;
            attachments::promote(&shared, &upkeep).await.map_err(|error| with_causes(&error))
        })
    }

    fn lost(&self) {
        self.set_back(Setback::upstream_gone());
        self.with(|inner, now| inner.replica.orphan(now));
        self.room.notify_waiters();
    }

    fn report(&self, kind: EventKind, text: &str) {
        let (store, node, text) = (self.name.clone(), self.node, text.to_owned());
        let event = Event { store, node, kind, text };
        let on_error = Arc::clone(&self.on_error.lock());
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| on_error(&event))) {
            // Where else could it be said?
            let why = words_of(&*panic);
            to_stderr(&event);
            to_stderr(&format_args!("`on_error` of store `{}` panicked: {why}", self.name));
        }
    }
}

/// Writes a report to standard error; a stream that is full or closed loses it.
pub(crate) fn to_stderr(text: &dyn Display) {
    let _ = std::io::stderr().write_all(format!("samestate: {text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use tracing::Span;

    use super::*;
    use crate::create_store;
    use crate::link::Meter;

    struct Idle(Meter);

    impl LinkHandle for Idle {
        fn wake(&self) {}

        fn cut(&self, _: LinkFault) {}

        fn meter(&self) -> &Meter {
            &self.0
        }
    }

    /// Checks that a link says that the upstream is reached, and nothing of what was wrong with the
    /// store.
    #[tokio::test]
    async fn a_link_clears_a_setback_by_which_the_upstream_was_not_reached_alone() {
        let unreachable = Setback::Unreachable("no route".to_owned());
        for (setback, kept) in [(unreachable, false), (Setback::upstream_gone(), true)] {
            let store = create_store("sum", |sum: &mut i64, by: &i64| *sum += by);
            let store = store.open().await.expect("it opens");
            store.shared.follow();
            store.shared.set_back(setback);
            let meter = Meter::new("the server".to_owned(), Side::Upstream, Span::none());
            let protocol = samestate_proto::wire::PROTOCOL_VERSION;
            store.shared.up(LinkId(1 << 40), Side::Upstream, protocol, Arc::new(Idle(meter)));
            assert_eq!(store.shared.setback.borrow().is_some(), kept);
        }
    }
}
