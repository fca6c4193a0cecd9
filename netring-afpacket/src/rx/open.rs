//! Opens a capture, in an order that lets no wrong packet into its ring.

use std::os::fd::{AsFd, BorrowedFd};

use netring_sys::filter::Program;
use netring_sys::kernel::packet::{
    ETH_P_ALL, TP_FT_REQ_FILL_RXHASH, TPACKET_V2, TPACKET_V3, tpacket_req3,
};
use netring_sys::syscall::{
    detach_filter, lock_filter, set_packet_ignore_outgoing, set_packet_rx_ring,
    set_packet_timestamp, set_packet_version,
};
use netring_sys::wait::Waiter;
use netring_sys::{Error, Interface, Memberships, Mmap, SyscallError};

use super::capture::Capture;
use super::geometry::{FRAME_SIZE, MIN_BLOCKS, RingGeometry};
use super::pace::Pace;
use super::parse::Context;
use super::reader::Reader;
use super::ring::Ring;
use crate::builder::CaptureBuilder;
use crate::builder::namespace::inside;
use crate::socket;

impl CaptureBuilder {
    /// Opens the capture: when this returns, packets are being captured.
    ///
    /// # Errors
    /// Returns [`Error::Config`] for an invalid setting, [`Error::NoSuchInterface`],
    /// [`Error::NotPermitted`] without CAP_NET_RAW (in a given [namespace](Self::namespace)
    /// CAP_SYS_ADMIN too), or the call that failed.
    pub fn build(self) -> Result<Capture, Error> {
        let capture = inside(self.namespace.as_ref(), || {
            let mut capture = prepare(&self, Gate::Open)?;
            capture.hold_card(self.set_card(capture.interface())?);
            Ok(capture)
        })?;
        socket::bind(capture.socket(), capture.interface(), ETH_P_ALL)?;
        capture.log_opened();
        Ok(capture)
    }
}

/// The initial filter of a capture.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gate {
    /// The filter from its settings.
    Open,
    /// A filter that rejects everything, until [`lift`] replaces it.
    Shut,
}

/// A capture with all its settings that receives nothing until it is bound with a protocol.
///
/// The kernel gives no packet to a socket that is bound with protocol 0, and no packet of another
/// interface to one that is bound to an interface. So all settings are made before the second bind,
/// and no unwanted packet enters the ring.
pub(crate) fn prepare(builder: &CaptureBuilder, gate: Gate) -> Result<Capture, Error> {
    builder.check()?;
    let interface = builder.find_interface()?;
    let socket = socket::open()?;
    let fd = socket.as_fd();
    if builder.immediate {
        set_packet_version(fd, TPACKET_V2)?;
    } else {
        set_packet_version(fd, TPACKET_V3)?;
    }
    builder.shape(fd)?;
    set_packet_timestamp(fd, builder.timestamps as u32)?;
    if let Some(ignore) = ignore_outgoing(builder.ignore_outgoing, &interface) {
        set_packet_ignore_outgoing(fd, ignore)?;
    }
    socket::bind(fd, &interface, 0)?;
    match gate {
        Gate::Open => attach(fd, builder, builder.program(&interface)?.as_ref())?,
        Gate::Shut => socket::reject_all(fd)?,
    }

    let features = match builder.rx_hash {
        true => TP_FT_REQ_FILL_RXHASH,
        false => 0,
    };
    let (geometry, map, why_short) = shrink_until_it_fits(builder, |block_count| {
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
        offload: builder.offload_state,
        vlan_in_bytes: builder.vlan_in_bytes,
    };
    let pace = Pace::new(geometry, builder.retire_timeout);
    let reader = Reader::new(ring, geometry, context, pace);

    let memberships = Memberships::set(&interface, &builder.memberships())?;
    // Before the second bind, so that a link which goes down right after it is reported.
    let waiter = match builder.all_interfaces {
        true => Waiter::without_interface(fd)?,
        false => Waiter::new(fd, &interface)?,
    };
    let settings = builder.clone();
    let mut capture = Capture::new(socket, waiter, reader, interface, memberships, settings);
    capture.why_ring_short = why_short.map(Box::new);
    Ok(capture)
}

/// Attaches the filter of the settings, of which `program` is the classic one, and locks it if that
/// was requested.
fn attach(
    fd: BorrowedFd<'_>,
    builder: &CaptureBuilder,
    program: Option<&Program>,
) -> Result<(), Error> {
    match &builder.ebpf_filter {
        Some(program) => socket::attach_ebpf(fd, program.as_fd())?,
        None => socket::attach(fd, program, builder.snap_len)?,
    }
    if builder.lock_filter {
        lock_filter(fd)?;
    }
    Ok(())
}

/// Replaces the filter that rejects everything by that of the settings.
pub(crate) fn lift(
    fd: BorrowedFd<'_>,
    builder: &CaptureBuilder,
    program: Option<&Program>,
) -> Result<(), Error> {
    if builder.ebpf_filter.is_none() && program.is_none() && builder.snap_len.is_none() {
        detach_filter(fd)?;
    }
    attach(fd, builder, program)
}

/// On a loopback interface each packet would be captured twice. The option is not set if that
/// changes nothing: kernels before 4.20 do not have it. For all interfaces the filter does it.
pub(crate) fn ignore_outgoing(requested: Option<bool>, interface: &Interface) -> Option<bool> {
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

/// Halves the requested blocks each time that memory for them is short, the kernel's or the
/// process's. Also returns why the last request was refused, if one was.
fn shrink_until_it_fits<T>(
    builder: &CaptureBuilder,
    mut make: impl FnMut(usize) -> Result<T, SyscallError>,
) -> Result<(RingGeometry, T, Option<SyscallError>), SyscallError> {
    let mut block_count = builder.block_count;
    let mut why_short = None;
    let made = loop {
        match make(block_count) {
            Ok(made) => break made,
            Err(error) if error.is_out_of_memory() && block_count > MIN_BLOCKS => {
                block_count = (block_count / 2).max(MIN_BLOCKS);
                why_short = Some(error);
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
    Ok((geometry, made, why_short))
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
        let size = got.map(|(size, (), why)| {
            assert_eq!(why.is_some(), size.is_short());
            size
        });
        (requested, size)
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
