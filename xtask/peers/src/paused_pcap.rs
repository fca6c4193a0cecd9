//! libpcap, by the crate `pcap`, with its default settings, and a reader that pauses.

use std::io::Read;
use std::os::fd::AsFd;

use netring_sys::syscall::poll_readable;
use pcap::{Capture, Error};

use crate::{QUIET, Result};

pub(crate) fn run(interface: &str) -> Result<()> {
    let capture = Capture::from_device(interface)?.open()?;
    let mut capture = capture.setnonblock()?;
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    let mut packets = 0_u64;
    loop {
        match capture.next_packet() {
            Ok(_) => packets += 1,
            Err(Error::TimeoutExpired) => {
                // Longer than a block of libpcap's stays open.
                if !poll_readable(capture.as_fd(), Some(20 * QUIET))? {
                    break;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    println!("delivered {packets}");
    println!("dropped {}", capture.stats()?.dropped);
    Ok(())
}
