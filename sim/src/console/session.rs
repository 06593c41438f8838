//! Execution of commands.

use std::sync::Arc;
use std::time::Duration;

use samestate::Untyped;
use samestate::{DispatchError, Subscription, UntypedStore, Version};
use samestate_proto::with_causes;
use samestate_report::{printable_json, printable_line};
use serde_json::Value;
use tokio::sync::watch;

use super::command::Command;
use super::paint::Paint;
use super::part::Part;
use super::screen::Screen;
use crate::streams::note;

/// The longest time that a session which ends waits until the changes that it watches are shown.
const SHOWN_WITHIN: Duration = Duration::from_secs(1);

/// An attached console.
pub(crate) struct Session {
    store: UntypedStore,
    address: String,
    screen: Screen,
    paint: Paint,
    pretty: bool,
    /// The longest time that a command may take.
    patience: Duration,
    watching: Option<Watching>,
}

struct Watching {
    shown: watch::Receiver<u64>,
    _subscription: Subscription,
}

/// The result of a command.
pub(super) enum Outcome {
    Silent,
    Text(String),
    /// The line was understood, and came to nothing.
    Failed(String),
    /// The line means nothing; the help follows.
    Unknown(String),
    Exit,
}

impl Session {
    /// `pretty`: states on many lines. `colours`: changes in colour.
    pub(crate) fn new(
        store: UntypedStore,
        address: String,
        screen: Screen,
        pretty: bool,
        colours: bool,
        patience: Duration,
    ) -> Self {
        let paint = Paint { colours };
        Session { store, address, screen, paint, pretty, patience, watching: None }
    }

    pub(super) fn store(&self) -> &UntypedStore {
        &self.store
    }

    pub(super) fn screen(&self) -> &Screen {
        &self.screen
    }

    /// Does what a line says.
    pub(super) async fn obey(&mut self, line: &str) -> Outcome {
        match Command::parse(line) {
            Ok(Command::Nothing) => Outcome::Silent,
            Ok(Command::Help) => Outcome::Text(super::command::HELP.trim_end().to_owned()),
            Ok(Command::Print(part)) => self.print(&part).await,
            Ok(Command::Dispatch(action)) => self.dispatch(action).await,
            Ok(Command::Watch(on)) => self.watch(on),
            Ok(Command::Status) => Outcome::Text(self.status()),
            Ok(Command::Exit) => Outcome::Exit,
            Err(error) => Outcome::Unknown(with_causes(&error)),
        }
    }

    async fn print(&self, part: &Part) -> Outcome {
        let fetched = match tokio::time::timeout(self.patience, self.store.fetch()).await {
            Ok(Ok(fetched)) => Ok(fetched),
            Ok(Err(DispatchError::NotConnected)) => self.last_known(),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("the state did not come within {:?}", self.patience)),
        };
        let (_, state) = match fetched {
            Ok(fetched) => fetched,
            Err(why) => return Outcome::Failed(why),
        };
        match part.of(&state.0) {
            Ok(part) => Outcome::Text(self.json(part)),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// While the server is away its last state can still be read.
    fn last_known(&self) -> Result<(Version, Arc<Untyped>), String> {
        let known = self.store.newest().ok_or("not connected, and no state has come yet")?;
        note!("not connected: the last state that came is of {}", known.0);
        Ok(known)
    }

    fn json(&self, value: &Value) -> String {
        let json = if self.pretty { format!("{value:#}") } else { value.to_string() };
        printable_json(&json).into_owned()
    }

    async fn dispatch(&self, action: Value) -> Outcome {
        match self.store.dispatch(action).await {
            Ok(version) => Outcome::Text(format!("applied at {version}")),
            Err(error) => {
                let error_text = error.to_string();
                let (why, advice) = (printable_line(&error_text), self.advice(&error));
                Outcome::Failed(format!("{why}{advice}"))
            }
        }
    }

    fn advice(&self, error: &DispatchError) -> String {
        match error {
            DispatchError::NotConnected => {
                "; it was not applied. `status` says when the server is back".into()
            }
            DispatchError::OutcomeUnknown => {
                format!(", for no answer came within {:?}; `P` shows the state", self.patience)
            }
            _ => String::new(),
        }
    }

    fn watch(&mut self, on: bool) -> Outcome {
        if !on {
            self.watching = None;
            return Outcome::Text("watch is off".into());
        }
        if self.watching.is_none() {
            let (told, shown) = watch::channel(0);
            let (screen, paint, store) = (self.screen.clone(), self.paint, self.store.clone());
            let subscription = self.store.subscribe(move |change| {
                screen.say(paint.change(change, || store.newest()));
                told.send_replace(change.to().seq);
            });
            self.watching = Some(Watching { shown, _subscription: subscription });
        }
        Outcome::Text("watch is on".into())
    }

    fn status(&self) -> String {
        let store = &self.store;
        let roles: Vec<_> = store.roles().iter().map(ToString::to_string).collect();
        let connected = if store.is_connected() { "yes" } else { "no, trying again" };
        let fetched = |(at, _)| format!("of {at}, the last that was fetched");
        let state = store.newest().map_or_else(|| "none yet".into(), fetched);
        format!(
            "store      {}\nserver     {}\nrole       {}\nconnected  {connected}\nversion    {}\n\
             state      {state}",
            printable_line(store.name()),
            printable_line(&self.address),
            roles.join(", "),
            store.version(),
        )
    }

    /// Ends the session, once what it watches is shown.
    pub(super) async fn end(self) {
        if let Some(mut watching) = self.watching {
            let newest = self.store.version().seq;
            let caught_up = watching.shown.wait_for(|shown| *shown >= newest);
            // One that began to watch after the last change has nothing to wait for.
            let _ = tokio::time::timeout(SHOWN_WITHIN, caught_up).await;
        }
        // Nothing of this process is under way any more.
        let _ = self.store.close(SHOWN_WITHIN).await;
    }
}
