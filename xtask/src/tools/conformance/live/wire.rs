//! A veth pair: packets are replayed at one end and captured at the other.

use std::time::{Duration, Instant};

use netring::replay::{Refused, Replay, Speed};
use netring_afpacket::Injector;
use netring_sys::{
    Error, Interface, Packet, PacketBatch, PacketSink, PacketSource, PacketVec, Readiness, Stats,
};
use xtask::netns::{ip, veth};

use super::frames::{Cause, Frames, MTU, TOO_LONG};
use crate::Result;

/// The number of packets in flight at once. A veth end with an XDP program holds 256 frames, and
/// the kernel queues 1000 for one without.
pub(super) const PACKETS: usize = 64;
pub(super) const BYTES: usize = 1 << 18;
/// How long a marker may take. Only a broken path needs so long.
const LIMIT: Duration = Duration::from_secs(20);
/// The beginning of a marker: an Ethertype for local experiments (IEEE 802, 0x88b5).
const MARKER: [u8; 30] = *b"\x02netmk\x02netmk\x88\xb5netring's marker";

/// A frame with this number, by which the end of what was sent before it is seen.
pub(super) fn marker(number: u64) -> [u8; 60] {
    let mut marker = [0; 60];
    marker[..MARKER.len()].copy_from_slice(&MARKER);
    marker[52..].copy_from_slice(&number.to_be_bytes());
    marker
}

/// One way from a file to a capture.
pub(super) struct Wire<S> {
    pub(super) name: &'static str,
    capture: S,
    replay: Replay<Injector>,
    markers: u64,
}

/// The fate of the packets of a file.
#[derive(Default)]
pub(super) struct Passed {
    /// The packets that arrived, in order.
    pub(super) received: PacketVec,
    /// Why packets were not sent, by packet index.
    pub(super) left_out: Vec<(usize, Cause)>,
}

impl<S: PacketSource> Wire<S> {
    /// Creates a pair, and opens a capture at its first end.
    pub(super) fn new(
        name: &'static str,
        ends: [&str; 2],
        open: impl FnOnce(&str) -> std::result::Result<S, Error>,
    ) -> Result<Self> {
        let [near, far] = ends;
        veth(near, far)?;
        for end in ends {
            ip(&format!("link set dev {end} mtu {MTU}"))?;
        }
        let capture = open(near).map_err(|why| format!("{name}: {why}"))?;
        let replay = Replay::new(Injector::open(far)?)?
            .interface(&Interface::by_name(far)?)
            .segment(false)
            .speed(Speed::Fastest)?;
        Ok(Self {
            name,
            capture,
            replay,
            markers: 0,
        })
    }

    /// Sends the frames and receives them.
    pub(super) fn pass(&mut self, frames: &Frames) -> Result<Passed> {
        let mut passed = Passed::default();
        let (mut waiting, mut bytes) = (0, 0);
        let mut one = One::default();
        let mut without = frames.left_out.iter().peekable();
        for (index, packet) in frames.packets.iter().enumerate() {
            if let Some(out) = without.next_if(|(at, _)| *at == index) {
                passed.left_out.push(out.clone());
                continue;
            }
            if is_dropped_by_kernel(&packet) {
                let why = "its first VLAN tag is cut";
                passed.left_out.push((index, why.into()));
                continue;
            }
            one.lend(&packet);
            let before = self.replay.stats().refused;
            let after = self.replay.run(&mut one)?.refused;
            if let Some(mut why) = cause(&before, &after) {
                // A replay does not send what a card was to cut into segments; the wire takes it.
                if why == NO_LENGTH && !self.send(&packet.wire_bytes().pieces().concat())? {
                    why = TOO_LONG;
                }
                if why != NO_LENGTH {
                    passed.left_out.push((index, why.into()));
                    continue;
                }
            }
            (waiting, bytes) = (waiting + 1, bytes + packet.data().len());
            if waiting == PACKETS || bytes >= BYTES {
                self.receive(&mut passed.received)?;
                (waiting, bytes) = (0, 0);
            }
        }
        self.receive(&mut passed.received)?;
        let stats = self.replay.stats();
        if (stats.unsent, stats.in_flight, stats.segmented) != (0, 0, 0) {
            return Err(format!("{}: the replay reports {stats}", self.name).into());
        }
        Ok(passed)
    }

    /// Sends a marker, and takes all packets until it arrives.
    fn receive(&mut self, received: &mut PacketVec) -> Result<()> {
        self.markers += 1;
        let marker = marker(self.markers);
        self.send(&marker)?;
        until(&marker, &mut self.capture, received)
            .map_err(|why| format!("{}: {why}", self.name).into())
    }

    /// Sends a frame past the replay. False if it is too long.
    fn send(&mut self, frame: &[u8]) -> Result<bool> {
        let sink = self.replay.sink_mut();
        let sent = match sink.send(frame) {
            Err(Error::FrameLength { .. }) => return Ok(false),
            sent => sent?,
        };
        match sent && sink.flush()? == 0 {
            true => Ok(true),
            false => Err(format!("{}: there is no room for a frame", self.name).into()),
        }
    }

    /// Compares the capture's own figures with what was received on it: packets and markers.
    pub(super) fn balance(&mut self, received: u64) -> Result<Vec<String>> {
        let (name, stats) = (self.name, self.capture.stats()?);
        let mut lines = Vec::new();
        let expected = received + self.markers;
        if stats.delivered.exact() != Some(expected) {
            lines.push(format!(
                "{name}: received {received} packets and {} markers, but the capture reports {stats:?}",
                self.markers
            ));
        }
        Ok(lines)
    }
}

/// Takes what arrives until this marker does.
pub(super) fn until<S: PacketSource>(
    marker: &[u8],
    capture: &mut S,
    received: &mut PacketVec,
) -> Result<()> {
    let start = Instant::now();
    while let Some(left) = LIMIT.checked_sub(start.elapsed()) {
        let Some(batch) = capture.next_batch_timeout(left)?.batch() else {
            break;
        };
        let mut is_through = false;
        for packet in batch.packets() {
            match packet.data() == marker {
                true => is_through = true,
                false => received.push(&packet),
            }
        }
        if is_through {
            return Ok(());
        }
    }
    let stats = capture.stats()?;
    Err(format!("a marker did not arrive within {LIMIT:?}; {stats:?}").into())
}

/// Whether the receiving kernel drops this frame before AF_PACKET sees it (AF_XDP does): its first
/// tag is not followed by an Ethertype ([`skb_vlan_untag`]).
///
/// [`skb_vlan_untag`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/skbuff.c#L6226
fn is_dropped_by_kernel(packet: &Packet<'_>) -> bool {
    let frame = packet.wire_bytes().pieces().concat();
    frame.len() < 20 && matches!(frame.get(12..14), Some([0x81, 0] | [0x88, 0xa8]))
}

/// The cause for a packet whose IP header has no length.
const NO_LENGTH: &str = "its IP length is 0";

/// The cause that was counted between two looks.
fn cause(before: &Refused, after: &Refused) -> Option<&'static str> {
    let counts = [
        (before.too_long, after.too_long, TOO_LONG),
        (before.unsegmentable, after.unsegmentable, NO_LENGTH),
        (before.checksum, after.checksum, "its checksum is partial"),
        (before.too_short, after.too_short, "shorter than 14 bytes"),
    ];
    let mut counts = counts.into_iter();
    counts.find_map(|(before, after, why)| (before != after).then_some(why))
}

/// A source of one packet.
#[derive(Default)]
struct One {
    packet: PacketVec,
    is_lent: bool,
}

impl One {
    fn lend(&mut self, packet: &Packet<'_>) {
        self.packet.clear();
        self.packet.push(packet);
        self.is_lent = false;
    }
}

impl PacketSource for One {
    type Batch<'a> = &'a PacketVec;

    fn ready(&mut self) -> std::result::Result<Readiness, Error> {
        Ok(match self.is_lent {
            true => Readiness::Ended,
            false => Readiness::Ready,
        })
    }

    fn batch(&mut self) -> &PacketVec {
        self.is_lent = true;
        &self.packet
    }

    fn stats(&mut self) -> std::result::Result<Stats, Error> {
        Ok(Stats::counted(u64::from(self.is_lent)))
    }

    fn is_live(&self) -> bool {
        false
    }
}
