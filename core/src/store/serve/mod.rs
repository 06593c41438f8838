//! The links of a store: the servers and the clients of this process, which stores share.
//!
//! - `servers`: the servers of this process
//! - `clients`: the connections of this process to servers
//! - `attachments`: the servers, the client and the links that a store keeps running
//! - `roles`: the roles of a store
//! - `standbys`: whether a sequencer was superseded, and promotions from afar

pub(crate) mod attachments;
pub(crate) mod clients;
pub(crate) mod roles;
pub(crate) mod servers;
pub(crate) mod standbys;
