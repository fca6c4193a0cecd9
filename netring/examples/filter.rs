//! Captures DNS queries, by a filter that runs in the kernel:
//! `cargo run --example filter -- eth0 10`. It ends after that many packets.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::ops::ControlFlow::{Break, Continue};

use netring::{Capture, PacketSource, SockFilter};

/// `ip and udp dst port 53`, for packets that are not fragments and have no IP options.
const DNS_QUERIES: [SockFilter; 8] = [
    SockFilter::stmt(0x28, 12),           // ldh [12]
    SockFilter::jump(0x15, 0x0800, 0, 5), // jeq #0x0800: IPv4
    SockFilter::stmt(0x30, 23),           // ldb [23]
    SockFilter::jump(0x15, 17, 0, 3),     // jeq #17: UDP
    SockFilter::stmt(0x28, 36),           // ldh [36]
    SockFilter::jump(0x15, 53, 0, 1),     // jeq #53: the destination port
    SockFilter::stmt(0x06, u32::MAX),     // ret: the packet
    SockFilter::stmt(0x06, 0),            // ret: nothing
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("filter INTERFACE [PACKETS]");
    let builder = Capture::builder().interface(args.interface()?);
    let (wanted, mut seen) = (args.number("PACKETS", 10)?, 0);
    args.end()?;
    let mut capture = builder.filter(DNS_QUERIES).build()?;
    capture.try_for_each(|packet| {
        println!("{} {} bytes", packet.timestamp(), packet.wire_len());
        seen += 1;
        match seen < wanted {
            true => Continue(()),
            false => Break(()),
        }
    })?;
    let stats = capture.stats()?;
    println!("offered {}, dropped {}", stats.offered, stats.dropped);
    Ok(())
}
