//! The network, the clocks and the protocol's settings of a run in virtual time.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::quantity::{Size, Span};

/// The network, the clocks and the protocol's settings of a run in virtual time.
///
/// Only `samestate simulate` reads it; `run` has a real network and the library's own settings,
/// which are the defaults of `heartbeat` and all below it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VirtualTimeSpec {
    /// The shortest time that a byte is under way; `200us` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Span>,
    /// The longest additional time, drawn anew for each write; `100us` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Span>,
    /// The number of bytes a second that one direction of a connection carries; `100MB` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Size>,
    /// The number of bytes that one direction of a connection holds before its writer has to wait;
    /// `64KiB` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer: Option<Size>,
    /// Each process's clock runs fast or slow by at most so many millionths; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_drift_ppm: Option<u32>,
    /// The time that a link may be idle before it sends a heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Span>,
    /// The time that a peer may be silent before its link is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_after: Option<Span>,
    /// The time that a link may stand still before it may fall off the log, to go on by a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall_grace: Option<Span>,
    /// The time that a dispatch may take before its outcome is unknown; for ever by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatch_deadline: Option<Span>,
    /// The number of dispatches that a node may have under way; past it, it is busy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<NonZeroU32>,
    /// The number of bytes that they may have together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_bytes: Option<Size>,
    /// The number of sessions that a sequencer remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<NonZeroU32>,
    /// The number of actions that subscribers may be behind before they are told of a jump instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<NonZeroU32>,
    /// The nodes whose subscribers take what they are told only now and then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slow_subscribers: Vec<String>,
}
