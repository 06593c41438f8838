//! Several stores on one connection, and workers.

use std::process::Command;
use std::sync::atomic::Ordering;

use samestate_proto::replication::{LinkFault, LinkId};
use samestate_proto::wire::{Message, channel_of};

use super::*;
use crate::link::ipc::{End, IpcLink, inherited, spawn_worker};

/// A master and a worker in one process.
struct Pair {
    above: Arc<StoreRegistry>,
    below: Arc<StoreRegistry>,
    to_worker: IpcLink,
    to_master: IpcLink,
}

impl Pair {
    fn new() -> Self {
        let (up, down) = End::pair().expect("a pair");
        let (above, below) = (StoreRegistry::all(), StoreRegistry::all());
        let to_worker = IpcLink::to_worker(up, 1, above.clone());
        let to_master = IpcLink::to_master(down, below.clone());
        Pair { above, below, to_worker, to_master }
    }

    fn open_above(&self, name: &str) -> (Arc<FakePort>, Events) {
        open(&self.above, name)
    }

    fn open_below(&self, name: &str) -> (Arc<FakePort>, Events) {
        open(&self.below, name)
    }
}

fn open(ports: &StoreRegistry, name: &str) -> (Arc<FakePort>, Events) {
    let (port, events) = FakePort::new(name);
    ports.register(port.clone()).expect("is new");
    (port, events)
}

/// Says something from above and waits until it arrives below.
async fn carries(above: &FakePort, link: LinkId, at_below: &mut Events, seq: u64) {
    above.say(link, &Message::Heartbeat { seq });
    while at_below.heard().await.1 != (Message::Heartbeat { seq }) {}
}

#[tokio::test]
async fn stores_opened_at_any_time_and_in_any_order_find_each_other() {
    let pair = Pair::new();
    let (_first, mut at_first) = pair.open_below("first");
    at_first.up().await;
    let (first_above, mut at_first_above) = pair.open_above("first");
    let (link, attach) = at_first_above.heard().await;
    assert!(matches!(attach, Message::Attach(_)), "the first message waited for its store");
    carries(&first_above, link, &mut at_first, 1).await;

    let (second_above, mut at_second_above) = pair.open_above("second");
    let (_second, mut at_second) = pair.open_below("second");
    let (link, _) = at_second_above.heard().await;
    carries(&second_above, link, &mut at_second, 2).await;
}

#[tokio::test]
async fn a_store_that_waits_for_its_master_may_say_that_it_lives() {
    let pair = Pair::new();
    let (_first_above, mut at_first_above) = pair.open_above("first");
    let (first, mut at_first) = pair.open_below("first");
    let (late, mut at_late) = pair.open_below("late");
    let (first_link, late_link) = (at_first.up().await, at_late.up().await);
    at_first_above.heard().await;
    late.say(late_link, &Message::Heartbeat { seq: 0 });
    tokio::task::yield_now().await;
    first.say(first_link, &Message::Heartbeat { seq: 1 });
    at_first_above.heard().await;
    let (late_above, mut at_late_above) = pair.open_above("late");
    let (link, attach) = at_late_above.heard().await;
    assert!(matches!(attach, Message::Attach(_)), "{attach:?}");
    carries(&late_above, link, &mut at_late, 2).await;
}

#[tokio::test]
async fn a_store_that_leaves_its_master_leaves_the_others_alone() {
    let pair = Pair::new();
    let (leaving_above, mut at_leaving_above) = pair.open_above("leaving");
    let (staying_above, mut at_staying_above) = pair.open_above("staying");
    let (_leaving, mut at_leaving) = pair.open_below("leaving");
    let (_staying, mut at_staying) = pair.open_below("staying");
    let (leaving_link, _) = at_leaving_above.heard().await;
    let (staying_link, _) = at_staying_above.heard().await;
    leaving_above.endless.store(true, Ordering::Relaxed);
    carries(&leaving_above, leaving_link, &mut at_leaving, 1).await;

    assert!(pair.below.unregister(channel_of("leaving")));
    at_leaving.down().await;
    assert_eq!(at_leaving_above.down().await, leaving_link);
    carries(&staying_above, staying_link, &mut at_staying, 2).await;

    leaving_above.endless.store(false, Ordering::Relaxed);
    let (_back, mut at_back) = pair.open_below("leaving");
    let (link, _) = at_leaving_above.heard().await;
    carries(&leaving_above, link, &mut at_back, 3).await;
}

#[tokio::test]
async fn a_store_closed_above_is_waited_for_below() {
    let pair = Pair::new();
    let (_first, mut at_first) = pair.open_above("tasks");
    let (below, mut at_below) = pair.open_below("tasks");
    at_first.heard().await;
    let before = at_below.up().await;
    below.say(before, &Message::Heal { seq: 1 });
    assert!(pair.above.unregister(channel_of("tasks")));
    at_first.down().await;
    assert_eq!(at_below.down().await, before);
    let after = at_below.up().await;
    let (second, mut at_second) = pair.open_above("tasks");
    let (link, attach) = at_second.heard().await;
    assert!(matches!(attach, Message::Attach(_)), "{attach:?}");
    carries(&second, link, &mut at_below, 1).await;
    assert_ne!(before, after);
}

#[tokio::test]
async fn a_store_that_its_master_refuses_leaves_the_others_alone() {
    let pair = Pair::new();
    let (refusing, mut at_refusing) = pair.open_above("refused");
    refusing.refuses.store(true, Ordering::Relaxed);
    let (served_above, mut at_served_above) = pair.open_above("served");
    let (_refused, mut at_refused) = pair.open_below("refused");
    let (_served, mut at_served) = pair.open_below("served");
    let report = at_refused.report("another shape").await;
    assert!(report.contains("\"refused\"") && report.contains("the master"), "{report}");
    at_refusing.down().await;
    let (link, _) = at_served_above.heard().await;
    carries(&served_above, link, &mut at_served, 1).await;
}

#[tokio::test]
async fn a_store_that_cannot_go_on_with_its_master_attaches_again_and_alone() {
    let pair = Pair::new();
    let (above, mut at_above) = pair.open_above("tasks");
    let (_other_above, mut at_other_above) = pair.open_above("other");
    let (below, mut at_below) = pair.open_below("tasks");
    let (_other, mut at_other) = pair.open_below("other");
    let mut links = (at_above.heard().await.0, at_below.up().await);
    let silent = || LinkFault::Silent(Duration::from_secs(5));
    for cut_above in [true, false] {
        let events = match cut_above {
            true => {
                above.cut(links.0, silent());
                &mut at_above
            }
            false => {
                below.cut(links.1, silent());
                &mut at_below
            }
        };
        events.report("nothing was heard").await;
        let again = (at_above.heard().await.0, at_below.up().await);
        assert!(again.0 > links.0 && again.1 > links.1);
        links = again;
    }
    carries(&above, links.0, &mut at_below, 1).await;
    at_other_above.heard().await;
    at_other.up().await;
    assert_eq!((at_other.ends_so_far(), at_other_above.ends_so_far()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_that_come_and_go_at_both_ends_at_once_find_each_other_in_the_end() {
    const ROUNDS: usize = 200;
    const NAMES: [&str; 3] = ["a", "b", "c"];
    let pair = Pair::new();
    // Only who is asked may speak before it was answered.
    let churn = |ports: Arc<StoreRegistry>, name: &'static str, speaks: bool| {
        tokio::task::spawn_blocking(move || {
            for _ in 0..ROUNDS {
                let (port, events) = open(&ports, name);
                port.endless.store(speaks, Ordering::Relaxed);
                std::thread::yield_now();
                assert!(ports.unregister(channel_of(name)));
                drop(events);
            }
        })
    };
    let churns: Vec<_> = NAMES
        .iter()
        .flat_map(|name| {
            [churn(pair.above.clone(), name, true), churn(pair.below.clone(), name, false)]
        })
        .collect();
    for churn in churns {
        within("the end of the churn", churn).await.expect("no panic");
    }
    for name in NAMES {
        let (above, mut at_above) = pair.open_above(name);
        let (_below, mut at_below) = pair.open_below(name);
        // Left-overs of the churn may cost it a link or two before one stays, with what was said.
        let carried = async {
            loop {
                tokio::select! {
                    (link, _) = at_above.heard() => {
                        above.try_say(link, &Message::Heartbeat { seq: 1 });
                    }
                    heard = at_below.heard() => return heard,
                }
            }
        };
        assert_eq!(within("a message", carried).await.1, Message::Heartbeat { seq: 1 });
    }
}

#[tokio::test]
async fn both_ends_notice_when_the_link_ends() {
    let pair = Pair::new();
    let (_above, mut at_above) = pair.open_above("tasks");
    let (_below, mut at_below) = pair.open_below("tasks");
    at_above.heard().await;
    within("the end", pair.to_worker.close()).await;
    at_above.down().await;
    at_below.down().await;
    within("the end below", pair.to_master.ended()).await;
}

#[tokio::test]
async fn two_stores_on_one_channel_are_refused_by_name() {
    let ports = StoreRegistry::all();
    let (_port, _events) = open(&ports, "tasks");
    let (twin, _twin_events) = FakePort::new("tasks");
    let error = ports.register(twin).expect_err("is taken").to_string();
    assert!(error.contains("\"tasks\"") && error.contains("rename one"), "{error}");
}

/// The value that the next test's worker reports to its master if its own child is no worker.
const GRANDCHILD_IS_NO_WORKER: u64 = 7;

#[tokio::test]
async fn a_forked_worker_inherits_its_link_and_what_it_starts_does_not() {
    let mut command = Command::new(std::env::current_exe().expect("is running"));
    command.args(["--ignored", "--exact", "link::tests::stores::in_a_worker_process"]);
    command.stdout(std::process::Stdio::null());
    let (mut child, end) = spawn_worker(command, 3).expect("starts");
    let ports = StoreRegistry::all();
    let (_port, mut events) = open(&ports, "tasks");
    let link = IpcLink::to_worker(end, 3, ports);
    let told = Message::Heal { seq: GRANDCHILD_IS_NO_WORKER };
    while events.heard().await.1 != told {}
    link.close().await;
    let status = within("the end of the worker", child.wait()).await.expect("is waited for");
    assert!(status.success(), "{status}");
}

/// Not a test of its own: what the worker above runs.
#[tokio::test]
#[ignore = "runs as a worker of another test"]
async fn in_a_worker_process() {
    let Some(inherited) = inherited().expect("is usable") else {
        // The process that the worker started.
        return;
    };
    assert_eq!(inherited.worker, 3);
    assert!(super::super::ipc::inherited().is_err(), "once");
    let ports = StoreRegistry::all();
    let (port, mut events) = open(&ports, "tasks");
    let to_master = IpcLink::to_master(inherited.end, ports);
    let link = events.up().await;
    let mut grandchild = Command::new(std::env::current_exe().expect("is running"));
    grandchild.args(["--ignored", "--exact", "link::tests::stores::in_a_worker_process"]);
    grandchild.stdout(std::process::Stdio::null());
    let status = grandchild.status().expect("starts");
    assert!(status.success(), "{status}");
    port.say(link, &Message::Heal { seq: GRANDCHILD_IS_NO_WORKER });
    within("the master's end", to_master.ended()).await;
}
