//! The process, or the machine, ends at a call: whatever of the unsynced names and bytes survives,
//! nothing that was acknowledged is lost.

use super::life::Life;
use super::simulated::Fault;

const ITEMS: usize = 8;

/// Two lives, until the crash. How far they came.
async fn until_the_crash(life: &mut Life) -> Option<()> {
    let store = life.open().ok()?;
    let all = life.dispatch_until_it_fails(&store, ITEMS).await;
    if all {
        life.replaced().await;
    }
    life.kill(store).await;
    all.then_some(())?;
    let store = life.open().ok()?;
    let all = life.dispatch_until_it_fails(&store, 3).await;
    let closed = life.close(store).await;
    (all && closed).then_some(())
}

async fn crashes_at_each_call(durable: bool) {
    for call in 0.. {
        let mut life = Life::new(durable);
        life.disk.fail(call, Fault::Crash, true);
        let whole = until_the_crash(&mut life).await;
        for disk in life.disk.after_a_crash() {
            let calls = || (call, life.disk.calls(), disk.clone());
            life.check_disk(&disk).unwrap_or_else(|error| panic!("{error}: {:?}", calls()));
        }
        // Whatever is left, the next life goes on from it, and the one after that.
        let disks = life.disk.after_a_crash();
        let mut other = life.on_another(disks[call % disks.len()].clone());
        let store = other.open().expect("the disk works");
        other.dispatch(&store).await.expect("the disk works");
        other.kill(store).await;
        let store = other.open().expect("the disk works");
        other.kill(store).await;
        if whole.is_some() {
            assert!(call > 60, "only {call} calls");
            return;
        }
    }
}

#[tokio::test]
async fn a_durable_store_loses_nothing_by_a_crash_at_any_call() {
    crashes_at_each_call(true).await;
}
