//! libpcap, through the crate `pcap`: the loop over `next_packet` that its users write, with a
//! buffer of 256 MiB.
//!
//! The capture is non-blocking and the wait is outside, so that the wait is not measured.

use std::os::fd::AsFd;

use pcap::{Capture, Error};

use crate::Result;

pub(crate) fn run(interface: &str) -> Result<()> {
    let capture = Capture::from_device(interface)?
        .buffer_size(256 << 20)
        .timeout(10)
        .open()?;
    let mut capture = capture.setnonblock()?;
    let (mut packets, mut sum) = (0_u64, 0);
    crate::measure(&mut capture, Capture::as_fd, |capture| {
        loop {
            match capture.next_packet() {
                Ok(packet) => {
                    let time = packet.header.ts;
                    let nanos = time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
                    packets += 1;
                    sum ^= crate::touch(packet.data, packet.header.len, nanos);
                }
                Err(Error::TimeoutExpired) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    })?;
    std::hint::black_box(sum);
    println!("delivered {packets}");
    println!("dropped {}", capture.stats()?.dropped);
    Ok(())
}
