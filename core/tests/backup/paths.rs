//! Paths of backups: symbolic links are followed, and an unusable path is refused before anything
//! is created.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;

use super::*;

/// Opens, dispatches one item more, and closes.
async fn grown(path: &Path) -> usize {
    let store = list(path).durable().open().await.expect("it opens");
    let next = store.state().len() as u64 + 1;
    store.dispatch(next).await.expect("it applies");
    let len = store.state().len();
    closed(store).await;
    len
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("it is a folder");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("it is listed").path()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn symbolic_links_lead_to_one_backup_and_stay_links() {
    let folder = Folder::new();
    let base = folder.0.path();
    std::fs::create_dir(base.join("data")).expect("created");
    std::fs::create_dir(base.join("links")).expect("created");
    let real = base.join("data/list.backup");
    let links = [
        (real.clone(), base.join("absolute")),
        ("data/list.backup".into(), base.join("relative")),
        ("relative".into(), base.join("chain")),
        ("../data/../chain".into(), base.join("links/up")),
    ];
    for (target, link) in &links {
        symlink(target, link).expect("a link");
    }
    symlink("data", base.join("folder")).expect("a link");
    let through = base.join("folder/list.backup");
    // The first opens a link to what is not there yet.
    let mut len = 0;
    for path in links.iter().map(|(_, link)| link).chain([&through, &real]) {
        len += 1;
        assert_eq!(grown(path).await, len, "{}", path.display());
    }
    let data = names(&base.join("data"));
    assert_eq!(data.len(), 3, "the backup, its journal, its lock: {data:?}");
    for (_, link) in &links {
        assert!(link.symlink_metadata().expect("it is there").is_symlink());
    }
    assert_eq!(names(base).len(), 6, "nothing lies beside a link");

    let store = list(&links[3].1).open().await.expect("it opens");
    for path in links.iter().map(|(_, link)| link).chain([&through, &real]) {
        let error = refused(list(path).open().await);
        assert!(matches!(error, BackupError::InUse(_)), "{error}");
    }
    closed(store).await;
}

/// A hard link is a copy: the two part when the backup is replaced, which opening does.
#[tokio::test]
async fn a_hard_link_keeps_what_it_had() {
    let folder = Folder::new();
    grown(&folder.path()).await;
    let copy = folder.0.path().join("copy.backup");
    std::fs::hard_link(folder.path(), &copy).expect("a link");
    let kept = std::fs::read(&copy).expect("it is there");
    assert_eq!(grown(&folder.path()).await, 2);
    assert_eq!(std::fs::read(&copy).expect("it is there"), kept);
    assert_eq!(grown(&copy).await, 2, "it goes on from what it had");
}

#[tokio::test]
async fn a_path_where_no_backup_can_lie_is_refused_and_nothing_is_created() {
    let folder = Folder::new();
    let base = folder.0.path();
    std::fs::create_dir(base.join("folder")).expect("created");
    std::fs::write(base.join("file"), b"text").expect("written");
    let _socket = std::os::unix::net::UnixListener::bind(base.join("socket")).expect("a socket");
    symlink("round", base.join("about")).expect("a link");
    symlink("about", base.join("round")).expect("a link");
    symlink("folder", base.join("to-folder")).expect("a link");
    symlink("/dev/null", base.join("to-device")).expect("a link");
    symlink("new/", base.join("to-slash")).expect("a link");
    let before = (names(base), names(Path::new(".")));
    let nul = OsString::from_vec(b"nul\0.backup".to_vec());
    let cases: &[(PathBuf, &str)] = &[
        ("".into(), "it is empty"),
        (".".into(), "names a folder"),
        ("..".into(), "names a folder"),
        ("/".into(), "names a folder"),
        (base.join("new/"), "names a folder"),
        (base.join("new/."), "names a folder"),
        (base.join("file/"), "names a folder"),
        (base.join("folder"), "is a folder"),
        (base.join("to-folder"), "is a folder"),
        (base.join("to-slash"), "names a folder"),
        ("/dev/null".into(), "is a device"),
        (base.join("to-device"), "is a device"),
        (base.join("socket"), "is a device, a socket or a pipe"),
        (base.join("about"), "lead in a circle"),
        (base.join("file/list.backup"), "its folder is a file"),
        (base.join(nul), "a NUL byte"),
        (base.join("n".repeat(244)), "too long"),
        (base.join("n".repeat(255)), "too long"),
        (base.join("n".repeat(256)), "too long"),
        (base.join("n".repeat(5000)), "too long"),
    ];
    for (path, why) in cases {
        let error = refused(list(path).durable().open().await);
        assert!(matches!(error, BackupError::InvalidPath { .. }), "{why}: {error}");
        assert!(error.to_string().contains(why), "{why}: {error}");
    }
    let error = refused(list(&base.join("none/list.backup")).open().await);
    assert!(matches!(error, BackupError::MissingFolder(_)), "{error}");
    assert_eq!((names(base), names(Path::new("."))), before);
}

#[tokio::test]
async fn the_longest_name_and_one_that_is_no_text_are_taken() {
    let folder = Folder::new();
    for name in [OsString::from("n".repeat(243)), OsString::from_vec(b"odd-\xff".to_vec())] {
        let path = folder.0.path().join(name);
        assert_eq!(grown(&path).await, 1);
        assert_eq!(grown(&path).await, 2);
    }
}

#[tokio::test]
async fn a_companion_that_is_no_file_is_refused_and_stays() {
    for (suffix, other) in [(".journal", ".new"), (".lock", ".journal.new")] {
        let folder = Folder::new();
        let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", folder.path().display()));
        symlink("elsewhere", beside(suffix)).expect("a link");
        let error = refused(list(&folder.path()).open().await).to_string();
        assert!(error.contains(suffix) && error.contains("is a symbolic link"), "{error}");
        std::fs::remove_file(beside(suffix)).expect("it is there");
        std::fs::create_dir(beside(other)).expect("created");
        let error = refused(list(&folder.path()).open().await).to_string();
        assert!(error.contains(other) && error.contains("is a folder"), "{error}");
        assert_eq!(names(folder.0.path()), [beside(other)], "nothing was created");
    }
}

const MOUNTED: &str = "SAMESTATE_TEST_MOUNTED";

/// As container runtimes mount single files. Needs a kernel that lets its users make namespaces.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_is_a_mount_point_is_refused() {
    if let Ok(path) = std::env::var(MOUNTED) {
        let error = refused(list(Path::new(&path)).open().await);
        assert!(error.to_string().contains("is a mount point"), "{error}");
        return;
    }
    let folder = Folder::new();
    std::fs::write(folder.path(), b"").expect("written");
    let unshared = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args(["-r", "-m", "sh", "-ec", script]).env(MOUNTED, folder.path());
        command.arg(std::env::current_exe().expect("it has a path"));
        command.arg("paths::a_file_that_is_a_mount_point_is_refused");
        command.output().is_ok_and(|output| output.status.success())
    };
    let mount = r#"mount --bind "$SAMESTATE_TEST_MOUNTED" "$SAMESTATE_TEST_MOUNTED""#;
    if unshared(mount) {
        assert!(unshared(&format!(r#"{mount}; "$0" --exact "$1""#)), "see its output");
        assert_eq!(names(folder.0.path()), [folder.path()], "nothing was created");
    }
}
