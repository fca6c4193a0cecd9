//! Two AF_XDP sockets and the wire between them: one sends on `v0`, the other receives on `v1`.

use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

use netring_sys::{Error, Interface, PacketSink, XdpMode};
use netring_xdp::program::{AttachMode, Attachment, Program};
use netring_xdp::{
    BusyPoll, Receiver, RingSize, SocketBuilder, SocketStats, Transmitter, Umem, UmemConfig,
    XdpSocket,
};
use xtask::netns::{ip, veth};

use super::{LIMIT, conserved, receive, small};

/// Frames sent before the test checks that they arrived: veth holds 256 that its program has not
/// seen yet.
pub(crate) const BURST: usize = 64;
const RING: u32 = 512;

/// Runs each row in every way that veth supports; the way is the name of the module.
#[macro_export]
macro_rules! rows {
    ($($row:ident),+ $(,)?) => {
        $crate::rows!(@ generic, Generic, false; $($row),+);
        $crate::rows!(@ native, Native, false; $($row),+);
        $crate::rows!(@ generic_busy_poll, Generic, true; $($row),+);
        $crate::rows!(@ native_busy_poll, Native, true; $($row),+);
    };
    (@ $name:ident, $mode:ident, $busy_poll:literal; $($row:ident),+) => {
        mod $name {
            use $crate::common::pair::Way;
            use netring_xdp::program::AttachMode;

            $(
                #[test]
                #[ignore = "needs a network namespace: cargo xtask test-netns"]
                fn $row() {
                    let _ns = xtask::netns::Netns::enter().unwrap();
                    super::$row(Way { mode: AttachMode::$mode, busy_poll: $busy_poll });
                }
            )+
        }
    };
}

/// How a row runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// Where the program runs.
    pub(crate) mode: AttachMode,
    /// Whether the sockets' own calls poll the interfaces.
    pub(crate) busy_poll: bool,
}

impl Way {
    /// Creates the wire.
    pub(crate) fn wire(self, mtu: u32) {
        veth("v0", "v1").unwrap();
        for end in ["v0", "v1"] {
            if mtu != 1500 {
                ip(&format!("link set dev {end} mtu {mtu}")).unwrap();
            }
            if self.busy_poll {
                quiet(end);
            }
        }
    }

    /// Settings of a socket, with rings of 512 entries.
    pub(crate) fn socket(self, interface: &str) -> SocketBuilder {
        let ring = RingSize::new(RING).unwrap();
        let builder = XdpSocket::builder(interface, 0)
            .receive_ring(ring)
            .transmit_ring(ring);
        if self.busy_poll {
            builder.busy_poll(BusyPoll::default())
        } else {
            builder
        }
    }

    /// Attaches a program that redirects to a socket through the first slot of its map.
    pub(crate) fn attach(
        self,
        interface: &str,
        mut program: Program,
        socket: impl AsFd,
    ) -> Attachment {
        program.sockets_mut().set(0, socket.as_fd()).unwrap();
        let interface = Interface::by_name(interface).unwrap();
        let attachment = program.attach(&interface, self.mode).unwrap();
        let reached = match self.mode {
            AttachMode::Native => XdpMode::Native,
            _ => XdpMode::Generic,
        };
        assert_eq!(attachment.mode(), reached);
        attachment
    }
}

/// Keeps an interface from polling by itself, as far as an administrator can, so that polling is
/// left to the sockets.
///
/// In a mount of sysfs of the child's own, because the existing one shows another network
/// namespace.
fn quiet(interface: &str) {
    let script = format!(
        "mount -t sysfs none /mnt && cd /mnt/class/net/{interface} \
         && echo 2 > napi_defer_hard_irqs && echo 200000 > gro_flush_timeout"
    );
    let child = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
}

/// The initial settings of a row; each field may be changed before [`run`](Self::run).
pub(crate) struct Ends {
    pub(crate) way: Way,
    pub(crate) mtu: u32,
    pub(crate) multi_buffer: bool,
    pub(crate) sender: SocketBuilder,
    pub(crate) receiver: SocketBuilder,
    pub(crate) sender_memory: UmemConfig,
    pub(crate) receiver_memory: UmemConfig,
    /// The user's own program, named `row`, with a map named `sockets`; otherwise the generated
    /// one.
    pub(crate) program: Option<Vec<u8>>,
}

/// Both ends, ready.
pub(crate) struct Wire<'t, 'r> {
    pub(crate) tx: Transmitter<'t>,
    pub(crate) rx: Receiver<'r>,
    pub(crate) sender_memory: Umem<'t>,
    pub(crate) receiver_memory: Umem<'r>,
    pub(crate) attachment: Attachment,
}

impl Ends {
    pub(crate) fn new(way: Way) -> Self {
        Self {
            way,
            mtu: 1500,
            multi_buffer: false,
            sender: way.socket("v0"),
            receiver: way.socket("v1"),
            sender_memory: small(),
            receiver_memory: small(),
            program: None,
        }
    }

    /// Uses the same packet memory at both ends.
    pub(crate) fn memory(mut self, memory: UmemConfig) -> Self {
        self.sender_memory = memory.clone();
        self.receiver_memory = memory;
        self
    }

    /// Uses this program instead of the generated one.
    pub(crate) fn program(mut self, object: Vec<u8>) -> Self {
        self.program = Some(object);
        self
    }

    /// Allows packets in several chunks, at both ends and in the program; the MTU is 9000.
    pub(crate) fn multi_buffer(mut self) -> Self {
        self.mtu = 9000;
        self.multi_buffer = true;
        self.sender = self.sender.multi_buffer(true);
        self.receiver = self.receiver.multi_buffer(true);
        self
    }

    /// Creates the wire and runs the row on it. Afterwards each chunk must be in exactly one place.
    pub(crate) fn run(self, row: impl for<'t, 'r> FnOnce(&mut Wire<'t, 'r>)) {
        self.way.wire(self.mtu);
        self.run_again(row);
    }

    /// As [`run`](Self::run), over an existing wire.
    pub(crate) fn run_again(&self, row: impl for<'t, 'r> FnOnce(&mut Wire<'t, 'r>)) {
        Umem::scope(&self.sender_memory, |sender_memory| {
            Umem::scope(&self.receiver_memory, |receiver_memory| {
                let tx = self.sender.open_transmitter(sender_memory)?;
                let rx = self.receiver.open_receiver(receiver_memory)?;
                let program = match &self.program {
                    Some(object) => Program::from_elf(object, "row", "sockets")?,
                    None => Program::redirect()
                        .queues(1)
                        .multi_buffer(self.multi_buffer)
                        .load()?,
                };
                let mut wire = Wire {
                    attachment: self.way.attach("v1", program, &rx),
                    tx,
                    rx,
                    sender_memory,
                    receiver_memory,
                };
                row(&mut wire);
                conserved(sender_memory);
                conserved(receiver_memory);
                Ok(())
            })
        })
        .unwrap();
    }
}

impl Wire<'_, '_> {
    /// Checks that frames of `len` bytes with the numbers from `first` on cross the wire, byte for
    /// byte and in order, and nothing else.
    pub(crate) fn carries(&mut self, first: u64, count: u64, len: usize) {
        let frames = (first..first + count).map(|n| frame(n, len));
        exchange(
            &mut self.tx,
            &mut self.rx,
            frames.map(|frame| (frame.clone(), Some(frame))),
        );
    }

    /// Checks that this many frames were sent and received, and that nothing was lost on either
    /// side.
    pub(crate) fn settled(&mut self, sent: u64, received: u64) {
        sent_all(&mut self.tx, sent);
        received_all(&self.rx, received);
    }
}

/// Checks that everything committed was sent, and nothing dropped, rejected or refused.
pub(crate) fn sent_all(tx: &mut Transmitter<'_>, sent: u64) {
    let stats = PacketSink::stats(tx).unwrap();
    assert_eq!(
        (stats.committed, stats.sent.exact(), stats.pending),
        (sent, Some(sent), 0)
    );
    assert_eq!(
        (stats.dropped.exact(), stats.rejected.exact(), stats.refused),
        (Some(0), Some(0), 0)
    );
}

/// Checks that this many packets arrived, and none was lost.
pub(crate) fn received_all(rx: &Receiver<'_>, received: u64) {
    let stats = rx.stats().unwrap();
    assert_eq!((stats.delivered, losses(&stats)), (received, [0; 5]));
}

/// Invalid, ring full, no chunk, invalid to send, searches for a chunk that failed.
pub(crate) fn losses(stats: &SocketStats) -> [u64; 5] {
    [
        stats.invalid,
        stats.ring_full,
        stats.no_chunk,
        stats.transmit_invalid,
        stats.fill_ring_empty,
    ]
}

/// Sends frames in bursts. After each burst, what is expected of it must have arrived: byte for
/// byte, in order, and nothing else.
pub(crate) fn exchange(
    tx: &mut Transmitter<'_>,
    rx: &mut Receiver<'_>,
    frames: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
) {
    exchange_in_pieces(tx, rx, usize::MAX, frames);
}

/// The same with frames that are spread over chunks of up to `piece` bytes.
pub(crate) fn exchange_in_pieces(
    tx: &mut Transmitter<'_>,
    rx: &mut Receiver<'_>,
    piece: usize,
    frames: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
) {
    let mut frames = frames.into_iter().peekable();
    while frames.peek().is_some() {
        let mut due = Vec::new();
        for (frame, comes) in frames.by_ref().take(BURST) {
            assert!(put_in_pieces(tx, &frame, piece).unwrap());
            due.extend(comes);
        }
        assert_eq!(tx.drain(LIMIT).unwrap(), 0);
        comes(rx, &due);
    }
    silent(rx);
}

/// Commits a frame that is spread over chunks of up to `piece` bytes.
pub(crate) fn put_in_pieces(
    tx: &mut Transmitter<'_>,
    frame: &[u8],
    piece: usize,
) -> Result<bool, Error> {
    if frame.len() <= piece {
        return PacketSink::send(tx, frame);
    }
    let chunks = frame.chunks(piece).map(|bytes| {
        let mut chunk = tx.take().unwrap();
        chunk.set_len(bytes.len()).unwrap();
        chunk.copy_from_slice(bytes);
        chunk
    });
    let mut chunks = chunks.collect();
    tx.send_chain(&mut chunks)
}

/// Commits a frame; returns false if there is no room.
pub(crate) fn put(tx: &mut Transmitter<'_>, frame: &[u8]) -> bool {
    PacketSink::send(tx, frame).unwrap()
}

/// Checks that these packets arrive, byte for byte and in order.
pub(crate) fn comes(rx: &mut Receiver<'_>, due: &[Vec<u8>]) {
    let mut due_next = due.iter();
    receive(rx, due.len(), |packet| {
        let due = due_next.next().unwrap();
        assert_eq!((number(packet), packet.len()), (number(due), due.len()));
        let differs = packet.iter().zip(due).position(|(came, due)| came != due);
        assert_eq!(differs, None, "frame {}: {packet:?}", number(due));
    });
}

/// Checks that nothing arrives.
pub(crate) fn silent(rx: &mut Receiver<'_>) {
    assert!(!rx.wait(Duration::from_millis(5)).unwrap());
}

/// The number of a [`frame`].
fn number(frame: &[u8]) -> u64 {
    u64::from_be_bytes(*frame[14..].first_chunk().unwrap())
}

/// A frame whose every byte depends on its number and position. No host answers its Ethertype; the
/// number starts at byte 14.
pub(crate) fn frame(number: u64, len: usize) -> Vec<u8> {
    let header = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
    let mut frame = header.to_vec();
    frame.extend(number.to_be_bytes());
    frame.extend((frame.len()..len).map(|at| (at + at / 251 + 31 * number as usize) as u8));
    frame.truncate(len);
    frame
}
