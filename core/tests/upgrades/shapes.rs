//! Stores of two schema versions, or two codecs, over real sockets: words on both sides, and no
//! data.

use samestate::{Backup, Codec, DispatchError, ServerConfig};

use super::peers::{DEADLINE, Place, list, within};

#[tokio::test]
async fn another_schema_version_or_codec_is_refused_in_words_on_both_sides() {
    let place = Place::new();
    let (server, mut at_server) = place.served().await;
    let cases = [
        (2, Codec::MessagePack, "store `list`: schema_version 2 at the client, 1 at the server"),
        (1, Codec::Json, "store `list`: codec Json at the client, MessagePack at the server"),
    ];
    for (schema_version, codec, words) in cases {
        let (store, mut at_client) = list();
        let store = store.schema_version(schema_version).codec(codec).preloaded(vec![9]);
        let client = store.client(place.client()).start().expect("it starts");
        at_server.say(words).await;
        let report = at_client.say(words).await;
        assert!(report.contains("again in 30000 ms"), "it is tried again slowly: {report}");
        assert_eq!(client.dispatch(7).await, Err(DispatchError::NotConnected));
        assert_eq!((&*server.state(), &*client.state()), (&vec![1], &vec![9]), "no data crossed");
    }
}

#[tokio::test]
async fn the_new_shape_under_a_name_of_its_own_is_served_beside_the_old() {
    let place = Place::new();
    let (old, _reports) = place.served().await;
    let push = |list: &mut Vec<u64>, item: &u64| list.push(*item);
    let new = || samestate::create_store("list-2", push).on_error(|_| {});
    let server = new().open().await.expect("it opens");
    server.create_server(ServerConfig::unix(place.path())).await.expect("it joins that server");
    let (old_client, _reports) = list();
    let old_client = old_client.client(place.client()).open().await.expect("it comes in sync");
    let new_client = new().client(place.client()).open().await.expect("it comes in sync");
    within(old_client.dispatch(2)).await.expect("it applies");
    within(new_client.dispatch(1 << 40)).await.expect("it applies");
    assert_eq!((&*old.state(), &*server.state()), (&vec![1, 2], &vec![1 << 40]));
}

/// A state before and after it was given a field, as `docs/upgrades.md` says, and otherwise.
#[test]
fn a_field_that_is_left_out_while_it_has_its_default_keeps_the_digest_and_another_does_not() {
    use samestate::state::digest;
    use serde::Serialize;

    #[derive(Serialize)]
    struct Old {
        names: Vec<u32>,
    }
    #[derive(Serialize)]
    struct LeftOut {
        names: Vec<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<u32>,
    }
    #[derive(Serialize)]
    struct Always {
        names: Vec<u32>,
        owner: Option<u32>,
    }
    let names = vec![1, 2];
    let old = digest(&Old { names: names.clone() }).expect("it has one");
    let new = |owner| digest(&LeftOut { names: names.clone(), owner }).expect("it has one");
    assert_eq!(old, new(None));
    assert_ne!(old, new(Some(1)));
    let always = digest(&Always { names: names.clone(), owner: None }).expect("it has one");
    assert_ne!(old, always);
}

#[tokio::test]
async fn a_backup_of_another_schema_version_is_refused_in_words_and_stays_as_it_was() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("list");
    let open = |version| {
        let store = list().0.schema_version(version).backup(Backup::at(&path));
        async move { store.open().await }
    };
    let old = open(1).await.expect("it opens");
    old.dispatch(7).await.expect("it applies");
    old.close(DEADLINE).await.expect("it is written");
    let before = std::fs::read(&path).expect("it is there");
    let refused = open(2).await.expect_err("another shape").to_string();
    assert!(refused.contains("has schema_version 1, this store 2"), "{refused}");
    assert_eq!(std::fs::read(&path).expect("it is there"), before);
    assert_eq!(*open(1).await.expect("it opens").state(), [7]);
}
