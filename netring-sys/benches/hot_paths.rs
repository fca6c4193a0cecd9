//! A filter in user space. `cargo xtask instructions` counts the functions named `measured_*`.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends there")]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use netring_sys::kernel::filter::SockFilter;
use netring_sys::{Clock, LinkType, Matcher, Packet, Timestamp};
use xtask::wire::udp4;

/// What one call works on. `cargo xtask instructions` knows this number.
const PACKETS: usize = 4096;

/// `udp dst port 53`, as tcpdump writes it for IPv4 without fragments.
const DNS: [SockFilter; 8] = [
    SockFilter::stmt(0x28, 12),
    SockFilter::jump(0x15, 0x800, 0, 5),
    SockFilter::stmt(0x30, 23),
    SockFilter::jump(0x15, 17, 0, 3),
    SockFilter::stmt(0xb1, 14),
    SockFilter::stmt(0x48, 16),
    SockFilter::jump(0x15, 53, 1, 0),
    SockFilter::stmt(0x06, 0),
];

fn main() {
    divan::main();
}

/// A filter over packets of which every second matches.
#[divan::bench]
fn filter(bencher: Bencher<'_, '_>) {
    let accept = SockFilter::stmt(0x06, u32::MAX);
    let matcher = Matcher::new(DNS.into_iter().chain([accept]).collect::<Vec<_>>()).unwrap();
    let frames = [udp4(40_000, 53, b"a query"), udp4(40_000, 443, b"not one")];
    assert_eq!(measured_filter(&matcher, &frames, 2), 1);
    bencher
        .counter(ItemsCount::new(PACKETS))
        .bench_local(|| measured_filter(&matcher, black_box(&frames), PACKETS));
}

#[inline(never)]
fn measured_filter(matcher: &Matcher, frames: &[Vec<u8>; 2], packets: usize) -> usize {
    let time = Timestamp::from_nanos(1, Clock::Software);
    let packets = frames.iter().cycle().take(packets);
    let packets = packets.map(|frame| Packet::new(frame, time, LinkType::ETHERNET));
    packets.filter(|packet| matcher.matches(packet)).count()
}
