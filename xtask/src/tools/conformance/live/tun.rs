//! TUN interfaces, which show packets of other link types as they are.
//!
//! What is written to the file of a TUN interface arrives on the interface, and the kernel lets its
//! hardware type be set. So a raw packet socket gets packets of any link type that has a hardware
//! type, and the library has to find out which.
//!
//! # Safety
//!
//! Invariant: a call gets a number, or a whole `ifreq` on the stack, and the kernel keeps no
//! pointer.
#![expect(
    unsafe_code,
    reason = "the configuration of a TUN interface is an ioctl"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

use netring_afpacket::{Capture, Profile};
use netring_sys::{LinkType, Packet, PacketSource, PacketVec};
use xtask::netns::ip;

use super::flows::{KEYS, at, packets_differ, reports_differ, track};
use super::wire::{BYTES, PACKETS, marker, until};
use crate::Result;

/// The longest packet that is written.
const LONGEST: usize = 65_535;
/// What precedes each packet (`struct tun_pi`): flags, and an EtherType for local experiments, so
/// that no protocol of the host takes the packet.
const INFO: [u8; 4] = [0, 0, 0x88, 0xb5];

/// Link types of files, and the hardware type whose packets look the same (`ARPHRD_*`).
const HARDWARE: [(u16, u16); 11] = [
    // Raw IP under its five numbers: ARPHRD_NONE.
    (12, NONE),
    (14, NONE),
    (101, NONE),
    (228, NONE),
    (229, NONE),
    // Cisco HDLC.
    (104, 513),
    // 802.11: alone, and behind the headers of Prism and of radiotap.
    (105, 801),
    (119, 802),
    (127, 803),
    // 802.15.4 without a checksum.
    (230, 804),
    // Packets between virtual machines: ARPHRD_VSOCKMON.
    (271, 826),
];
const NONE: u16 = 0xfffe;

/// The interfaces that were needed so far, by hardware type.
#[derive(Default)]
pub(super) struct Tuns(BTreeMap<u16, Tun>);

struct Tun {
    name: String,
    /// The link type that its packets have to have.
    link_type: LinkType,
    device: File,
    capture: Capture,
    markers: u64,
    received: u64,
}

impl Tuns {
    /// Passes the packets that a TUN interface can show, counts them by link type, and returns the
    /// differences.
    pub(super) fn compare(
        &mut self,
        packets: &PacketVec,
        sent: &mut BTreeMap<LinkType, u64>,
    ) -> Result<Vec<String>> {
        let mut by_hardware: BTreeMap<u16, PacketVec> = BTreeMap::new();
        for packet in packets {
            if let Some(hardware) = hardware(&packet) {
                by_hardware.entry(hardware).or_default().push(&packet);
                *sent.entry(packet.link_type()).or_default() += 1;
            }
        }
        let mut lines = Vec::new();
        for (hardware, packets) in &by_hardware {
            let tun = match self.0.remove(hardware) {
                Some(tun) => tun,
                None => Tun::new(*hardware)?,
            };
            let tun = self.0.entry(*hardware).or_insert(tun);
            let wrong = tun.compare(packets)?;
            lines.extend(wrong.iter().map(|line| format!("{}: {line}", tun.name)));
        }
        Ok(lines)
    }

    /// Compares the figures of the captures with what was received on them.
    pub(super) fn balance(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for tun in self.0.values_mut() {
            let stats = tun.capture.stats()?;
            if stats.delivered.exact() != Some(tun.received + tun.markers) {
                let (name, received, markers) = (&tun.name, tun.received, tun.markers);
                lines.push(format!(
                    "{name}: received {received} packets and {markers} markers, but the capture reports {stats:?}"
                ));
            }
        }
        Ok(lines)
    }
}

/// The hardware type of an interface that shows this packet as it is.
fn hardware(packet: &Packet<'_>) -> Option<u16> {
    let data = packet.data();
    if packet.is_cut() || data.is_empty() || data.len() > LONGEST {
        return None;
    }
    // An interface without a link layer does not say which version it carries.
    let version = data[0] >> 4;
    match packet.link_type() {
        LinkType::IPV4 if version != 4 => return None,
        LinkType::IPV6 if version != 6 => return None,
        _ => {}
    }
    let mut known = HARDWARE.iter();
    known
        .find(|(link_type, _)| *link_type == packet.link_type().0)
        .map(|(_, hardware)| *hardware)
}

/// The link type that packets from an interface of a hardware type have to have.
fn expected(hardware: u16) -> LinkType {
    match hardware {
        NONE => LinkType::RAW_IP,
        _ => {
            let found = HARDWARE.iter().find(|(_, known)| *known == hardware);
            found.map_or(LinkType::UNKNOWN, |(link_type, _)| LinkType(*link_type))
        }
    }
}

impl Tun {
    fn new(hardware: u16) -> Result<Self> {
        let interface = format!("tun{hardware}");
        let device = open(&interface, hardware)
            .map_err(|why| format!("a TUN interface of hardware type {hardware}: {why}"))?;
        ip(&format!("link set dev {interface} addrgenmode none"))?;
        ip(&format!("link set dev {interface} up"))?;
        let builder = Capture::builder().interface(&interface);
        let builder = builder.profile(Profile::Jumbo).ignore_outgoing(true);
        Ok(Self {
            name: format!("AF_PACKET on {interface}"),
            link_type: expected(hardware),
            device,
            capture: builder.build()?,
            markers: 0,
            received: 0,
        })
    }

    fn compare(&mut self, packets: &PacketVec) -> Result<Vec<String>> {
        let received = self.pass(packets)?;
        self.received += received.len() as u64;
        let all: Vec<usize> = (0..packets.len()).collect();
        let mut lines = packets_differ(packets, &all, &received);
        for (packet, number) in received.iter().zip(1..) {
            let found = packet.link_type();
            if found != self.link_type {
                lines.push(format!("packet {number} arrived with link type {found}"));
            }
        }
        for (keys, extract) in KEYS {
            let file = track(extract(), packets.iter())?;
            let live = received.iter().zip(packets);
            let live = live.map(|(packet, original)| at(&packet, &original));
            let wrong = reports_differ(&file, &track(extract(), live)?);
            lines.extend(wrong.iter().map(|line| format!("{keys}: {line}")));
        }
        Ok(lines)
    }

    /// Writes the packets and receives them.
    fn pass(&mut self, packets: &PacketVec) -> Result<PacketVec> {
        let mut received = PacketVec::new();
        let (mut waiting, mut bytes) = (0, 0);
        for packet in packets {
            self.write(packet.data())?;
            (waiting, bytes) = (waiting + 1, bytes + packet.data().len());
            if waiting == PACKETS || bytes >= BYTES {
                self.receive(&mut received)?;
                (waiting, bytes) = (0, 0);
            }
        }
        self.receive(&mut received)?;
        Ok(received)
    }

    fn write(&mut self, packet: &[u8]) -> io::Result<()> {
        // One call for each packet.
        self.device.write_all(&[&INFO, packet].concat())
    }

    fn receive(&mut self, received: &mut PacketVec) -> Result<()> {
        self.markers += 1;
        let marker = marker(self.markers);
        self.write(&marker)?;
        until(&marker, &mut self.capture, received)
            .map_err(|why| format!("{}: {why}", self.name).into())
    }
}

/// Creates a TUN interface, which is down, and opens its file.
fn open(interface: &str, hardware: u16) -> io::Result<File> {
    let device = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: libc::IFF_TUN as libc::c_short,
        },
    };
    let name = interface.bytes().take(libc::IFNAMSIZ - 1);
    for (to, byte) in request.ifr_name.iter_mut().zip(name) {
        *to = byte as libc::c_char;
    }
    // SAFETY: the request is on this stack; nobody else uses it; the call reads and writes one
    // `ifreq`, which it is.
    let created = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if created < 0 {
        return Err(io::Error::last_os_error());
    }
    let hardware = libc::c_ulong::from(hardware);
    // SAFETY: the call takes a number; it gets no pointer; the file is open.
    let set = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETLINK, hardware) };
    match set {
        0.. => Ok(device),
        _ => Err(io::Error::last_os_error()),
    }
}
