//! From settings to a running capture, in the one order in which no wrong packet can get in.

use std::os::fd::{AsFd, BorrowedFd};

use netring_sys::kernel::filter::{BPF_RET_K, SockFilter};
use netring_sys::kernel::packet::{
    ETH_P_ALL, TP_FT_REQ_FILL_RXHASH, TPACKET_V2, TPACKET_V3, tpacket_req3,
};
use netring_sys::syscall::{
    attach_filter, bind_packet, packet_socket, set_packet_ignore_outgoing, set_packet_reserve,
    set_packet_rx_ring, set_packet_timestamp, set_packet_version,
};
use netring_sys::wait::Waiter;
use netring_sys::{Error, Filter, Interface, Mmap, Promiscuous, SyscallError};

use super::capture::Capture;
use super::counters::Counters;
use super::pace::Pace;
use super::parse::Context;
use super::ring::Ring;
use crate::builder::{CaptureBuilder, FRAME_SIZE, MIN_BLOCKS, RingGeometry, SLOT_RESERVE};

impl CaptureBuilder {
    /// Opens the capture: when this returns, packets are being captured.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid setting, [`Error::NoSuchInterface`],
    /// [`Error::NotPermitted`] without CAP_NET_RAW, or the call that failed.
    pub fn build(self) -> Result<Capture, Error> {
        set_up(&self)
    }
}

/// The kernel gives no packet to a socket that is bound with protocol 0, and none of another
/// interface to one that is bound to an interface: everything is in its place before the second
/// bind opens the door.
fn set_up(wanted: &CaptureBuilder) -> Result<Capture, Error> {
    wanted.check()?;
    let interface = Interface::by_name(&wanted.interface)?;
    let socket = packet_socket().map_err(SyscallError::needs_net_raw)?;
    let fd = socket.as_fd();
    let version = if wanted.immediate {
        TPACKET_V2
    } else {
        TPACKET_V3
    };
    set_packet_version(fd, version)?;
    if wanted.immediate {
        set_packet_reserve(fd, SLOT_RESERVE)?;
    }
    set_packet_timestamp(fd, wanted.timestamps as u32)?;
    if let Some(ignore) = ignore_outgoing(wanted.ignore_outgoing, &interface) {
        set_packet_ignore_outgoing(fd, ignore)?;
    }
    bind(fd, &interface, 0)?;
    attach(fd, wanted)?;

    let features = if wanted.rx_hash {
        TP_FT_REQ_FILL_RXHASH
    } else {
        0
    };
    let (size, map) = shrink_until_it_fits(wanted, |block_count| {
        set_packet_rx_ring(fd, &request(wanted, block_count, features))?;
        Mmap::shared(fd, wanted.block_size * block_count).inspect_err(|_| {
            // A socket has one ring: what could not be mapped makes place for the next, or goes
            // with the socket.
            let _ = set_packet_rx_ring(fd, &tpacket_req3::default());
        })
    })?;
    let ring = Ring::new(map, size);

    let promiscuous = wanted
        .promiscuous
        .then(|| Promiscuous::set(&interface))
        .transpose()?;
    // Before the door opens: a link that goes down right behind it is told.
    let waiter = Waiter::new(fd, &interface)?;
    bind(fd, &interface, ETH_P_ALL)?;

    let context = Context {
        snap_len: wanted.snap_len.map_or(usize::MAX, |bytes| bytes as usize),
        features,
    };
    Ok(Capture {
        waiter,
        ring,
        socket,
        _promiscuous: promiscuous,
        interface: Box::new(interface),
        context,
        size,
        pace: Box::new(Pace::new(size, wanted.retire_timeout)),
        counters: Counters::default(),
        at: None,
    })
}

/// The interface can be gone since it was asked about.
fn bind(fd: BorrowedFd<'_>, interface: &Interface, protocol: u16) -> Result<(), Error> {
    bind_packet(fd, interface.index, protocol).map_err(|error| match error.is_no_device() {
        true => Error::NoSuchInterface {
            name: interface.name.clone(),
        },
        false => error.into(),
    })
}

/// On a loopback interface each packet would be seen twice. Where it does nothing the option is not
/// set: kernels before 4.20 do not have it.
fn ignore_outgoing(wanted: Option<bool>, interface: &Interface) -> Option<bool> {
    wanted.or_else(|| interface.is_loopback().then_some(true))
}

fn attach(fd: BorrowedFd<'_>, wanted: &CaptureBuilder) -> Result<(), Error> {
    let filter = wanted.filter.as_ref().map(Filter::instructions);
    let Some(program) = program(filter, wanted.snap_len) else {
        return Ok(());
    };
    attach_filter(fd, &program).map_err(|error| {
        let why = match error.source.kind() {
            std::io::ErrorKind::InvalidInput => {
                "the program is valid, but too long for the kernel once it is translated to eBPF"
            }
            std::io::ErrorKind::OutOfMemory => {
                "the program is larger than net.core.optmem_max allows a socket"
            }
            _ => return error.into(),
        };
        Error::Config {
            setting: "filter",
            why: why.into(),
        }
    })
}

/// The program to attach: the given one, in which every constant that accepts a packet is the snap
/// length, because the kernel cuts a packet to what the program returns.
fn program(filter: Option<&[SockFilter]>, snap_len: Option<u32>) -> Option<Vec<SockFilter>> {
    let keep = snap_len.unwrap_or(u32::MAX);
    let everything = [SockFilter::stmt(BPF_RET_K, keep)];
    let filter = filter.or(snap_len.is_some().then_some(&everything))?;
    let mut program = filter.to_vec();
    for instruction in &mut program {
        if instruction.code == BPF_RET_K && instruction.k != 0 {
            instruction.k = keep;
        }
    }
    Some(program)
}

fn request(wanted: &CaptureBuilder, block_count: usize, features: u32) -> tpacket_req3 {
    // `CaptureBuilder::check` has seen to it that all of these fit.
    let frame_size = wanted.slot_size().unwrap_or(FRAME_SIZE);
    tpacket_req3 {
        tp_block_size: wanted.block_size as u32,
        tp_block_nr: block_count as u32,
        tp_frame_size: frame_size as u32,
        tp_frame_nr: (wanted.block_size / frame_size * block_count) as u32,
        tp_retire_blk_tov: wanted.retire_timeout.as_millis() as u32,
        tp_sizeof_priv: 0,
        tp_feature_req_word: features,
    }
}

/// Asks for half as many blocks each time that there is no memory for them, the kernel's or the
/// process's.
fn shrink_until_it_fits<T>(
    wanted: &CaptureBuilder,
    mut make: impl FnMut(usize) -> Result<T, SyscallError>,
) -> Result<(RingGeometry, T), SyscallError> {
    let mut block_count = wanted.block_count;
    let made = loop {
        match make(block_count) {
            Ok(made) => break made,
            Err(error) if error.is_out_of_memory() && block_count > MIN_BLOCKS => {
                block_count = (block_count / 2).max(MIN_BLOCKS);
            }
            Err(error) => return Err(error),
        }
    };
    let size = RingGeometry {
        block_size: wanted.block_size,
        block_count,
        requested_blocks: wanted.block_count,
        slot_size: wanted.slot_size(),
    };
    Ok((size, made))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netring_sys::errno::{EINVAL, ENOMEM};
    use netring_sys::kernel::filter::BPF_LD_W_LEN;
    use std::io;

    fn failed(errno: i32) -> SyscallError {
        SyscallError {
            call: "setsockopt(PACKET_RX_RING)",
            source: io::Error::from_raw_os_error(errno),
        }
    }

    /// The block counts that are asked for where the kernel has memory for `room` blocks.
    fn asked(room: usize, wanted: usize) -> (Vec<usize>, Result<RingGeometry, SyscallError>) {
        let mut asked = Vec::new();
        let wanted = CaptureBuilder::new().block_count(wanted);
        let got = shrink_until_it_fits(&wanted, |blocks| {
            asked.push(blocks);
            if blocks > room {
                Err(failed(ENOMEM))
            } else {
                Ok(())
            }
        });
        (asked, got.map(|(size, ())| size))
    }

    #[test]
    fn a_ring_that_does_not_fit_shrinks_and_says_so() {
        let (tried, got) = asked(7, 50);
        assert_eq!(tried, [50, 25, 12, 6]);
        let got = got.unwrap();
        assert_eq!(
            (got.block_count, got.requested_blocks, got.is_short()),
            (6, 50, true)
        );
        assert_eq!(got.bytes(), 6 * (256 << 10));
        let (tried, got) = asked(50, 50);
        assert_eq!(tried, [50]);
        assert!(!got.unwrap().is_short());
    }

    #[test]
    fn it_shrinks_no_further_than_two_blocks_and_only_for_memory() {
        let (tried, got) = asked(1, 5);
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

    #[test]
    fn s12_what_a_filter_returns_says_yes_or_no_and_the_snap_length_how_much() {
        let ret = |k| SockFilter::stmt(BPF_RET_K, k);
        let load = SockFilter::stmt(BPF_LD_W_LEN, 77);
        assert_eq!(program(None, None), None);
        assert_eq!(program(None, Some(60)), Some(vec![ret(60)]));
        let filter = [load, ret(65_535), ret(0), ret(1)];
        let all = Some(vec![load, ret(u32::MAX), ret(0), ret(u32::MAX)]);
        assert_eq!(program(Some(&filter), None), all);
        let cut = Some(vec![load, ret(60), ret(0), ret(60)]);
        assert_eq!(program(Some(&filter), Some(60)), cut);
    }
}
