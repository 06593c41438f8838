//! Actions that the reducer refuses, or dies of.

use samestate::state::Map;
use samestate::{DispatchError, Mode, Store, StoreBuilder, UndoPanics, create_store};

use super::scene::{DEADLY, Place, REFUSED, Reports, Scene, list, within};

fn map() -> StoreBuilder<Map<u32, u32>, u32> {
    let reducer = |map: &mut Map<u32, u32>, key: &u32| {
        map.insert(*key, 1);
        assert_ne!(*key, DEADLY, "thirteen");
    };
    create_store("map", reducer).mode(Mode::Action).on_error(|_| {})
}

fn keys(store: &Store<Map<u32, u32>, u32>) -> Vec<u32> {
    store.read(|map| map.keys().copied().collect())
}

#[tokio::test]
async fn a_refused_action_of_a_client_is_answered_and_disturbs_nobody() {
    let scene = Scene::new().await;
    let client = list().client(scene.place.client()).open().await.expect("it comes in sync");
    let refused = within(client.dispatch(REFUSED)).await;
    assert_eq!(refused, Err(DispatchError::Rejected("zero is not taken".into())));
    within(client.dispatch(7)).await.expect("the next one applies");
    assert_eq!(scene.end_undisturbed().await, [7]);
}

#[tokio::test]
async fn a_panic_that_is_not_undone_poisons_its_store_and_no_other_store_of_the_process() {
    let other = Scene::new().await;
    let place = Place::new();
    let (mut reports, on_error) = Reports::new();
    let unguarded = list().undo_panics(UndoPanics::Never);
    let server = unguarded.on_error(on_error).open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let client = list().client(place.client()).open().await.expect("it comes in sync");
    within(client.dispatch(7)).await.expect("it applies");
    let refused = within(client.dispatch(DEADLY)).await.expect_err("the reducer dies");
    assert!(matches!(&refused, DispatchError::Rejected(why) if why.contains("thirteen")));
    reports.say("the store is poisoned").await;
    within(client.until_connected(false)).await;
    assert_eq!(client.dispatch(8).await, Err(DispatchError::NotConnected));
    assert_eq!(*client.state(), [7], "it can still be read");
    other.end_undisturbed().await;
}

#[tokio::test]
async fn a_panic_is_undone_and_the_store_and_its_clients_go_on() {
    let other = Scene::new().await;
    let place = Place::new();
    let server = map().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let clients = [
        map().client(place.client()).open().await.expect("it comes in sync"),
        map().client(place.client()).open().await.expect("it comes in sync"),
    ];
    for client in &clients {
        let refused = within(client.dispatch(DEADLY)).await.expect_err("the reducer dies");
        assert!(matches!(&refused, DispatchError::Rejected(why) if why.contains("thirteen")));
    }
    within(clients[0].dispatch(1)).await.expect("it applies");
    within(clients[1].dispatch(2)).await.expect("it applies");
    assert_eq!((keys(&server), keys(&clients[1])), (vec![1, 2], vec![1, 2]));
    assert!(clients.iter().all(Store::is_connected));
    other.end_undisturbed().await;
}

/// A reducer that dies in one process only.
fn frail() -> StoreBuilder<Vec<u32>, u32> {
    create_store("list", |list: &mut Vec<u32>, item: &u32| {
        list.push(*item);
        assert_ne!(*item, 99, "frail");
    })
    .mode(Mode::Action)
}

#[tokio::test]
async fn a_reducer_that_dies_at_one_replica_heals_there_and_nowhere_else() {
    let scene = Scene::new().await;
    let (mut reports, on_error) = Reports::new();
    let frail = frail().on_error(on_error).client(scene.place.client());
    let frail = frail.open().await.expect("it comes in sync");
    scene.server.dispatch(99).await.expect("the sequencer lives");
    reports.say("failed here though the sequencer applied it").await;
    within(frail.until_connected(true)).await;
    within(frail.dispatch(100)).await.expect("it applies");
    assert_eq!(scene.end_undisturbed().await, [99, 100]);
}
