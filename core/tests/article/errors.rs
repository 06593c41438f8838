//! A16: the receiver of errors that need no action.

use std::sync::Arc;

use parking_lot::Mutex;

use super::scene::{DEADLINE, Place, list, within};

#[tokio::test]
async fn a16_a_lost_connection_is_told_to_on_error_which_can_be_replaced_at_any_time() {
    let place = Place::new();
    let server = list().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let silenced = Arc::new(Mutex::new(Vec::new()));
    let (early, (sender, mut errors)) =
        (Arc::clone(&silenced), tokio::sync::mpsc::unbounded_channel());
    let client = list().on_error(move |event| early.lock().push(event.to_string()));
    let client = client.client(place.client()).open().await.expect("it comes in sync");
    client.on_error(move |event| drop(sender.send(event.to_string())));
    server.close(DEADLINE).await.expect("it closes");
    let told = within("it is told", errors.recv()).await.expect("the client lives");
    assert!(told.contains("list"), "which store, and what: {told}");
    assert_eq!(*silenced.lock(), Vec::<String>::new(), "the first is told nothing any more");
}
