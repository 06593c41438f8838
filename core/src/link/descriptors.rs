//! Limits of open files, and so of connections, of this process.

use std::io;

/// Files that are left to everything else in this process, unless so many are not allowed at all.
#[cfg(unix)]
const OTHERS: u64 = 256;

/// The number of connections that the process has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) connections_max: usize,
    /// The limit of open files, if it allows fewer connections than configured.
    pub(super) files_max: Option<u64>,
}

/// Makes room for so many connections: raises the soft limit of open files as far as it is needed
/// and the hard limit allows, as the runtimes of Go and Java do.
#[cfg(unix)]
pub(super) fn make_room(connections_max: usize) -> Room {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = (connections_max as u64).saturating_add(OTHERS);
    let limits = getrlimit(Resource::Nofile);
    let allowed = wanted.min(limits.maximum.unwrap_or(u64::MAX));
    let raised = match limits.current {
        Some(current) if current < allowed => {
            let limits = Rlimit { current: Some(allowed), ..limits };
            setrlimit(Resource::Nofile, limits).map_or(Some(current), |()| Some(allowed))
        }
        current => current,
    };
    within(connections_max, raised)
}

/// There is no such limit.
#[cfg(not(unix))]
pub(super) fn make_room(connections_max: usize) -> Room {
    Room { connections_max, files_max: None }
}

#[cfg(unix)]
fn within(connections_max: usize, files_max: Option<u64>) -> Room {
    let Some(files) = files_max else { return Room { connections_max, files_max } };
    let left = usize::try_from(files - OTHERS.min(files / 4)).unwrap_or(usize::MAX);
    match left < connections_max {
        true => Room { connections_max: left, files_max },
        false => Room { connections_max, files_max: None },
    }
}

/// Out of descriptors or memory: it passes.
pub(super) fn is_exhaustion(error: &io::Error) -> bool {
    #[cfg(unix)]
    let exhausted = {
        use rustix::io::Errno;
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].map(Errno::raw_os_error)
    };
    // ERROR_NOT_ENOUGH_MEMORY, ERROR_NO_SYSTEM_RESOURCES, WSAEMFILE, WSAENOBUFS.
    #[cfg(windows)]
    let exhausted = [8, 1450, 10024, 10055];
    error.raw_os_error().is_some_and(|code| exhausted.contains(&code))
}

/// Returns advice for the operator if the system gives no more descriptors.
pub(super) fn advice(error: &io::Error) -> String {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) {
        use rustix::process::{Resource, getrlimit};
        let files = getrlimit(Resource::Nofile).current;
        let files = files.map_or_else(|| "so".to_owned(), |files| files.to_string());
        return format!(
            "; this process may have {files} files open: raise that limit (`ulimit -n`), or look \
             for files that it does not close"
        );
    }
    let _ = error;
    "; the whole system has no more to give".to_owned()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_to_the_rest_of_the_process() {
        let room = |connections_max, files_max| {
            let room = within(connections_max, files_max);
            (room.connections_max, room.files_max)
        };
        assert_eq!(room(10_000, None), (10_000, None));
        assert_eq!(room(10_000, Some(10_256)), (10_000, None));
        assert_eq!(room(10_000, Some(1_024)), (768, Some(1_024)));
        assert_eq!(room(10_000, Some(64)), (48, Some(64)));
        assert_eq!(room(10, Some(64)), (10, None));
    }

    #[test]
    fn out_of_files_says_how_many_there_may_be_and_where_to_change_it() {
        let error = io::Error::from(rustix::io::Errno::MFILE);
        assert!(is_exhaustion(&error));
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let files = files.map_or_else(|| "so".to_owned(), |files| files.to_string());
        let advice = advice(&error);
        assert!(
            advice.contains(&format!(" {files} files")) && advice.contains("ulimit -n"),
            "{advice}"
        );
    }
}
