//! Capture files through the crate `pcap`: the loops that its users write.

use std::time::Duration;

use pcap::{Capture, Error, Linktype, Packet, PacketHeader, Precision};

use crate::{Result, cpu_time, touch};

/// Reads a file, with timestamps in nanoseconds.
pub(crate) fn read(path: &str) -> Result<()> {
    let start = cpu_time()?;
    let mut capture = Capture::from_file_with_precision(path, Precision::Nano)?;
    let (mut packets, mut sum) = (0_u64, 0);
    loop {
        match capture.next_packet() {
            Ok(packet) => {
                let time = packet.header.ts;
                let nanos = time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64;
                packets += 1;
                sum ^= touch(packet.data, packet.header.len, nanos);
            }
            Err(Error::NoMorePackets) => break,
            Err(error) => return Err(error.into()),
        }
    }
    std::hint::black_box(sum);
    report(packets, cpu_time()? - start)
}

/// Writes a file of so many packets, with timestamps in nanoseconds.
pub(crate) fn write(path: &str, len: &str, packets: &str) -> Result<()> {
    let (len, packets): (usize, u64) = (len.parse()?, packets.parse()?);
    let data = vec![7; len];
    let start = cpu_time()?;
    let capture = Capture::dead_with_precision(Linktype::ETHERNET, Precision::Nano)?;
    let mut file = capture.savefile(path)?;
    let mut header = PacketHeader {
        ts: nix::libc::timeval {
            tv_sec: 1_700_000_000,
            tv_usec: 0,
        },
        caplen: len as u32,
        len: len as u32,
    };
    for _ in 0..packets {
        header.ts.tv_usec = (header.ts.tv_usec + 500) % 1_000_000_000;
        file.write(&Packet::new(&header, &data));
    }
    file.flush()?;
    drop(file);
    report(packets, cpu_time()? - start)
}

fn report(packets: u64, time: Duration) -> Result<()> {
    println!("delivered {packets}");
    println!("awake {}", time.as_nanos());
    Ok(())
}
