//! `cargo xtask conformance DIR --live` on captures that the test writes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use etherparse::PacketBuilder;
use xtask::wire::with_flags;

pub(super) const ETHERNET: u32 = 1;
/// A link type for the user, which nothing is known of.
const USER: u32 = 147;
/// The longest frame of a veth pair: its MTU and the link layer header.
pub(super) const LONGEST: usize = 65_535 + 14;

/// A folder that is removed at the end of the test.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(test: &str) -> Self {
        let name = format!("netring-live-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file of these frames, a second apart. Those with a length were cut.
    pub(super) fn add<'a>(
        &self,
        name: &str,
        link_type: u32,
        frames: impl IntoIterator<Item = &'a (Vec<u8>, Option<u32>)>,
    ) {
        let words = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, link_type];
        let mut file: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        for (second, (frame, wire)) in (1..).zip(frames) {
            let len = frame.len() as u32;
            for word in [second, 7, len, wire.unwrap_or(len)] {
                file.extend(word.to_le_bytes());
            }
            file.extend(frame);
        }
        fs::write(self.0.join(name), file).unwrap();
    }

    /// Runs the tool through these words, and returns whether it succeeded, its output, and its
    /// errors.
    pub(super) fn run(&self, through: &[&str]) -> (bool, String, String) {
        let tool = env!("CARGO_BIN_EXE_tools");
        let words: Vec<_> = through.iter().copied().chain([tool]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("conformance");
        let output = command.arg(&self.0).arg("--live").output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn udp(len: usize) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([10, 0, 0, 2], [10, 0, 0, 1], 64)
        .udp(4000, 53);
    let mut frame = Vec::new();
    builder.write(&mut frame, &vec![7; len]).unwrap();
    frame
}

/// A segment from the client or to it: SYN 2, RST 4, ACK 16, FIN 1.
pub(super) fn tcp6(is_client: bool, flags: u8, len: usize) -> Vec<u8> {
    let (mut from, mut to) = ([0xfd; 16], [0xfc; 16]);
    let mut ports = (5000, 443);
    if !is_client {
        (from, to, ports) = (to, from, (443, 5000));
    }
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv6(from, to, 64)
        .tcp(ports.0, ports.1, 1000, 65_000);
    let builder = with_flags(builder, flags);
    let mut frame = Vec::new();
    builder.write(&mut frame, &vec![1; len]).unwrap();
    frame
}

/// The frame with these tags in front of its Ethertype.
fn tagged(frame: &[u8], tags: &[[u8; 4]]) -> Vec<u8> {
    [&frame[..12], &tags.concat(), &frame[12..]].concat()
}

/// The frame before a card cuts it into segments.
pub(super) fn without_length(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[16..18].fill(0);
    frame
}

/// The datagram of 2000 bytes in two fragments.
pub(super) fn fragments() -> [Vec<u8>; 2] {
    let whole = udp(2000 - 8);
    [(0, 1200), (1200, 2000)].map(|(start, end)| {
        let mut frame = whole[..34].to_vec();
        let len = (20 + end - start) as u16;
        let more = if end < 2000 { 0x2000 } else { 0 };
        frame[16..18].copy_from_slice(&len.to_be_bytes());
        frame[20..22].copy_from_slice(&(more | (start / 8) as u16).to_be_bytes());
        frame.extend(&whole[34 + start..34 + end]);
        frame
    })
}

/// Tags that the kernel moves out of the bytes, fragments, frames of all lengths that fit, a
/// connection, and malformed ones arrive as they are; the others are left out, by cause.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn captures_are_the_same_over_all_paths() {
    let folder = Folder::new("same");
    let (vlan, service) = ([0x81, 0, 0x60, 5], [0x88, 0xa8, 0, 9]);
    let whole = |frame: Vec<u8>| (frame, None);
    let [first, second] = fragments();
    let mut arp = vec![0xff; 12];
    arp.extend([8, 6, 0, 1, 8, 0, 6, 4]);
    let frames = [
        without_length(&udp(9)),
        udp(0),
        udp(18),
        tagged(&udp(5), &[vlan]),
        tagged(&udp(5), &[service, vlan]),
        tagged(&udp(5), &[vlan, vlan, vlan]),
        tagged(&udp(5), &[vlan])[..20].to_vec(),
        first,
        second,
        udp(8973),
        udp(LONGEST - 42),
        udp(0)[..14].to_vec(),
        udp(0)[..20].to_vec(),
        arp,
    ];
    folder.add("frames.pcap", ETHERNET, &frames.map(whole));
    let snapped = [
        (udp(100)[..60].to_vec(), Some(142)),
        (tagged(&udp(99), &[vlan])[..40].to_vec(), Some(145)),
        (tagged(&udp(99), &[vlan])[..16].to_vec(), Some(145)),
        (udp(0)[..10].to_vec(), Some(42)),
    ];
    folder.add("snapped.pcap", ETHERNET, &snapped);
    let connection = [
        (true, 2, 0),
        (false, 18, 0),
        (true, 16, 0),
        (true, 16, 1400),
        (false, 16, 20_000),
        (true, 17, 0),
        (false, 17, 0),
        (true, 16, 0),
        // The ports are used again.
        (true, 2, 0),
        (false, 20, 0),
    ];
    let connection = connection.map(|(from, flags, len)| whole(tcp6(from, flags, len)));
    folder.add("connection.pcap", ETHERNET, &connection);
    let too_long = [udp(LONGEST - 42), vec![0]].concat();
    let not_sent = [
        (udp(100), Some(LONGEST as u32 + 1)),
        (udp(100), Some(u32::MAX)),
        whole(udp(0)[..13].to_vec()),
        whole(tagged(&udp(0), &[vlan])[..19].to_vec()),
        whole(without_length(&too_long)),
        whole(too_long),
    ];
    folder.add("not_sent.pcap", ETHERNET, &not_sent);
    // More than is on its way at once.
    let many: Vec<_> = (0..1000).map(|len| whole(udp(len))).collect();
    folder.add("many.pcap", ETHERNET, &many);
    fs::write(folder.0.join("broken.pcap"), b"no capture").unwrap();
    let (is_equal, out, errors) = folder.run(&["env"]);
    assert!(is_equal, "{out}{errors}");
    let lines: Vec<_> = out.lines().take(6).collect();
    let expected = [
        "passed 6 captures, 1028 packets; received by AF_PACKET 1028, by AF_XDP native 1028, generic 1028; 0 differences",
        "2 captures have no packet that can be sent",
        "filled with zeros on all paths and cut again: 4 packets, cut by a snap length",
        "left out on all paths: 1 packets, its first VLAN tag is cut",
        "left out on all paths: 4 packets, longer than the MTU of 65,535",
        "left out on all paths: 1 packets, shorter than 14 bytes",
    ];
    assert_eq!(lines, expected, "{out}{errors}");
}

/// Without a packet on the wire nothing was compared, and without privileges nothing can be.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn nothing_compared_is_a_failure() {
    let folder = Folder::new("none");
    folder.add("user.pcap", USER, &[(udp(0)[14..].to_vec(), None)]);
    let (is_equal, out, errors) = folder.run(&["env"]);
    assert!(!is_equal, "{out}");
    assert!(
        errors.contains("has no packet that can be sent"),
        "{errors}"
    );
    let (is_equal, out, errors) = folder.run(&["unshare", "--user", "--map-root-user"]);
    assert!(!is_equal, "{out}");
    assert!(errors.contains("conformance: AF_XDP native: "), "{errors}");
}
