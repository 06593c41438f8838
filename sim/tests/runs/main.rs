//! Tests of `samestate run` on real processes. Most of them wait for clusters rather than compute,
//! so they are one program, in which several wait at once.
#![cfg(target_os = "linux")]

mod against;
mod article;
mod cut_link;
mod faults;
mod guardian;
mod live;
mod live_http;
mod marked;
mod null_case;
mod profile;
mod program;
mod reaps;
mod results;
mod tls;
mod two_nodes;
