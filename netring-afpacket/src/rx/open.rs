//! Opens a capture, in an order that lets no wrong packet into its ring.

use std::os::fd::AsFd;

use netring_sys::kernel::packet::{
    ETH_P_ALL, TP_FT_REQ_FILL_RXHASH, TPACKET_V2, TPACKET_V3, tpacket_req3,
};
use netring_sys::syscall::{
    set_packet_ignore_outgoing, set_packet_reserve, set_packet_rx_ring, set_packet_timestamp,
    set_packet_version,
};
use netring_sys::wait::Waiter;
use netring_sys::{Error, Interface, Mmap, Promiscuous, SyscallError};

use super::capture::Capture;
use super::geometry::{FRAME_SIZE, MIN_BLOCKS, RingGeometry, SLOT_RESERVE};
use super::pace::Pace;
use super::parse::Context;
use super::reader::Reader;
use super::ring::Ring;
use crate::builder::CaptureBuilder;
use crate::socket;

impl CaptureBuilder {
    /// Opens the capture: when this returns, packets are being captured.
    ///
    /// # Errors
    /// Returns [`Error::Config`] for an invalid setting, [`Error::NoSuchInterface`],
    /// [`Error::NotPermitted`] without CAP_NET_RAW, or the call that failed.
    pub fn build(self) -> Result<Capture, Error> {
        let capture = prepare(&self)?;
        socket::bind(capture.socket(), capture.interface(), ETH_P_ALL)?;
        Ok(capture)
    }
}

/// A capture with all its settings that receives nothing until it is bound with a protocol.
///
/// The kernel gives no packet to a socket that is bound with protocol 0, and no packet of another
/// interface to one that is bound to an interface. So all settings are made before the second bind,
/// and no packet enters the ring that they would have kept out.
fn prepare(builder: &CaptureBuilder) -> Result<Capture, Error> {
    builder.check()?;
    let interface = Interface::by_name(&builder.interface)?;
    let socket = socket::open()?;
    let fd = socket.as_fd();
    if builder.immediate {
        set_packet_version(fd, TPACKET_V2)?;
        set_packet_reserve(fd, SLOT_RESERVE)?;
    } else {
        set_packet_version(fd, TPACKET_V3)?;
    }
    set_packet_timestamp(fd, builder.timestamps as u32)?;
    if let Some(ignore) = ignore_outgoing(builder.ignore_outgoing, &interface) {
        set_packet_ignore_outgoing(fd, ignore)?;
    }
    socket::bind(fd, &interface, 0)?;
    let filter = builder.filter.as_ref();
    let filter = filter.map(|filter| filter.for_live_socket(interface.link_type()));
    socket::attach(fd, filter.transpose()?.as_ref(), builder.snap_len)?;

    let features = match builder.rx_hash {
        true => TP_FT_REQ_FILL_RXHASH,
        false => 0,
    };
    let (geometry, map) = shrink_until_it_fits(builder, |block_count| {
        set_packet_rx_ring(fd, &request(builder, block_count, features))?;
        Mmap::shared(fd, builder.block_size * block_count).inspect_err(|_| {
            // A socket has one ring, so remove the one that could not be mapped before the next is
            // tried. If that fails, closing the socket removes it.
            let _ = set_packet_rx_ring(fd, &tpacket_req3::default());
        })
    })?;
    let ring = Ring::new(map, geometry);
    let context = Context {
        snap_len: builder.snap_len.map_or(usize::MAX, |bytes| bytes as usize),
        features,
    };
    let pace = Pace::new(geometry, builder.retire_timeout);
    let reader = Reader::new(ring, geometry, context, pace);

    let promiscuous = match builder.promiscuous {
        true => Some(Promiscuous::set(&interface)?),
        false => None,
    };
    // Before the second bind, so that a link which goes down right after it is reported.
    let waiter = Waiter::new(fd, &interface)?;
    Ok(Capture::new(socket, waiter, reader, interface, promiscuous))
}

/// On a loopback interface each packet would be captured twice. The option is not set if that
/// changes nothing: kernels before 4.20 do not have it.
fn ignore_outgoing(requested: Option<bool>, interface: &Interface) -> Option<bool> {
    requested.or_else(|| interface.is_loopback().then_some(true))
}

fn request(builder: &CaptureBuilder, block_count: usize, features: u32) -> tpacket_req3 {
    // `CaptureBuilder::check` made sure that all of these fit.
    let frame_size = builder.slot_size().unwrap_or(FRAME_SIZE);
    tpacket_req3 {
        tp_block_size: builder.block_size as u32,
        tp_block_nr: block_count as u32,
        tp_frame_size: frame_size as u32,
        tp_frame_nr: (builder.block_size / frame_size * block_count) as u32,
        tp_retire_blk_tov: builder.retire_timeout.as_millis() as u32,
        tp_sizeof_priv: 0,
        tp_feature_req_word: features,
    }
}

/// Requests half as many blocks each time that memory for them is short, the kernel's or the
/// process's.
fn shrink_until_it_fits<T>(
    builder: &CaptureBuilder,
    mut make: impl FnMut(usize) -> Result<T, SyscallError>,
) -> Result<(RingGeometry, T), SyscallError> {
    let mut block_count = builder.block_count;
    let made = loop {
        match make(block_count) {
            Ok(made) => break made,
            Err(error) if error.is_out_of_memory() && block_count > MIN_BLOCKS => {
                block_count = (block_count / 2).max(MIN_BLOCKS);
            }
            Err(error) => return Err(error),
        }
    };
    let geometry = RingGeometry {
        block_size: builder.block_size,
        block_count,
        requested_blocks: builder.block_count,
        slot_size: builder.slot_size(),
    };
    Ok((geometry, made))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netring_sys::errno::{EINVAL, ENOMEM};
    use std::io;

    fn failed(errno: i32) -> SyscallError {
        SyscallError {
            call: "setsockopt(PACKET_RX_RING)",
            source: io::Error::from_raw_os_error(errno),
        }
    }

    /// The block counts that are requested if the kernel has memory for `room` blocks.
    fn requests(room: usize, wanted: usize) -> (Vec<usize>, Result<RingGeometry, SyscallError>) {
        let mut requested = Vec::new();
        let wanted = CaptureBuilder::new().block_count(wanted);
        let got = shrink_until_it_fits(&wanted, |blocks| {
            requested.push(blocks);
            if blocks > room {
                Err(failed(ENOMEM))
            } else {
                Ok(())
            }
        });
        (requested, got.map(|(size, ())| size))
    }

    #[test]
    fn a_ring_that_does_not_fit_shrinks_and_reports_it() {
        let (tried, got) = requests(7, 50);
        assert_eq!(tried, [50, 25, 12, 6]);
        let got = got.unwrap();
        assert_eq!(
            (got.block_count, got.requested_blocks, got.is_short()),
            (6, 50, true)
        );
        assert_eq!(got.bytes(), 6 * (256 << 10));
        let (tried, got) = requests(50, 50);
        assert_eq!(tried, [50]);
        assert!(!got.unwrap().is_short());
    }

    #[test]
    fn it_shrinks_to_no_fewer_than_two_blocks_and_only_for_memory() {
        let (tried, got) = requests(1, 5);
        assert_eq!(tried, [5, 2]);
        assert!(got.unwrap_err().to_string().contains("smaller ring"));
        let mut times = 0;
        let got = shrink_until_it_fits(&CaptureBuilder::new(), |_| {
            times += 1;
            Err::<(), _>(failed(EINVAL))
        });
        assert!(got.is_err());
        assert_eq!(times, 1);
    }
}
