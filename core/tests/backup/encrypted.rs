//! Backups under a key.

use super::*;

fn secret(path: &Path) -> StoreBuilder<Vec<u64>, u64> {
    create_store("list", push).on_error(|_| {}).backup(every_action(path).key("swordfish"))
}

#[tokio::test]
async fn a_key_hides_the_state_and_another_does_not_open_it() {
    let folder = Folder::new();
    let words = |words: &mut Vec<String>, word: &String| words.push(word.clone());
    let open = |key: &str| {
        let backup = every_action(&folder.path()).key(key);
        create_store("words", words).on_error(|_| {}).backup(backup)
    };
    let store = open("swordfish").open().await.expect("it opens");
    store.dispatch("a plain word".into()).await.expect("it applies");
    drop(store);
    free(&folder.path()).await;
    let store = open("swordfish").open().await.expect("it opens");
    store.dispatch("another word".into()).await.expect("it applies");
    drop(store);
    free(&folder.path()).await;
    for file in [folder.path(), folder.journal()] {
        let bytes = std::fs::read(file).expect("it is there");
        assert!(bytes.windows(4).all(|window| window != b"word"), "it can be read");
    }
    let error = open("herring").open().await.err();
    assert!(matches!(error, Some(Error::Backup(BackupError::WrongKey(_)))), "{error:?}");
    let plain = create_store("words", words).backup(every_action(&folder.path()));
    let error = plain.open().await.err();
    assert!(matches!(error, Some(Error::Backup(BackupError::KeyNeeded(_)))), "{error:?}");
    let store = open("swordfish").open().await.expect("it opens");
    assert_eq!(*store.state(), ["a plain word", "another word"]);
}

#[tokio::test]
async fn a_plain_backup_is_not_taken_for_an_encrypted_one_unless_that_is_said() {
    let folder = Folder::new();
    let store = list(&folder.path()).open().await.expect("it opens");
    pushed(&store, 1..4).await;
    dropped(store, &folder.path()).await;
    let error = refused(secret(&folder.path()).open().await);
    assert!(matches!(error, BackupError::NotEncrypted(_)), "{error}");
    let backup = every_action(&folder.path()).key("swordfish").accept_plaintext();
    let store = list(&folder.path()).backup(backup).open().await.expect("it opens");
    pushed(&store, 4..5).await;
    dropped(store, &folder.path()).await;
    let store = secret(&folder.path()).open().await.expect("it is encrypted now");
    assert_eq!(*store.state(), [1, 2, 3, 4]);
}
