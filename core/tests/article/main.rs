//! Every item of the article that Samestate began as, each by a test that bears its number.
//! `docs/ARTICLE.md` lists them; [`page`] holds that list against the tests there are.
//!
//! Real processes, real sockets: the workers of a test are this program again, told to run that
//! one test (see [`scene`]).

mod disk;
mod errors;
mod everywhere;
mod links;
mod logger;
mod logins;
mod modes;
mod page;
mod placement;
mod proxy;
mod roles;
mod scene;
