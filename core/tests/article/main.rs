//! Every item of the article that Samestate began as, each by a test that bears its number.
//! `docs/ARTICLE.md` lists them; [`page`] holds that list against the tests there are.
//!
//! Real processes, real sockets: the workers of a test are this program again, told to run that
//! one test (see [`scene`]).
//!
//! A path is a named pipe on Windows, and most of this runs there as it is; but what stands between
//! a client and a server to see, spoil or cut their bytes is made for Unix, as is Ctrl-C.

mod disk;
mod errors;
mod everywhere;
mod links;
#[cfg(unix)]
mod logger;
mod logins;
#[cfg(unix)]
mod modes;
mod page;
mod placement;
#[path = "../ports/mod.rs"]
mod ports;
#[cfg(unix)]
mod proxy;
mod roles;
mod scene;
