//! Handling of messages from downstream, and the cursors that feed the links.

use std::sync::Arc;

use super::order::OF_ANOTHER_SESSION;
use super::outputs::wake;
use super::{Place, Replica};
use crate::Mode;
use crate::mode::Next;
use crate::mutant::mutant;
use crate::replication::downstream::{Copied, Downstream, Feed, Snapshot};
use crate::replication::{Counters, LinkFault, LinkId, Note, Output, Report, Resume, StateMachine};
use crate::wire::{
    Attach, Entries, Message, PROTOCOL_RESUMES_SNAPSHOTS, Refusal, RefusalKind, Versions,
    begin_frame, finish_frame,
};
use crate::{Claim, Version};

/// One frame of entries holds about this many bytes.
const ENTRIES_BYTES: usize = 64 << 10;

/// One frame of a snapshot holds this many bytes. What a link that breaks off had of a frame is
/// lost.
const PART_BYTES: usize = 16 << 10;

/// A link with this many bytes of answers unsent is cut.
pub(super) const CONTROL_BYTES_LIMIT: usize = 8 << 20;

impl<M: StateMachine> Replica<M> {
    /// Expects a request for the store over a new link.
    pub(super) fn expect_attach(&mut self, link: LinkId) {
        self.log.want();
        self.begin_link();
        self.downstreams.insert(link, Downstream::new(self.link_mode(), self.now));
        self.note_fed_by_snapshots();
    }

    pub(super) fn hear_downstream(
        &mut self,
        link: LinkId,
        message: Message,
    ) -> Result<(), LinkFault> {
        let Some(downstream) = self.downstreams.get_mut(&link) else { return Ok(()) };
        downstream.heard_at = self.now;
        let attaching = matches!(message, Message::Attach(_));
        if downstream.attached() == attaching {
            return Err(LinkFault::Unexpected(match attaching {
                true => "a second request for the store",
                false => "a message before it asked for the store",
            }));
        }
        if downstream.control.len() > CONTROL_BYTES_LIMIT {
            return Err(LinkFault::Unexpected("more requests than it reads answers to"));
        }
        match message {
            Message::Attach(attach) => self.on_attach(link, attach),
            Message::Detach => self.link_down(link, self.now),
            Message::SessionOpen { hop, request } => self.on_session_open(link, hop, request),
            Message::Dispatch { hop, claim, oldest, entries } => {
                // Who has no credit left sends nothing; the last frame may exceed it.
                if downstream.received >= downstream.granted {
                    return Err(LinkFault::Unexpected("dispatches beyond its credit"));
                }
                if entries.is_empty() {
                    return Err(LinkFault::Unexpected("a dispatch of nothing"));
                }
                downstream.received += entries.len() as u64;
                if hop != self.hop && !mutant!(SessionGap) {
                    self.counters.stale_hops += 1;
                } else if matches!(self.place, Place::Sequencer { .. }) {
                    self.order_batch(link, claim, oldest, &entries)?;
                } else {
                    all_of(claim, &entries)?;
                    if self.relayed.routes.of(claim).is_none() || !mutant!(RouteNotRenewed) {
                        self.learn_route(claim, link);
                    }
                    self.forward(link, claim, oldest, &entries);
                }
                self.grant(link);
            }
            Message::Heal { seq } => self.on_heal(link, seq),
            Message::Fetch => self.on_fetch(link),
            Message::Heartbeat { .. } => {}
            _ => return Err(LinkFault::Unexpected("an answer from downstream")),
        }
        Ok(())
    }

    fn on_attach(&mut self, link: LinkId, attach: Attach) {
        let refusal = self.refusal_of(&attach);
        let (mut status, decided) = (self.status(), !self.position.lineage.is_empty());
        let Some(downstream) = self.downstreams.get_mut(&link) else { return };
        if let Some(refusal) = refusal {
            downstream.feed = Feed::Silent;
            downstream.say(self.channel, &Message::Refused(refusal.clone()));
            self.outputs.push(Output::Report(Report::Refuses(refusal)));
        } else {
            downstream.node = Some(attach.node);
            downstream.takes_patches = attach.takes_patches;
            status.mode = status.mode.towards(attach.takes_patches);
            downstream.mode = status.mode;
            downstream.protocol = attach.protocol;
            downstream.feed = Feed::Undecided { resume: attach.resume, partial: attach.partial };
            downstream.say(self.channel, &Message::Status(status));
        }
        wake(&mut self.outputs, link, downstream, self.now);
        if decided {
            self.decide(link);
        }
        self.grant(link);
    }

    fn refusal_of(&self, attach: &Attach) -> Option<Refusal> {
        let config = &self.config;
        let differs = |what: &str, theirs: String, ours: String| {
            format!("store `{}`: {what} {theirs} at the client, {ours} at the server", config.store)
        };
        let (kind, text) = if !Versions::OURS.contains(attach.protocol) {
            let theirs = format!("version {}", attach.protocol);
            let text = differs("protocol", theirs, Versions::OURS.to_string());
            (RefusalKind::Protocol, text + "; run the same release on both")
        } else if attach.store != config.store {
            let text = format!("store `{}` is not served here", attach.store);
            (RefusalKind::Store, text)
        } else if attach.schema_version != config.schema_version {
            let (theirs, ours) = (attach.schema_version, config.schema_version);
            let text = differs("schema_version", theirs.to_string(), ours.to_string());
            let hint = "; upgrade the older program, or give the new shape a store of its own name";
            (RefusalKind::Schema, text + hint)
        } else if attach.codec != config.codec {
            let (theirs, ours) = (format!("{:?}", attach.codec), format!("{:?}", config.codec));
            (RefusalKind::Codec, differs("codec", theirs, ours))
        } else if attach.node == self.node || self.upper_path().contains(&attach.node) {
            let text = format!("a loop: this node follows node {}", attach.node);
            (RefusalKind::Loop, text)
        } else {
            return None;
        };
        Some(Refusal { kind, text })
    }

    /// Decides what an attached link gets first: entries from where it stands, or a snapshot.
    fn decide(&mut self, link: LinkId) {
        let head = self.position.version.seq;
        let serves = |version: Version| {
            let stale = mutant!(StaleEpoch) && version.seq <= head;
            let ours = self.lies_on(&self.position.lineage, version)
                && (version.seq <= head || !self.is_sequencer());
            ours || stale
        };
        let beside_snapshot = self.snapshots.cutting().is_some() || self.snapshots_sending() > 0;
        let Some(downstream) = self.downstreams.get(&link) else { return };
        let Feed::Undecided { resume, partial } = downstream.feed else { return };
        let mode = downstream.mode;
        let goes_on = resume.filter(|version| {
            serves(*version) && mode.goes_on(version.seq, self.log.serves(version.seq), head)
        });
        let partial = partial.filter(|_| goes_on.is_none());
        let resumable = partial.and_then(|partial| {
            let snapshot = self.resumable(&partial, mode)?;
            Some((snapshot, usize::try_from(partial.have).ok()?))
        });
        let lineage = Message::Lineage(self.position.lineage.clone());
        let late = mutant!(ResumeOffByOne);
        let Some(downstream) = self.downstreams.get_mut(&link) else { return };
        match (goes_on, resumable) {
            (Some(version), _) => {
                self.counters.resumed += 1;
                self.counters.resumed_beside_snapshot += u64::from(beside_snapshot);
                downstream.cursor = version.seq + u64::from(late && version.seq < head);
                downstream.feed = Feed::Cursor;
                downstream.say(self.channel, &lineage);
            }
            (None, Some((snapshot, offset))) => {
                self.counters.snapshots_resumed += 1;
                downstream.resynced = snapshot.head.version.seq;
                downstream.feed = Feed::Sending { snapshot, offset, begun: false };
            }
            (None, None) => downstream.feed = Feed::Wanting { min: 0 },
        }
        wake(&mut self.outputs, link, downstream, self.now);
        let resume = if goes_on.is_some() { Resume::Entries } else { Resume::Snapshot };
        let version = goes_on.unwrap_or(self.position.version);
        self.note(Note::Attached { link, resume, version, bytes: None });
    }

    /// Decides for all that attached before this node had a lineage.
    pub(super) fn decide_all(&mut self) {
        let undecided = |feed: &Feed| matches!(feed, Feed::Undecided { .. });
        let waiting = self.downstreams.iter().filter(|link| undecided(&link.1.feed));
        for link in waiting.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.decide(link);
        }
    }

    pub(super) fn say(&mut self, link: LinkId, message: &Message) {
        if let Some(downstream) = self.downstreams.get_mut(&link) {
            downstream.say(self.channel, message);
            wake(&mut self.outputs, link, downstream, self.now);
        }
    }

    /// Writes what goes over a link next.
    pub(super) fn write_next(&mut self, link: LinkId, out: &mut Vec<u8>, budget: usize) {
        if self.upstream.as_ref().is_some_and(|upstream| upstream.link == link) {
            self.fill_upstream(link, out, budget);
            return;
        }
        let Some(mut downstream) = self.downstreams.remove(&link) else { return };
        let start = out.len();
        let was_full = downstream.control.len() >= super::timers::CONTROL_BYTES_MAX;
        let Counters { snapshots_forced, entries_skipped, .. } = self.counters;
        let sent = downstream.sending().map(Arc::as_ptr);
        let was_cursor = matches!(downstream.feed, Feed::Cursor);
        out.append(&mut downstream.control);
        let controls = out.len();
        while out.len() - start < budget && self.feed(&mut downstream, out, budget) {}
        if out.len() > controls {
            downstream.moved_at = self.now;
        }
        downstream.carried += (out.len() - start) as u64;
        downstream.awake = out.len() > start;
        if downstream.awake {
            downstream.sent_at = self.now;
        } else {
            self.sleepers = true;
        }
        let caught_up = downstream.copy.is_some() && self.has_caught_up(&downstream);
        if caught_up {
            downstream.copy = None;
        }
        let is_cursor = matches!(downstream.feed, Feed::Cursor);
        let idle_at = downstream.sent_at.saturating_add(self.heartbeat_down());
        let holds = caught_up || downstream.sending().map(Arc::as_ptr) != sent;
        self.downstreams.insert(link, downstream);
        if holds {
            self.hold_log();
        }
        if self.counters.snapshots_forced > snapshots_forced {
            let skipped = self.counters.entries_skipped - entries_skipped;
            self.note(Note::FellOff { link, skipped });
        }
        if was_full {
            self.grant(link);
        }
        if self.pressure.is_on() {
            self.relieve();
        }
        self.due_by(idle_at);
        if !was_cursor || !is_cursor {
            self.look_ahead();
        }
    }

    /// Writes the next frame of a link's feed; false if there is none.
    fn feed(&mut self, downstream: &mut Downstream, out: &mut Vec<u8>, budget: usize) -> bool {
        match &mut downstream.feed {
            Feed::Silent | Feed::Undecided { .. } => false,
            Feed::Wanting { min } => {
                let min = *min;
                let Some(snapshot) = self.usable(downstream.mode, min) else {
                    if let Some(text) = self.unsendable() {
                        let text = format!("store `{}`: {text}", self.config.store);
                        let refusal = Refusal { kind: RefusalKind::State, text };
                        Message::Refused(refusal).write(out, self.channel);
                        downstream.feed = Feed::Silent;
                        return true;
                    }
                    self.cut();
                    return false;
                };
                let seq = snapshot.head.version.seq;
                if seq > self.shown() && !mutant!(SnapshotBeforeDisk) {
                    return false;
                }
                if downstream.fetching && self.write_entries(downstream, seq, out, budget) {
                    return true;
                }
                self.send_snapshot(downstream, snapshot);
                true
            }
            Feed::Sending { snapshot, offset, begun } => {
                if std::mem::replace(begun, true) {
                    write_part(self.channel, downstream.protocol, snapshot, offset, out);
                } else {
                    Message::SnapshotHead(snapshot.head.clone()).write(out, self.channel);
                }
                if *offset == snapshot.bytes.len() {
                    let seq = snapshot.head.version.seq;
                    let mode = downstream.mode;
                    downstream.cursor = mode.cursor_after_snapshot(seq, |seq| self.log.serves(seq));
                    if mode.reads_log() {
                        downstream.copy = Some(Copied::new(snapshot));
                    }
                    downstream.feed = Feed::Cursor;
                    self.wake_wanting();
                }
                true
            }
            Feed::Cursor => match downstream.mode.next(downstream.cursor, self.shown()) {
                Next::Entries => self.feed_entries(downstream, out, budget),
                Next::Snapshot { min } if !self.position.lineage.is_empty() => {
                    downstream.feed = Feed::Wanting { min };
                    true
                }
                Next::Snapshot { .. } | Next::Nothing => false,
            },
        }
    }

    fn feed_entries(
        &mut self,
        downstream: &mut Downstream,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> bool {
        let cursor = downstream.cursor;
        // A snapshot of an older epoch would take back the lineage that was announced.
        let ahead = |resync: &&Arc<Snapshot>| {
            let seq = resync.head.version.seq;
            let ours = resync.head.lineage.head() == self.position.lineage.head();
            ours && seq >= cursor && seq > downstream.resynced
        };
        let resync = self.snapshots.resync().filter(ahead);
        if let Some(resync) = resync.filter(|resync| resync.head.version.seq == cursor) {
            let snapshot = Arc::clone(resync);
            self.counters.resyncs += 1;
            self.send_snapshot(downstream, snapshot);
            return true;
        }
        let shown =
            if mutant!(EntriesBeforeDisk) { self.position.version.seq } else { self.shown() };
        if cursor >= self.log.head().min(shown) {
            return false;
        }
        if !self.log.serves(cursor) {
            self.counters.snapshots_forced += 1;
            self.counters.entries_skipped += self.log.base() - cursor;
            self.note_fell_off(downstream);
            downstream.copy = None;
            downstream.feed = Feed::Wanting { min: cursor };
            return true;
        }
        if downstream.mode.sends_patches() && !self.log.has_patch_after(cursor) {
            if mutant!(MissingPatchPassed) {
                downstream.cursor += 1;
                return true;
            }
            self.counters.patches_too_large += 1;
            downstream.feed = Feed::Wanting { min: cursor + 1 };
            return true;
        }
        let until = resync.map_or(shown, |resync| resync.head.version.seq.min(shown));
        self.write_entries(downstream, until, out, budget)
    }

    /// Writes a frame of entries after the cursor, none of them after `until`; false if there are
    /// none, or not any more.
    fn write_entries(
        &self,
        downstream: &mut Downstream,
        until: u64,
        out: &mut Vec<u8>,
        budget: usize,
    ) -> bool {
        let cursor = downstream.cursor;
        if cursor >= until || !downstream.mode.reads_log() || !self.log.serves(cursor) {
            return false;
        }
        let budget = budget.min(ENTRIES_BYTES);
        let epoch = self.position.lineage.head().map_or(0, |epoch| epoch.id);
        if downstream.mode.sends_patches() {
            let Some(read) = self.log.read_patched(cursor, until, budget) else { return false };
            let frame = begin_frame(out, self.channel, Message::PATCHED_ENTRIES);
            Message::write_patched(out, epoch, cursor + 1, read.entries, read.patches);
            finish_frame(out, frame);
            downstream.cursor = read.last;
            return true;
        }
        let Some((entries, last)) = self.log.read(cursor, until, budget) else { return false };
        let frame = begin_frame(out, self.channel, Message::ENTRIES);
        out.extend_from_slice(&epoch.to_le_bytes());
        out.extend_from_slice(&(cursor + 1).to_le_bytes());
        out.extend_from_slice(entries);
        finish_frame(out, frame);
        downstream.cursor = last;
        true
    }

    fn send_snapshot(&mut self, downstream: &mut Downstream, snapshot: Arc<Snapshot>) {
        self.counters.snapshots_sent += 1;
        downstream.resynced = snapshot.head.version.seq;
        downstream.fetching = false;
        downstream.feed = Feed::Sending { snapshot, offset: 0, begun: false };
    }

    /// The shared snapshot, if it will do.
    fn usable(&self, mode: Mode, min: u64) -> Option<Arc<Snapshot>> {
        let current = self.snapshots.newest()?;
        let new = current.head.version.seq >= min;
        (new && self.will_do(current, mode)).then(|| Arc::clone(current))
    }

    /// Returns whether what is left for a link is no more than any link may be behind.
    fn has_caught_up(&self, downstream: &Downstream) -> bool {
        let behind = self.log.bytes_after(downstream.cursor);
        matches!(downstream.feed, Feed::Cursor) && behind <= self.config.log_bytes_max / 2
    }
}

/// Checks dispatches before they are forwarded, as the sequencer will: the sequencer would cut this
/// node's link for an invalid one, and with it all other nodes behind this node.
fn all_of(claim: Claim, entries: &[u8]) -> Result<(), LinkFault> {
    for entry in Entries::new(entries) {
        if entry?.session != claim.session {
            return Err(LinkFault::Unexpected(OF_ANOTHER_SESSION));
        }
    }
    Ok(())
}

/// Writes the next bytes of a snapshot. From version 2 of the protocol they say where they belong;
/// that they are undamaged, the frame's checksum says.
fn write_part(
    channel: u32,
    protocol: u16,
    snapshot: &Snapshot,
    offset: &mut usize,
    out: &mut Vec<u8>,
) {
    let end = (*offset + PART_BYTES).min(snapshot.bytes.len());
    let frame = if protocol < PROTOCOL_RESUMES_SNAPSHOTS {
        begin_frame(out, channel, Message::SNAPSHOT_CHUNK)
    } else {
        let frame = begin_frame(out, channel, Message::SNAPSHOT_PART);
        out.extend_from_slice(&(*offset as u64).to_le_bytes());
        frame
    };
    out.extend_from_slice(&snapshot.bytes[*offset..end]);
    finish_frame(out, frame);
    *offset = end;
}
