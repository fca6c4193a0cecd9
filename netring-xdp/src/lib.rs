//! AF_XDP sockets: UMEM, four rings, and the programs that feed them, generated in Rust and loaded with aya.
#![deny(unsafe_code)]

// Under loom there are the rings only: nothing else is between two threads.
mod ring;
mod sync;

#[cfg(not(loom))]
mod assemble;
#[cfg(not(loom))]
mod capture;
#[cfg(not(loom))]
mod census;
#[cfg(not(loom))]
mod chunk;
#[cfg(not(loom))]
mod config;
#[cfg(not(loom))]
mod geometry;
#[cfg(not(loom))]
mod inject;
#[cfg(test)]
#[cfg(not(loom))]
mod model;
#[cfg(not(loom))]
pub mod program;
#[cfg(not(loom))]
mod receive;
#[cfg(not(loom))]
mod region;
#[cfg(not(loom))]
mod setup;
#[cfg(not(loom))]
mod socket;
#[cfg(not(loom))]
mod transmit;
#[cfg(not(loom))]
mod umem;

#[cfg(not(loom))]
pub use {
    capture::{Batch, CaptureBuilder, XdpCapture},
    census::Census,
    chunk::Chunk,
    config::{BusyPoll, Copying, Mode, RingSize},
    inject::{InjectorBuilder, XdpInjector},
    netring_sys::Error,
    netring_sys::wait::StopHandle,
    receive::{Forwarded, Frames},
    socket::{
        NotSent, Received, Receiver, Slot, SocketBuilder, SocketStats, Transmitter, XdpSocket,
    },
    umem::{HugePages, Umem, UmemConfig},
};
