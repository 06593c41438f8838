//! Versions that meet: of the protocol, of a store's shape, and the protocol as it was released.
//!
//! - `tape`: a recorded conversation as a text file
//! - `halves`: a server's and a client's half of it, without sockets, clocks or chance
//! - `recorded`: the released protocol, byte for byte; and how it is recorded anew
//! - `peers`: synthetic older and newer peers over real sockets
//! - `shapes`: stores of two schema versions over real sockets

mod halves;
mod peers;
mod recorded;
mod shapes;
mod tape;
