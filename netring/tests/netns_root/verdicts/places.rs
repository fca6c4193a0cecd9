//! The places where a filter runs, each of which says which frames it selects.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use netring::adapters::Filtered;
use netring::pcap::{CaptureFile, CaptureWriter};
use netring::xdp::program::{AttachMode, Program};
use netring::{
    Capture, Filter, Interface, LinkType, Packet, PacketBatch, PacketSource, PacketWriter,
    XdpCapture,
};
use netring_sys::kernel::bpf::{XDP_PASS, XDP_REDIRECT, xdp_md};
use netring_sys::syscall::{bpf_test_xdp, xdp_socket};
use xtask::netns::{bridge, ip, veth};
use xtask::wire::{Sender, collect};

pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// The frames and their numbers.
pub(super) struct Frames {
    pub(super) all: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, usize>,
}

impl Frames {
    pub(super) fn new() -> Self {
        let all = super::frames::frames();
        let numbered = all.iter().enumerate();
        let numbers: HashMap<_, _> = numbered.map(|(n, frame)| (frame.clone(), n)).collect();
        assert_eq!(numbers.len(), all.len(), "two frames are equal");
        Self { all, numbers }
    }

    pub(super) fn send(&self, sender: &Sender) {
        for frame in &self.all {
            sender.send(frame).unwrap();
        }
    }

    /// The number of a packet, whose bytes must be those that were sent.
    fn number(&self, packet: &Packet<'_>) -> usize {
        self.numbers[&packet.wire_bytes().pieces().concat()]
    }

    /// Takes this many packets, and returns the numbers of those of an interface. The others were
    /// passed on by an XDP program before.
    #[track_caller]
    fn take(&self, source: &mut impl PacketSource, count: u64, interface: &str) -> Vec<usize> {
        let deadline = Instant::now() + LIMIT;
        let index = Interface::by_name(interface).unwrap().index;
        let (mut numbers, mut taken) = (Vec::new(), 0);
        while taken < count {
            assert!(Instant::now() < deadline, "{taken} of {count} came");
            let batch = source.next_batch_timeout(Duration::from_millis(100));
            if let Some(batch) = batch.unwrap().batch() {
                for packet in batch.packets() {
                    taken += 1;
                    if packet.interface() == index {
                        numbers.push(self.number(&packet));
                    }
                }
            }
        }
        numbers
    }
}

pub(super) fn filter(text: &str) -> Filter {
    text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
}

/// A packet socket of an interface, with and without a filter.
pub(super) struct Sockets {
    pub(super) sender: Sender,
    pub(super) unfiltered: Capture,
}

pub(super) fn socket(interface: &str) -> netring::afpacket::CaptureBuilder {
    Capture::builder()
        .interface(interface)
        .block_size(1 << 17)
        .block_count(4)
        .retire_timeout(Duration::from_millis(1))
        .ignore_outgoing(true)
}

impl Sockets {
    pub(super) fn new() -> Self {
        wire("v0", "v1");
        Self {
            sender: Sender::on("v0").unwrap(),
            unfiltered: socket("v1").build().unwrap(),
        }
    }

    /// What the kernel selects for a socket of the interface and for one of all interfaces, and
    /// what `Filtered` selects from all packets.
    pub(super) fn select(&mut self, frames: &Frames, text: &str) -> [Vec<usize>; 3] {
        let mut kernel = socket("v1").filter(filter(text)).build().unwrap();
        let all = socket("v1").all_interfaces().filter(filter(text));
        let mut all = all.build().unwrap();
        frames.send(&self.sender);
        let mut filtered = Filtered::new(&mut self.unfiltered, filter(text)).unwrap();
        let mut by_filtered = Vec::new();
        let count = frames.all.len() as u64;
        let left_out = |stats: &netring::Stats| stats.left_out.exact().unwrap();
        let before = filtered.stats().unwrap();
        let before = left_out(&before);
        let deadline = Instant::now() + LIMIT;
        while by_filtered.len() as u64 + left_out(&filtered.stats().unwrap()) - before < count {
            assert!(Instant::now() < deadline);
            let timeout = Duration::from_millis(100);
            if let Some(batch) = filtered.next_batch_timeout(timeout).unwrap().batch() {
                for packet in batch.packets() {
                    by_filtered.push(frames.number(&packet));
                }
            }
        }
        // The older socket saw the last frame, so the newer ones did too.
        let selected = |capture: &mut Capture| {
            let offered = capture.stats().unwrap().offered.exact().unwrap();
            frames.take(capture, offered, "v1")
        };
        [selected(&mut kernel), selected(&mut all), by_filtered]
    }
}

/// A pair of interfaces that takes jumbo frames.
fn wire(a: &str, b: &str) {
    veth(a, b).unwrap();
    ip(&format!("link set {a} mtu 9000")).unwrap();
    ip(&format!("link set {b} mtu 9000")).unwrap();
}

/// An XDP program on the second interface of a pair.
pub(super) struct Xdp {
    sender: Sender,
    interface: &'static str,
    mode: AttachMode,
    is_bridged: bool,
}

impl Xdp {
    pub(super) fn new(a: &str, interface: &'static str, mode: AttachMode) -> Self {
        wire(a, interface);
        Self {
            sender: Sender::on(a).unwrap(),
            interface,
            mode,
            is_bridged: false,
        }
    }

    /// Frames sent on `a` arrive at the interface with their tag beside the bytes, because the
    /// stack takes it out when the port of the bridge receives them.
    pub(super) fn behind_a_bridge(a: &str, interface: &'static str) -> Self {
        wire(a, "port0");
        let mut xdp = Self::new("port1", interface, AttachMode::Native);
        bridge("bridge", &["port0", "port1"]).unwrap();
        // If netfilter inspects bridged packets, it drops those with a wrong checksum.
        for kind in ["iptables", "ip6tables", "arptables"] {
            let file = format!("/proc/sys/net/bridge/bridge-nf-call-{kind}");
            if let Err(error) = std::fs::write(&file, "0") {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{file}");
            }
        }
        xdp.sender = Sender::on(a).unwrap();
        xdp.is_bridged = true;
        xdp
    }

    pub(super) fn select(&self, frames: &Frames, text: &str) -> Vec<usize> {
        let builder = XdpCapture::builder()
            .interface(self.interface)
            .chunks(512)
            .attach_mode(self.mode);
        let mut capture = builder.filter(filter(text)).build().unwrap();
        assert!(capture.has_metadata() || !self.is_bridged);
        frames.send(&self.sender);
        let all = frames.all.len() as u64;
        let deadline = Instant::now() + LIMIT;
        let counted = loop {
            let counted = capture.program_counters().unwrap().unwrap();
            if counted.offered() == all {
                break counted;
            }
            assert!(Instant::now() < deadline, "{text}: {counted:?}");
            std::thread::yield_now();
        };
        assert_eq!(counted.redirected + counted.passed, all, "{text}");
        frames.take(&mut capture, counted.redirected, self.interface)
    }
}

/// An XDP program that is not attached.
pub(super) struct TestRun {
    program: Program,
    _socket: OwnedFd,
}

impl TestRun {
    pub(super) fn new(text: &str) -> Self {
        let redirect = Program::redirect().queues(1).multi_buffer(true);
        let mut program = redirect.filter(filter(text)).load().unwrap();
        let socket = xdp_socket().unwrap();
        program.sockets_mut().set(0, socket.as_fd()).unwrap();
        Self {
            program,
            _socket: socket,
        }
    }

    pub(super) fn select(&mut self, frames: &Frames) -> Vec<usize> {
        let numbered = frames.all.iter().enumerate();
        let selected = numbered.filter(|(_, frame)| {
            let context = xdp_md {
                data_end: frame.len() as u32,
                ..xdp_md::default()
            };
            let fd = self.program.fd().unwrap();
            let (verdict, left) = bpf_test_xdp(fd, frame, context).unwrap();
            assert_eq!(&left, *frame);
            assert!(matches!(verdict, XDP_PASS | XDP_REDIRECT));
            verdict == XDP_REDIRECT
        });
        selected.map(|(n, _)| n).collect()
    }
}

/// What a filter over a capture file selects.
pub(super) fn of_file(frames: &Frames, file: &[u8], text: &str) -> Vec<usize> {
    let file = CaptureFile::new(file).unwrap();
    let mut filtered = Filtered::new(file, filter(text)).unwrap();
    let mut selected = Vec::new();
    while let Some(batch) = filtered.next_batch().unwrap() {
        selected.extend(batch.packets().map(|packet| frames.numbers[packet.data()]));
    }
    let left_out = filtered.stats().unwrap().left_out.exact().unwrap();
    assert_eq!(left_out as usize + selected.len(), frames.all.len());
    selected
}

/// A capture file of the frames as a packet socket receives them.
pub(super) fn written(frames: &Frames, sockets: &mut Sockets) -> Vec<u8> {
    frames.send(&sockets.sender);
    let count = frames.all.len();
    let packets = collect(&mut sockets.unfiltered, count, LIMIT).unwrap();
    assert_eq!(packets.len(), count);
    let mut file = Vec::new();
    let mut writer = CaptureWriter::new(&mut file, LinkType::ETHERNET).unwrap();
    for packet in &packets {
        assert!(writer.write(&packet.as_packet()).unwrap());
    }
    writer.finish().unwrap();
    file
}

/// Takes the remaining packets of one transmission.
pub(super) fn drain(source: &mut Capture, frames: &Frames) {
    let deadline = Instant::now() + LIMIT;
    let sent = |source: &mut Capture| source.stats().unwrap();
    while sent(source).pending() != Some(0)
        || !sent(source)
            .offered
            .exact()
            .unwrap()
            .is_multiple_of(frames.all.len() as u64)
    {
        assert!(Instant::now() < deadline);
        drop(
            source
                .next_batch_timeout(Duration::from_millis(10))
                .unwrap(),
        );
    }
}
