//! A driver that sleeps until something is due, against one that passes the time at every pulse.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// The interval of the ticks: an eighth of a heartbeat.
const PULSE: Duration = Duration::from_micros(62_500);

/// An input, or a turn of the driver.
#[derive(Clone, Debug)]
enum Input {
    Passes(u16),
    Dispatches(u8),
    Sends(LinkId),
    Works,
    GetsEntry,
    GetsHeartbeat,
    GetsAnswer(u8),
    GetsSession,
    IsAskedBy(LinkId),
    HearsOf(LinkId),
    Loses(LinkId),
    Connects,
    Heals,
    Commits,
    Stops,
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let link = prop_oneof![Just(UP), Just(DOWN), Just(OTHER)];
    let below = prop_oneof![Just(DOWN), Just(OTHER)];
    let input = prop_oneof![
        6 => (1..900_u16).prop_map(Input::Passes),
        1 => (1000..7000_u16).prop_map(Input::Passes),
        4 => any::<u8>().prop_map(Input::Dispatches),
        6 => link.clone().prop_map(Input::Sends),
        2 => Just(Input::Works),
        2 => Just(Input::GetsEntry),
        3 => Just(Input::GetsHeartbeat),
        2 => any::<u8>().prop_map(Input::GetsAnswer),
        2 => Just(Input::GetsSession),
        2 => below.clone().prop_map(Input::IsAskedBy),
        4 => link.prop_map(Input::HearsOf),
        1 => below.prop_map(Input::Loses),
        1 => Just(Input::Loses(UP)),
        2 => Just(Input::Connects),
        1 => Just(Input::Heals),
        2 => Just(Input::Commits),
        1 => Just(Input::Stops),
    ];
    proptest::collection::vec(input, 1..120)
}

/// A node, told the time at every pulse or only when something is due.
struct Driven {
    node: Node,
    always: bool,
    next: Duration,
    ticks: usize,
    request: u64,
    /// All that it did, and when.
    log: Vec<String>,
}

impl Driven {
    fn new(durable: Option<bool>, deadline: Duration, always: bool) -> Driven {
        let adjust = |config: &mut Config| {
            config.dispatch_deadline = Some(deadline);
            config.dead_after = Duration::from_secs(4);
            config.log_bytes_max = 600;
            config.catch_up_bytes_max = 300;
        };
        let node = match durable {
            Some(durable) => {
                let mut node = Node::sequencer(adjust);
                node.replica.keep(durable);
                node
            }
            None => Node::attached(b"a", adjust),
        };
        Driven { node, always, next: PULSE, ticks: 0, request: 0, log: Vec::new() }
    }

    fn note(&mut self, what: &str) {
        let node = &mut self.node;
        node.take_outputs();
        let did = (
            std::mem::take(&mut node.woken),
            std::mem::take(&mut node.cut),
            std::mem::take(&mut node.reports),
            std::mem::take(&mut node.resolved),
            node.jobs.len(),
        );
        self.log.push(format!("{:?} {what}: {did:?}", node.now));
    }

    fn passes(&mut self, time: Duration) {
        let until = self.node.now + time;
        while self.next <= until {
            self.node.now = self.next;
            if self.always || self.node.replica.due() <= self.next {
                self.node.replica.tick(self.next);
                self.ticks += 1;
            }
            let did = self.log.len();
            self.note("tick");
            if self.log[did].ends_with(&format!("tick: {:?}", self.idle())) {
                self.log.pop();
            }
            self.next += PULSE;
        }
        self.node.now = until;
    }

    /// The outputs of a tick that did nothing.
    fn idle(&self) -> impl std::fmt::Debug + use<> {
        let none = (Vec::<LinkId>::new(), Vec::<(LinkId, LinkFault)>::new());
        let (reports, resolved) = (Vec::<Report>::new(), Vec::<(u64, Resolution)>::new());
        (none.0, none.1, reports, resolved, self.node.jobs.len())
    }

    fn takes(&mut self, input: &Input) {
        let now = self.node.now;
        let has_up = self.node.replica.upstream.is_some();
        let knows = |node: &Node, link| node.replica.downstreams.contains_key(&link);
        match *input {
            Input::Passes(ms) => self.passes(MS * u32::from(ms)),
            Input::Dispatches(ticket) => {
                let action = [b'x'; 40];
                let dispatched = self.node.replica.dispatch(u64::from(ticket), &action, now);
                self.note(&format!("{dispatched:?}"));
            }
            Input::Sends(link) => {
                let said = self.node.says_up_to(link, 1 << 10);
                let request = said.iter().find_map(|message| match message {
                    Message::SessionOpen { request, .. } => Some(*request),
                    _ => None,
                });
                self.request = request.unwrap_or(self.request);
                self.note(&format!("{said:?}"));
            }
            Input::Works => self.node.works(),
            Input::GetsEntry if has_up && self.node.replica.is_connected() => {
                self.node.gets_entry(b"some action of an entry", 0);
            }
            Input::GetsHeartbeat if has_up => {
                let _ = self.node.hear(UP, Message::Heartbeat { seq: 1 });
            }
            Input::GetsAnswer(counter) if has_up => {
                let outcome = crate::wire::Outcome::Rejected("as it says".into());
                let answer = crate::wire::Answer { counter: u64::from(counter % 16), outcome };
                let answers = vec![answer];
                let _ = self.node.hear(UP, Message::Answers { claim: claim(9), answers });
            }
            Input::GetsSession if has_up => {
                let (request, at) = (self.request, version(1));
                let opened = Message::SessionOpened { request, claim: claim(9), at };
                let _ = self.node.hear(UP, opened);
                let _ = self.node.hear(UP, Message::Credit { bytes: 1 << 20 });
            }
            Input::IsAskedBy(link) if !knows(&self.node, link) => self.node.is_asked(link, None),
            Input::HearsOf(link) => self.node.replica.heard(link, now),
            Input::Loses(link) => self.node.replica.link_down(link, now),
            Input::Connects if !has_up && !self.node.replica.is_sequencer() => {
                self.node.replica.upstream_up(UP, PROTOCOL_VERSION, now);
                let seq = self.node.replica.version().seq;
                self.node.hears(UP, Message::Status(status(seq)));
                self.node.hears(UP, Message::Lineage(first_life()));
            }
            Input::Heals if knows(&self.node, DOWN) => {
                let _ = self.node.hear(DOWN, Message::Heal { seq: 0 });
            }
            Input::Commits => {
                let mut records = Vec::new();
                self.node.replica.take_records(&mut records);
                let seq = self.node.replica.version().seq;
                self.node.replica.committed(seq, records.len(), now);
            }
            Input::Stops if has_up => {
                let bytes = Bytes::from_static(b"part");
                let _ = self.node.hear(UP, Message::SnapshotPart { offset: 9, bytes });
            }
            _ => {}
        }
        self.note("input");
        assert!(self.node.replica.due() <= self.node.replica.next_due(), "{input:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..<_>::default() })]

    /// Compares all outputs, and the instants at which they came.
    #[test]
    fn ticks_when_something_is_due_do_what_ticks_at_every_pulse_do(
        durable in prop_oneof![Just(None), Just(Some(false)), Just(Some(true))],
        deadline in prop_oneof![Just(MS * 200), Just(MS * 3000)],
        inputs in inputs(),
    ) {
        let driven = |always| Driven::new(durable, deadline, always);
        let (mut always, mut due) = (driven(true), driven(false));
        for input in &inputs {
            always.takes(input);
            due.takes(input);
            prop_assert_eq!(&always.log, &due.log, "after {:?}", input);
        }
        prop_assert!(due.ticks <= always.ticks);
    }
}

/// Checks that an idle store wakes up for its heartbeats and no more.
#[test]
fn an_idle_store_is_told_the_time_for_its_heartbeats_only() {
    let mut alone = Driven::new(Some(false), MS * 3000, false);
    alone.passes(Duration::from_secs(60));
    assert!(alone.ticks <= 1, "{} ticks of a store without links", alone.ticks);
    let mut followed = Driven::new(Some(false), MS * 3000, false);
    followed.takes(&Input::IsAskedBy(DOWN));
    for _ in 0..100 {
        let sends = Input::Sends(DOWN);
        for input in [Input::Passes(100), Input::HearsOf(DOWN), Input::Works, sends] {
            followed.takes(&input);
        }
    }
    let beats = followed.log.iter().filter(|line| line.contains("Heartbeat")).count();
    assert!((15..=20).contains(&beats), "{beats} heartbeats in ten seconds");
    assert!(followed.ticks <= beats + 5, "{} ticks for {beats} heartbeats", followed.ticks);
}
