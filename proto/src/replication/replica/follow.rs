//! Handling of messages from upstream.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::Replica;
use super::outputs::wake;
use crate::mutant::mutant;
use crate::replication::downstream::Feed;
use crate::replication::upstream::{Forward, Incoming, Upstream};
use crate::replication::{LinkFault, LinkId, Note, Report, Resume, StateMachine};
use crate::wire::{
    Attach, Entries, FLAG_DIGEST, Frame, Message, Outcome, PATCH_HEADER_BYTES,
    PROTOCOL_RESUMES_SNAPSHOTS, Patches, SnapshotHead, Status,
};
use crate::{Claim, Lineage, Version};

/// A snapshot that came whole: to be decoded away from the lock. Nothing else of this link may be
/// received before [`Replica::install`] has been called with what it comes to.
#[derive(Debug)]
pub struct Decode {
    pub(super) head: SnapshotHead,
    pub(super) bytes: Vec<u8>,
    /// True if the digest is needed, to see if anything changed at all.
    digest: bool,
}

/// A decoded snapshot.
pub struct Decoded<S> {
    pub(super) head: SnapshotHead,
    pub(super) bytes: Vec<u8>,
    pub(super) state: S,
    pub(super) digest: Option<u64>,
}

impl Decode {
    /// Decodes, and digests if need be. A panic of the user's deserialiser is an error.
    ///
    /// # Errors
    ///
    /// If the bytes are no state of this store.
    pub fn run<M: StateMachine>(self) -> Result<Decoded<M::State>, LinkFault> {
        catch_unwind(AssertUnwindSafe(|| self.decode::<M>()))
            .unwrap_or_else(|_| Err(LinkFault::Undecodable("it panicked".into())))
    }

    fn decode<M: StateMachine>(self) -> Result<Decoded<M::State>, LinkFault> {
        let state = M::decode_state(&self.bytes).map_err(LinkFault::Undecodable)?;
        let digest = match self.digest {
            true => Some(M::digest_state(&state).map_err(LinkFault::Undecodable)?),
            false => None,
        };
        Ok(Decoded { head: self.head, bytes: self.bytes, state, digest })
    }
}

/// The content of a patch, without its header.
fn content_of(patch: &[u8]) -> &[u8] {
    let content = patch.get(PATCH_HEADER_BYTES..).unwrap_or_default();
    if mutant!(PatchSkipped) { &[] } else { content }
}

/// The result of a received frame.
#[derive(Debug)]
pub enum Received {
    /// All done.
    Done,
    /// A snapshot is whole.
    Decode(Decode),
}

impl<M: StateMachine> Replica<M> {
    /// Asks for the store over a new link to the upstream.
    pub(super) fn attach_to(&mut self, link: LinkId, protocol: u16) {
        let attach = Attach {
            protocol,
            node: self.node,
            store: self.config.store.clone(),
            schema_version: self.config.schema_version,
            codec: self.config.codec,
            resume: (!self.position.lineage.is_empty() && !self.integrity.healing.is_active())
                .then_some(self.position.version),
            partial: self.fetching.partial(),
            takes_patches: self.machine.takes_patches(),
        };
        self.begin_link();
        self.upstream = Some(Upstream::new(link, protocol, attach.resume.is_some(), self.now));
        self.say_upstream(|_| Message::Attach(attach));
    }

    /// Drops a link, and what was on its way over it.
    pub(super) fn end_link(&mut self, link: LinkId) {
        if let Some(upstream) = self.upstream.take_if(|upstream| upstream.link == link) {
            if let Some(incoming) = upstream.incoming {
                self.fetching.keep(incoming);
            }
            self.relayed.requests.forget_all();
        }
        if let Some(downstream) = self.downstreams.remove(&link) {
            self.keep_interrupted(downstream);
            self.relayed.routes.forget(link);
            self.relayed.requests.forget(link);
            self.integrity.healing.forget(link);
            if let Some(upstream) = &mut self.upstream {
                upstream.forget(link);
            }
            self.check_pressure();
            self.drain_local();
        }
    }

    /// Notes that the peer of a link lives.
    pub(super) fn note_heard(&mut self, link: LinkId) {
        if let Some(downstream) = self.downstreams.get_mut(&link) {
            downstream.heard_at = self.now;
        } else if let Some(upstream) = self.upstream.as_mut().filter(|up| up.link == link) {
            upstream.heard_at = self.now;
        }
    }

    /// Takes a frame from whichever side it came.
    pub(super) fn hear(&mut self, link: LinkId, frame: &Frame) -> Result<Received, LinkFault> {
        let message = Message::read(frame)?;
        let is_frequent = message.is_frequent();
        let received = if self.upstream.as_ref().is_some_and(|upstream| upstream.link == link) {
            self.hear_upstream(message)
        } else if self.downstreams.contains_key(&link) {
            self.hear_downstream(link, message).map(|()| Received::Done)
        } else {
            Err(LinkFault::UnknownLink(link))
        };
        self.settle();
        if !is_frequent {
            self.look_ahead();
        }
        received
    }

    fn hear_upstream(&mut self, message: Message) -> Result<Received, LinkFault> {
        let Some(upstream) = &mut self.upstream else { return Ok(Received::Done) };
        upstream.heard_at = self.now;
        if upstream.decoding {
            return Err(LinkFault::Unexpected("a message while a snapshot is being decoded"));
        }
        if upstream.status.is_none() && !matches!(message, Message::Status(_) | Message::Refused(_))
        {
            return Err(LinkFault::Unexpected("a message before its status"));
        }
        match message {
            Message::Status(status) => self.on_status(status)?,
            Message::Refused(refusal) => return Err(LinkFault::Refused(refusal)),
            Message::Lineage(lineage) => self.on_lineage(lineage)?,
            Message::SnapshotHead(head) => return self.on_snapshot_head(head),
            Message::SnapshotChunk(bytes) if upstream.protocol < PROTOCOL_RESUMES_SNAPSHOTS => {
                return self.on_snapshot_bytes(None, &bytes);
            }
            Message::SnapshotPart { offset, bytes }
                if upstream.protocol >= PROTOCOL_RESUMES_SNAPSHOTS =>
            {
                return self.on_snapshot_bytes(Some(offset), &bytes);
            }
            Message::Entries { epoch, first, entries, patches } => {
                if patches.is_some() && !self.machine.takes_patches() {
                    return Err(LinkFault::Unexpected("patches, which it was told are not taken"));
                }
                self.on_entries(epoch, first, &entries, patches.as_ref())?;
            }
            Message::Answers { claim, answers } => self.on_answers(claim, answers),
            Message::SessionOpened { request, claim, at } => {
                self.on_session_opened(request, claim, at);
            }
            Message::Digest { seq, digest } => self.on_digest(seq, digest),
            Message::Credit { bytes } => upstream.credit = upstream.credit.max(bytes),
            Message::Heartbeat { seq } => {
                upstream.newest = Some(seq);
                self.on_heartbeat();
            }
            _ => return Err(LinkFault::Unexpected("a request from upstream")),
        }
        Ok(Received::Done)
    }

    fn on_status(&mut self, status: Status) -> Result<(), LinkFault> {
        if status.path.contains(&self.node) || status.path.len() >= crate::wire::PATH_MAX {
            return Err(LinkFault::Loop(self.node));
        }
        let Some(upstream) = &mut self.upstream else { return Ok(()) };
        let before = upstream.status.replace(status.clone());
        upstream.newest = status.version.map(|version| version.seq).or(upstream.newest);
        let heal = before.is_none()
            && upstream.resumes
            && self.integrity.healing.is_active()
            && !mutant!(HealNotAskedAgain);
        let first = before.is_none();
        let hop_changed = before.as_ref().is_none_or(|before| before.hop != status.hop);
        let was_connected = before.is_some_and(|before| before.connected);
        let kept = upstream.target.is_some() && mutant!(TargetNotRenewed);
        if status.connected && (hop_changed || !was_connected) && !kept {
            upstream.target = status.version;
        }
        if hop_changed {
            upstream.forwards.clear();
            upstream.forwards_bytes = 0;
            self.relayed.requests.forget_all();
            self.hop += u32::from(!mutant!(HopKept));
            if !mutant!(ResendForgotten) {
                self.origin.resend();
            }
        }
        if heal {
            self.say_upstream(|_| Message::Heal { seq: 0 });
        }
        if first && self.fetching.is_asked() {
            self.say_upstream(|_| Message::Fetch);
        }
        self.note_fed_by_snapshots();
        Ok(())
    }

    /// Notes how this node continues after an attach, once it is known.
    fn note_attached(&mut self, resume: Resume, version: Version, bytes: Option<u64>) {
        let Some(upstream) = &mut self.upstream else { return };
        if !std::mem::replace(&mut upstream.noted, true) {
            let link = upstream.link;
            self.note(Note::Attached { link, resume, version, bytes });
        }
    }

    /// Says once that a relay in mode action cannot pass on the actions that it does not get.
    pub(super) fn note_fed_by_snapshots(&mut self) {
        let concerns = self.link_mode() != self.config.mode && !self.downstreams.is_empty();
        if concerns && self.condition.say_fed_by_snapshots() {
            self.report(Report::FedBySnapshots);
        }
    }

    fn on_lineage(&mut self, lineage: Lineage) -> Result<(), LinkFault> {
        let incoming = self.upstream.as_mut().and_then(|upstream| upstream.incoming.as_mut());
        if let Some(incoming) = incoming {
            if !lineage.contains(incoming.head.version) {
                return Err(LinkFault::Lineage(incoming.head.version));
            }
            incoming.head.lineage = lineage;
            return Ok(());
        }
        self.note_attached(Resume::Entries, self.position.version, None);
        self.fetching.drop_partial();
        if self.integrity.healing.is_active() || lineage == self.position.lineage {
            return Ok(());
        }
        if !self.lies_on(&lineage, self.position.version) && !mutant!(StaleEpoch) {
            return Err(LinkFault::Lineage(self.position.version));
        }
        self.adopt(lineage);
        Ok(())
    }

    /// Goes on under another lineage, on which this version lies.
    pub(super) fn adopt(&mut self, lineage: Lineage) {
        let before = std::mem::replace(&mut self.position.lineage, lineage);
        self.count_lives(&before);
        self.position.version = self.version_at(self.position.version.seq);
        self.condition.end_rebase();
        self.retarget();
        self.origin.lineage_changed(&self.position.lineage);
        let message = Message::Lineage(self.position.lineage.clone());
        for (link, downstream) in &mut self.downstreams {
            if downstream.knows_lineage() && !mutant!(LineageUntold) {
                downstream.say(self.channel, &message);
                wake(&mut self.outputs, *link, downstream, self.now);
            } else if downstream.sending().is_some() {
                // A snapshot that was chosen, but not begun, names the lineage of before.
                downstream.feed = Feed::Wanting { min: 0 };
            }
        }
        self.decide_all();
    }

    fn on_snapshot_head(&mut self, head: SnapshotHead) -> Result<Received, LinkFault> {
        let limit = self.config.snapshot_bytes_max;
        if head.len > limit as u64 {
            return Err(LinkFault::SnapshotTooLong { len: head.len, limit });
        }
        if !head.lineage.contains(head.version) {
            return Err(LinkFault::Lineage(head.version));
        }
        self.note_attached(Resume::Snapshot, head.version, Some(head.len));
        let Some(upstream) = &mut self.upstream else { return Ok(Received::Done) };
        upstream.newest = upstream.newest.max(Some(head.version.seq));
        let resumes = upstream.protocol >= PROTOCOL_RESUMES_SNAPSHOTS;
        let resumes = resumes || mutant!(PartOfAnyProtocol);
        let bytes = self.fetching.take_part_of(&head).filter(|_| resumes);
        upstream.incoming = Some(Incoming { head, bytes: bytes.unwrap_or_default() });
        self.on_snapshot_bytes(None, &Bytes::new())
    }

    /// Takes bytes of a snapshot, in order; those at offset 0 begin it anew.
    fn on_snapshot_bytes(
        &mut self,
        offset: Option<u64>,
        bytes: &Bytes,
    ) -> Result<Received, LinkFault> {
        let Some(upstream) = &mut self.upstream else { return Ok(Received::Done) };
        let Some(mut incoming) = upstream.incoming.take() else {
            return Err(LinkFault::Unexpected("a part of a snapshot"));
        };
        if offset == Some(0) {
            incoming.bytes.clear();
        }
        if offset.is_some_and(|offset| offset != incoming.bytes.len() as u64) {
            return Err(LinkFault::Unexpected("a part of a snapshot out of its order"));
        }
        incoming.bytes.extend_from_slice(bytes);
        let (have, len) = (incoming.bytes.len() as u64, incoming.head.len);
        if have > len {
            return Err(LinkFault::Unexpected("more of a snapshot than announced"));
        }
        if have < len {
            upstream.incoming = Some(incoming);
            return Ok(Received::Done);
        }
        if crc32fast::hash(&incoming.bytes) != incoming.head.crc {
            return Err(LinkFault::SnapshotChecksum);
        }
        upstream.decoding = true;
        let Incoming { head, bytes } = incoming;
        let digest = !self.integrity.healing.is_active()
            && head.version == self.position.version
            && self.machine.reduces();
        Ok(Received::Decode(Decode { head, bytes, digest }))
    }

    fn on_entries(
        &mut self,
        epoch: u64,
        first: u64,
        entries: &Bytes,
        patches: Option<&Bytes>,
    ) -> Result<(), LinkFault> {
        if self.upstream.as_ref().is_some_and(|upstream| upstream.incoming.is_some()) {
            return Err(LinkFault::Unexpected("entries inside a snapshot"));
        }
        if self.integrity.healing.is_active() {
            return Ok(());
        }
        if self.position.lineage.head().is_none_or(|head| head.id != epoch) {
            return Err(LinkFault::Epoch);
        }
        let expected = self.position.version.seq + 1;
        if first != expected && !mutant!(SnapshotRaced) {
            return Err(LinkFault::Disorder { expected, got: first });
        }
        let applied = self.apply_entries(entries, patches);
        self.ordered(expected);
        applied
    }

    fn apply_entries(&mut self, entries: &Bytes, patches: Option<&Bytes>) -> Result<(), LinkFault> {
        let mut patches = patches.map(|patches| Patches::new(patches));
        let passes_on = self.link_mode().sends_patches();
        for entry in Entries::new(entries) {
            let entry = entry?;
            let flags = entry.flags & FLAG_DIGEST;
            let patch = patches.as_mut().map(|patches| patches.take(entry.crc)).transpose()?;
            let applied = match patch {
                Some(patch) => self.machine.apply_patch(entry.payload, content_of(patch)),
                None => self.reduce(entry.payload),
            };
            match applied {
                Ok(action) if patch.is_some() => {
                    self.counters.patches_applied += 1;
                    self.commit(&entry, flags, action, patch.filter(|_| passes_on));
                }
                Ok(action) => self.commit_reduced(&entry, flags, action),
                Err(fault) => {
                    let seq = self.position.version.seq + 1;
                    self.report(Report::FailedHere { seq, why: fault.to_string() });
                    self.heal(0);
                    return Ok(());
                }
            }
        }
        match patches.is_none_or(|patches| patches.is_empty()) {
            true => Ok(()),
            false => Err(LinkFault::Unexpected("a patch without an entry")),
        }
    }

    fn on_answers(&mut self, claim: Claim, answers: Vec<crate::wire::Answer>) {
        if self.origin.awaits().is_some_and(|(ours, _)| ours == claim) {
            #[cfg(samestate_mutants)]
            let answers = self.of_any_life(answers);
            let expired = self.origin.answered(claim, answers);
            self.counters.sessions_expired += u64::from(expired);
            #[cfg(samestate_mutants)]
            if mutant!(EarlyAnswer) {
                self.origin.reached_early(&self.position.lineage);
            }
        } else if let Some(link) = self.relayed.routes.of(claim) {
            if answers.iter().any(|answer| answer.outcome != Outcome::Expired) {
                self.relayed.routes.prove(claim);
            }
            self.say(link, &Message::Answers { claim, answers });
        }
    }

    /// Forwards a dispatch of a node further down. Without an upstream the dispatch is dropped,
    /// because its origin sends it again when there is one.
    pub(super) fn forward(&mut self, via: LinkId, claim: Claim, oldest: u64, entries: &[u8]) {
        let Some(upstream) = &mut self.upstream else { return };
        if upstream.status.is_none() {
            return;
        }
        upstream.forwards_bytes += entries.len();
        // Copies, because a slice would keep the whole read buffer.
        let entries = Bytes::copy_from_slice(entries);
        upstream.forwards.push_back(Forward { via, claim, oldest, entries });
    }

    /// Takes the answers of another epoch for answers of this one, as a mutant would.
    #[cfg(samestate_mutants)]
    fn of_any_life(&self, mut answers: Vec<crate::wire::Answer>) -> Vec<crate::wire::Answer> {
        if mutant!(AnswerOfAnyLife) {
            for answer in &mut answers {
                if let crate::wire::Outcome::Applied(version) = &mut answer.outcome {
                    *version = self.version_at(version.seq);
                }
            }
        }
        answers
    }
}
