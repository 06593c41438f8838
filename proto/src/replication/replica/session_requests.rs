//! Sessions that are asked for, here and through this node.
//!
//! A relay passes requests on under numbers of its own, so that no node below can take the answer
//! to another's request. Each request names the link over which it came, so that many requests of
//! one node evict none of its neighbours' sessions. Each link may have as many requests at once as
//! a sequencer remembers sessions, and after that a sixteenth of them a second. A request that is
//! dropped here is made again after `dead_after`.

use super::timers::CONTROL_BYTES_MAX;
use super::{Place, Replica};
use crate::mutant::mutant;
use crate::replication::requests::Asked;
use crate::replication::sessions::Holder;
use crate::replication::{LinkId, StateMachine};
use crate::wire::Message;
use crate::{Claim, Version};

/// The number of sessions that a link may request at once, however few the sequencer remembers: a
/// node that lost its session requests another.
const ASKING_MIN: usize = 256;

/// A relay knows the ways back of this many sessions, however few the sequencer remembers: also
/// one that expired there has an answer to get.
const ROUTES_MIN: usize = 4096;

impl<M: StateMachine> Replica<M> {
    pub(super) fn on_session_open(&mut self, link: LinkId, hop: u32, request: u64) {
        if hop != self.hop {
            self.counters.stale_hops += 1;
            return;
        }
        let ahead = mutant!(SessionAheadOfDisk);
        let at = if ahead { self.position.version } else { self.shown_version() };
        if let Place::Sequencer { sessions, key, .. } = &mut self.place {
            let epoch_id = self.position.lineage.head().map_or(0, |epoch| epoch.id);
            let claim = sessions.issue(epoch_id, Holder::new(link, request), key);
            if let Some(keeping) = self.keeping.as_mut().filter(|_| !mutant!(IssuedSessionNotKept))
            {
                keeping.session(claim.session, &sessions.row(claim.session));
            }
            self.say(link, &Message::SessionOpened { request, claim, at });
            return;
        }
        self.ask_upstream(link, request);
    }

    fn ask_upstream(&mut self, link: LinkId, theirs: u64) {
        let room = self.upstream.as_ref().is_some_and(|upstream| {
            upstream.status.is_some() && upstream.control.len() < CONTROL_BYTES_MAX
        });
        let (now, at_once) = (self.now, self.config.sessions_max.max(ASKING_MIN));
        let Some(downstream) = self.downstreams.get_mut(&link) else { return };
        if !downstream.asking.may(now, at_once) {
            self.counters.requests_dropped += 1;
            return;
        }
        if !room {
            return;
        }
        let number = self.relayed.requests.pass_on(Asked { via: link, number: theirs });
        let request = Holder::branch(link) | u64::from(number);
        self.say_upstream(|hop| Message::SessionOpen { hop, request });
    }

    pub(super) fn on_session_opened(&mut self, request: u64, claim: Claim, at: Version) {
        if self.origin.session_opened(request, claim, at) {
            return;
        }
        let Some(Asked { via, number }) = self.relayed.requests.take(request as u32) else {
            return;
        };
        self.learn_route(claim, via);
        self.relayed.routes.prove(claim);
        self.say(via, &Message::SessionOpened { request: number, claim, at });
    }

    pub(super) fn learn_route(&mut self, claim: Claim, link: LinkId) {
        self.relayed.routes.learn(claim, link, self.config.sessions_max.max(ROUTES_MIN));
    }
}
