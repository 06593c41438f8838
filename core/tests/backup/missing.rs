//! Files of a backup that are missing, empty, or older than the others: an error that says so, and
//! never a store that silently lacks what was acknowledged.

use super::*;

/// A durable store that was killed: its whole backup, and a journal with six actions.
async fn killed(folder: &Folder) -> [Vec<u8>; 2] {
    let store = list(&folder.path()).durable().open().await.expect("it opens");
    pushed(&store, 1..7).await;
    dropped(store, &folder.path()).await;
    [folder.path(), folder.journal()].map(|path| std::fs::read(path).expect("it is there"))
}

#[tokio::test]
async fn a_journal_that_is_missing_is_an_error_unless_that_is_accepted() {
    let folder = Folder::new();
    let [_, journal] = killed(&folder).await;
    std::fs::remove_file(folder.journal()).expect("it is there");
    let error = refused(list(&folder.path()).durable().open().await);
    assert!(matches!(error, BackupError::JournalMissing(_)), "{error}");
    let error = refused(list(&folder.path()).open().await);
    assert!(matches!(error, BackupError::JournalMissing(_)), "{error}");

    std::fs::write(folder.journal(), journal).expect("written");
    let store = list(&folder.path()).open().await.expect("it is put back");
    assert_eq!(*store.state(), [1, 2, 3, 4, 5, 6]);
    pushed(&store, 7..9).await;
    dropped(store, &folder.path()).await;
    std::fs::remove_file(folder.journal()).expect("it is there");
    let accepting = every_action(&folder.path()).accept_missing_journal();
    let store = list(&folder.path()).backup(accepting).open().await.expect("it is accepted");
    assert_eq!(*store.state(), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn the_whole_backup_of_a_store_that_was_closed_needs_no_journal() {
    let folder = Folder::new();
    let store = list(&folder.path()).durable().open().await.expect("it opens");
    pushed(&store, 1..4).await;
    closed(store).await;
    for _ in 0..2 {
        std::fs::remove_file(folder.journal()).expect("it is there");
        let store = list(&folder.path()).durable().open().await.expect("nothing is missing");
        assert_eq!(*store.state(), [1, 2, 3]);
        closed(store).await;
    }
}

#[tokio::test]
async fn a_file_that_is_empty_is_cut_short() {
    let folder = Folder::new();
    killed(&folder).await;
    for path in [folder.journal(), folder.path()] {
        std::fs::write(path, b"").expect("written");
        let error = refused(list(&folder.path()).durable().open().await);
        assert!(matches!(error, BackupError::Truncated { have: 0, .. }), "{error}");
    }
}

#[tokio::test]
async fn a_file_of_an_earlier_life_does_not_go_with_the_other() {
    let folder = Folder::new();
    let earlier = killed(&folder).await;
    let now = killed(&folder).await;
    let paths = [folder.path(), folder.journal()];
    for older in [0, 1] {
        std::fs::write(&paths[older], &earlier[older]).expect("written");
        let error = refused(list(&folder.path()).durable().open().await);
        assert!(matches!(error, BackupError::JournalOfAnother(_)), "{error}");
        std::fs::write(&paths[older], &now[older]).expect("written");
    }
    let store = list(&folder.path()).durable().open().await.expect("both are put back");
    assert_eq!(store.state().len(), 12);
}

#[tokio::test]
async fn a_journal_of_another_store_is_not_taken() {
    let folder = Folder::new();
    let other = Folder::new();
    killed(&folder).await;
    let [whole, journal] = killed(&other).await;
    let ours = std::fs::read(folder.journal()).expect("it is there");
    std::fs::write(folder.journal(), journal).expect("written");
    let error = refused(list(&folder.path()).durable().open().await);
    assert!(matches!(error, BackupError::JournalOfAnother(_)), "{error}");
    std::fs::write(folder.journal(), ours).expect("written");
    std::fs::write(folder.path(), whole).expect("written");
    let error = refused(list(&folder.path()).durable().open().await);
    assert!(matches!(error, BackupError::JournalOfAnother(_)), "{error}");
}

/// A file that is no backup may be longer than the memory: its first bytes are enough to refuse it.
#[tokio::test]
async fn a_file_that_is_no_backup_is_not_read_to_its_end() {
    let folder = Folder::new();
    let file = std::fs::File::create(folder.path()).expect("created");
    file.set_len(1 << 42).expect("a file may have a hole");
    let error = refused(list(&folder.path()).open().await);
    assert!(matches!(error, BackupError::Foreign(_)), "{error}");
}
