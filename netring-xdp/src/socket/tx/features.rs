//! Functions of some sockets beyond sending single chunks: frames in several chunks, and requests
//! with a frame.
#![deny(unsafe_code)]

use netring_sys::Clock;

use super::in_flight::InFlight;
use super::request::{Offloads, Request};
use crate::memory::geometry::Geometry;

/// The part of a sending half that frames of one chunk without a request do not use.
#[derive(Debug)]
pub(crate) struct TxFeatures {
    /// Bytes of the longest frame that takes the fast path: in one chunk, from its start, without a
    /// request. 0 if none does.
    pub(crate) short: usize,
    /// Bytes of the longest frame that a slot is available for.
    pub(crate) max_len: usize,
    /// The requests for the slot being written.
    pub(crate) request: Request,
    pub(crate) offloads: Offloads,
    /// Frames that do not fit a chunk are written here, and cut into chunks when they are
    /// committed.
    pub(crate) scratch: Box<[u8]>,
    /// `None` if there is nothing to note about a chunk in flight, or it is completed to another
    /// socket.
    pub(crate) in_flight: Option<InFlight>,
}

impl TxFeatures {
    /// For a half that sends frames of up to `pieces` chunks; `completes`: it owns a completion
    /// ring.
    pub(crate) fn new(
        geometry: &Geometry,
        pieces: u32,
        completes: bool,
        zero_copy: bool,
        offloads: Offloads,
    ) -> Self {
        let metadata = geometry.front() > 0;
        let room = geometry.transmit_room();
        let max_len = room as usize * pieces.max(1) as usize;
        let clock = if zero_copy {
            Clock::Hardware
        } else {
            Clock::Tai
        };
        Self {
            short: if metadata { 0 } else { room as usize },
            max_len,
            request: Request::NONE,
            offloads: Offloads {
                timestamp: offloads.timestamp && completes,
                ..offloads
            },
            scratch: if pieces > 1 {
                vec![0; max_len].into()
            } else {
                Box::default()
            },
            in_flight: (completes && (pieces > 1 || metadata))
                .then(|| InFlight::new(geometry, metadata, clock)),
        }
    }
}
