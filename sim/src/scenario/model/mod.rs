//! The scenario file as it is written: one type a section, field by field.
//!
//! These types say what may stand in a file and nothing about whether it makes sense: names are
//! still text, and a link may still lead nowhere. [`Plan`](super::Plan) is what comes out once
//! everything has been checked. Each type can be written back as YAML that reads the same.
//!
//! - `sections`: the whole file, and most of its sections;
//! - `load`: phases, and their loads;
//! - `virtual_time`: the network, clocks and settings of `samestate simulate`.

mod load;
mod sections;
mod virtual_time;

pub use load::{Arrival, Burst, Closed, LoadSpec, PhaseSpec, PoisonSpec, Ramp};
pub use sections::{
    BackupSpec, ClusterSpec, CreateClientSpec, EventSpec, ExpectSpec, LinkSpec, MirrorSpec, Mode,
    ObserveSpec, Resync, Role, Scenario, StoreSpec,
};
pub use virtual_time::VirtualTimeSpec;

/// The version of the file format that this program reads.
pub const FORMAT_VERSION: u32 = 1;

/// Returns whether a key that is off by default can be left out.
fn is_false(value: &bool) -> bool {
    !value
}
