//! The store of a program as the node sees it: one store among others.

use std::ops::Range;
use std::sync::Arc;

use samestate::{ClientConfig, DispatchError, ServerConfig};
use samestate_proto::Version;
use serde_bytes::ByteBuf;

use super::super::canonical;
use super::super::ids::{Id, Series};
use super::super::messages::{OfStore, ToProgram};
use super::super::process::beginning;
use super::{Answer, ProgramStore, Resolved, STATE_MAX, version};
use crate::control::{ControlError, now_ns};
use crate::load::{Held, HeldState, Reducer, encode};
use crate::measure::Outcome;
use crate::node::NodeError;
use crate::node::clock::Stop;
use crate::node::open_loop::Shift;
use crate::node::store::{AnyStore, Boxed, LANES, Listening, Place, Target, load};
use crate::record::{FinalState, Recorder, Source, StoreDelta};

impl<R: Reducer> Target<R> for ProgramStore<R> {
    type Answer = Answer;

    const IN_ORDER: bool = false;

    fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    fn version(&self) -> Version {
        version(self.told.lock().position)
    }

    fn dispatch(&self, place: Place, action: R::Action) -> Answer {
        self.send(self.id(place), &action)
    }

    fn answered(answer: &Answer) -> Option<&Resolved> {
        answer.0.as_ref().err()
    }

    async fn dispatch_many(&self, first: Place, actions: Vec<R::Action>) -> Vec<Resolved> {
        let places = (first.n..).step_by(LANES as usize).map(|n| Place { n, ..first });
        let answers = places.zip(actions).map(|(place, action)| self.dispatch(place, action));
        let mut resolved = Vec::new();
        for answer in answers.collect::<Vec<_>>() {
            resolved.push(answer.await);
        }
        resolved
    }

    fn ready(&self) -> Boxed<'_, ()> {
        let mut connected = self.connected.subscribe();
        Box::pin(async move {
            // The sender lives as long as the store.
            let _ = connected.wait_for(|connected| *connected).await;
        })
    }

    /// Every action of a load has a form in JSON.
    fn tell_if_invalid(&self, _result: &Resolved) {}
}

impl<R: Reducer> AnyStore for Arc<ProgramStore<R>> {
    fn name(&self) -> &str {
        &self.name
    }

    fn synced(&self) -> Boxed<'_, ()> {
        Box::pin(self.program.ready())
    }

    fn begun(&self) -> bool {
        self.told.lock().position > 0
    }

    fn load(&self, shift: Shift, stop: &Arc<Stop>) -> std::io::Result<()> {
        load(self, shift, stop)
    }

    fn stands_still(&self, spans: &[Range<u64>]) {
        self.recorder.stands_still(spans.to_vec());
    }

    fn ready(&self) -> Boxed<'_, ()> {
        Target::ready(&**self)
    }

    fn serve(&self, _server: ServerConfig) -> Boxed<'_, samestate::Result<()>> {
        // It listens by itself, where `init` says.
        Box::pin(std::future::ready(Ok(())))
    }

    fn follow(&self, _client: ClientConfig) -> samestate::Result<()> {
        Ok(()) // such an event is refused before the run
    }

    fn begin(&self) -> Boxed<'_, Result<(), DispatchError>> {
        Box::pin(async move {
            for (n, action) in (0..).zip(&self.opening) {
                let issued_ns = now_ns();
                self.recorder.issued(Source::Opening, 1);
                let id = Id { series: Series::Opening { incarnation: self.incarnation }, n };
                let result = self.send(id, action).await;
                let payload = encode(action).ok();
                let made = (issued_ns, issued_ns);
                Target::record(&**self, Source::Opening, made, &result, payload.as_deref());
                result?;
            }
            Ok(())
        })
    }

    fn final_state(&self) -> Boxed<'_, Result<FinalState, NodeError>> {
        Box::pin(async move {
            let failed = |why: String| {
                NodeError::Program(format!("its program's store `{}` {why}", self.name))
            };
            let Some((at, value)) = self.state().await else {
                let seconds = STATE_MAX.as_secs();
                return Err(failed(format!("sent no state within {seconds} s of being asked")));
            };
            let digest = canonical::digest(&value);
            let state: R::State = serde_json::from_value(value).map_err(|error| {
                let reducer = R::INFO.name;
                let why = beginning(&error.to_string());
                failed(format!("has a state that is none of the reducer `{reducer}`: {why}"))
            })?;
            let bytes = ByteBuf::from(encode(&state).map_err(ControlError::from)?);
            Ok(FinalState { version: at, digest, bytes })
        })
    }

    fn take(&self, state: Option<FinalState>) -> StoreDelta {
        let mut told = self.told.lock();
        if state.is_some() {
            let vanished = told.under_way.values().filter(|entry| entry.accepted).count();
            if vanished > 0 && *self.connected.borrow() {
                self.recorder.vanished(vanished as u64);
            }
            // In the history itself the ledger of the root counts them.
            if let (Some((id, position)), None) = (told.twice.first, &told.actions) {
                self.recorder.twice(told.twice.count, &format!("`{id}` as number {position}"));
            }
        }
        let (version, connected) = (version(told.position), *self.connected.borrow());
        StoreDelta {
            state,
            ..self.recorder.take().into_delta(version, connected, told.seen.take())
        }
    }

    fn sample_digest(&self) {
        if !self.program.is_ready() {
            return;
        }
        let mut told = self.told.lock();
        let at = version(told.position);
        let turn = &mut told.digest;
        let now = now_ns();
        if turn.never || turn.asked_ns.is_some() || now < turn.next_ns || turn.last == Some(at) {
            return;
        }
        turn.asked_ns = Some(now);
        drop(told);
        self.program.tell(ToProgram::Digest(OfStore { store: self.name.to_string() }));
    }

    fn on_change(&self, call: Box<dyn Fn(u64) + Send + Sync>) -> Listening {
        let mut changed = self.changed.subscribe();
        let task = tokio::spawn(async move {
            while changed.changed().await.is_ok() {
                let at_ns = *changed.borrow_and_update();
                call(at_ns);
            }
        });
        Box::new(AbortOnDrop(task))
    }

    fn check_subscriber(&self) -> Listening {
        Box::new(()) // a program has no subscribers
    }

    fn held(&self) -> Boxed<'_, Option<Box<dyn HeldState>>> {
        Box::pin(async move {
            let (_, value) = self.state().await?;
            let state: R::State = serde_json::from_value(value).ok()?;
            let held: Box<dyn HeldState> = Box::new(Held::<R>::new(Arc::new(state)));
            Some(held)
        })
    }

    fn mirror(&self, serialised: Vec<u8>, told_ns: u64) -> Boxed<'static, Outcome> {
        let Some(action) = R::mirroring(serialised) else {
            // Validation refuses mirrors into such stores.
            return Box::pin(std::future::ready(Outcome::Rejected));
        };
        let issued_ns = now_ns();
        self.recorder.issued(Source::Mirror, 1);
        let n = {
            let mut told = self.told.lock();
            told.mirrored += 1;
            told.mirrored
        };
        let series = Series::Mirror { node: self.node_number, incarnation: self.incarnation };
        let id = Id { series, n };
        let dispatching = self.send(id, &action);
        let me = Arc::clone(self);
        Box::pin(async move {
            let result = dispatching.await;
            let made = (told_ns, issued_ns);
            let named = id.to_string();
            Target::record(&*me, Source::Mirror, made, &result, Some(named.as_bytes()))
        })
    }
}

/// A task that ends when this is dropped.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
